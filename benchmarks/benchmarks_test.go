// Package benchmarks compares the SDK with a client written by hand on net/http and
// with resty.
package benchmarks

import (
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// target is where requests go.
type target struct {
	baseURL   string
	transport http.RoundTripper // nil: the client's own
	roots     *x509.CertPool    // nil: the system's
}

var memory = target{baseURL: "http://127.0.0.1", transport: inMemory{}}

func BenchmarkCreateInMemory(b *testing.B) {
	compare(b, memory, func(b *testing.B, c client) {
		for b.Loop() {
			_, err := c.create(b.Context())
			require.NoError(b, err)
		}
	})
}

func BenchmarkCreateOverLoopback(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(serve))
	b.Cleanup(server.Close)

	compare(b, target{baseURL: server.URL}, func(b *testing.B, c client) {
		for b.Loop() {
			_, err := c.create(b.Context())
			require.NoError(b, err)
		}
	})
}

// BenchmarkCreateBy64Goroutines creates 64 keys at the same time over one HTTP/2 connection.
func BenchmarkCreateBy64Goroutines(b *testing.B) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(serve))
	server.EnableHTTP2 = true
	server.StartTLS()
	b.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	compare(b, target{baseURL: server.URL, roots: roots}, func(b *testing.B, c client) {
		for b.Loop() {
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					_, err := c.create(b.Context())
					assert.NoError(b, err)
				})
			}
			wg.Wait()
		}
	})
}

func BenchmarkListOf10000InMemory(b *testing.B) {
	compare(b, memory, func(b *testing.B, c client) {
		for b.Loop() {
			keys, err := c.list(b.Context())
			require.NoError(b, err)
			require.Len(b, keys, listLength)
		}
	})
}

// compare runs a benchmark with each client. The names are for benchstat -col /client.
func compare(b *testing.B, on target, benchmark func(*testing.B, client)) {
	for _, c := range clients {
		b.Run("client="+c.name, func(b *testing.B) {
			b.ReportAllocs()
			cl := c.new(b, on)
			_, err := cl.create(b.Context()) // opens a connection
			require.NoError(b, err)
			benchmark(b, cl)
		})
	}
}
