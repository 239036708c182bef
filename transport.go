package palette

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"sync"
	"sync/atomic"
	"time"
)

// exchange holds what an attempt and the transport share. The context of the request
// holds a pointer to it, so that printing the context does not print it.
type exchange struct {
	op         operation
	attempt    int // starts at 1
	timeout    time.Duration
	host       string
	credential credential

	secret         Secret // the credential
	maybeProcessed bool   // if there is no response: the server may have processed the request
	refused        bool   // if there is no response: the server promised not to have processed it

	// A wrapper can call the transport from several goroutines.
	connecting atomic.Bool  // the transport waits for a connection
	connected  atomic.Bool  // the transport has had a connection
	roundTrips atomic.Int64 // requests that were handed to the transport below
	over       atomic.Bool  // the attempt has failed: nothing may be sent any more
	location   atomic.Value // the target of a redirect, without its query: a string
}

type exchangeKey struct{}

func exchangeOf(req *http.Request) *exchange {
	ex, _ := req.Context().Value(exchangeKey{}).(*exchange)
	return ex
}

// redactor returns a redactor of the credential.
func (ex *exchange) redactor() redactor { return newRedactor(ex.secret.Reveal()) }

// newRoundTripper returns the transport of a client: bodyTransport, behind opaque, then the
// caller's wrapper, which does not see the credential, then credentialTransport, then base.
func newRoundTripper(base http.RoundTripper, wrap func(http.RoundTripper) http.RoundTripper, baseURL *url.URL) (http.RoundTripper, error) {
	var rt http.RoundTripper = &credentialTransport{base: base, scheme: baseURL.Scheme, host: baseURL.Host}
	if wrap != nil {
		rt = wrap(rt)
	}
	if rt == nil {
		return nil, errors.New("the function of WithTransportWrapper returned nil")
	}
	return opaque((&bodyTransport{base: rt}).RoundTrip), nil
}

// opaque is a transport whose connections, which have the credential in their buffers, are
// not found by packages that print unexported fields by reflection.
type opaque func(*http.Request) (*http.Response, error)

func (f opaque) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// bodyTransport finds out whether a request that failed may have been processed.
type bodyTransport struct{ base http.RoundTripper }

// RoundTrip removes GetBody, with which net/http resends a request that the server may
// have processed, and records whether anybody read from the body.
func (t *bodyTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ex := exchangeOf(req)
	clone := req.WithContext(req.Context()) // a shallow copy
	clone.GetBody, clone.Body = nil, nil    // resty gives a DELETE an empty body of unknown length
	var body *requestBody
	if ex.op.body != nil {
		body = &requestBody{body: req.Body}
		clone.Body = body
	}
	resp, err := t.base.RoundTrip(clone)
	if err == nil && resp != nil {
		ex.maybeProcessed = ex.roundTrips.Load() > 0 // http.Client rejects some responses
		return resp, nil
	}
	discard(resp)
	// First of all, nothing may be read or sent any more.
	sent := body.seal()
	ex.over.Store(true)
	if body == nil { // a transport that does not call the trace counts as connected
		sent = ex.connected.Load() || !ex.connecting.Load()
	}
	ex.refused = isRefused(err)
	ex.maybeProcessed = sent && ex.roundTrips.Load() > 0 && !ex.refused
	return nil, err
}

// discard closes a response that came together with an error. net/http would print it.
func discard(resp *http.Response) {
	if resp != nil && resp.Body != nil {
		_ = resp.Body.Close()
	}
}

var errOver = errors.New("the attempt is over")

// requestBody is a request body that records whether anybody read from it.
type requestBody struct {
	mu           sync.Mutex
	body         io.ReadCloser
	read, sealed bool
}

func (b *requestBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.sealed {
		return 0, errOver
	}
	b.read = true
	return b.body.Read(p)
}

// Close does nothing: net/http closes a body that it has not read, and uses it again.
func (b *requestBody) Close() error { return nil }

// seal makes later reads fail. It reports whether the body was read.
func (b *requestBody) seal() bool {
	if b == nil {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sealed = true
	return b.read
}

// refused matches the errors with which net/http reports that an HTTP/2 server promised
// not to have processed a request whose body was sent.
var refused = regexp.MustCompile(`^http2: Transport: cannot retry err \[(stream error: stream ID \d+; REFUSED_STREAM; received from peer|http2: Transport received Server's graceful shutdown GOAWAY)\] after Request\.Body was written; define Request\.GetBody to avoid this error$`)

// isRefused reports whether err says that the server did not process the request. It
// compares the whole text of the innermost error, because other errors quote the server.
func isRefused(err error) bool {
	for err != nil && errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err != nil && refused.MatchString(err.Error())
}

// credentialTransport adds the credential. It sends requests only to one scheme and host.
type credentialTransport struct {
	base         http.RoundTripper
	scheme, host string
}

var errOrigin = errors.New("the request is not for the scheme and host of the base URL")

// RoundTrip sends a copy of req that carries the credential. It hides the target of a
// redirect, so that nobody follows it: net/http would forward the credential.
func (t *credentialTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	ex := exchangeOf(req)
	clone, err := t.authorize(req, ex)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // as every RoundTripper does
		}
		return nil, err
	}
	resp, err := t.base.RoundTrip(clone)
	if err != nil || resp == nil {
		discard(resp)
		return nil, err
	}
	resp.Request = req // the clone, which has the credential, ends here
	if isRedirect(resp.StatusCode) {
		ex.location.Store(ex.redactor().text(withoutQuery(resp.Header.Get("Location")), maxText))
		resp.Header.Del("Location")
	}
	return resp, nil
}

func (t *credentialTransport) authorize(req *http.Request, ex *exchange) (*http.Request, error) {
	if ex == nil || req.URL.Scheme != t.scheme || req.URL.Host != t.host || req.URL.Opaque != "" {
		return nil, &permanentError{errOrigin}
	}
	if ex.roundTrips.Add(1) > 1 && !ex.op.idempotent {
		return nil, &permanentError{errors.New("the transport wrapper retried a request that is not idempotent")}
	}
	if ex.over.Load() {
		return nil, &permanentError{errOver}
	}
	clone := req.Clone(ex.trace(req.Context()))
	clone.Header.Set(ex.credential.header, ex.secret.Reveal())
	// A wrapper may have changed these. An http proxy connects to Host.
	clone.GetBody, clone.Host = nil, t.host
	return clone, nil
}

// trace returns a context for the transport below. A trace that the caller or a wrapper has
// put into ctx does not see the headers, which hold the credential.
func (ex *exchange) trace(ctx context.Context) context.Context {
	if outer := httptrace.ContextClientTrace(ctx); outer != nil {
		inner := *outer
		inner.WroteHeaderField = nil
		ctx = httptrace.WithClientTrace(untraced{ctx}, &inner)
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { ex.connecting.Store(true) },
		GotConn: func(httptrace.GotConnInfo) { ex.connecting.Store(false); ex.connected.Store(true) },
	})
}

// untraced hides the trace of a context, because WithClientTrace would call its hooks as
// well.
type untraced struct{ context.Context }

func (c untraced) Value(key any) any {
	value := c.Context.Value(key)
	if _, ok := value.(*httptrace.ClientTrace); ok {
		return nil
	}
	return value
}

// permanentError is an error of the transport after which a retry is pointless.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// isPermanent reports whether retrying after err is pointless.
func isPermanent(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, permanent := errors.AsType[*permanentError](err)
	return certificate || permanent || errors.Is(err, http.ErrSchemeMismatch)
}

func isRedirect(status int) bool { return status/100 == 3 }

// transportFailure returns the outcome of an attempt without a response.
func (ex *exchange) transportFailure(ctx context.Context, err error) outcome {
	return outcome{
		err:            ex.transportError(ctx, ex.phase(), err),
		permanent:      isPermanent(err),
		maybeProcessed: ex.maybeProcessed,
		refused:        ex.refused,
	}
}

// errAttemptTimeout is the cause of the context of an attempt that took too long.
var errAttemptTimeout = fmt.Errorf("attempt timeout: %w", context.DeadlineExceeded)

// checkProxy returns an error if a proxy refuses a connection. net/http's own names neither
// the proxy nor its status code.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	err := fmt.Errorf("proxy %s refused the connection: %d %s", proxy.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode < 500 {
		return &permanentError{err}
	}
	return err
}

// maxConns is the maximum number of connections of the default transport, idle or in use.
// Without a maximum, net/http dials more than it keeps.
const maxConns = 64

// newTransport returns the default transport for attempts with the given timeout, and
// whether nobody else uses it.
func newTransport(timeout time.Duration, roots *x509.CertPool, skipVerify bool) (rt http.RoundTripper, own bool) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // somebody replaced it
		return http.DefaultTransport, false
	}
	t := base.Clone()
	t.ForceAttemptHTTP2 = true // the clone of a transport without a TLS config would lose HTTP/2
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost, t.MaxIdleConns = maxConns, maxConns, maxConns
	t.IdleConnTimeout = 50 * time.Second // load balancers close idle connections after 60 seconds
	// An HTTP/2 connection that silently stopped carrying bytes must not outlast an attempt.
	ping := min(max(timeout/3, time.Second), 10*time.Second)
	t.HTTP2 = &http.HTTP2Config{SendPingTimeout: ping, PingTimeout: ping / 2}
	if t.OnProxyConnectResponse == nil {
		t.OnProxyConnectResponse = checkProxy
	}
	if roots != nil || skipVerify {
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{}
		}
		t.TLSClientConfig.RootCAs = roots
		t.TLSClientConfig.InsecureSkipVerify = skipVerify
	}
	return t, true
}
