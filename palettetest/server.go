package palettetest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"
)

// Server is an in-memory server for the API keys of Palette. Use [Start] or
// [NewServer] to create it. It is safe for concurrent use.
type Server struct {
	// URL is the base URL: scheme, host and port, followed by the prefix of
	// [WithPathPrefix], without a trailing slash.
	URL string

	// APIKey is the credential of the built-in administrator, for the ApiKey header.
	// It belongs to none of the stored keys: it is not listed, does not count towards
	// the key limit, and cannot be revoked.
	APIKey string

	cfg     config
	users   map[string]User // by uid; not modified after newServer
	limiter *rate.Limiter
	certPEM []byte

	http   *http.Server
	cancel context.CancelFunc // ends the contexts of requests
	served chan struct{}      // closed when the server accepts no more connections

	running sync.RWMutex // held for reading by every request
	closed  bool         // guarded by running

	mu       sync.Mutex           // guards the fields below
	keys     []*storedKey         // in the order of creation
	deleted  []*storedKey         // that still work: see WithDeletedKeysAccepted
	visible  []*storedKey         // copies of those that the list shows
	changes  []change             // that the list does not show yet
	serial   int                  // of the newest key
	tokens   map[string]time.Time // the tokens of AuthToken and when they expire
	faults   []*Fault             // Times and Skip hold what remains of them
	requests []Request
	recorded int // the sum of the sizes of the bodies of requests

	t testing.TB // nil unless Start started the server
}

// Start starts a server and closes it when the test ends. If the server cannot start,
// the test fails.
func Start(t testing.TB, opts ...Option) *Server {
	t.Helper()
	s, err := newServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.t = t
	t.Cleanup(s.Close)
	return s
}

// NewServer starts a server. Call Close when done. In tests, use [Start] instead.
//
// NewServer panics with an error if the server cannot listen or an option is invalid.
func NewServer(opts ...Option) *Server {
	s, err := newServer(opts)
	if err != nil {
		panic(err)
	}
	return s
}

func newServer(opts []Option) (*Server, error) {
	cfg := newConfig(opts)
	if err := cfg.check(); err != nil {
		return nil, fmt.Errorf("palettetest: %w", err)
	}
	listener, err := listen(cfg.addr, len(cfg.hosts) > 0)
	if err != nil {
		return nil, fmt.Errorf("palettetest: WithAddr: %w", err)
	}
	s := &Server{
		cfg:     cfg,
		users:   map[string]User{},
		limiter: rate.NewLimiter(cfg.rate, cfg.burst),
		served:  make(chan struct{}),
		tokens:  map[string]time.Time{},
	}
	for _, u := range cfg.users {
		u.Credential = cmp.Or(u.Credential, newKeyValue())
		s.users[u.UID] = u
	}
	s.APIKey = s.Credential(AdminUID)
	s.serve(listener)
	return s, nil
}

// listen listens on an address, which must be a loopback address unless public is set.
func listen(addr string, public bool) (*net.TCPListener, error) {
	tcpAddr, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return nil, err
	}
	if !public && !tcpAddr.IP.IsLoopback() {
		return nil, fmt.Errorf("%q is not a loopback address, which needs WithTLS and a host", addr)
	}
	return net.ListenTCP("tcp", tcpAddr)
}

func (s *Server) serve(listener *net.TCPListener) {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	s.http = &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ErrorLog:          log.New(io.Discard, "", 0),
		ReadHeaderTimeout: time.Minute,
	}
	addr := listener.Addr().(*net.TCPAddr)
	scheme, host, serve := "http", addr.IP.String(), s.http.Serve
	if s.cfg.tls {
		scheme = "https"
		host = append(slices.Clone(s.cfg.hosts), host)[0]
		s.http.TLSConfig, s.certPEM = selfSigned(append(s.cfg.hosts, "localhost", addr.IP.String()))
		serve = func(l net.Listener) error { return s.http.ServeTLS(l, "", "") }
	}
	s.URL = scheme + "://" + net.JoinHostPort(host, strconv.Itoa(addr.Port)) + s.cfg.prefix
	go func() {
		defer close(s.served)
		_ = serve(listener) // returns http.ErrServerClosed after Close
	}()
}

// Close stops the server and closes all connections. Requests in progress end without
// a response; Close waits until the server no longer works on them. Keys and Requests
// can be called afterwards. Closing a server twice has no effect.
func (s *Server) Close() {
	s.cancel()
	_ = s.http.Close()
	<-s.served
	_ = s.http.Close() // for a connection that was accepted during the first Close

	s.running.Lock() // waits for the requests in progress
	defer s.running.Unlock()
	s.closed = true
}

// How many requests are kept, and the maximum sum of the sizes of their bodies.
const (
	maxRequests = 10_000
	maxRecorded = 16 << 20
)

// Request is a request that the server received.
type Request struct {
	Method string
	Path   string // as it was sent: escaped, with the path prefix
	Query  url.Values
	Header http.Header // without credentials and cookies
	Body   []byte      // at most 1 MiB
}

// Requests returns copies of the requests that the server received, in the order of
// their arrival, including those that failed. The server keeps the newest: at most 10,000
// requests, and at most 16 MiB of bodies.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests := make([]Request, 0, len(s.requests))
	for _, r := range s.requests {
		r.Query = url.Values(http.Header(r.Query).Clone())
		r.Header = r.Header.Clone()
		r.Body = bytes.Clone(r.Body)
		requests = append(requests, r)
	}
	return requests
}

func (s *Server) record(r *http.Request, body []byte) {
	header := r.Header.Clone()
	maps.DeleteFunc(header, func(name string, _ []string) bool { return isCredential(name) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorded += len(body)
	for len(s.requests) == maxRequests || s.recorded > maxRecorded {
		s.recorded -= len(s.requests[0].Body)
		s.requests[0] = Request{} // the array behind the slice still holds it
		s.requests = s.requests[1:]
	}
	s.requests = append(s.requests, Request{
		Method: r.Method,
		Path:   r.URL.EscapedPath(),
		Query:  r.URL.Query(),
		Header: header,
		Body:   body,
	})
}

// isCredential ignores case, because the header of a request that did not come from a
// network can have any.
func isCredential(name string) bool {
	return slices.ContainsFunc([]string{"ApiKey", "Authorization", "Cookie", "Proxy-Authorization"},
		func(credential string) bool { return strings.EqualFold(name, credential) })
}

// CertPEM returns the server's certificate in PEM form, which clients must trust. It
// returns nil for a server without [WithTLS].
func (s *Server) CertPEM() []byte { return bytes.Clone(s.certPEM) }

// CertPool returns a pool that holds the server's certificate, or nil for a server
// without [WithTLS].
func (s *Server) CertPool() *x509.CertPool {
	if s.certPEM == nil {
		return nil
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.certPEM)
	return pool
}

// selfSigned returns a configuration with a new certificate for hosts, and the
// certificate in PEM form.
func selfSigned(hosts []string) (*tls.Config, []byte) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader) // cannot fail
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "palettetest"},
		NotBefore:             time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2099, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, _ := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key) // cannot fail
	cfg := &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}},
	}
	return cfg, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
