package main

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// countRequests returns the number of requests of a whole run.
func countRequests(t *testing.T) int {
	t.Helper()
	f := newTenant(t)
	bubble(t, f, func(t *testing.T) { require.Equal(t, 0, f.run(t.Context(), "-yes").code) })
	return f.requests
}

func TestInterruptedAtEveryRequest(t *testing.T) {
	t.Parallel()
	for n := range countRequests(t) {
		f := newTenant(t)
		bubble(t, f, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			f.before = func(i int, _ *http.Request) (*http.Response, error) {
				if i == n+1 {
					cancel()
				}
				return nil, nil
			}

			got := f.run(ctx, "-yes")

			// The last requests show that no key is left.
			require.Contains(t, []int{codeInterrupted, codeFailure}, got.code, "request %d: %s", n, got.stderr)
			require.NotContains(t, got.stderr, "may be left")
			require.Empty(t, got.stdout)
			f.requireForeignKeysOnly()
		})
	}
}

func TestKilledAtEveryRequestAndSwept(t *testing.T) {
	t.Parallel()
	swept := 0
	for n := range countRequests(t) {
		f := newTenant(t)
		bubble(t, f, func(t *testing.T) {
			f.before = func(i int, _ *http.Request) (*http.Response, error) {
				if i > n {
					panic(errCut) // nothing of the program runs any more
				}
				return nil, nil
			}
			require.PanicsWithError(t, errCut.Error(), func() { f.run(t.Context(), "-yes") })
			swept += len(f.Keys()) - len(f.foreign)
			f.before = nil

			got := f.run(t.Context(), "-yes", "-sweep")

			require.Equal(t, 0, got.code, "request %d: %s", n, got.stderr)
			f.requireForeignKeysOnly()
		})
	}
	require.Positive(t, swept)
}

func TestServerThatFailsAtRandom(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		f := newTenant(t)
		random := rand.New(rand.NewPCG(seed, 0))
		fail := func(resp *http.Response) (*http.Response, error) {
			switch random.IntN(30) {
			case 0:
				return nil, errCut
			case 1:
				return respond(http.StatusBadGateway, "<html>"), nil
			case 2:
				return respond(http.StatusInternalServerError, `{"code":"InternalError"}`), nil
			case 3:
				return respond(http.StatusTooManyRequests, ""), nil
			}
			return resp, nil
		}
		f.before = func(n int, _ *http.Request) (*http.Response, error) {
			if n < 4 { // nothing was created yet
				return nil, nil
			}
			return fail(nil)
		}
		f.after = func(_ int, _ *http.Request, resp *http.Response) (*http.Response, error) { return fail(resp) }
		bubble(t, f, func(t *testing.T) {
			got := f.run(t.Context(), allFlags...)

			require.Contains(t, []int{0, 1}, got.code, "seed %d: %s", seed, got.stdout)
			require.Empty(t, got.rowsOf(contradicted), "seed %d: %s", seed, got.stdout)
			require.NotContains(t, got.stderr, "may be left")
			f.requireForeignKeysOnly()
		})
	}
}

func TestKeysWithoutTheMarkerAreNotDeleted(t *testing.T) {
	t.Parallel()
	f := newTenant(t)
	f.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPost {
			body, err := io.ReadAll(req.Body)
			require.NoError(t, err)
			body = regexp.MustCompile(`"annotations":{[^}]*},`).ReplaceAll(body, nil)
			req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
		}
		if req.Method != http.MethodGet && req.Method != http.MethodPost {
			assert.Contains(t, req.URL.Path, "/ffffffff", "only the unknown uid may be deleted")
		}
		return nil, nil
	}
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes")

		assert.Equal(t, 1, got.code)
		assert.Contains(t, got.line("C1"), "| name or marker of the key have changed | not tested |")
		assert.Contains(t, got.stderr, "keys may be left: they expire an hour after their creation, and -sweep deletes them")
		assert.Equal(t, f.foreign, f.Keys()[:len(f.foreign)])
	})
}

func TestCredentialsAreTriedOnNewConnections(t *testing.T) {
	t.Parallel()
	f := newTenant(t)
	rejected := map[int]int{} // by how often connections were closed before
	f.after = func(_ int, req *http.Request, resp *http.Response) (*http.Response, error) {
		if resp.StatusCode == http.StatusUnauthorized && strings.HasPrefix(req.Header.Get("ApiKey"), "palettetest+") {
			rejected[f.closed]++
		}
		return resp, nil
	}
	bubble(t, f, func(t *testing.T) {
		require.Equal(t, 0, f.run(t.Context(), "-yes", "-slow").code)

		require.Len(t, rejected, 4*streak) // S3, S4, U6, D1
		for closed, n := range rejected {
			require.Equal(t, 1, n, closed)
		}
	})
}

func TestMissingPermissions(t *testing.T) {
	t.Parallel()
	for permission, tt := range map[string]struct {
		faults   []palettetest.Fault
		verified string // the rows that are left
		creates  bool
	}{
		"apiKey.update": {
			[]palettetest.Fault{{Method: "PUT"}, {Method: "PATCH"}},
			"W1 E1 E2 C1 C2 C3 C4 C5 C6 C7 C9 C10 C11 L1 D1 D2", true,
		},
		"apiKey.create": {[]palettetest.Fault{{Method: "POST"}}, "W1 E1 E2", true},
		"apiKey.delete": {[]palettetest.Fault{{Method: "DELETE"}}, "W1 E1 E2", false},
		"apiKey.get":    {[]palettetest.Fault{{Method: "GET", Path: "/v1/apiKeys/{uid}"}}, "W1 E2", false},
		"apiKey.list":   {[]palettetest.Fault{{Method: "GET", Path: "/v1/apiKeys"}}, "W1 E1", false},
	} {
		t.Run(permission, func(t *testing.T) {
			t.Parallel()
			f := newTenant(t)
			for _, fault := range tt.faults {
				fault.Status, fault.Code, fault.Times = http.StatusForbidden, "OperationForbidden", -1
				f.Inject(fault)
			}
			bubble(t, f, func(t *testing.T) {
				got := f.run(t.Context(), "-yes")

				assert.Equal(t, 0, got.code, got.stderr)
				assert.Equal(t, tt.verified, strings.Join(got.rowsOf(verified), " "), got.stdout)
				assert.Contains(t, got.line("S2"), "| needs "+permission+" | not tested |")
				created := slices.ContainsFunc(f.Requests(), func(r palettetest.Request) bool { return r.Method == "POST" })
				assert.Equal(t, tt.creates, created)
				f.requireForeignKeysOnly()
			})
		})
	}
}

func TestSweepNeedsPermissions(t *testing.T) {
	t.Parallel()
	f := newTenant(t)
	f.Inject(palettetest.Fault{Method: "DELETE", Status: http.StatusForbidden, Code: "OperationForbidden", Times: -1})
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes", "-sweep")

		assert.Equal(t, 1, got.code)
		assert.Equal(t, "palette-conformance: needs apiKey.delete\n", got.stderr)
	})
}

func TestKeyLimitIsNoContradiction(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			t.Parallel()
			f := newTenant(t, palettetest.WithKeyLimit(limit))
			f.credential = userKey
			bubble(t, f, func(t *testing.T) {
				got := f.run(t.Context(), "-yes", "-no-expiry", "-tenant-owner")

				assert.Equal(t, 0, got.code, got.stdout)
				for _, id := range []string{"C6", "C8", "C11"} {
					assert.Equal(t, limit == 1, strings.HasSuffix(got.line(id), "| create: status 400 | not tested |"), got.line(id))
				}
				f.requireForeignKeysOnly()
			})
		})
	}
}

// TestKeysOfOthersAreLeftAlone lets somebody take over the program's keys during a request
// that does not show it: a list.
func TestKeysOfOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	var lists []int
	first := newTenant(t)
	first.after = func(n int, req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodGet && req.URL.Path == collection && resp.StatusCode == http.StatusOK {
			lists = append(lists, n)
		}
		return resp, nil
	}
	bubble(t, first, func(t *testing.T) { require.Equal(t, 0, first.run(t.Context(), "-yes").code) })

	taken := 0
	for _, n := range lists {
		f := newTenant(t)
		var before []palettetest.Key
		f.before = func(i int, _ *http.Request) (*http.Response, error) {
			if i == n {
				before = f.takeOver()
			}
			return nil, nil
		}
		bubble(t, f, func(t *testing.T) {
			f.run(t.Context(), "-yes")

			require.Equal(t, before, f.Keys(), "request %d", n)
			if len(before) > len(f.foreign) {
				taken++
			}
		})
	}
	require.Greater(t, taken, 5)
}

// takeOver renames all keys of the program, and returns all keys.
func (f *tenant) takeOver() []palettetest.Key {
	for _, key := range f.Keys()[len(f.foreign):] {
		req := httptest.NewRequestWithContext(f.t.Context(), http.MethodPut, "/v1/apiKeys/"+key.UID,
			strings.NewReader(`{"metadata":{"name":"mine","annotations":{"palette-conformance":"`+key.Name+`"}}}`))
		req.Header = http.Header{"Apikey": {f.APIKey}, "Content-Type": {"application/json"}}
		recorder := httptest.NewRecorder()
		f.ServeHTTP(recorder, req)
		require.Equal(f.t, http.StatusNoContent, recorder.Code)
	}
	return f.Keys()
}

func TestKeyWhoseCreationWasNotAnsweredIsFoundInALateList(t *testing.T) {
	t.Parallel()
	f := newTenant(t, palettetest.WithListDelay(3*time.Second))
	f.after = func(_ int, req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodPost {
			return nil, errCut
		}
		return resp, nil
	}
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes")

		require.Equal(t, 0, got.code, got.stderr)
		f.requireForeignKeysOnly()
	})
}

func TestInterruptDuringASlowCreate(t *testing.T) {
	t.Parallel()
	f := newTenant(t)
	bubble(t, f, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		f.before = func(_ int, req *http.Request) (*http.Response, error) {
			if req.Method != http.MethodPost {
				return nil, nil
			}
			interrupt()
			select {
			case <-req.Context().Done(): // the server does not notice that the client has left
				time.AfterFunc(20*time.Second, func() { f.ServeHTTP(httptest.NewRecorder(), req.WithContext(t.Context())) })
				return nil, req.Context().Err()
			case <-time.After(20 * time.Second):
				return nil, nil
			}
		}

		got := f.run(ctx, "-yes")
		<-time.After(time.Minute)

		require.Equal(t, codeInterrupted, got.code, got.stderr)
		f.requireForeignKeysOnly()
	})
}
