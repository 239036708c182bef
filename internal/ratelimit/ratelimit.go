// Package ratelimit limits the rate of requests, and adapts the rate to a server that
// reports an overload.
package ratelimit

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// ErrTooLate reports that the context would end before the limiter allows the request.
var ErrTooLate = errors.New("the context would end before the rate limiter allows the request")

// Limiter limits the rate of requests. When the server reports an overload, it pauses all
// calls, halves the rate, and allows no bursts. Later responses raise the rate again. It is
// safe for concurrent use.
type Limiter struct {
	perSecond rate.Limit // the configured rate
	burst     int        // the configured burst

	// Only the first call of the queue waits for a token, so that a new rate takes effect
	// for all calls behind it.
	turn    chan struct{}
	waiting atomic.Int64
	tokens  *rate.Limiter

	mu          sync.Mutex
	pausedUntil time.Time
	slowedAt    time.Time // when the rate was last reduced
	changedAt   time.Time // when the rate was last reduced or raised
}

// New returns a limiter that allows perSecond requests per second and bursts of burst.
func New(perSecond float64, burst int) *Limiter {
	return &Limiter{
		perSecond: rate.Limit(perSecond), burst: burst,
		turn: make(chan struct{}, 1), tokens: rate.NewLimiter(rate.Limit(perSecond), burst),
	}
}

// Estimate returns how long a call that starts now will wait, at the present rate.
func (l *Limiter) Estimate() time.Duration {
	ahead := int(l.waiting.Load()) - len(l.turn) // the call that has its turn has taken its token
	pause := l.pause()
	missing := float64(ahead) + 1 - l.tokens.TokensAt(time.Now().Add(pause))
	return pause + time.Duration(max(missing, 0)/float64(l.tokens.Limit())*float64(time.Second))
}

// Wait waits until the limiter allows a request. If the deadline of ctx passes first, or
// would, it returns [ErrTooLate]. If ctx is canceled first, it returns the error of ctx.
func (l *Limiter) Wait(ctx context.Context) error {
	if endsWithin(ctx, l.Estimate()) {
		return ErrTooLate
	}
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ended(ctx)
	}
	if l.tokens.Wait(ctx) != nil {
		return ended(ctx)
	}
	for pause := l.pause(); pause > 0; pause = l.pause() {
		if endsWithin(ctx, pause) || sleep(ctx, pause) != nil {
			return ended(ctx)
		}
	}
	return nil
}

// ended returns the error of a call whose context ended while it waited, or would.
func ended(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return ctx.Err()
	}
	return ErrTooLate
}

// endsWithin reports whether the deadline of ctx passes within d.
func endsWithin(ctx context.Context, d time.Duration) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) <= d
}

// pause returns how long the present pause will last.
func (l *Limiter) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, time.Until(l.pausedUntil))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Observe adapts the rate to the response to a request that was sent at the given time. If
// the server is overloaded, all calls pause, and the rate is halved once for all requests
// that were sent before, at least to a tenth of the configured one. Otherwise the rate rises
// by 5 % of the configured one for each second. Observe returns the new rate if it reduced
// it, and 0 otherwise.
func (l *Limiter) Observe(sent time.Time, overloaded bool, pause time.Duration) (slowedTo float64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if until := now.Add(pause); overloaded && until.After(l.pausedUntil) {
		l.pausedUntil = until
	}
	switch {
	case !sent.After(l.slowedAt): // the request was sent before the last slowdown
	case overloaded:
		l.slowedAt, l.changedAt = now, now
		l.tokens.SetLimit(max(l.tokens.Limit()/2, l.perSecond/10))
		l.tokens.SetBurst(1)
		return float64(l.tokens.Limit())
	case l.tokens.Limit() < l.perSecond:
		l.raise(now)
	}
	return 0
}

func (l *Limiter) raise(now time.Time) {
	raise := l.perSecond / 20 * rate.Limit(now.Sub(l.changedAt).Seconds())
	l.changedAt = now
	l.tokens.SetLimit(min(l.tokens.Limit()+raise, l.perSecond))
	if l.tokens.Limit() == l.perSecond {
		l.tokens.SetBurst(l.burst)
	}
}
