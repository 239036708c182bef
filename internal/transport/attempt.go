package transport

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// Attempt is what a client and the transport share about one attempt of a call. It travels
// in the context of the request.
type Attempt struct {
	setCredential func(http.Header)
	once          bool

	mu       sync.Mutex // middleware can call the transport from several goroutines
	requests int        // requests that the transport has accepted
	untraced int        // those among them of which no hook was called
	sent     bool       // one of them was sent
	ended    bool
}

// NewAttempt returns an attempt whose requests carry the credential that setCredential sets.
// The credential is in a function, so that printing the attempt does not show it. If once is
// true, the transport refuses all requests but the first.
func NewAttempt(setCredential func(http.Header), once bool) *Attempt {
	return &Attempt{setCredential: setCredential, once: once}
}

type attemptKey struct{}

// Context returns a context for the request of a. Printing it does not show the attempt.
func (a *Attempt) Context(ctx context.Context) context.Context {
	return context.WithValue(ctx, attemptKey{}, a)
}

func attemptOf(ctx context.Context) *Attempt {
	a, _ := ctx.Value(attemptKey{}).(*Attempt)
	return a
}

// End ends the attempt: nothing is sent any more. It reports whether the server may have
// processed a request.
func (a *Attempt) End() (sent bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	return a.sent || a.untraced > 0
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
	switch {
	case a.requests == 0:
		return ""
	case a.sent || a.untraced > 0:
		return Waiting
	}
	return Connecting
}

var (
	errEnded  = errors.New("the attempt is over")
	errSecond = errors.New("the transport wrapper retried a request that is not idempotent")
)

// begin counts a request, or returns why it must not be sent. Until a hook is called, the
// request counts as sent, because not every transport calls hooks.
func (a *Attempt) begin() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.once && a.requests > 0:
		return errSecond
	case a.ended:
		return errEnded
	}
	a.requests++
	a.untraced++
	return nil
}

// request is one request of an attempt. Its methods are hooks that net/http calls.
type request struct {
	attempt *Attempt
	body    bytes.Reader // empty: none
	hooks   httptrace.ClientTrace
	traced  bool // a hook was called
}

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
		r.hooks.WroteHeaders = r.wroteHeaders
	} else {
		r.hooks.GotConn = func(httptrace.GotConnInfo) { r.wroteHeaders() }
	}
	return httptrace.WithClientTrace(ctx, &r.hooks)
}

// connecting is called before net/http looks for a connection.
func (r *request) connecting(string) {
	r.attempt.mu.Lock()
	defer r.attempt.mu.Unlock()
	r.trace()
}

// wroteHeaders counts the request as sent. net/http calls it just before it writes the body,
// on the goroutine that does so. After the end of the attempt, it empties the body, so that
// the request stays incomplete.
func (r *request) wroteHeaders() {
	r.attempt.mu.Lock()
	defer r.attempt.mu.Unlock()
	r.trace()
	if r.attempt.ended {
		r.body.Reset(nil)
		return
	}
	r.attempt.sent = true
}

// trace notes that net/http calls hooks.
func (r *request) trace() {
	if !r.traced {
		r.traced = true
		r.attempt.untraced--
	}
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
