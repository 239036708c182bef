package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// tenant is a Palette with foreign keys, and what the program does with it. Requests reach
// it without a network, so that time is virtual.
type tenant struct {
	*palettetest.Server

	t          testing.TB
	mu         sync.Mutex // one request at a time
	credential string
	stdin      *os.File
	terminal   bool
	foreign    []palettetest.Key
	values     []string // of all keys and users
	requests   int
	closed     int // calls of CloseIdleConnections

	// before, if not nil, is called before each request, with its number. If it returns a
	// response or an error, the request is not sent. after changes the response.
	before func(n int, req *http.Request) (*http.Response, error)
	after  func(n int, req *http.Request, resp *http.Response) (*http.Response, error)
}

const (
	someRun   = "0123456789abcdef"
	userUID   = "66e844c44bab2337f20c7471"
	userKey   = "credential-of-the-user"
	otherUser = "66e844c44bab2337f20c7472"
)

func newTenant(t testing.TB, opts ...palettetest.Option) *tenant {
	t.Helper()
	opts = append([]palettetest.Option{
		palettetest.WithUser(palettetest.User{UID: userUID, FirstName: "Ursula", LastName: "User", Credential: userKey}),
		palettetest.WithUser(palettetest.User{UID: otherUser, FirstName: "Otto", LastName: "Other", Credential: "credential-of-another"}),
		palettetest.WithKeyLimit(12),
	}, opts...)
	f := &tenant{t: t, Server: palettetest.NewServer(opts...)}
	t.Cleanup(f.Close)
	f.credential = f.APIKey
	ours := namePrefix + someRun + "-1"
	for _, key := range []palettetest.Key{
		{Name: "production", Expiry: time.Now().AddDate(100, 0, 0)},
		{Name: ours}, // a name of ours alone
		{Name: ours, Annotations: map[string]string{marker: namePrefix + someRun + "-2"}},
		{Name: "copy", Annotations: map[string]string{marker: ours}},
		{Name: "copy", Annotations: map[string]string{marker: "copy"}},
		{Name: namePrefix + someRun + "-1x", Annotations: map[string]string{marker: namePrefix + someRun + "-1x"}},
		{Name: " " + ours, UserUID: otherUser, Annotations: map[string]string{marker: " " + ours}},
	} {
		key.Active = true
		_, value := f.AddKey(key)
		f.values = append(f.values, value)
	}
	f.foreign = f.Keys()
	return f
}

// RoundTrip implements [http.RoundTripper].
func (f *tenant) RoundTrip(req *http.Request) (resp *http.Response, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	n := f.requests
	if f.before != nil {
		if resp, err = f.before(n, req); resp != nil || err != nil {
			return resp, err
		}
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	recorder := httptest.NewRecorder()
	f.ServeHTTP(recorder, req)
	require.LessOrEqual(f.t, len(f.Keys())-len(f.foreign), maxKeys, "keys at a time")
	resp = recorder.Result()
	var created map[string]string
	if json.Unmarshal(recorder.Body.Bytes(), &created) == nil && created["apiKey"] != "" {
		f.values = append(f.values, created["apiKey"])
	}
	if f.after != nil {
		return f.after(n, req, resp)
	}
	return resp, nil
}

func (f *tenant) CloseIdleConnections() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed++
}

// outcome is what a run left behind.
type outcome struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// run runs the program. It must be called in a bubble of synctest.
func (f *tenant) run(ctx context.Context, args ...string) outcome {
	f.t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{
		stdout: &stdout, stderr: &stderr, stdin: f.stdin, terminal: f.terminal,
		options: []palette.Option{
			palette.WithBaseURL(f.URL), palette.WithAPIKey(f.credential), palette.WithHTTPClient(&http.Client{Transport: f}),
		},
	}
	start := time.Now()
	code := p.run(ctx, args)
	return outcome{code, stdout.String(), stderr.String(), time.Since(start)}
}

// requireForeignKeysOnly requires that no key is left and no other key was touched.
func (f *tenant) requireForeignKeysOnly() {
	f.t.Helper()
	require.Equal(f.t, f.foreign, f.Keys())
}

// bubble runs a test in virtual time. The server of the tenant is created outside of it,
// because it waits for connections.
func bubble(t *testing.T, f *tenant, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f.t = t
		test(t)
	})
}

// rowsOf returns the ids of the rows of a report in Markdown that have a result.
func (o outcome) rowsOf(result string) (ids []string) {
	for line := range strings.Lines(o.stdout) {
		if cells := strings.Split(line, " | "); len(cells) == 5 && strings.TrimSuffix(cells[4], " |\n") == result {
			ids = append(ids, strings.TrimPrefix(cells[0], "| "))
		}
	}
	return ids
}

// line returns the line of a report with the given id.
func (o outcome) line(id string) string {
	for line := range strings.Lines(o.stdout) {
		if strings.HasPrefix(line, "| "+id+" |") {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

var errCut = errors.New("the connection was closed")

func respond(status int, body string) *http.Response {
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Content-Type", "application/json")
	recorder.WriteHeader(status)
	_, _ = recorder.WriteString(body)
	return recorder.Result()
}
