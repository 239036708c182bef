package palettetest_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestStartClosesTheServerWithTheTest(t *testing.T) {
	t.Parallel()
	var server *palettetest.Server

	t.Run("test", func(t *testing.T) {
		server = palettetest.Start(t)
		assert.Equal(t, 401, serve(t, server, "/v1/apiKeys").Code)
	})

	assert.Equal(t, 503, serve(t, server, "/v1/apiKeys").Code)
}

// serve sends a GET request without a network and without a credential.
func serve(t testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", path, nil) // its Body is nil
	require.NoError(t, err)
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, req)
	return recorder
}

// failedTest is a test that is expected to fail.
type failedTest struct {
	testing.TB

	err any
}

func (t *failedTest) Helper() {}

func (t *failedTest) Fatal(args ...any) {
	t.err = args[0]
	panic(t) // does not return
}

func TestInvalidOptions(t *testing.T) {
	t.Parallel()
	used := strings.TrimPrefix(palettetest.Start(t).URL, "http://")
	user := func(uid, credential string) palettetest.Option {
		return palettetest.WithUser(palettetest.User{UID: uid, Credential: credential})
	}
	for want, opts := range map[string][]palettetest.Option{
		`WithUser: the UID "" is empty or not unique`:            {user("", "")},
		`WithUser: the UID "` + palettetest.AdminUID + `" is`:    {user(palettetest.AdminUID, "")},
		`WithUser: the credential of the UID "b" is not unique`:  {user("a", "same"), user("b", "same")},
		`WithUser: the credential of the UID "a" is not unique`:  {user("a", "palettetest+1"), palettetest.WithAPIKey("palettetest+1")},
		`WithAPIKey: the key must start with "palettetest+"`:     {palettetest.WithAPIKey("")},
		`WithAPIKey: the key must start with "palettetest+" and`: {palettetest.WithAPIKey("key")},
		`WithAPIKey: the key must start with`:                    {palettetest.WithAPIKey("palettetest+1\n")},
		`WithTLS: "" is not a host`:                              {palettetest.WithTLS("palette", "")},
		`WithTLS: "a:443" is not a host`:                         {palettetest.WithTLS("a:443")},
		`WithTLS: "palette.é" is not a host`:                     {palettetest.WithTLS("palette.é")},
		"WithRateLimit: the rate and the burst must be positive": {palettetest.WithRateLimit(0, 1)},
		"WithRateLimit: the rate and the burst must be":          {palettetest.WithRateLimit(1, 0)},
		`WithAddr: ":0" is not a loopback address`:               {palettetest.WithAddr(":0"), palettetest.WithTLS()},
		"WithAddr: address 127.0.0.1: missing port":              {palettetest.WithAddr("127.0.0.1")},
		"WithAddr: listen tcp " + used:                           {palettetest.WithAddr(used)},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			failed := &failedTest{TB: t}

			assert.PanicsWithValue(t, failed, func() { palettetest.Start(failed, opts...) })
			err, _ := failed.err.(error)
			require.ErrorContains(t, err, "palettetest: "+want)
			assert.PanicsWithError(t, err.Error(), func() { palettetest.NewServer(opts...) })
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t, nil)

	server.AddKey(palettetest.Key{})

	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, server.URL)
	assert.Nil(t, server.CertPool())
	assert.Nil(t, server.CertPEM())
	assert.WithinDuration(t, time.Now(), server.Keys()[0].CreatedAt, time.Hour)
}

func TestURL(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t, palettetest.WithPathPrefix("/gate way/"), palettetest.WithAddr("localhost:0"))
	assert.Regexp(t, `^http://(127\.0\.0\.1|\[::1\]):\d+/gate%20way$`, server.URL)

	server = palettetest.Start(t, palettetest.WithPathPrefix("a"), palettetest.WithPathPrefix("/"))
	assert.Regexp(t, `^http://127\.0\.0\.1:\d+$`, server.URL)
}

func TestTLS(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithTLS())

	assert.Equal(t, "HTTP/2.0", s.send(s.APIKey, "GET", "/v1/apiKeys", "").proto)
	s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
	s.requireStatus(200, s.APIKey, "GET", "/v1/apiKeys")

	block, rest := pem.Decode(s.CertPEM())
	assert.Empty(t, rest)
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	assert.True(t, pool.Equal(s.CertPool()))

	s.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}}
	_, err = s.try(t.Context(), nil, "GET", "/v1/apiKeys", "")
	var unknown x509.UnknownAuthorityError
	require.ErrorAs(t, err, &unknown)
}

func TestTLSForAHost(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithTLS("palette.test", "192.0.2.1"), palettetest.WithAddr("[::]:0"))
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	assert.Equal(t, "palette.test", u.Hostname())

	for _, host := range []string{"palette.test", "192.0.2.1", "localhost", "127.0.0.1"} {
		transport := &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: s.CertPool()},
			DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", u.Port()))
			},
		}
		t.Cleanup(transport.CloseIdleConnections)
		s.client = &http.Client{Transport: transport}
		s.URL = "https://" + net.JoinHostPort(host, u.Port()) + "/prefix"
		_, err := s.try(t.Context(), nil, "GET", "/v1/apiKeys", "")

		if host == "127.0.0.1" { // the certificate is not for it, because the server listens on all addresses
			require.ErrorContains(t, err, "certificate")
			continue
		}
		require.NoError(t, err)
	}
}

func TestCloseEndsRequestsWithoutAResponse(t *testing.T) {
	t.Parallel()
	overBothProtocols(t, func(t *testing.T, s *testServer) {
		s.Inject(palettetest.Fault{Path: "/delayed", Delay: time.Hour, Times: -1})
		s.Inject(palettetest.Fault{Path: "/endless", Endless: true})
		var clients sync.WaitGroup
		for path, body := range map[string]string{
			"/delayed": "", "/endless": "", "/delayed?large": strings.Repeat("x", 2<<20), // not read to its end
		} {
			clients.Go(func() {
				_, err := s.try(t.Context(), nil, "POST", path, body)
				assert.Error(t, err, path)
			})
		}
		require.Eventually(t, func() bool { return len(s.Requests()) == 3 }, time.Minute, time.Millisecond)

		clients.Go(s.Close)
		s.Close()

		clients.Wait()
		_, err := s.try(t.Context(), nil, "GET", "/", "")
		require.Error(t, err)
		assert.Len(t, s.Requests(), 3)
	})
}

// readerFunc is called when the body of a request is read.
type readerFunc func() error

func (f readerFunc) Read([]byte) (int, error) { return 0, f() }

func TestCloseWaitsForRequests(t *testing.T) {
	t.Parallel()
	server := palettetest.NewServer()
	closed := make(chan struct{})
	body := readerFunc(func() error {
		go func() {
			defer close(closed)
			server.Close()
		}()
		require.Eventually(t, func() bool { // Close has closed the listener
			conn, err := net.Dial("tcp", strings.TrimPrefix(server.URL, "http://")) //nolint:noctx // it is local
			if err == nil {
				_ = conn.Close()
			}
			return err != nil
		}, time.Minute, time.Millisecond)
		select {
		case <-closed:
			t.Error("Close did not wait")
		default:
		}
		return io.EOF
	})

	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", body))

	<-closed
}

func TestRequestsHaveNoCredentials(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)

	s.sendHeader(http.Header{
		"Apikey": {"1"}, "Authorization": {"2"}, "Proxy-Authorization": {"3"}, "Cookie": {"4"},
		"User-Agent": {"test"}, "Accept-Encoding": {"identity"},
	}, "POST", "/v1/apiKeys/a%2Fb?q=1&q=2", "body")
	req := httptest.NewRequestWithContext(t.Context(), "GET", "/", nil)
	req.Header["ApiKey"] = []string{"1"} // not in canonical form
	s.ServeHTTP(httptest.NewRecorder(), req)

	want := palettetest.Request{
		Method: "POST", Path: "/prefix/v1/apiKeys/a%2Fb", Query: url.Values{"q": {"1", "2"}},
		Header: http.Header{
			"User-Agent": {"test"}, "Accept-Encoding": {"identity"},
			"Content-Length": {"4"}, "Content-Type": {"application/json"},
		},
		Body: []byte("body"),
	}
	got := s.Requests()
	require.Len(t, got, 2)
	assert.Equal(t, want, got[0])
	assert.Empty(t, got[1].Header)

	got[0].Header["User-Agent"][0], got[0].Query["q"][0], got[0].Body[0] = "x", "x", 'x'
	assert.Equal(t, want, s.Requests()[0]) // copies
}

func TestTheNewestRequestsAreKept(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)

	for i := range 10_001 {
		serve(t, server, "/"+strconv.Itoa(i))
	}

	got := server.Requests()
	require.Len(t, got, 10_000)
	assert.Equal(t, "/1", got[0].Path)
	assert.Equal(t, "/10000", got[9_999].Path)
}

func TestBodiesOfRequestsAreBounded(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	body := strings.Repeat("x", 1<<20)
	for i := range 600 {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/"+strconv.Itoa(i), strings.NewReader(body+"too large"))
		s.ServeHTTP(httptest.NewRecorder(), req)
	}
	serve(t, s, "/last")

	got := s.Requests()

	require.Len(t, got, 17)
	assert.Equal(t, "/584", got[0].Path)
	assert.Len(t, got[0].Body, 1<<20)
	assert.Equal(t, "/last", got[16].Path)
}

// retained returns the memory that is in use after a garbage collection.
func retained() int64 {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

func TestUnauthenticatedRequestsKeepLittleMemory(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	server := palettetest.Start(t)
	body := strings.Repeat("x", 2<<20)
	before := retained()

	for range 600 {
		req := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/apiKeys", strings.NewReader(body))
		server.ServeHTTP(httptest.NewRecorder(), req)
	}

	assert.Less(t, retained()-before, int64(24<<20))
	runtime.KeepAlive(server)
}
