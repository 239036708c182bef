package palette

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// outcome is what decides whether an attempt is followed by another.
type outcome struct {
	status         int  // 0 if there was no complete response
	maybeProcessed bool // the server may have processed the request
	refused        bool // an HTTP/2 server promised not to have processed the request
	permanent      bool // a retry would fail in the same way
	overloaded     bool // the server or a proxy limits the rate of requests
	unauthorized   bool // the server does not accept the credential
	unreachable    bool // there was no connection
	retryAfter     time.Duration
	credential     string // the one that was sent
	err            error  // how the attempt failed; nil: success
	ended          error  // why the context ended before the body of an error response was read
}

// retryPolicy says whether and when a failed attempt is followed by another.
type retryPolicy struct {
	maxRetries int
	backoff    backoff
	limited    bool // there is a rate limiter
}

// retryCounter counts the retries of a call. Retries of requests that the server refused
// have their own count: with a rate limiter, several clients behind one address can cause
// many 429s, and an HTTP/2 server that ends connections often refuses many streams.
type retryCounter struct{ refused, other, credential int }

// decision says whether there is another attempt.
type decision struct {
	retry  bool
	wait   time.Duration
	reason string // why
}

// next decides what follows the failed attempt o. fetch returns the credential that the
// client would send now.
func (p retryPolicy) next(ctx context.Context, n *retryCounter, o outcome, idempotent bool,
	fetch func(context.Context) (string, error),
) decision {
	if o.unauthorized && n.credential < max(1, p.maxRetries) {
		if now, err := fetch(ctx); err == nil && now != o.credential {
			n.credential++
			return decision{retry: true, reason: "the credential has changed"}
		}
	}
	count, ok := p.count(n, o)
	if !ok || !shouldRetry(o, idempotent) || ctx.Err() != nil {
		return decision{}
	}
	wait := p.backoff.wait(count, o.retryAfter)
	switch {
	case wait > p.backoff.max:
		return decision{reason: fmt.Sprintf("the server asks to wait %v, longer than the maximum backoff of %v", wait, p.backoff.max)}
	case endsWithin(ctx, wait):
		return decision{reason: "the context would end before the next attempt"}
	}
	return decision{retry: true, wait: wait, reason: o.reason()}
}

// count counts a retry after o. It returns the number of retries of this kind, and whether
// there may be so many.
func (p retryPolicy) count(n *retryCounter, o outcome) (count int, ok bool) {
	if o.refused || p.limited && o.status == http.StatusTooManyRequests {
		n.refused++
		return n.refused, (n.refused-1)/4 < p.maxRetries // 4*maxRetries can overflow
	}
	n.other++
	return n.other, n.other <= p.maxRetries
}

// shouldRetry reports whether a retry after o is safe and may help. It implements the table
// of the package documentation.
func shouldRetry(o outcome, idempotent bool) bool {
	switch {
	case o.permanent:
		return false
	case o.status == 0: // no response
		return idempotent || !o.maybeProcessed
	case o.status == http.StatusTooManyRequests:
		return true
	case o.status == http.StatusRequestTimeout, // of a proxy, possibly after the work
		o.status == http.StatusBadGateway,
		o.status == http.StatusServiceUnavailable,
		o.status == http.StatusGatewayTimeout:
		return idempotent
	}
	return false
}

// reason describes a failed attempt in a log record. It contains no text of the server.
func (o outcome) reason() string {
	var timeout interface{ Timeout() bool }
	switch {
	case o.status != 0:
		return "status " + strconv.Itoa(o.status)
	case errors.As(o.err, &timeout) && timeout.Timeout():
		return "timeout"
	}
	return "no response"
}

// backoff is the range of the wait before a retry.
type backoff struct{ min, max time.Duration }

// wait returns how long to wait after attempt n, which starts at 1: a random duration
// between one and two times min after the first, between two and four times min after
// the second, and so on, at most max. It is at least retryAfter.
func (b backoff) wait(n int, retryAfter time.Duration) time.Duration {
	ceiling := b.min
	for range n {
		ceiling += min(ceiling, b.max-ceiling)
	}
	floor := max(ceiling/2, b.min)
	return max(retryAfter, floor+rand.N(ceiling-floor+1)) //nolint:gosec // jitter needs no secure source
}

// parseRetryAfter parses a Retry-After header, which holds seconds or a date. It returns
// 0 if the header is invalid or the date is in the past.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	seconds, _ := strconv.ParseUint(value, 10, 64) // 0 if it is invalid, the maximum if it is larger
	if seconds > uint64(math.MaxInt64/time.Second) {
		return math.MaxInt64
	}
	return time.Duration(seconds) * time.Second
}
