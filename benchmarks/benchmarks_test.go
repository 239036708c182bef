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

func BenchmarkCreateBy64GoroutinesOverHTTP(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(serve))
	b.Cleanup(server.Close)

	createBy64Goroutines(b, target{baseURL: server.URL})
}

// BenchmarkCreateBy64GoroutinesOverHTTPS uses one HTTP/2 connection.
func BenchmarkCreateBy64GoroutinesOverHTTPS(b *testing.B) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(serve))
	server.EnableHTTP2 = true
	server.StartTLS()
	b.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())

	createBy64Goroutines(b, target{baseURL: server.URL, roots: roots})
}

// createBy64Goroutines creates 64 keys at the same time.
func createBy64Goroutines(b *testing.B, on target) {
	compare(b, on, func(b *testing.B, c client) {
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

func BenchmarkListOf10000InMemory(b *testing.B) { listInMemory(b, memory) }

// BenchmarkListOf10000OfUnknownLength lists keys in a response without a Content-Length.
func BenchmarkListOf10000OfUnknownLength(b *testing.B) {
	listInMemory(b, target{baseURL: memory.baseURL, transport: inMemory{unknownLength: true}})
}

func listInMemory(b *testing.B, on target) {
	compare(b, on, func(b *testing.B, c client) {
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
