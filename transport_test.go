package palette

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// These tests are inside the package: what they guard against cannot be brought
// about from outside as long as the rest of the package is right.

const pinnedKey = "pinned-credential-0815"

type recorder struct {
	got   []*http.Request
	reply http.Response
}

func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	r.got = append(r.got, req)
	resp := r.reply
	resp.Request = req // as net/http does
	resp.Body = http.NoBody
	return &resp, nil
}

func pinnedTransport(base http.RoundTripper) *originTransport {
	return &originTransport{base: base, scheme: "https", host: "palette.test:8443", credential: fixed(headerAPIKey, pinnedKey)}
}

// pinnedRequest is a request as resty hands it to net/http.
func pinnedRequest(t *testing.T, method string, body io.Reader) *http.Request {
	t.Helper()
	target := parsed(t, "https://palette.test:8443/v1")
	req, err := http.NewRequestWithContext(newFlight(t.Context(), target), method, placeholder, body)
	require.NoError(t, err)
	req.Header.Set("Accept", "application/json")
	require.NoError(t, prepare(nil, req))
	return req
}

func parsed(t *testing.T, rawURL string) url.URL {
	t.Helper()
	u, err := url.Parse(rawURL)
	require.NoError(t, err)
	return *u
}

type closeSpy struct {
	io.Reader
	closed bool
}

func (c *closeSpy) Close() error {
	c.closed = true
	return nil
}

// A transport of the caller's own may print the context of a request.
func TestContextOfARequestDoesNotShowTheCredential(t *testing.T) {
	t.Parallel()
	base := &recorder{reply: http.Response{StatusCode: 200, Header: http.Header{}}}
	resp, err := pinnedTransport(base).RoundTrip(pinnedRequest(t, "GET", nil))
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, pinnedKey, flightOf(base.got[0]).secret)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		assert.NotContains(t, fmt.Sprintf(verb, base.got[0].Context()), pinnedKey)
	}
}

func TestCredentialIsPinnedToSchemeAndHost(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"https://attacker.test:8443/v1/apiKeys",
		"https://palette.test/v1/apiKeys",
		"https://palette.test:443/v1/apiKeys",
		"https://palette.test:8444/v1/apiKeys",
		"http://palette.test:8443/v1/apiKeys",
		"https://palette.test.attacker.test:8443/v1/apiKeys",
		"https://palette.test:8443@attacker.test/v1/apiKeys",
		"https://sub.palette.test:8443/v1/apiKeys",
	} {
		base, body := &recorder{reply: http.Response{StatusCode: 200}}, &closeSpy{Reader: strings.NewReader("{}")}
		flight := newFlight(t.Context(), parsed(t, target))
		req, err := http.NewRequestWithContext(flight, "POST", placeholder, body)
		require.NoError(t, err)
		require.NoError(t, prepare(nil, req))
		require.Equal(t, target, req.URL.String())

		resp, err := pinnedTransport(base).RoundTrip(req) //nolint:bodyclose // there is none
		require.ErrorIs(t, err, errOrigin, target)
		assert.Nil(t, resp)
		assert.Empty(t, base.got, "%s was asked", target)
		assert.True(t, body.closed, "a RoundTripper closes the body, whatever happens")
		assert.True(t, isFinal(err), "it would only come again")
	}
}

// The same through a client as NewClient makes it, in case its parts are put
// together wrongly.
func TestClientSendsNowhereElse(t *testing.T) {
	t.Parallel()
	var asked int
	attacker := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	client, err := NewClient(WithAPIKey(pinnedKey), WithBaseURL("http://127.0.0.1:1/prefix"))
	require.NoError(t, err)
	_, err = client.newRequest(newFlight(t.Context(), parsed(t, attacker.URL)), nil).Get(placeholder)
	require.ErrorIs(t, err, errOrigin)
	_, err = client.newRequest(t.Context(), nil).Get(attacker.URL)
	require.ErrorIs(t, err, errOrigin, "no request is sent that is none of an attempt")
	attacker.Close()
	assert.Zero(t, asked)
}

func TestOnlyTheCopyCarriesTheCredential(t *testing.T) {
	t.Parallel()
	base := &recorder{reply: http.Response{StatusCode: 200, Header: http.Header{}}}
	req := pinnedRequest(t, "POST", strings.NewReader("{}"))
	require.NotNil(t, req.GetBody, "else the test proves nothing")

	resp, err := pinnedTransport(base).RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())

	require.Len(t, base.got, 1)
	sealed := base.got[0]
	assert.Equal(t, http.Header{"Apikey": {pinnedKey}, "Accept": {"application/json"}}, sealed.Header)
	assert.Nil(t, sealed.GetBody, "with it, net/http sends a body again by itself")
	assert.Empty(t, req.Header, "the request of the caller was written to")
	assert.NotNil(t, req.GetBody, "the request of the caller was written to")
	assert.Same(t, req, resp.Request, "the reply must not lead to the request with the credential")
}

func TestRedirectIsHiddenFromNetHTTP(t *testing.T) {
	t.Parallel()
	for status := 300; status <= 399; status++ {
		base := &recorder{reply: http.Response{StatusCode: status, Header: http.Header{"Location": {"https://attacker.test/"}}}}
		req := pinnedRequest(t, "GET", nil)
		resp, err := pinnedTransport(base).RoundTrip(req)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		assert.Empty(t, resp.Header.Get("Location"))
		assert.Equal(t, "https://attacker.test/", flightOf(req).location)
	}
}

// Resty's own logger writes to standard error. Nothing of today's pipeline makes
// it write, so it is made to here.
func TestRestyIsSilenced(t *testing.T) {
	t.Parallel()
	const child = "PALETTE_TEST_RESTY_CHILD"
	if os.Getenv(child) != "" {
		r := newResty(&http.Client{})
		r.SetRedirectPolicy("not a policy")                           // logs an error
		r.OnRequestLog(nil).OnRequestLog(nil)                         // logs a warning
		_, _ = r.R().SetBasicAuth("u", "p").Get("http://127.0.0.1:1") // logs another
		os.Exit(0)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRestyIsSilenced$")
	cmd.Env = append(os.Environ(), child+"=1", "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err)
	assert.Empty(t, string(out))
}
