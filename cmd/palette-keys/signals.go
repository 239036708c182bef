package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// interrupt is the cause of a context that a signal ended.
type interrupt struct{ signal os.Signal }

func (i interrupt) Error() string { return i.signal.String() }

// untilSignal returns a context that ends at the first signal that asks the tool to end.
// A second one ends the tool at once, unless it is SIGHUP: a terminal that closes can send
// that twice.
func untilSignal() context.Context {
	// Otherwise a write to a closed pipe would end the tool in the middle of its work.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	if !signal.Ignored(syscall.SIGHUP) { // as it is under nohup
		signal.Notify(signals, syscall.SIGHUP)
	}
	go func() {
		first := <-signals
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		cancel(interrupt{first})
	}()
	return ctx
}

// withGrace returns a context that ends five seconds after ctx, so that a signal does not
// cut off a request whose response can be there in a moment.
func withGrace(ctx context.Context) (context.Context, context.CancelFunc) {
	const grace = 5 * time.Second
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		out.note("interrupted: waiting up to " + grace.String() + " for the response")
		time.AfterFunc(grace, cancel)
	})
	return longer, func() { stop(); cancel() }
}
