package palettetest

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Server is an in-memory Palette API keys server on a loopback port. It is safe
// for concurrent use. Make one with [NewServer].
type Server struct {
	// URL is where the server is: scheme, host and port, and the prefix of
	// [WithPathPrefix] if there is one; no slash at the end.
	URL string

	// APIKey is the credential of the built-in tenant admin, for the ApiKey
	// header. It is not one of the keys served: it is in no list, counts for
	// no limit, and cannot be revoked.
	APIKey string

	cfg     config
	store   *store
	limiter *rate.Limiter
	faults  faultQueue
	log     requestLog
	pool    *x509.CertPool

	http   *http.Server
	served chan struct{} // closed when nothing is accepted any more
	done   chan struct{} // closed to end delays and endless bodies

	closing  sync.Once
	mu       sync.Mutex // guards closed, and adding a request to inFlight
	closed   bool
	inFlight sync.WaitGroup // requests and connections
}

// NewServer starts a server on a free port of 127.0.0.1. It panics when it cannot
// listen, and on users without a UID of their own. Call Close when done.
func NewServer(opts ...Option) *Server {
	cfg := newConfig(opts)
	s := &Server{
		cfg:     cfg,
		store:   newStore(cfg),
		limiter: rate.NewLimiter(cfg.rate, cfg.burst),
		served:  make(chan struct{}),
		done:    make(chan struct{}),
	}
	s.APIKey = s.store.users[AdminUID].Credential
	s.start()
	return s
}

func (s *Server) start() {
	listener := must(new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0"))
	s.http = &http.Server{
		Handler:           s,
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: time.Minute,
		ConnState:         s.trackConn,
	}
	s.URL = "http://" + listener.Addr().String() + s.cfg.prefix
	serve := s.http.Serve
	if s.cfg.tls {
		s.URL = "https://" + listener.Addr().String() + s.cfg.prefix
		s.http.TLSConfig, s.pool = selfSigned()
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	go func() {
		defer close(s.served)
		_ = serve(listener) // always an error, and after Close the expected one
	}()
}

// trackConn counts connections, so that Close can wait for their goroutines.
func (s *Server) trackConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.inFlight.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.inFlight.Done()
	}
}

// Close stops the server, cuts all connections and returns once nothing of it is
// running; requests under way, delayed ones too, end without a reply. Closing
// twice does no harm. What the server holds can still be read afterwards.
func (s *Server) Close() { s.closing.Do(s.close) }

func (s *Server) close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()

	_ = s.http.Close()
	<-s.served
	_ = s.http.Close() // a connection accepted during the first Close
	// Only now: a handler that was waiting finds its connection gone already
	// and cannot send an empty success.
	close(s.done)
	s.inFlight.Wait()
}

// enter counts a request in, unless the server is closing.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.inFlight.Add(1)
	return true
}

// CertPool returns what a client must trust to reach a server made with
// [WithTLS], and nil for others.
func (s *Server) CertPool() *x509.CertPool { return s.pool }

// selfSigned makes a certificate for loopback alone, and the pool that trusts it.
func selfSigned() (*tls.Config, *x509.CertPool) {
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "palettetest"},
		NotBefore:             time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
		DNSNames:              []string{"localhost"},
		IPAddresses:           []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der := must(x509.CreateCertificate(rand.Reader, template, template, private.Public(), private))
	leaf := must(x509.ParseCertificate(der))
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}},
	}, pool
}

// must panics where a test could not go on anyway.
func must[T any](v T, err error) T {
	if err != nil {
		panic("palettetest: " + err.Error())
	}
	return v
}
