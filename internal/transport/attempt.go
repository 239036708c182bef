package transport

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"slices"
	"sync"
)

// Attempt is what a client and the transport share about one attempt of a call. It is the
// context of the request.
type Attempt struct {
	context.Context //nolint:containedctx // it is one

	setCredential func(http.Header)
	once          bool

	mu       sync.Mutex // middleware can call the transport from several goroutines
	requests []*request // that the transport has accepted
	ended    bool
}

// NewAttempt returns an attempt within ctx, whose requests carry the credential that
// setCredential sets. The credential is in a function, so that printing the attempt does not
// show it. If once is true, the transport refuses all requests but the first.
func NewAttempt(ctx context.Context, setCredential func(http.Header), once bool) *Attempt {
	return &Attempt{Context: ctx, setCredential: setCredential, once: once}
}

type attemptKey struct{}

// Value returns a itself for its own key, so that the transport finds it in derived contexts.
func (a *Attempt) Value(key any) any {
	if key == (attemptKey{}) {
		return a
	}
	return a.Context.Value(key)
}

func attemptOf(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}

// End ends the attempt: nothing is sent any more, also if middleware has detached a request
// from its context. It reports whether the server may have processed a request.
func (a *Attempt) End() (maybeProcessed bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	for _, r := range a.requests {
		if r.cancel != nil {
			r.cancel()
		}
	}
	return slices.ContainsFunc(a.requests, (*request).maybeProcessed)
}

// Phase is what an attempt is waiting for. Its text is the start of an error.
type Phase string

// The phases of an attempt. The zero Phase is that of an attempt without a request.
const (
	Connecting Phase = "connecting" // or waiting for a stream of an HTTP/2 connection
	Waiting    Phase = "waiting for the response"
)

// Phase returns what the attempt is waiting for.
func (a *Attempt) Phase() Phase {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch last := len(a.requests) - 1; {
	case last < 0:
		return ""
	case a.requests[last].isSent():
		return Waiting
	}
	return Connecting
}

var (
	errEnded  = errors.New("the attempt is over")
	errSecond = errors.New("the transport wrapper retried a request that is not idempotent")
)

// begin adds a request, or returns why it must not be sent.
func (a *Attempt) begin(r *request) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.once && len(a.requests) > 0:
		return errSecond
	case a.ended:
		return errEnded
	}
	a.requests = append(a.requests, r)
	return nil
}

// request is one request of an attempt.
type request struct {
	attempt *Attempt
	body    bytes.Reader // empty: none
	cancel  func()       // of a request without a body
	hooks   httptrace.ClientTrace

	traced      bool // a hook was called
	sent        bool // it has no body and a connection, or its body follows its header
	unprocessed bool // the server says that it has not processed it
}

// isSent reports whether r counts as sent. It does until a hook is called, because not every
// transport calls hooks.
func (r *request) isSent() bool { return r.sent || !r.traced }

// maybeProcessed reports whether the server may have processed r.
func (r *request) maybeProcessed() bool { return r.isSent() && !r.unprocessed }

// withHooks returns a context that makes net/http call the hooks of r. A trace that the
// caller or middleware has put into ctx does not see the header fields, which hold the
// credential.
//
// A request without a body counts as sent when it has a connection: it is complete with its
// header, which HTTP/2 flushes before it calls WroteHeaders.
func (r *request) withHooks(ctx context.Context) context.Context {
	if outer := httptrace.ContextClientTrace(ctx); outer != nil {
		inner := *outer
		inner.WroteHeaderField = nil
		ctx = httptrace.WithClientTrace(untraced{ctx}, &inner)
	}
	r.hooks.GetConn = r.connecting
	if r.body.Len() > 0 {
		r.hooks.WroteHeaders = r.sending
	} else {
		r.hooks.GotConn = func(httptrace.GotConnInfo) { r.sending() }
	}
	return httptrace.WithClientTrace(ctx, &r.hooks)
}

// connecting is called before net/http looks for a connection.
func (r *request) connecting(string) {
	r.attempt.mu.Lock()
	defer r.attempt.mu.Unlock()
	r.traced = true
}

// sending counts r as sent. For a request with a body, net/http calls it just before it
// writes the body, on the goroutine that does so. After the end of the attempt, it empties
// the body, so that the request stays incomplete.
func (r *request) sending() {
	r.attempt.mu.Lock()
	defer r.attempt.mu.Unlock()
	if r.attempt.ended {
		r.body.Reset(nil)
		return
	}
	r.sent = true
}

// done notes what the result of r says about it. A proxy can respond with 408 or 5xx after the
// work was done.
func (r *request) done(resp *http.Response, err error) {
	r.attempt.mu.Lock()
	defer r.attempt.mu.Unlock()
	r.unprocessed = IsRefused(err) ||
		resp != nil && resp.StatusCode >= 300 && resp.StatusCode < 500 && resp.StatusCode != http.StatusRequestTimeout
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
