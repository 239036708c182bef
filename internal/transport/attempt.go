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
	sent     bool       // a request without a body has a connection, or a body follows its header
	ended    bool
	phase    Phase
}

// Phase is what an attempt is waiting for. Its text is the start of an error.
type Phase string

// The phases of an attempt. The zero Phase is that of an attempt without a request.
const (
	Connecting Phase = "connecting"
	Waiting    Phase = "waiting for the response"
)

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

// Phase returns what the attempt is waiting for.
func (a *Attempt) Phase() Phase {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.phase
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
	a.phase = Waiting
	return nil
}

// request is one request of an attempt. Its methods are hooks that net/http calls.
type request struct {
	attempt *Attempt
	body    *bytes.Reader // nil: none
	traced  bool          // a hook was called
}

// withHooks returns a context that makes net/http call the hooks of r. A trace that the
// caller or middleware has put into ctx does not see the header fields, which hold the
// credential.
func (r *request) withHooks(ctx context.Context) context.Context {
	if outer := httptrace.ContextClientTrace(ctx); outer != nil {
		inner := *outer
		inner.WroteHeaderField = nil
		ctx = httptrace.WithClientTrace(untraced{ctx}, &inner)
	}
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn:      r.connecting,
		GotConn:      r.connected,
		WroteHeaders: r.wroteHeaders,
	})
}

// connecting is called before net/http looks for a connection.
func (r *request) connecting(string) {
	r.attempt.mu.Lock()
	defer r.attempt.mu.Unlock()
	r.trace(Connecting)
}

// connected counts a request without a body as sent. Such a request is complete with its
// header, which HTTP/2 flushes before it calls wroteHeaders.
func (r *request) connected(httptrace.GotConnInfo) {
	r.attempt.mu.Lock()
	defer r.attempt.mu.Unlock()
	r.trace(Waiting)
	r.attempt.sent = r.attempt.sent || r.body == nil
}

// wroteHeaders counts a request with a body as sent. It is called just before the body is
// written, by the goroutine that writes it. After the end of the attempt, it empties the
// body, so that the request stays incomplete.
func (r *request) wroteHeaders() {
	r.attempt.mu.Lock()
	defer r.attempt.mu.Unlock()
	if r.attempt.ended && r.body != nil {
		r.body.Reset(nil)
		return
	}
	r.trace(Waiting)
	r.attempt.sent = true
}

// trace notes that a hook was called, and what the attempt is waiting for.
func (r *request) trace(phase Phase) {
	if !r.traced {
		r.traced = true
		r.attempt.untraced--
	}
	r.attempt.phase = phase
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
