package main

import (
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// TestReportIsAnonymous searches reports for everything that the server knows, and for what
// a server might put into a response.
func TestReportIsAnonymous(t *testing.T) {
	t.Parallel()
	leak := func(_ int, _ *http.Request, resp *http.Response) (*http.Response, error) {
		resp.Header.Set("Retry-After", "LEAK")
		resp.Header.Set("X-Leak", "LEAK")
		if resp.StatusCode < 400 {
			return resp, nil
		}
		resp.Header.Set("Content-Type", "application/LEAK")
		return withBody(resp, `{"code":"LEAK","ref":"LEAK","message":"LEAK","details":{"LEAK":"LEAK"}}`), nil
	}
	for name, tt := range map[string]struct {
		opt   palettetest.Option
		after func(int, *http.Request, *http.Response) (*http.Response, error)
	}{
		"all verified":           {},
		"other texts in errors":  {after: leak},
		"WithUIDOfUser":          {opt: palettetest.WithUIDOfUser()},
		"WithTenantAsOwner":      {opt: palettetest.WithTenantAsOwner()},
		"WithLongValues":         {opt: palettetest.WithLongValues()},
		"WithRepeatedCredential": {opt: palettetest.WithRepeatedCredential()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTenant(t, palettetest.WithRateLimit(10, 50), tt.opt)
			known := map[string]bool{"LEAK": true, "palettetest": true, palettetest.AdminUID: true, palettetest.TenantUID: true}
			for _, text := range []string{
				userUID, userKey, otherUser, "Ursula", "Otto", "User", "Other", "Tenant", "Admin", "ResourceNotFound", "API key '",
				"127.0.0.1", "localhost",
			} {
				known[text] = true
			}
			f.after = func(n int, req *http.Request, resp *http.Response) (*http.Response, error) {
				for _, k := range f.Keys() {
					known[k.UID], known[k.Name] = true, true
				}
				if tt.after != nil {
					return tt.after(n, req, resp)
				}
				return resp, nil
			}
			bubble(t, f, func(t *testing.T) {
				markdown, asJSON := f.run(t.Context(), allFlags...), f.run(t.Context(), append(allFlags, "-json")...)

				u, err := url.Parse(f.URL)
				require.NoError(t, err)
				known[u.Host], known[u.Port()] = true, true
				for _, value := range append(f.values, f.APIKey) {
					known[value] = true
				}
				require.Greater(t, len(known), 40)
				for text := range known {
					assert.NotContains(t, markdown.stdout, text)
					assert.NotContains(t, asJSON.stdout, text)
				}
				assert.NotRegexp(t, `[0-9a-f]{16}`, markdown.stdout)
			})
		})
	}
}

func withBody(resp *http.Response, body string) *http.Response {
	replaced := respond(resp.StatusCode, body)
	replaced.Header = resp.Header
	return replaced
}

func TestReportAsJSON(t *testing.T) {
	t.Parallel()
	f := newTenant(t)
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes", "-json")

		var report map[string][]map[string]string
		require.NoError(t, json.Unmarshal([]byte(got.stdout), &report))
		require.Len(t, report["rows"], len(rows)+len(lastRows))
		assert.Equal(t, map[string]string{
			"id": "U3", "fact": "update: the server's own annotations", "assumed": "survive",
			"observed": "5 of 5 survive", "result": "verified",
		}, report["rows"][slices.IndexFunc(rows, func(r row) bool { return r.id == "U3" })])
	})
}

func TestRowsAreOneTable(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{"": true}
	for _, r := range slices.Concat(rows, lastRows) {
		assert.Regexp(t, `^[A-Z][0-9]+$`, r.id)
		assert.False(t, seen[r.id], r.id+" is not unique")
		assert.Contains(t, append(idsOf(rows), ""), r.needs, r.id)
		assert.True(t, r.needs == "" || seen[r.needs], r.id+" needs a row that comes later")
		assert.NotContains(t, r.fact+r.assumed, "|", r.id)
		seen[r.id] = true
	}
}

func TestRowThatIsContradictedOnceIsUnstable(t *testing.T) {
	t.Parallel()
	f := newTenant(t)
	failed := false
	f.after = func(_ int, req *http.Request, resp *http.Response) (*http.Response, error) {
		if req.Method == http.MethodPut && strings.HasSuffix(req.URL.Path, "/state") && !failed {
			failed = true
			return respond(http.StatusConflict, `{}`), nil
		}
		return resp, nil
	}
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes")

		assert.Equal(t, 1, got.code)
		assert.Equal(t, []string{"U5"}, got.rowsOf(unstable))
		assert.Contains(t, got.line("U5"), "| status 409, in a second try it stays inactive |")
		f.requireForeignKeysOnly()
	})
}

func TestSecondTryUsesANewKey(t *testing.T) {
	t.Parallel()
	f := newTenant(t, palettetest.WithFixedLabels())
	updated := map[string]bool{}
	f.before = func(_ int, req *http.Request) (*http.Response, error) {
		if req.Method == http.MethodPut && regexp.MustCompile(`/[0-9a-f]{24}$`).MatchString(req.URL.Path) {
			updated[req.URL.Path] = true
		}
		return nil, nil
	}
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes")

		assert.Equal(t, []string{"U1"}, got.rowsOf(contradicted))
		assert.Len(t, updated, 4) // U1 twice, a new one for U3, U4 and U7, one of its own for U5
	})
}

func TestServerErrorsAreNoContradictions(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		resp func() *http.Response
		want string
	}{
		"500":           {func() *http.Response { return respond(500, `{"code":"DeletionResourceInUseError"}`) }, "status 500"},
		"429":           {func() *http.Response { return respond(429, "") }, "status 429"},
		"no connection": {func() *http.Response { return nil }, "no response"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTenant(t)
			f.before = func(_ int, req *http.Request) (*http.Response, error) {
				if req.Method != http.MethodPatch {
					return nil, nil
				}
				if resp := tt.resp(); resp != nil {
					return resp, nil
				}
				return nil, errCut
			}
			bubble(t, f, func(t *testing.T) {
				got := f.run(t.Context(), "-yes")

				assert.Equal(t, 0, got.code, got.stdout)
				assert.Contains(t, got.line("S1"), "| "+tt.want+" | not tested |")
				assert.Contains(t, got.line("E3"), "| "+tt.want+" | not tested |")
			})
		})
	}
}
