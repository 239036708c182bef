package main

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// manyGoroutines share one client in the benchmarks that are not serial.
const manyGoroutines = 64

// operation is one of the calls that are compared.
type operation struct {
	name string
	call func(context.Context, client) error
}

var (
	opCreate = operation{"Create", func(ctx context.Context, c client) error { _, err := c.create(ctx); return err }}
	opGet    = operation{"Get", func(ctx context.Context, c client) error { _, err := c.get(ctx); return err }}
	opList   = operation{"List", func(ctx context.Context, c client) error { _, err := c.list(ctx); return err }}
)

// benchmark measures op on a client of its own. It reports the connections that
// the client dialled from its first call to its last as "dials".
func benchmark(n network, k kind, op operation, goroutines int) func(*testing.B) {
	return func(b *testing.B) {
		b.ReportAllocs()
		var dialled atomic.Int64
		rt := n.transport(&dialled)
		c, err := k.make(n.baseURL, rt)
		if err != nil {
			b.Fatal(err)
		}
		call := func() error { return op.call(context.Background(), c) }
		if err := call(); err != nil { // connects
			b.Fatal(err)
		}
		if goroutines == 1 {
			for b.Loop() {
				if err := call(); err != nil {
					b.Fatal(err)
				}
			}
		} else {
			b.ResetTimer()
			if err := repeat(goroutines, b.N, call); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
		}
		if t, ok := rt.(*http.Transport); ok {
			b.ReportMetric(float64(dialled.Load()), "dials")
			t.CloseIdleConnections()
		}
	}
}

// repeat makes n calls by that many goroutines. A goroutine stops at its first
// error; repeat returns one of them.
func repeat(goroutines, n int, call func() error) error {
	var begun atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, goroutines)
	for range goroutines {
		wg.Go(func() {
			for begun.Add(1) <= int64(n) {
				if err := call(); err != nil {
					failed <- err
					return
				}
			}
		})
	}
	wg.Wait()
	close(failed)
	return <-failed // nil if there is none
}

// variants are clients of the SDK with one option more than the first has.
var variants = []kind{
	{"none", newSDKClient, true},
	{"logger", func(baseURL string, rt http.RoundTripper) (client, error) {
		handler := slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelDebug})
		return newSDKClientWith(baseURL, rt, palette.WithAPIKey(credential), palette.WithLogger(slog.New(handler)))
	}, false},
	{"ratelimit", func(baseURL string, rt http.RoundTripper) (client, error) {
		return newSDKClientWith(baseURL, rt, palette.WithAPIKey(credential), palette.WithRateLimit(1e9, 1e9))
	}, false},
	{"keyfunc", func(baseURL string, rt http.RoundTripper) (client, error) {
		key := func(context.Context) (string, error) { return credential, nil }
		return newSDKClientWith(baseURL, rt, palette.WithAPIKeyFunc(key))
	}, false},
}

// connections returns how many connections the SDK's own transport opens for n
// creates by many goroutines, as the server counts them. Over TLS that is HTTP/2.
func connections(n int, overTLS, warm bool) (int, error) {
	server := newServer(serve, overTLS)
	defer server.Close()
	opts := []palette.Option{palette.WithAPIKey(credential), palette.WithBaseURL(server.URL)}
	if overTLS {
		opts = append(opts, palette.WithRootCAs(server.roots()))
	}
	c, err := palette.NewClient(opts...)
	if err != nil {
		return 0, err
	}
	call := func() error { _, err := c.APIKeys.Create(context.Background(), newKey); return err }
	if warm {
		if err := call(); err != nil {
			return 0, err
		}
	}
	err = repeat(manyGoroutines, n, call)
	return int(server.accepted.Load()), err
}
