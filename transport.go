package palette

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// credential is where the key comes from and the header it goes into.
type credential struct {
	header string
	fetch  func(context.Context) (string, error)
}

// originTransport is the only place that knows the credential. It sends to one
// scheme and host alone, and lets nobody above it see a redirect: net/http would
// follow it and hand the ApiKey header to wherever it points.
type originTransport struct {
	base         http.RoundTripper
	scheme, host string
	credential   credential
}

// flight is what the transport reports about one attempt to the one who made it,
// through the request's context.
type flight struct {
	secret   string // the credential that was sent
	location string // where a redirect points
	handedOn bool   // the request left this package

	connecting, connected atomic.Bool
}

type flightKey struct{}

// withFlight returns a context whose request reports to f.
func withFlight(ctx context.Context, f *flight) context.Context {
	ctx = context.WithValue(ctx, flightKey{}, f)
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { f.connecting.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { f.connected.Store(true) },
	})
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
	f, _ := req.Context().Value(flightKey{}).(*flight)
	sealed, err := t.seal(req, f)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // a RoundTripper closes the body whatever happens
		}
		return nil, err
	}
	f.handedOn = true
	resp, err := t.base.RoundTrip(sealed)
	if resp == nil || err != nil {
		return resp, err
	}
	resp.Request = req // the copy with the credential ends here
	if isRedirect(resp.StatusCode) {
		f.location = resp.Header.Get("Location")
		resp.Header.Del("Location")
	}
	return resp, nil
}

// seal checks where req goes and returns a copy of it with the credential.
func (t *originTransport) seal(req *http.Request, f *flight) (*http.Request, error) {
	if f == nil || req.URL.Scheme != t.scheme || req.URL.Host != t.host {
		return nil, errOrigin
	}
	ctx := req.Context()
	secret, err := t.credential.fetch(ctx)
	f.secret = secret
	if err == nil {
		err = checkKey(secret)
	}
	if err == nil {
		err = ctx.Err() // the last moment at which nothing was sent for certain
	}
	if err != nil {
		return nil, &credentialError{err}
	}
	sealed := req.WithContext(ctx) // a copy that shares the header
	sealed.Header = req.Header.Clone()
	sealed.Header[t.credential.header] = []string{secret}
	sealed.GetBody = nil // so that nothing below sends it again by itself
	return sealed, nil
}

// credentialError says that there was no credential to send a request with.
type credentialError struct{ err error }

func (e *credentialError) Error() string { return "credential: " + e.err.Error() }
func (e *credentialError) Unwrap() error { return e.err }

func isRedirect(status int) bool { return status/100 == 3 }

// newTransport returns the transport for callers who bring none. It keeps as
// many idle connections to the one host as goroutines are likely to use.
func newTransport(roots *x509.CertPool, skipVerify bool) http.RoundTripper {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // somebody replaced it
		base = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	}
	t := base.Clone()
	t.MaxIdleConnsPerHost = 64
	t.MaxIdleConns = max(t.MaxIdleConns, t.MaxIdleConnsPerHost)
	if roots != nil || skipVerify {
		t.TLSClientConfig = &tls.Config{RootCAs: roots, InsecureSkipVerify: skipVerify} //nolint:gosec // the caller asked for it by name
	}
	return t
}
