package palettetest_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

const (
	aliceUID = "aaaaaaaaaaaaaaaaaaaaaaaa"
	aliceKey = "alice-credential"
	bobUID   = "bbbbbbbbbbbbbbbbbbbbbbbb"
	bobKey   = "bob-credential"
)

// clock is a time that only the test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 3, 1, 9, 30, 0, 123456789, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a server with an admin, alice and bob, and a client of it.
type world struct {
	*palettetest.Server
	t     *testing.T
	clock *clock
	http  *http.Client
}

func newWorld(t *testing.T, opts ...palettetest.Option) *world {
	t.Helper()
	c := newClock()
	opts = append([]palettetest.Option{
		palettetest.WithClock(c.Now),
		palettetest.WithUser(palettetest.User{UID: aliceUID, FirstName: "Alice", LastName: "A", Credential: aliceKey}),
		palettetest.WithUser(palettetest.User{UID: bobUID, FirstName: "Bob", LastName: "B", Credential: bobKey}),
	}, opts...)
	srv := palettetest.NewServer(opts...)
	t.Cleanup(srv.Close)
	return &world{Server: srv, t: t, clock: c, http: newHTTPClient(t, srv)}
}

func newHTTPClient(t *testing.T, srv *palettetest.Server) *http.Client {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true}
	if pool := srv.CertPool(); pool != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

type answer struct {
	status int
	header http.Header
	body   string
	proto  int
}

// try sends a request as the owner of key; what has a body is JSON.
func (w *world) try(ctx context.Context, key, method, path, body string, header ...string) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.URL+path, strings.NewReader(body))
	require.NoError(w.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("ApiKey", key)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := w.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	return answer{res.StatusCode, res.Header, string(got), res.ProtoMajor}, err
}

func (w *world) send(key, method, path, body string, header ...string) answer {
	w.t.Helper()
	got, err := w.try(w.t.Context(), key, method, path, body, header...)
	require.NoError(w.t, err)
	return got
}

// create makes a key and returns its uid and value.
func (w *world) create(key, body string) (uid, value string) {
	w.t.Helper()
	got := w.send(key, "POST", "/v1/apiKeys", body)
	require.Equal(w.t, 201, got.status, got.body)
	var made map[string]string
	require.NoError(w.t, json.Unmarshal([]byte(got.body), &made))
	return made["uid"], made["apiKey"]
}

// read returns a key as decoded JSON.
func (w *world) read(uid string) map[string]any {
	w.t.Helper()
	got := w.send(w.APIKey, "GET", "/v1/apiKeys/"+uid, "")
	require.Equal(w.t, 200, got.status, got.body)
	return got.decode(w.t)
}

// names lists the names of the keys that somebody sees.
func (w *world) names(key string) []string {
	w.t.Helper()
	got := w.send(key, "GET", "/v1/apiKeys", "")
	require.Equal(w.t, 200, got.status, got.body)
	return namesIn(got.decode(w.t))
}

func namesIn(list map[string]any) []string {
	names := []string{}
	for _, item := range list["items"].([]any) {
		names = append(names, field(item, "metadata", "name").(string))
	}
	return names
}

func (a answer) decode(t *testing.T) map[string]any {
	t.Helper()
	var out map[string]any
	require.NoError(t, json.Unmarshal([]byte(a.body), &out), a.body)
	return out
}

// requireAppError checks the shape with a code that is a string.
func (a answer) requireAppError(t *testing.T, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	assert.Equal(t, "application/json", a.header.Get("Content-Type"))
	out := a.decode(t)
	assert.Equal(t, code, out["code"])
	assert.NotEmpty(t, out["message"])
	assert.NotEmpty(t, out["ref"])
	assert.IsType(t, map[string]any{}, out["details"])
}

// requireFrameworkError checks the shape with a code that is a number.
func (a answer) requireFrameworkError(t *testing.T, status, code int, message string) {
	t.Helper()
	require.Equal(t, status, a.status, a.body)
	assert.Equal(t, "application/json", a.header.Get("Content-Type"))
	out := a.decode(t)
	assert.InDelta(t, code, out["code"], 0)
	assert.Contains(t, out["message"], message)
}

// field walks into decoded JSON.
func field(v any, path ...string) any {
	for _, name := range path {
		v = v.(map[string]any)[name]
	}
	return v
}
