package palettetest_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestWhereItListens(t *testing.T) {
	t.Parallel()
	plain := newWorld(t)
	assert.True(t, strings.HasPrefix(plain.URL, "http://127.0.0.1:"), plain.URL)
	assert.Nil(t, plain.CertPool())

	secure := newWorld(t, palettetest.WithTLS())
	assert.True(t, strings.HasPrefix(secure.URL, "https://127.0.0.1:"), secure.URL)
	plain.URL = secure.URL
	_, err := plain.try(t.Context(), "", "GET", "/", "")
	require.ErrorContains(t, err, "certificate", "only its own pool trusts it")
	secure.URL = strings.Replace(secure.URL, "127.0.0.1", "localhost", 1)
	assert.Equal(t, 200, secure.send(secure.APIKey, "GET", "/v1/apiKeys", "").status)
}

func TestCloseLeavesNothingBehind(t *testing.T) { //nolint:paralleltest // it counts goroutines
	for name, opts := range map[string][]palettetest.Option{
		"HTTP/1.1": nil,
		"HTTP/2":   {palettetest.WithTLS()},
	} {
		t.Run(name, func(t *testing.T) {
			before := runtime.NumGoroutine()
			w := newWorld(t, opts...)
			w.send(w.APIKey, "GET", "/v1/apiKeys", "") // an idle connection
			w.Inject(palettetest.Fault{Path: "/delayed", Delay: time.Hour, Times: -1})
			w.Inject(palettetest.Fault{Path: "/endless", Endless: true, Times: -1})
			silent := dial(t, w.URL) // a connection without a request

			var clients sync.WaitGroup
			for _, path := range []string{"/delayed", "/endless", "/delayed", "/endless"} {
				clients.Go(func() {
					_, err := w.try(t.Context(), "", "GET", path, "")
					assert.Error(t, err, "requests under way end without a reply")
				})
			}
			require.Eventually(t, func() bool { return len(w.Requests()) == 5 }, time.Minute, time.Millisecond)

			start := time.Now()
			w.Close()
			assert.Less(t, time.Since(start), 10*time.Second)
			clients.Wait()
			_ = silent.Close()
			w.http.CloseIdleConnections()
			requireGoroutines(t, before)

			w.Close()
			_, err := w.try(t.Context(), w.APIKey, "GET", "/v1/apiKeys", "")
			require.Error(t, err)
			assert.Len(t, w.Requests(), 5, "the records can still be read")
			recorder := httptest.NewRecorder()
			w.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/apiKeys", nil))
			assert.Equal(t, 503, recorder.Code)
		})
	}
}

// requireGoroutines gives those that are ending the time to end.
func requireGoroutines(t *testing.T, most int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > most; runtime.Gosched() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<16)
			require.Fail(t, "goroutines are left", "%s", stacks[:runtime.Stack(stacks, true)])
		}
	}
}

func dial(t *testing.T, rawURL string) net.Conn {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", u.Host)
	require.NoError(t, err)
	return conn
}

func TestCloseEndsRequestsWithoutANetwork(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]palettetest.Fault{
		"delayed": {Delay: time.Hour},
		"endless": {Endless: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Inject(fault)
			go func() {
				for len(w.Requests()) == 0 {
					runtime.Gosched()
				}
				w.Close()
			}()
			w.ServeHTTP(discard{}, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/apiKeys", nil))
		})
	}
}

func TestCloseWaitsForRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	started := make(chan struct{})
	var finished atomic.Bool
	go w.ServeHTTP(writerFunc(func() {
		close(started)
		for recorder := httptest.NewRecorder(); recorder.Code != 503; { // until Close has begun
			recorder = httptest.NewRecorder()
			w.ServeHTTP(recorder, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		}
		for range 1000 {
			runtime.Gosched()
		}
		finished.Store(true)
	}), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	<-started
	w.Close()
	assert.True(t, finished.Load())
}

// writerFunc is called when a reply is written.
type writerFunc func()

func (writerFunc) Header() http.Header           { return http.Header{} }
func (writerFunc) WriteHeader(int)               {}
func (f writerFunc) Write(b []byte) (int, error) { f(); return len(b), nil }

// discard takes what it gets.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) WriteHeader(int)             {}
func (discard) Write(b []byte) (int, error) { return len(b), nil }

func TestCloseFromManySides(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(w.Close)
		wg.Go(func() { _, _ = w.try(t.Context(), w.APIKey, "GET", "/v1/apiKeys", "") })
	}
	wg.Wait()
}
