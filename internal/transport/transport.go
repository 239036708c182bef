// Package transport sends the requests of a client. It sets the credential, sends requests
// only to one origin, and knows whether a request may have been processed.
package transport

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
)

// New returns a transport that sends requests over base, if they are for the scheme and host
// of origin and their context is that of an [Attempt]. If wrap is not nil, it puts middleware
// before it, which does not see the credential. If wrap returns nil, so does New.
func New(base http.RoundTripper, wrap func(http.RoundTripper) http.RoundTripper, origin *url.URL) http.RoundTripper {
	var rt http.RoundTripper = roundTripFunc((&transport{base, origin.Scheme, origin.Host}).roundTrip)
	if wrap == nil {
		return rt
	}
	if rt = wrap(rt); rt == nil {
		return nil
	}
	return roundTripFunc(func(req *http.Request) (*http.Response, error) { return roundTrip(rt, req) })
}

// roundTripFunc is a transport whose connections, which have the credential in their
// buffers, are not found by packages that print unexported fields by reflection.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// roundTrip calls rt, and keeps from http.Client what it does not expect: a response that
// comes together with an error, which it would log, and an invalid Location, for which it
// would return an error instead of the response.
func roundTrip(rt http.RoundTripper, req *http.Request) (*http.Response, error) {
	resp, err := rt.RoundTrip(req)
	switch {
	case err == nil && resp == nil:
		return nil, nil //nolint:nilnil // http.Client has an error for this
	case err != nil:
		if resp != nil && resp.Body != nil {
			_ = resp.Body.Close()
		}
		return nil, err
	}
	if _, err := url.Parse(resp.Header.Get("Location")); err != nil {
		resp.Header.Del("Location")
	}
	return resp, nil
}

type transport struct {
	base         http.RoundTripper
	scheme, host string
}

// roundTrip sends a copy of req that carries the credential.
func (t *transport) roundTrip(req *http.Request) (*http.Response, error) {
	r, authorized, err := t.authorize(req)
	if err != nil {
		return nil, err
	}
	resp, err := roundTrip(t.base, authorized)
	r.done(resp, err)
	if resp != nil {
		resp.Request = req // the copy, which has the credential, ends here
	}
	return resp, err
}

var (
	errOrigin  = errors.New("the request is not for the scheme and host of the base URL")
	errContext = errors.New("the transport wrapper replaced the context of the request")
)

// authorize returns a copy of req that carries the credential, or why it must not be sent.
func (t *transport) authorize(req *http.Request) (*request, *http.Request, error) {
	content, err := readBody(req)
	if err != nil {
		return nil, nil, err
	}
	ctx := req.Context()
	target := *req.URL // a copy, which middleware cannot change after the check
	r := &request{attempt: attemptOf(ctx)}
	switch {
	case r.attempt == nil:
		return nil, nil, &permanentError{errContext}
	case target.Scheme != t.scheme || target.Host != t.host || target.Opaque != "":
		return nil, nil, &permanentError{errOrigin}
	case ctx.Err() != nil: // not every transport would say that it sent nothing
		return nil, nil, context.Cause(ctx)
	}
	if r.body.Reset(content); len(content) == 0 {
		ctx, r.cancel = context.WithCancel(ctx) // nothing else stops a request without a body
	}
	if err := r.attempt.begin(r); err != nil {
		return nil, nil, &permanentError{err}
	}
	authorized := req.WithContext(r.withHooks(ctx)) // a shallow copy
	authorized.URL = &target
	t.complete(authorized, r)
	return r, authorized, nil
}

// complete gives a shallow copy of a request its own header, with the credential, and body.
func (t *transport) complete(authorized *http.Request, r *request) {
	header := make(http.Header, len(authorized.Header)+1)
	maps.Copy(header, authorized.Header)
	r.attempt.setCredential(header)
	authorized.Header = header
	authorized.Host = t.host // middleware may have changed it, and an http proxy connects to it
	// net/http sends a body of this type together with the header in one write. With GetBody,
	// it would resend a request that the server may have processed.
	authorized.Body, authorized.GetBody, authorized.ContentLength = nil, nil, int64(r.body.Len())
	if r.body.Len() > 0 {
		authorized.Body = io.NopCloser(&r.body)
	}
}

// readBody reads and closes the body of req.
func readBody(req *http.Request) ([]byte, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return nil, nil
	}
	content, err := io.ReadAll(req.Body)
	return content, errors.Join(err, req.Body.Close())
}

// permanentError is an error after which a retry is pointless.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// IsPermanent reports whether retrying after err is pointless.
func IsPermanent(err error) bool {
	_, certificate := errors.AsType[*tls.CertificateVerificationError](err)
	_, permanent := errors.AsType[*permanentError](err)
	return certificate || permanent || errors.Is(err, http.ErrSchemeMismatch)
}

// refused matches the errors with which net/http reports that an HTTP/2 server promised not
// to have processed a request: after its body was sent, and, if the server ends the connection
// with an error code, for its first stream.
var refused = regexp.MustCompile(`^(http2: Transport: cannot retry err \[(stream error: stream ID \d+; REFUSED_STREAM; received from peer|http2: Transport received Server's graceful shutdown GOAWAY)\] after Request\.Body was written; define Request\.GetBody to avoid this error|http2: Transport received GOAWAY from server ErrCode:[A-Za-z0-9_ ]+)$`)

// IsRefused reports whether err says that an HTTP/2 server did not process the request. It
// compares the whole text of the innermost error, because other errors quote the server.
func IsRefused(err error) bool {
	for err != nil && errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err != nil && refused.MatchString(err.Error())
}
