package palette_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// newPipeClient returns a client whose connections lead to serve, in memory, and then to
// a server that sends nothing more.
func newPipeClient(t *testing.T, serve func(net.Conn), opts ...palette.Option) *palette.Client {
	t.Helper()
	rt := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			serve(server)
			_, _ = io.Copy(io.Discard, server) // until the client closes the connection
		}()
		return client, nil
	}}
	t.Cleanup(rt.CloseIdleConnections)
	return newTestClient(t, rt, append(withFastRetries(3), opts...)...)
}

// newStallingClient returns a client of a server that sends only the start of a response, in
// which %d is the status of a success.
func newStallingClient(t *testing.T, op operation, start string, opts ...palette.Option) *palette.Client {
	t.Helper()
	return newPipeClient(t, func(conn net.Conn) {
		req, err := http.ReadRequest(bufio.NewReader(conn))
		assert.NoError(t, err)
		readBody(t, req)
		_, _ = io.WriteString(conn, strings.Replace(start, "%d", strconv.Itoa(op.success), 1))
	}, append(opts, palette.WithBaseURL("http://127.0.0.1/prefix"))...)
}

func TestAttemptTimeout(t *testing.T) {
	t.Parallel()
	stall := sharedTransport{t: t, RoundTripper: roundTripFunc(hanging(written))}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()

		err := getKey(t, newTestClient(t, stall, palette.WithTimeout(5*time.Second)))

		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 5*time.Second, time.Since(start))
	})
}

// In whatever phase its context ends, a call returns at once. The error is the context's, with
// its cause, and ErrOutcomeUnknown only if Create was sent. A timeout ends only the attempt.
func TestContextEndsInEveryPhase(t *testing.T) {
	t.Parallel()
	type newClient func(*testing.T, operation) *palette.Client
	waitForKey := func(key string, err error) newClient {
		return func(t *testing.T, _ operation) *palette.Client {
			return newFuncClient(t, newMock(t), func(ctx context.Context) (string, error) {
				<-ctx.Done()
				return key, err
			}, withFastRetries(3)...)
		}
	}
	dial := func(t *testing.T, _ operation) *palette.Client {
		testEnd := make(chan struct{}) // net/http goes on dialing after the request has ended
		t.Cleanup(func() { close(testEnd) })
		return newTestClient(t, &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			<-testEnd
			return nil, errConnRefused
		}}, withFastRetries(3)...)
	}
	handshake := func(t *testing.T, _ operation) *palette.Client { return newPipeClient(t, func(net.Conn) {}) }
	stall := func(start string) newClient {
		return func(t *testing.T, op operation) *palette.Client { return newStallingClient(t, op, start) }
	}
	for _, tt := range []struct {
		name   string
		client newClient
		sent   bool  // Create may have been processed
		class  error // in addition to the context's
	}{
		{name: "credential", client: waitForKey("", io.EOF)},
		{name: "credential that arrives too late", client: waitForKey(testKey, nil)},
		{name: "dial", client: dial},
		{name: "TLS handshake", client: handshake},
		{name: "response", sent: true, client: stall("")},
		{name: "header", sent: true, client: stall("HTTP/1.1 %d X\r\nContent-Ty")},
		{name: "body", sent: true, client: stall("HTTP/1.1 %d X\r\nContent-Type: application/json\r\n\r\n{")},
		{name: "body of an error", client: stall("HTTP/1.1 403 X\r\n\r\n{"), class: palette.ErrForbidden},
		{name: "body of a temporary error", client: stall("HTTP/1.1 429 X\r\n\r\n{"), class: palette.ErrRateLimited},
	} {
		for _, op := range getAndCreate() {
			t.Run(tt.name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					errShutdown, start := errors.New("shutting down"), time.Now()
					canceled, cancel := context.WithCancelCause(t.Context())
					time.AfterFunc(7*time.Second, func() { cancel(errShutdown) })
					expired, stop := context.WithTimeout(t.Context(), 14*time.Second)
					defer stop()

					_, err := op.call(canceled, tt.client(t, op).APIKeys)

					require.Equal(t, 7*time.Second, time.Since(start))
					require.ErrorIs(t, err, context.Canceled)
					require.ErrorIs(t, err, errShutdown)
					require.NotContains(t, err.Error(), "retried")
					requireAttempts(t, err, 1)
					requireOutcomeUnknown(t, err, !op.idempotent() && tt.sent)

					_, err = op.call(expired, tt.client(t, op).APIKeys)

					require.Equal(t, 14*time.Second, time.Since(start))
					require.ErrorIs(t, err, context.DeadlineExceeded)
					requireOutcomeUnknown(t, err, !op.idempotent() && tt.sent)
					if tt.class != nil {
						require.ErrorIs(t, err, tt.class)
					}
					if !tt.sent {
						return
					}

					_, err = op.call(t.Context(), tt.client(t, op).APIKeys) // ends with the default timeout
					attempts := 4
					if !op.idempotent() {
						attempts = 1
					}

					require.Equal(t, time.Duration(14+attempts*30)*time.Second, time.Since(start).Round(time.Millisecond))
					require.ErrorIs(t, err, context.DeadlineExceeded)
					requireAttempts(t, err, attempts)
					requireOutcomeUnknown(t, err, !op.idempotent())
				})
			})
		}
	}
}

// Over HTTP/1.1, net/http returns the cause; over HTTP/2, the error of the context.
func TestErrorHasTheCauseOfTheContext(t *testing.T) {
	t.Parallel()
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(t.Context())
			server, _ := startServer(t, http2, http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
				cancel(errors.New("shutting down"))
				<-req.Context().Done()
			}))

			_, err := newNetworkClient(t, server).APIKeys.Get(ctx, testUID)

			require.ErrorIs(t, err, context.Canceled)
			require.EqualError(t, err, "palette: apiKeys.get: waiting for the response: context canceled: shutting down ("+
				"host "+hostOf(server)+", 1 attempt)")
		})
	}
}

func TestEndedContextSendsNothing(t *testing.T) {
	t.Parallel()
	for _, op := range getAndCreate() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			errShutdown := errors.New("shutting down")
			canceled, cancel := context.WithCancelCause(t.Context())
			cancel(errShutdown)
			expired, stop := context.WithDeadline(t.Context(), time.Unix(0, 0))
			defer stop()
			client := newFuncClient(t, newMock(t), func(context.Context) (string, error) {
				t.Error("the credential was fetched")
				return testKey, nil
			}, withFastRetries(3)...)

			_, err := op.call(canceled, client.APIKeys)

			require.EqualError(t, err, "palette: "+op.op+": context canceled: shutting down")
			require.ErrorIs(t, err, context.Canceled)
			require.ErrorIs(t, err, errShutdown)

			_, err = op.call(expired, client.APIKeys)

			require.EqualError(t, err, "palette: "+op.op+": context deadline exceeded")
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
	}
}

func TestLogRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		late := func(req *http.Request) (*http.Response, error) {
			<-time.After(40 * time.Millisecond)
			return respondError(503, "private", "private")(req)
		}
		m := newMock(t, late, failing(written, errors.New("private")), failing(written, context.DeadlineExceeded), respond(200, testKeyJSON))
		var logged bytes.Buffer
		withoutTime := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		handler := slog.NewJSONHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: withoutTime})
		client := newTestClient(t, m, palette.WithMaxRetries(3), palette.WithBackoff(time.Second, time.Second),
			palette.WithLogger(slog.New(handler)))

		require.NoError(t, getKey(t, client))

		const (
			fields  = `"op":"apiKeys.get","method":"GET","path":"/v1/apiKeys/66e844c44bab2337f20c7471",`
			request = `{"level":"DEBUG","msg":"palette: request",` + fields
			retry   = `{"level":"WARN","msg":"palette: retrying request",` + fields
		)
		assert.Equal(t, []string{
			request + `"status":503,"attempt":1,"duration":40000000}`,
			retry + `"wait":1000000000,"reason":"status 503"}`,
			request + `"status":0,"attempt":2,"duration":0}`,
			retry + `"wait":1000000000,"reason":"no response"}`,
			request + `"status":0,"attempt":3,"duration":0}`,
			retry + `"wait":1000000000,"reason":"timeout"}`,
			request + `"status":200,"attempt":4,"duration":0}`,
		}, strings.Split(strings.TrimSpace(logged.String()), "\n"))
	})
}

// In another process, so that every way to write to standard output or error counts.
func TestNothingIsPrinted(t *testing.T) {
	t.Parallel()
	const variable = "PALETTE_TEST_NOTHING_IS_PRINTED"
	if os.Getenv(variable) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestNothingIsPrinted$")
		cmd.Env = append(os.Environ(), variable+"=1")
		output, err := cmd.CombinedOutput()
		require.NoError(t, err)
		require.Empty(t, string(output))
		return
	}
	both := func(req *http.Request) (*http.Response, error) {
		resp, _ := busy(503)(req)
		return resp, errors.New("a response and an error")
	}
	wrapper := withWrapper(func(_ http.RoundTripper, req *http.Request) (*http.Response, error) { return both(req) })
	opts := append(withFastRetries(1), palette.WithBaseURL("http://palette.test"), palette.WithInsecureHTTP())
	for _, client := range []*palette.Client{
		newTestClient(t, roundTripFunc(both), opts...),
		newTestClient(t, roundTripFunc(respond(200, "<html>")), opts...),
		newTestClient(t, newMock(t), append(opts, wrapper)...),
	} {
		for _, op := range operations() {
			_, _ = op.call(t.Context(), client.APIKeys)
		}
	}
	os.Exit(0) // before the test binary prints its result
}

func TestNoExportedDeclarationMentionsResty(t *testing.T) {
	t.Parallel()

	docs, err := exec.CommandContext(t.Context(), "go", "doc", "-all", ".").Output()

	require.NoError(t, err)
	assert.Contains(t, string(docs), "\nfunc NewClient(opts ...Option) (*Client, error)\n")
	assert.NotContains(t, string(docs), "resty.")
}

// More goroutines than connections are allowed, in several rounds. On a busy machine, net/http
// closes a few connections that it could use again.
func TestConnectionsAreLimitedAndReused(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		http2            bool
		inFlight, dialed int64 // maximums
	}{"HTTP/1.1": {false, 64, 256}, "HTTP/2": {true, 128, 8}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var total, inFlight atomic.Int64
			enough := make(chan struct{})
			server, conns := startServer(t, tt.http2, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.LessOrEqual(t, inFlight.Add(1), tt.inFlight)
				defer inFlight.Add(-1)
				if r.Method == "GET" {
					if total.Add(1) == 64 {
						close(enough)
					}
					<-enough
				}
				http.Error(w, "text", http.StatusForbidden)
			}))
			client := newNetworkClient(t, server, palette.WithMaxRetries(0))
			require.Error(t, client.APIKeys.Delete(t.Context(), testUID)) // over HTTP/2, this connection is enough

			for range 10 {
				var callers sync.WaitGroup
				for range 128 {
					callers.Go(func() { assert.ErrorIs(t, getKey(t, client), palette.ErrForbidden) })
				}
				callers.Wait()
			}

			assert.LessOrEqual(t, conns.dialed.Load(), tt.dialed)
		})
	}
}

// A goroutine that is left makes synctest.Test fail.
func TestNoGoroutineLeak(t *testing.T) {
	t.Parallel()
	serve := func(response string) func(net.Conn) {
		return func(conn net.Conn) {
			for {
				req, err := http.ReadRequest(bufio.NewReader(conn))
				if err != nil {
					return
				}
				readBody(t, req)
				_, _ = io.WriteString(conn, response)
			}
		}
	}
	key := "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: " + strconv.Itoa(len(testKeyJSON)) + "\r\n\r\n" + testKeyJSON
	longBackoff := []palette.Option{palette.WithBackoff(0, time.Hour), palette.WithMaxRetries(100)}
	slow := []palette.Option{palette.WithRateLimit(1, 1)}
	for _, tt := range []struct {
		name     string
		response string
		opts     []palette.Option
		deadline time.Duration
		want     error // nil: success
	}{
		{"success", key, nil, time.Hour, nil},
		{"error", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", nil, time.Hour, palette.ErrForbidden},
		{"retries", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", nil, time.Hour, palette.ErrServer},
		{"attempt timeout", "", nil, time.Hour, context.DeadlineExceeded},
		{"deadline while the response arrives", "HTTP/1.1 200 OK\r\n", nil, time.Second, context.DeadlineExceeded},
		{"deadline during the backoff", "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", longBackoff, time.Second, palette.ErrServer},
		{"deadline in the queue", "HTTP/1.1 429 Slow Down\r\nContent-Length: 0\r\n\r\n", slow, 2 * time.Second, palette.ErrRateLimited},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				client := newPipeClient(t, serve(tt.response), append(tt.opts, palette.WithBaseURL("http://127.0.0.1/prefix"))...)
				ctx, cancel := context.WithTimeout(t.Context(), tt.deadline)
				defer cancel()
				var callers sync.WaitGroup
				for range 8 {
					callers.Go(func() {
						_, err := client.APIKeys.Get(ctx, testUID)
						assert.ErrorIs(t, err, tt.want)
					})
				}
				callers.Wait()
			})
		})
	}
}

// breakingProxy breaks a third of the responses of a server, before or after the work.
type breakingProxy struct {
	server http.Handler

	mu     sync.Mutex
	random *rand.Rand
	broken map[string]int // by fault
}

var proxyFaults = []string{"cut before", "cut after", "status before", "status after", "429", "truncate"}

func (p *breakingProxy) choose() (fault string, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.random.IntN(3) > 0 {
		return "", 0
	}
	fault = proxyFaults[p.random.IntN(len(proxyFaults))]
	p.broken[fault]++
	return fault, []int{500, 502, 503, 504}[p.random.IntN(4)]
}

// ServeHTTP panics to close the connection, or to reset the HTTP/2 stream.
func (p *breakingProxy) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	fault, status := p.choose()
	lost := httptest.NewRecorder()
	switch fault {
	case "":
		p.server.ServeHTTP(w, req)
		return
	case "cut after", "status after", "truncate":
		p.server.ServeHTTP(lost, req)
	}
	switch fault {
	case "cut before", "cut after":
		panic(http.ErrAbortHandler)
	case "429":
		status = 429
	case "truncate":
		if lost.Body.Len() > 0 {
			w.Header().Set("Content-Type", lost.Header().Get("Content-Type"))
			w.WriteHeader(lost.Code)
			_, _ = w.Write(lost.Body.Next(lost.Body.Len() / 2))
		}
		panic(http.ErrAbortHandler)
	}
	http.Error(w, "text", status)
}

// knowledge is what callers were told about a key.
type knowledge struct{ uid, exists, text string } // exists is "yes" or "no"; "" means: not known

// useKey creates a key, changes it, perhaps deletes it, and returns what is known then.
func useKey(t *testing.T, s *palette.APIKeysService, random *rand.Rand, name string) knowledge {
	t.Helper()
	meta := func(text string) palette.ObjectMetaInput {
		return palette.ObjectMetaInput{Name: name, Annotations: map[string]string{"description": text}}
	}
	created, err := s.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: meta("first")})
	if errors.Is(err, palette.ErrOutcomeUnknown) {
		return knowledge{}
	} else if err != nil {
		assert.ErrorIs(t, err, palette.ErrRateLimited) // with every other fault, the key may exist
		return knowledge{exists: "no"}
	}
	k := knowledge{uid: created.UID, exists: "yes", text: "first"}
	if random.IntN(2) == 0 {
		k.text = "second"
		if s.Update(t.Context(), k.uid, palette.UpdateAPIKeyRequest{Metadata: meta("second")}) != nil {
			k.text = ""
		}
	}
	if found, err := s.FindByName(t.Context(), name); err == nil && assert.Len(t, found, 1) {
		assert.Equal(t, k.uid, found[0].Metadata.UID)
	}
	if random.IntN(2) == 0 {
		k.exists = "no"
		if err := s.Delete(t.Context(), k.uid); err != nil {
			assert.NotErrorIs(t, err, palette.ErrNotFound) // an earlier attempt has deleted it
			k.exists = ""
		}
	}
	return k
}

// 64 goroutines call a server that breaks a third of its responses. At the end, the stored
// keys agree with what the callers were told, and no connection is left.
func TestNoKeyIsCreatedTwiceOrMisreported(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stored := palettetest.NewServer(palettetest.WithKeyLimit(0))
			t.Cleanup(stored.Close)
			proxy := &breakingProxy{server: stored, random: rand.New(rand.NewPCG(4, 2)), broken: map[string]int{}}
			server, conns := startServer(t, http2, proxy)
			client := newNetworkClient(t, server, append(withFastRetries(6), palette.WithAPIKey(stored.APIKey),
				withWrapper(http.RoundTripper.RoundTrip))...) // hides the transport from http.Client

			var told sync.Map // knowledge by name
			var callers sync.WaitGroup
			for i := range 64 {
				callers.Go(func() {
					random := rand.New(rand.NewPCG(uint64(i), 7))
					for n := range 3 {
						name := fmt.Sprintf("%d-%d", i, n)
						told.Store(name, useKey(t, client.APIKeys, random, name))
					}
				})
			}
			callers.Wait()

			byName := map[string]palettetest.Key{}
			for _, key := range stored.Keys() {
				assert.NotContains(t, byName, key.Name, "created twice")
				byName[key.Name] = key
			}
			for name, value := range told.Range {
				key, exists := byName[name.(string)]
				k := value.(knowledge)
				assert.Contains(t, []any{"", map[bool]string{true: "yes", false: "no"}[exists]}, k.exists, name)
				if exists && k.uid != "" {
					assert.Equal(t, k.uid, key.UID, name)
					assert.Contains(t, []string{"", key.Annotations["description"]}, k.text, name)
				}
			}
			for _, fault := range proxyFaults {
				assert.Greater(t, proxy.broken[fault], 5, "%s: the test proves little", fault)
			}
			closed := func() bool {
				client.CloseIdleConnections() // each time: a connection may become idle later
				return conns.open.Load() == 0
			}
			require.Eventually(t, closed, 30*time.Second, time.Millisecond) // net/http closes them after 50
		})
	}
}

// strangeWrappers are wrappers that do what none should. send sends a new request with the body
// of req, detached from its context.
var strangeWrappers = map[string]func(send func() (*http.Response, error)) (*http.Response, error){
	"hedges": func(send func() (*http.Response, error)) (*http.Response, error) {
		type result struct {
			resp *http.Response
			err  error
		}
		results := make(chan result, 2)
		for range 2 {
			go func() {
				resp, err := send()
				results <- result{resp, err}
			}()
		}
		first := <-results
		return first.resp, first.err
	},
	"retries": func(send func() (*http.Response, error)) (*http.Response, error) {
		if resp, err := send(); err == nil && resp.StatusCode < 400 {
			return resp, nil
		}
		return send()
	},
	"does not wait": func(send func() (*http.Response, error)) (*http.Response, error) {
		go func() { _, _ = send() }()
		return nil, errors.New("the wrapper does not wait")
	},
	"limits": func(send func() (*http.Response, error)) (*http.Response, error) {
		if resp, err := send(); err == nil && resp.StatusCode < 400 {
			return resp, nil
		}
		return newResponse(429, nil, ""), nil
	},
}

// The server breaks a third of its responses, too.
func TestNoWrapperMakesCreateCreateTwoKeys(t *testing.T) {
	t.Parallel()
	for name, strange := range strangeWrappers {
		for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
			t.Run(name+"/"+protocol, func(t *testing.T) {
				t.Parallel()
				stored := palettetest.NewServer(palettetest.WithKeyLimit(0))
				t.Cleanup(stored.Close)
				server, _ := startServer(t, http2, &breakingProxy{server: stored, random: rand.New(rand.NewPCG(4, 2)), broken: map[string]int{}})
				client := newNetworkClient(t, server, append(withFastRetries(6), palette.WithAPIKey(stored.APIKey),
					withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
						body := readBody(t, req)
						return strange(func() (*http.Response, error) {
							clone := req.Clone(context.WithoutCancel(req.Context()))
							clone.Body = io.NopCloser(strings.NewReader(body))
							return next.RoundTrip(clone)
						})
					}))...)

				var told sync.Map // the error by name
				var callers sync.WaitGroup
				for i := range 8 {
					callers.Go(func() {
						for n := range 10 {
							name := fmt.Sprintf("%d-%d", i, n)
							_, err := client.APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: name}})
							told.Store(name, knowledge{exists: map[bool]string{true: "yes", false: "no"}[err == nil]})
							if errors.Is(err, palette.ErrOutcomeUnknown) {
								told.Store(name, knowledge{})
							}
						}
					})
				}
				callers.Wait()
				server.Close() // waits for its handlers

				made := map[string]int{}
				for _, key := range stored.Keys() {
					made[key.Name]++
				}
				for name, value := range told.Range {
					switch n := made[name.(string)]; value.(knowledge).exists {
					case "yes":
						assert.Equal(t, 1, n, name)
					case "no":
						assert.Zero(t, n, name)
					default:
						assert.LessOrEqual(t, n, 1, name)
					}
				}
			})
		}
	}
}

// FuzzResponse sends any response to all operations: each returns a result or an error that
// is safe to print.
func FuzzResponse(f *testing.F) {
	const echo = `"` + testKey + `"`
	for _, op := range operations() {
		f.Add(uint16(op.success), "application/json", "", op.response)
	}
	f.Add(uint16(200), "application/json", "", `{"items":[{"metadata":{"uid":`+echo+`},"spec":{"expiry":7}}]}`)
	f.Add(uint16(201), "application/json", "", `{"apiKey":7,"uid":`+echo+`}`)
	f.Add(uint16(401), "application/json", "", `{"code":"X","message":`+echo+`,"details":[`+echo+`]}`)
	f.Add(uint16(422), "application/json", "", `{"code":1e400,"message":"\ud800\u2028","ref":{}}`)
	f.Add(uint16(429), testKey, "Sat, 01 Jan 2000 00:00:00 GMT", "\xff\xfe")
	f.Add(uint16(503), "text/html", "99999999999999999999", "<html>")
	f.Fuzz(func(t *testing.T, status uint16, contentType, retryAfter, body string) {
		header := http.Header{"Content-Type": {contentType}, "Retry-After": {retryAfter}, "Location": {body}}
		for _, op := range operations() {
			client := newTestClient(t, roundTripFunc(respondWith(int(status%1000), header, body)))

			result, err := op.call(t.Context(), client.APIKeys)

			if err == nil {
				require.EqualValues(t, 2, status%1000/100)
				if op.response == "" {
					require.EqualValues(t, 204, status%1000)
				}
				continue
			}
			require.Nil(t, result)
			text := err.Error()
			require.True(t, strings.HasPrefix(text, "palette: "+op.op+": "), text)
			require.Less(t, len([]rune(text)), 2000)
			require.True(t, utf8.ValidString(text))
			require.False(t, strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }), "%q", text)
			if apiErr, ok := errors.AsType[*palette.APIError](err); ok {
				require.GreaterOrEqual(t, apiErr.RetryAfter, time.Duration(0))
				encoded, err := json.Marshal(apiErr) //nolint:musttag // as a user may do
				require.NoError(t, err)
				text += string(encoded)
			}
			require.NotContains(t, text, testKey)
		}
	})
}
