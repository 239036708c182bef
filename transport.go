package palette

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-resty/resty/v2"
)

// credential is where the key comes from and the header it goes into.
type credential struct {
	header string
	fetch  func(context.Context) (string, error) // without an error, the key can be sent
}

// originTransport is the only place that knows the credential. It sends to one
// scheme and host alone, and lets nobody above it see a redirect: net/http would
// follow it and hand the ApiKey header to wherever it points.
type originTransport struct {
	base         http.RoundTripper
	scheme, host string
	credential   credential
}

// flight is what one attempt and the transport tell each other. It is the context of
// the request, where the transport finds it. Others must not get it as it is: who
// prints a context, prints what it holds.
type flight struct {
	context.Context

	url      url.URL     // where to send it
	header   http.Header // what to send beside the credential
	secret   string      // the credential that was sent
	location string      // where a redirect points
	handedOn bool        // the request left this package

	trace                 httptrace.ClientTrace
	connecting, connected atomic.Bool
}

type flightKey struct{}

// newFlight returns a flight to target that ends with ctx.
func newFlight(ctx context.Context, target url.URL) *flight {
	f := &flight{Context: ctx, url: target}
	f.trace.GetConn = func(string) { f.connecting.Store(true) }
	f.trace.GotConn = func(httptrace.GotConnInfo) { f.connected.Store(true) }
	return f
}

// Value returns the flight for its key.
func (f *flight) Value(key any) any {
	if key == (flightKey{}) {
		return f
	}
	return f.Context.Value(key)
}

// flightOf returns the flight that req is of, nil if of none.
func flightOf(req *http.Request) *flight {
	f, _ := req.Context().Value(flightKey{}).(*flight)
	return f
}

// prepare has the last word on what resty made. The URL comes from the flight, since
// resty would parse it twice; the header goes into the flight, since net/http would
// make a copy of it for every call, to have one for redirects.
func prepare(_ *resty.Client, req *http.Request) error {
	if f := flightOf(req); f != nil {
		req.URL, req.Host = &f.url, f.url.Host
		f.header, req.Header = req.Header, http.Header{}
	}
	return nil
}

// maybeSent reports whether the server may have seen the request that failed
// with err. It says no only on evidence, since a transport of the caller's own
// need not report its connections.
func (f *flight) maybeSent(err error) bool {
	if !f.handedOn {
		return false
	}
	return f.connected.Load() || !f.connecting.Load() && !isConnectError(err)
}

// isConnectError reports whether err shows that there was no connection to send over.
func isConnectError(err error) bool {
	var opErr *net.OpError
	var dnsErr *net.DNSError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &certificate) || errors.As(err, &dnsErr) || errors.As(err, &opErr) && opErr.Op == "dial"
}

// errOrigin guards against the URL of a request being built wrong.
var errOrigin = errors.New("request is not for the configured scheme and host")

// RoundTrip sends a copy of req that carries the credential.
func (t *originTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	f := flightOf(req)
	sealed, err := t.seal(req, f)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper closes the body whatever happens
		}
		return nil, err
	}
	f.handedOn = true
	resp, err := t.base.RoundTrip(sealed)
	if err != nil && resp != nil && resp.Body != nil {
		_ = resp.Body.Close() // net/http would print that there are both
	}
	if err != nil || resp == nil {
		return nil, err
	}
	resp.Request = req // the copy with the credential ends here
	if isRedirect(resp.StatusCode) {
		f.location = resp.Header.Get("Location")
		resp.Header.Del("Location")
	}
	return resp, nil
}

// seal checks where req goes and returns a copy of it with the credential. The
// connections of whoever provides the credential are none of the flight's: the trace
// is on the copy alone.
func (t *originTransport) seal(req *http.Request, f *flight) (*http.Request, error) {
	if f == nil || req.URL.Scheme != t.scheme || req.URL.Host != t.host {
		return nil, errOrigin
	}
	secret, err := t.credential.fetch(f.Context)
	f.secret = secret
	if err == nil {
		err = f.Err() // the last moment at which nothing was sent for certain
	}
	if err == nil && isUIDOf(req.URL.Path, secret) {
		err = errors.New("it was given as a uid") // where every proxy would log it
	}
	if err != nil {
		return nil, &credentialError{err}
	}
	sealed := req.WithContext(httptrace.WithClientTrace(f, &f.trace)) // a shallow copy
	sealed.Header, f.header = f.header, nil
	maps.Copy(sealed.Header, req.Header) // the cookies of a caller's http.Client
	sealed.Header[t.credential.header] = []string{secret}
	sealed.GetBody = nil // so that nothing below sends it again by itself
	return sealed, nil
}

// isUIDOf reports whether the path is that of the key with this uid.
func isUIDOf(path, uid string) bool {
	rest, found := strings.CutSuffix(strings.TrimSuffix(path, "/state"), uid)
	return found && strings.HasSuffix(rest, "/")
}

// credentialError says that there was no credential to send a request with.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return "credential: " + e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

func isRedirect(status int) bool { return status/100 == 3 }

// maxConns is how many connections the default transport keeps, as many as
// goroutines are likely to use. Without a limit it would dial more at a cold start,
// only to close them.
const maxConns = 64

// newTransport returns the transport for callers who bring none.
func newTransport(roots *x509.CertPool, skipVerify bool) http.RoundTripper {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // somebody replaced it
		base = &http.Transport{
			Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true,
			TLSHandshakeTimeout: 10 * time.Second, IdleConnTimeout: 90 * time.Second,
		}
	}
	t := base.Clone()
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost = maxConns, maxConns
	t.MaxIdleConns = max(t.MaxIdleConns, maxConns)
	if roots != nil || skipVerify {
		t.TLSClientConfig = cmp.Or(t.TLSClientConfig.Clone(), &tls.Config{})
		t.TLSClientConfig.RootCAs = roots
		t.TLSClientConfig.InsecureSkipVerify = skipVerify
	}
	return t
}
