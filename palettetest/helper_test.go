package palettetest_test

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

const (
	aliceUID = "aaaaaaaaaaaaaaaaaaaaaaaa"
	aliceKey = "credential-of-alice"
	bobUID   = "bbbbbbbbbbbbbbbbbbbbbbbb"
	bobKey   = "credential-of-bob"

	createBody = `{"metadata":{"name":"ci"}}`
)

// testServer is a server with an administrator, Alice and Bob, and a client for it.
type testServer struct {
	*palettetest.Server

	t       testing.TB
	client  *http.Client
	elapsed atomic.Int64 // of the server's clock
}

func newTestServer(t testing.TB, opts ...palettetest.Option) *testServer {
	t.Helper()
	s := &testServer{t: t}
	start := time.Date(2026, 3, 1, 11, 30, 0, 123_456_789, time.FixedZone("", 2*60*60)) // 09:30 in UTC
	s.Server = palettetest.Start(t, append([]palettetest.Option{
		palettetest.WithClock(func() time.Time { return start.Add(time.Duration(s.elapsed.Load())) }),
		palettetest.WithPathPrefix("/prefix"),
		palettetest.WithUser(palettetest.User{UID: aliceUID, FirstName: "Alice", LastName: "Doe", Credential: aliceKey}),
		palettetest.WithUser(palettetest.User{UID: bobUID, FirstName: "Bob", LastName: "Roe", Credential: bobKey}),
	}, opts...)...)
	transport := &http.Transport{ForceAttemptHTTP2: true}
	if pool := s.CertPool(); pool != nil {
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	t.Cleanup(transport.CloseIdleConnections)
	s.client = &http.Client{Transport: transport}
	return s
}

// advance advances the server's clock.
func (s *testServer) advance(d time.Duration) { s.elapsed.Add(int64(d)) }

// overBothProtocols runs a test over HTTP/1.1 and over HTTP/2.
func overBothProtocols(t *testing.T, test func(t *testing.T, s *testServer)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) {
		t.Parallel()
		test(t, newTestServer(t))
	})
	t.Run("HTTP/2", func(t *testing.T) {
		t.Parallel()
		test(t, newTestServer(t, palettetest.WithTLS()))
	})
}

// response is a response whose body was read.
type response struct {
	status int
	proto  string
	header http.Header
	body   string
}

// String returns the status code and the body.
func (r response) String() string { return strconv.Itoa(r.status) + " " + strings.TrimSpace(r.body) }

// try sends a request. If it has a body and no Content-Type, the type is JSON.
func (s *testServer) try(ctx context.Context, header http.Header, method, path, body string) (response, error) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(ctx, method, s.URL+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, header)
	resp, err := s.client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return response{resp.StatusCode, resp.Proto, resp.Header, string(text)}, err
}

// sendHeader sends a request that must succeed, with a header.
func (s *testServer) sendHeader(header http.Header, method, path, body string) response {
	s.t.Helper()
	got, err := s.try(s.t.Context(), header, method, path, body)
	require.NoError(s.t, err)
	return got
}

// send sends a request with a credential.
func (s *testServer) send(credential, method, path, body string) response {
	s.t.Helper()
	return s.sendHeader(http.Header{"Apikey": {credential}}, method, path, body)
}

// requireStatus sends a request without a body and requires the status of the response.
func (s *testServer) requireStatus(want int, credential, method, path string) {
	s.t.Helper()
	require.Equal(s.t, want, s.send(credential, method, path, "").status)
}

// create creates a key.
func (s *testServer) create(credential, body string) (uid, value string) {
	s.t.Helper()
	got := s.send(credential, "POST", "/v1/apiKeys", body).String()
	created := regexp.MustCompile(`^201 {"apiKey":"(?P<value>.+)","uid":"(?P<uid>[0-9a-f]{24})"}$`)
	require.Regexp(s.t, created, got)
	return created.ReplaceAllString(got, "${uid}"), created.ReplaceAllString(got, "${value}")
}

// get gets a key as the administrator and returns the JSON.
func (s *testServer) get(uid string) string {
	s.t.Helper()
	got := s.send(s.APIKey, "GET", "/v1/apiKeys/"+uid, "")
	require.Equal(s.t, 200, got.status, got.body)
	return got.body
}

// names gets the list, or a page of it, and returns the names of the keys and the JSON.
func (s *testServer) names(credential, query string) (names, list string) {
	s.t.Helper()
	got := s.send(credential, "GET", "/v1/apiKeys"+query, "")
	require.Equal(s.t, 200, got.status, got.body)
	found := regexp.MustCompile(`"name":"[^"]*"`).FindAllString(got.body, -1)
	return strings.NewReplacer(`"name":`, "", `"`, "").Replace(strings.Join(found, " ")), got.body
}

// requireAppError requires an error of Palette itself: "404 ResourceNotFound: message".
func requireAppError(t testing.TB, got response, want string) {
	t.Helper()
	form := regexp.MustCompile(`^(\d+) {"code":"(.*)","message":"(.*)","details":{},"ref":"[0-9a-f]{24}"}$`)
	require.Equal(t, want, form.ReplaceAllString(got.String(), "$1 $2: $3"))
	require.Equal(t, "application/json", got.header.Get("Content-Type"))
}
