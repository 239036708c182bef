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

// shouldRetry reports whether op may be retried after o, and whether that may help. It
// implements the table of the package documentation.
func (op operation) shouldRetry(o outcome) bool {
	switch {
	case o.permanent:
		return false
	case o.status == 0: // no response
		return op.idempotent || !o.maybeProcessed
	case o.status == http.StatusTooManyRequests:
		return true
	case o.status == http.StatusBadGateway,
		o.status == http.StatusServiceUnavailable,
		o.status == http.StatusGatewayTimeout:
		return op.idempotent
	}
	return false
}

// retryCounter counts the retries of a call. Retries of requests that the server refused
// have their own count: with a rate limiter, several clients behind one address can cause
// many 429s, and an HTTP/2 server that ends connections often refuses many streams.
type retryCounter struct{ refused, other int }

// next counts a retry after o. It returns the number of retries of this kind, and whether
// there may be so many.
func (r *retryCounter) next(c *Client, o outcome) (n int, ok bool) {
	if o.refused || c.limiter != nil && o.status == http.StatusTooManyRequests {
		r.refused++
		return r.refused, (r.refused-1)/4 < c.maxRetries // 4*maxRetries can overflow
	}
	r.other++
	return r.other, r.other <= c.maxRetries
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

// tooLong returns why the client does not wait before a retry, or "" if it does.
func (b backoff) tooLong(ctx context.Context, wait time.Duration) string {
	if wait > b.max {
		return fmt.Sprintf("not retried: the server asks to wait %v, longer than the maximum backoff of %v", wait, b.max)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= wait {
		return "not retried: the context would end before the next attempt"
	}
	return ""
}

// sleep waits for d. If ctx ends first, it returns the error of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return contextError(ctx)
	}
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
