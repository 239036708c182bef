package palette_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// ---- replies ----

func TestMediaTypes(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"application/json":                          true,
		"application/json; charset=utf-8":           true,
		"Application/JSON;charset=UTF-8":            true,
		"application/vnd.spectrocloud.palette+json": true,
		"":                            false,
		"text/html":                   false,
		"text/plain; charset=utf-8":   false,
		"text/json":                   false,
		"application/jsonp":           false,
		"application/octet-stream":    false,
		"application/json, text/html": false,
		"json":                        false,
	}
	for mediaType, isJSON := range tests {
		t.Run(mediaType, func(t *testing.T) {
			t.Parallel()
			w := newWire(t).on("GET", keyPath, replyWith(http.StatusOK, mediaType, fixture(t, "key.json")))
			key, err := w.client().APIKeys.Get(t.Context(), keyUID)
			if isJSON {
				require.NoError(t, err)
				assert.Equal(t, "ci", key.Metadata.Name)
				return
			}
			assert.Nil(t, key)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.EqualError(t, err, "palette: apiKeys.get: unexpected response: not JSON by its content type (1 attempt)")
		})
	}
}

// Success is the one status that the operation documents.
func TestOtherSuccessIsNotSuccess(t *testing.T) {
	t.Parallel()
	w := newWire(t).
		on("GET", keyPath, replyJSON(http.StatusAccepted, fixture(t, "key.json"))).
		on("DELETE", keyPath, replyJSON(http.StatusOK, "{}"))
	client := w.client()

	key, err := client.APIKeys.Get(t.Context(), keyUID)
	assert.Nil(t, key)
	require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
	require.EqualError(t, err, "palette: apiKeys.get: unexpected response: status 202 where 200 is success (1 attempt)")

	err = client.APIKeys.Delete(t.Context(), keyUID)
	require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
	require.EqualError(t, err, "palette: apiKeys.delete: unexpected response: status 200 where 204 is success (1 attempt)")
}

var blanks = bytes.Repeat([]byte(" "), 1<<20)

// endless is a body of blanks, which JSON allows anywhere, that counts what is
// read of it.
type endless struct {
	start  io.Reader
	length int64 // how much there is; 0 is without end
	read   atomic.Int64
	closed atomic.Bool
}

func (e *endless) Read(p []byte) (int, error) {
	if n, err := e.start.Read(p); err == nil {
		e.read.Add(int64(n))
		return n, nil
	}
	if e.length > 0 {
		if p = p[:min(int64(len(p)), e.length-e.read.Load())]; len(p) == 0 {
			return 0, io.EOF
		}
	}
	n := len(p)
	if e.length > 0 { // what has no end is not looked at, and need not be written
		n = copy(p, blanks)
	}
	e.read.Add(int64(n))
	return n, nil
}

func (e *endless) Close() error {
	e.closed.Store(true)
	return nil
}

func replyEndless(status int, contentLength int64, body *endless) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, ContentLength: contentLength, Body: body, Request: req,
			Header: http.Header{"Content-Type": {"application/json"}},
		}, nil
	}
}

// A body is read up to a limit, and no further.
func TestBodyLimits(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	message := `{"code":"TooLong","message":"it says"}`
	list := func(t *testing.T, status int, contentLength int64, body *endless) error {
		t.Helper()
		w := newWire(t).on("GET", "/v1/apiKeys", replyEndless(status, contentLength, body))
		keys, err := w.client().APIKeys.List(t.Context())
		assert.Nil(t, keys)
		assert.True(t, body.closed.Load(), "the body is closed")
		return err
	}

	t.Run("an error of 1 MiB is read", func(t *testing.T) {
		t.Parallel()
		body := &endless{start: strings.NewReader(message), length: mib}
		err := list(t, http.StatusForbidden, -1, body)
		require.EqualError(t, err, "palette: apiKeys.list: 403 TooLong: it says (1 attempt)")
		assert.EqualValues(t, mib, body.read.Load())
	})
	t.Run("a larger one is its status alone", func(t *testing.T) {
		t.Parallel()
		body := &endless{start: strings.NewReader(message), length: mib + 1}
		err := list(t, http.StatusForbidden, -1, body)
		require.ErrorIs(t, err, palette.ErrForbidden)
		require.EqualError(t, err, "palette: apiKeys.list: 403 Forbidden (1 attempt)")
	})
	t.Run("an endless error", func(t *testing.T) {
		t.Parallel()
		body := &endless{start: strings.NewReader(message)}
		err := list(t, http.StatusForbidden, -1, body)
		require.EqualError(t, err, "palette: apiKeys.list: 403 Forbidden (1 attempt)")
		assert.EqualValues(t, mib+1, body.read.Load())
	})
	t.Run("a success that announces too much is not read at all", func(t *testing.T) {
		t.Parallel()
		body := &endless{start: strings.NewReader(`{"items":[]}`)}
		err := list(t, http.StatusOK, 64*mib+1, body)
		require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
		assert.Zero(t, body.read.Load())
	})
}

// ---- logging ----

// records collects what is logged.
type records struct {
	mu  sync.Mutex
	all []slog.Record
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { panic("unexpected") }
func (r *records) WithGroup(string) slog.Handler            { panic("unexpected") }
func (r *records) Handle(_ context.Context, record slog.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, record)
	return nil
}

func attrsOf(record slog.Record) map[string]any {
	attrs := map[string]any{}
	record.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.Any()
		return true
	})
	return attrs
}

// One Debug record an attempt and one Warn record a repeat, with these fields and
// no others.
func TestLogRecords(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logged records
		late := func(req *http.Request) (*http.Response, error) {
			<-time.After(40 * time.Millisecond)
			return replyJSON(http.StatusServiceUnavailable, errorBody("Busy", "do-not-log"))(req)
		}
		w := newWire(t).on("GET", keyPath, late, httpmock.NewErrorResponder(errors.New("do-not-log")), replyJSON(http.StatusOK, fixture(t, "key.json")))
		client := w.bareClient(palette.WithLogger(slog.New(&logged)),
			palette.WithRetry(palette.RetryPolicy{MaxRetries: 3, MinWait: time.Second, MaxWait: time.Second}))

		_, err := client.APIKeys.Get(t.Context(), keyUID)
		require.NoError(t, err)

		type record struct {
			level slog.Level
			msg   string
			attrs map[string]any
		}
		var got []record
		for _, r := range logged.all {
			got = append(got, record{r.Level, r.Message, attrsOf(r)})
		}
		about := func(more map[string]any) map[string]any {
			attrs := map[string]any{"op": "apiKeys.get", "method": "GET", "path": keyPath}
			maps.Copy(attrs, more)
			return attrs
		}
		const attempt, again = "palette request", "palette request is sent again"
		assert.Equal(t, []record{
			{slog.LevelDebug, attempt, about(map[string]any{"status": int64(503), "attempt": int64(1), "duration": 40 * time.Millisecond})},
			{slog.LevelWarn, again, about(map[string]any{"wait": time.Second, "reason": "status 503"})},
			{slog.LevelDebug, attempt, about(map[string]any{"status": int64(0), "attempt": int64(2), "duration": time.Duration(0)})},
			{slog.LevelWarn, again, about(map[string]any{"wait": time.Second, "reason": "lost reply"})},
			{slog.LevelDebug, attempt, about(map[string]any{"status": int64(200), "attempt": int64(3), "duration": time.Duration(0)})},
		}, got)
	})
}

// The reason for a repeat is one of a few words, none of them the server's.
func TestLogReasons(t *testing.T) {
	t.Parallel()
	tests := map[string]httpmock.Responder{
		"status 429":    replyJSON(http.StatusTooManyRequests, "{}"),
		"status 504":    replyJSON(http.StatusGatewayTimeout, "{}"),
		"timeout":       silence,
		"lost reply":    httpmock.NewErrorResponder(io.EOF),
		"no connection": httpmock.NewErrorResponder(&net.OpError{Op: "dial", Err: errors.New("refused")}),
	}
	for reason, reply := range tests {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var logged records
				client := newWire(t).on("DELETE", keyPath, reply, replyDone()).bareClient(palette.WithLogger(slog.New(&logged)))
				require.NoError(t, client.APIKeys.Delete(t.Context(), keyUID))
				require.Len(t, logged.all, 3)
				assert.Equal(t, reason, attrsOf(logged.all[1])["reason"])
			})
		})
	}
}

// Neither credentials, nor bodies, nor what the server or the network says gets
// into the log.
func TestLogHoldsNoContents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug - 100}))
		w := newWire(t).
			on("POST", "/v1/apiKeys", replyJSON(http.StatusTooManyRequests, errorBody("private-code", "private-message")),
				replyJSON(http.StatusCreated, `{"apiKey":"private-key","uid":"private-uid"}`)).
			on("GET", "/v1/apiKeys", page("private-token", "private-name"),
				httpmock.NewErrorResponder(errors.New("private-error")), page(""))
		client := w.bareClient(palette.WithLogger(logger), palette.WithUserAgent("private-agent"))

		_, err := client.APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "private-name"}})
		require.NoError(t, err)
		_, err = client.APIKeys.List(t.Context())
		require.NoError(t, err)

		assert.Len(t, w.lines(), 5)
		assert.Equal(t, 5+2, strings.Count(out.String(), "\n"))
		assert.NotContains(t, out.String(), "private")
		assert.NotContains(t, out.String(), wireKey)
	})
}

// Without a logger nothing is written, to no logger and to no file: neither by
// this package nor by what it is built on.
func TestSilentByDefault(t *testing.T) { //nolint:paralleltest // changes globals
	stderr, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, stderr.Close()) })
	var logged bytes.Buffer
	savedStderr, savedDefault, savedOut := os.Stderr, slog.Default(), log.Writer()
	os.Stderr = stderr
	slog.SetDefault(slog.New(slog.NewTextHandler(&logged, nil)))
	log.SetOutput(&logged)
	defer func() {
		os.Stderr = savedStderr
		slog.SetDefault(savedDefault)
		log.SetOutput(savedOut)
	}()

	client, err := palette.NewClient(palette.WithAuthToken("eyJ.a.b"),
		palette.WithBaseURL("http://palette.test"), palette.WithInsecureHTTP(),
		palette.WithRetry(palette.RetryPolicy{MaxRetries: 1, MinWait: 1, MaxWait: 1}),
		palette.WithHTTPClient(&http.Client{Transport: transportFunc(func(*http.Request) (*http.Response, error) {
			return nil, errors.New("broken")
		})}))
	require.NoError(t, err)
	require.Error(t, client.APIKeys.Delete(t.Context(), keyUID))
	require.Error(t, client.APIKeys.Revoke(t.Context(), ".."))

	assert.Empty(t, logged.String())
	written, err := os.ReadFile(stderr.Name())
	require.NoError(t, err)
	assert.Empty(t, string(written))
}

// ---- time, which is virtual here ----

func replies(n int, reply httpmock.Responder) []httpmock.Responder {
	return slices.Repeat([]httpmock.Responder{reply}, n)
}

func TestRateLimitSpacesRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		note := func(req *http.Request) (*http.Response, error) {
			at = append(at, time.Since(start))
			return replyDone()(req)
		}
		w := newWire(t).on("DELETE", keyPath, replies(5, note)...)
		client := w.client(palette.WithRateLimit(1, 2))
		for range 5 {
			require.NoError(t, client.APIKeys.Delete(t.Context(), keyUID))
		}
		assert.Equal(t, []time.Duration{0, 0, time.Second, 2 * time.Second, 3 * time.Second}, at)
	})
}

// Repeats count as well: the limit is the server's, not the caller's.
func TestRateLimitCountsRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := newWire(t).on("DELETE", keyPath, replyJSON(http.StatusBadGateway, "{}"), replyDone())
		client := w.bareClient(palette.WithRateLimit(0.1, 1),
			palette.WithRetry(palette.RetryPolicy{MaxRetries: 1, MinWait: 1, MaxWait: 1}))
		require.NoError(t, client.APIKeys.Delete(t.Context(), keyUID))
		assert.Equal(t, 10*time.Second, time.Since(start))
	})
}

// All goroutines of a client share its limit.
func TestRateLimitIsShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := newWire(t).on("DELETE", keyPath, replies(10, replyDone())...)
		client := w.client(palette.WithRateLimit(1, 1))
		var calls sync.WaitGroup
		for range 10 {
			calls.Go(func() { assert.NoError(t, client.APIKeys.Delete(t.Context(), keyUID)) })
		}
		calls.Wait()
		assert.Equal(t, 9*time.Second, time.Since(start))
	})
}

// A context that ends before the limit would let the request through ends the
// call at once, and nothing is sent.
func TestRateLimitBeyondTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t).on("DELETE", keyPath, replyDone())
		client := w.client(palette.WithRateLimit(0.1, 1))
		require.NoError(t, client.APIKeys.Delete(t.Context(), keyUID))

		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		start := time.Now()
		err := client.APIKeys.Delete(ctx, keyUID)

		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "palette: apiKeys.delete: waiting for the rate limit: context deadline exceeded")
		assert.Zero(t, time.Since(start))
		assert.Len(t, w.lines(), 1)
	})
}

func TestRateLimitEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t).on("DELETE", keyPath, replyDone())
		client := w.client(palette.WithRateLimit(0.1, 1))
		require.NoError(t, client.APIKeys.Delete(t.Context(), keyUID))

		ctx, cancel := context.WithCancel(t.Context())
		start := time.Now()
		time.AfterFunc(time.Second, cancel)
		err := client.APIKeys.Delete(ctx, keyUID)

		require.ErrorIs(t, err, context.Canceled)
		require.EqualError(t, err, "palette: apiKeys.delete: waiting for the rate limit: context canceled")
		assert.Equal(t, time.Second, time.Since(start))
		assert.Len(t, w.lines(), 1)
	})
}

// silence is a server that never answers.
func silence(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// stalled is a body that never ends and says nothing.
type stalled struct{ ctx context.Context }

func (s stalled) Close() error { return nil }
func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

func TestTimeoutBoundsAnAttempt(t *testing.T) {
	t.Parallel()
	stall := func(req *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: http.StatusOK, ContentLength: -1, Body: stalled{req.Context()}, Request: req,
			Header: http.Header{"Content-Type": {"application/json"}},
		}, nil
	}
	tests := []struct {
		name  string
		opts  []palette.Option
		reply httpmock.Responder
		want  time.Duration
	}{
		{"no answer", []palette.Option{palette.WithTimeout(2 * time.Second)}, silence, 2 * time.Second},
		{"an answer without an end", []palette.Option{palette.WithTimeout(2 * time.Second)}, stall, 2 * time.Second},
		{"by default", nil, silence, 30 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := newWire(t).on("GET", keyPath, tt.reply)
				_, err := w.client(tt.opts...).APIKeys.Get(t.Context(), keyUID)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.NoError(t, t.Context().Err(), "the caller's context goes on")
				assert.Equal(t, tt.want, time.Since(start))
			})
		})
	}
}

// The timeout is each attempt's own; the context bounds them all.
func TestContextBoundsTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t).on("GET", keyPath, replies(3, silence)...)
		client := w.bareClient(palette.WithTimeout(2*time.Second),
			palette.WithRetry(palette.RetryPolicy{MaxRetries: 100, MinWait: time.Second, MaxWait: time.Second}))
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second) // 2+1+2+1+1
		defer cancel()
		start := time.Now()
		_, err := client.APIKeys.Get(ctx, keyUID)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorContains(t, err, "(3 attempts)")
		assert.Equal(t, 7*time.Second, time.Since(start))
	})
}

// The Timeout of the caller's http.Client counts as well.
func TestHTTPClientTimeoutIsHonored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		w := newWire(t).on("GET", keyPath, silence)
		client, err := palette.NewClient(palette.WithAPIKey(wireKey), palette.WithBaseURL(wireBase), palette.WithRetry(palette.RetryPolicy{}),
			palette.WithHTTPClient(&http.Client{Transport: w.mock, Timeout: 3 * time.Second}))
		require.NoError(t, err)
		_, err = client.APIKeys.Get(t.Context(), keyUID)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}

// ---- sharing ----

// A client is shared: no call mixes with another, and no data race is found.
func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.mock.RegisterRegexpResponder("GET", regexp.MustCompile(`/tenant/v1/apiKeys/(.+)$`), func(req *http.Request) (*http.Response, error) {
		uid := httpmock.MustGetSubmatch(req, 1)
		if strings.HasPrefix(uid, "absent") {
			return replyJSON(http.StatusNotFound, errorBody("ResourceNotFound", uid))(req)
		}
		return replyJSON(http.StatusOK, `{"metadata":{"uid":"`+uid+`"}}`)(req)
	})
	w.mock.RegisterResponder("POST", wireBase+"/v1/apiKeys", func(req *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(string(body), `{"metadata":{"name":"`), `"}}`)
		return replyJSON(http.StatusCreated, `{"apiKey":"key-`+name+`","uid":"uid-`+name+`"}`)(req)
	})
	client := w.client(palette.WithLogger(slog.New(slog.DiscardHandler)), palette.WithRateLimit(1e9, 1e9))

	var callers sync.WaitGroup
	for i := range 32 {
		callers.Go(func() {
			id := strings.Repeat("x", i+1)
			for range 8 {
				key, err := client.APIKeys.Get(t.Context(), id)
				if assert.NoError(t, err) {
					assert.Equal(t, id, key.Metadata.UID)
				}
				_, err = client.APIKeys.Get(t.Context(), "absent"+id)
				assert.EqualError(t, err, "palette: apiKeys.get: 404 ResourceNotFound: absent"+id+" (ref ref-1, 1 attempt)")
				created, err := client.APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: id}})
				if assert.NoError(t, err) {
					assert.Equal(t, palette.CreateAPIKeyResponse{APIKey: palette.NewSecret("key-" + id), UID: "uid-" + id}, *created)
				}
			}
		})
	}
	callers.Wait()
}

// As many goroutines as there are connections kept use them over and over, after
// success and after an error.
func TestConnectionsAreReused(t *testing.T) {
	t.Parallel()
	const goroutines, rounds = 64, 4
	var dialed atomic.Int64
	var arrived sync.WaitGroup
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		arrived.Done()
		arrived.Wait() // all of a round are under way together
		switch r.Method {
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case http.MethodGet:
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"items":[]}`)
		default:
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"code":"OperationForbidden"}`)
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			dialed.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	client, err := palette.NewClient(palette.WithAPIKey(wireKey), palette.WithBaseURL(srv.URL))
	require.NoError(t, err)
	call := func(i int) error {
		var err error
		switch i % 3 {
		case 0:
			err = client.APIKeys.Delete(t.Context(), keyUID)
		case 1:
			_, err = client.APIKeys.List(t.Context())
		case 2:
			if err = client.APIKeys.Revoke(t.Context(), keyUID); errors.Is(err, palette.ErrForbidden) {
				return nil
			}
			err = fmt.Errorf("a refusal was wanted: %w", err)
		}
		return err
	}

	for range rounds {
		arrived.Add(goroutines)
		var callers sync.WaitGroup
		for i := range goroutines {
			callers.Go(func() { assert.NoError(t, call(i)) })
		}
		callers.Wait()
	}
	assert.EqualValues(t, goroutines, dialed.Load())
}
