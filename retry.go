package palette

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RetryPolicy says how often and after which wait a call is sent again. What is
// sent again at all does not depend on it; the package documentation has the table.
type RetryPolicy struct {
	// MaxRetries is the number of attempts after the first; 0 switches repeating off.
	MaxRetries int
	// MinWait and MaxWait bound the wait before an attempt: at random between one and
	// two MinWait before the second, between two and four before the third, and so
	// on. Zero means the default: 500ms, and 30s or MinWait if that is more. A
	// server that asks through Retry-After for more than MaxWait is not asked again.
	MinWait, MaxWait time.Duration
}

var defaultRetry = RetryPolicy{MaxRetries: 3, MinWait: 500 * time.Millisecond, MaxWait: 30 * time.Second}

// complete fills in the defaults and refuses what makes no sense.
func (p RetryPolicy) complete() (RetryPolicy, error) {
	if p.MinWait == 0 {
		p.MinWait = defaultRetry.MinWait
	}
	if p.MaxWait == 0 {
		p.MaxWait = max(defaultRetry.MaxWait, p.MinWait)
	}
	switch {
	case p.MaxRetries < 0:
		return p, fmt.Errorf("MaxRetries is negative: %d", p.MaxRetries)
	case p.MinWait < 0:
		return p, fmt.Errorf("MinWait is negative: %v", p.MinWait)
	case p.MaxWait < p.MinWait:
		return p, fmt.Errorf("MaxWait %v is below MinWait %v", p.MaxWait, p.MinWait)
	}
	return p, nil
}

// wait returns how long to wait after attempt n (from 1) before the next: never
// less than asked, and otherwise within [MinWait, MaxWait].
func (p RetryPolicy) wait(n int, asked time.Duration) time.Duration {
	ceiling := p.MinWait
	for ; n > 0 && ceiling < p.MaxWait; n-- {
		ceiling += min(ceiling, p.MaxWait-ceiling)
	}
	floor := max(ceiling/2, p.MinWait)
	return max(asked, floor+rand.N(ceiling-floor+1)) //nolint:gosec // jitter is no secret
}

// outcome is how one attempt ended.
type outcome struct {
	err        error // nil for success
	status     int   // of the reply; 0 if there was none
	sent       bool  // the server may have seen the request
	answered   bool  // the reply came, and came whole
	final      bool  // the failure would only come again
	retryAfter time.Duration
}

// lost reports whether the server may have done the work without our hearing of it.
func (o outcome) lost() bool { return o.sent && !o.answered }

// open reports whether an operation that failed may have been done all the same.
func (o outcome) open() bool {
	return o.lost() || o.sent && (o.status < 300 || o.status >= 500)
}

// reason names a failure for the log, in words that are none of the server's.
func (o outcome) reason() string {
	var timeout interface{ Timeout() bool }
	switch {
	case o.answered:
		return "status " + strconv.Itoa(o.status)
	case errors.As(o.err, &timeout) && timeout.Timeout():
		return "timeout"
	case o.sent:
		return "lost reply"
	}
	return "no connection"
}

// repeatable reports whether op may be sent again after o. This is the table of
// the package documentation.
func (op *operation) repeatable(o outcome) bool {
	switch {
	case o.final:
		return false
	case !o.sent:
		return true
	case !o.answered:
		return !op.once
	case o.status == http.StatusTooManyRequests:
		return true
	case o.status == http.StatusBadGateway,
		o.status == http.StatusServiceUnavailable,
		o.status == http.StatusGatewayTimeout:
		return !op.once
	}
	return false
}

// isFinal reports whether err would only come again: a server that is not who it
// should be, or a request that could not be made.
func isFinal(err error) bool {
	var certificate *tls.CertificateVerificationError
	var credential *credentialError
	return errors.As(err, &certificate) || errors.As(err, &credential) || errors.Is(err, errOrigin)
}

// sleep waits for d or until ctx is done, and then returns the context's error.
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

// inTime reports whether ctx leaves more than d.
func inTime(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ctx.Err() == nil && (!ok || time.Until(deadline) > d)
}

// parseRetryAfter reads a Retry-After header, in seconds or as a date; what is
// neither, or lies in the past, is 0.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if date, err := http.ParseTime(value); err == nil {
		return max(0, date.Sub(now))
	}
	if strings.Trim(value, "0123456789") != "" {
		return 0
	}
	seconds, _ := strconv.ParseUint(value, 10, 64) // too many are as many as there are
	if seconds > uint64(math.MaxInt64/time.Second) {
		return math.MaxInt64
	}
	return time.Duration(seconds) * time.Second
}
