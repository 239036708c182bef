package palette

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// The default rate limit is 90 % of the documented one. At 100 %, differences between the
// clocks of the client and the server would cost a 429 now and then.
const (
	defaultRate  = 9
	defaultBurst = 45
)

// longWait is the duration from which a wait for the rate limiter is logged.
const longWait = time.Second

// rateLimiter limits the requests of a client and of the clients derived from it. When the
// server reports an overload, it pauses all of them, halves the rate, and allows no bursts.
// Successes raise the rate again.
type rateLimiter struct {
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

func newRateLimiter(perSecond float64, burst int) *rateLimiter {
	return &rateLimiter{
		perSecond: rate.Limit(perSecond), burst: burst,
		turn: make(chan struct{}, 1), tokens: rate.NewLimiter(rate.Limit(perSecond), burst),
	}
}

// waitRateLimit waits until the rate limiter allows one request. If ctx ends first, or
// would, it returns an error.
func (c *Client) waitRateLimit(ctx context.Context, op operation) error {
	if err := contextError(ctx); err != nil || c.limiter == nil {
		return err
	}
	estimate := c.limiter.estimate()
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < estimate {
		return errTooLate
	}
	if estimate >= longWait {
		c.logger.LogAttrs(ctx, slog.LevelInfo, "palette: waiting for the rate limiter",
			slog.String("op", op.name), slog.Duration("wait", estimate))
	}
	err := c.limiter.wait(ctx)
	if ctxErr := contextError(ctx); ctxErr != nil {
		return fmt.Errorf("waiting for the rate limiter: %w", ctxErr)
	}
	return err
}

// errTooLate reports that a call would have to wait longer than its context lasts.
var errTooLate error = &callError{
	"the context would end before the rate limiter allows the request",
	[]error{ErrRateLimited, context.DeadlineExceeded},
}

// estimate returns how long a call that starts now will wait, at the present rate.
func (l *rateLimiter) estimate() time.Duration {
	ahead := int(l.waiting.Load()) - len(l.turn) // the call that has its turn has taken its token
	pause := l.pause()
	missing := float64(ahead) + 1 - l.tokens.TokensAt(time.Now().Add(pause))
	return pause + time.Duration(max(missing, 0)/float64(l.tokens.Limit())*float64(time.Second))
}

// wait waits for its turn, for a token and for the end of a pause.
func (l *rateLimiter) wait(ctx context.Context) error {
	l.waiting.Add(1)
	defer l.waiting.Add(-1)
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.tokens.Wait(ctx) != nil {
		return errTooLate
	}
	for pause := l.pause(); pause > 0; pause = l.pause() {
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
	return nil
}

// pause returns how long the present pause will last.
func (l *rateLimiter) pause() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, time.Until(l.pausedUntil))
}

// observe adapts the rate to the outcome of a request that was sent at the given time.
func (l *rateLimiter) observe(o outcome, sent time.Time, maxPause time.Duration) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if until := now.Add(min(o.retryAfter, maxPause)); o.overloaded && until.After(l.pausedUntil) {
		l.pausedUntil = until
	}
	switch {
	case !sent.After(l.slowedAt): // says nothing about the present rate
	case o.overloaded: // halve the rate
		l.slowedAt, l.changedAt = now, now
		l.tokens.SetLimit(max(l.tokens.Limit()/2, l.perSecond/10))
		l.tokens.SetBurst(1)
	case o.err == nil && l.tokens.Limit() < l.perSecond: // raise it by 5 % per second
		raise := l.perSecond / 20 * rate.Limit(now.Sub(l.changedAt).Seconds())
		l.changedAt = now
		l.tokens.SetLimit(min(l.tokens.Limit()+raise, l.perSecond))
		if l.tokens.Limit() == l.perSecond {
			l.tokens.SetBurst(l.burst)
		}
	}
}
