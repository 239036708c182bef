package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync/atomic"
)

const (
	apiKeysPath = "/v1/apiKeys"
	keyUID      = "66e844c44bab2337f20c0000"
	keyPath     = apiKeysPath + "/" + keyUID
	listLength  = 10_000
)

// What the server replies, as text: it does not depend on the structs of the SDK.
var (
	keyReply  = []byte(keyText(0) + "\n")
	listReply = listText(listLength, "")
)

// keyText is the i-th key as the server sends it.
func keyText(i int) string {
	return fmt.Sprintf(`{"metadata":{"annotations":{"description":"nightly builds %[1]d","ownerUid":"5f3a1c2e9d8b7a6c5e4f%04[1]x",`+
		`"permissions":"apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update","scope":"tenant",`+
		`"scopeVisibility":"20","tenantUid":"5e0d1c2b3a4f5e6d7c8b9a0f"},"creationTimestamp":"2024-09-16T14:46:28.677Z",`+
		`"deletionTimestamp":"0001-01-01T00:00:00.000Z","lastModifiedTimestamp":"2024-09-16T14:46:29.079Z",`+
		`"name":"key-%[1]d","uid":"66e844c44bab2337f20c%04[1]x"},"spec":{"expiry":"2030-01-02T03:04:05.678Z",`+
		`"user":{"firstName":"Ada","lastName":"Byron","uid":"5f3a1c2e9d8b7a6c5e4f%04[1]x"}},"status":{"isActive":true}}`, i)
}

// listText is a list of n keys; token, if there is one, continues it.
func listText(n int, token string) []byte {
	var b bytes.Buffer
	b.WriteString(`{"items":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(keyText(i))
	}
	b.WriteByte(']')
	if token != "" {
		fmt.Fprintf(&b, `,"listmeta":{"continue":%q}`, token)
	}
	b.WriteString("}\n")
	return b.Bytes()
}

// created counts the keys that were made.
var created atomic.Int64

// createdReply is a new key with a value that no other has, as Palette's are.
func createdReply() []byte {
	reply := make([]byte, 0, 128)
	reply = append(reply, `{"apiKey":"ZGVtb25zdHJhdGlvbiBvZiBhIGtleQ`...)
	reply = strconv.AppendInt(reply, 1e12+created.Add(1), 10)
	return append(reply, `","uid":"`+keyUID+`"}`+"\n"...)
}

// answer is what the server says to a request.
func answer(req *http.Request) (status int, body []byte) {
	switch {
	case req.Header.Get("Apikey") != credential:
		return http.StatusUnauthorized, []byte("{}\n")
	case req.Method == http.MethodPost && req.URL.Path == apiKeysPath:
		return http.StatusCreated, createdReply()
	case req.Method == http.MethodGet && req.URL.Path == apiKeysPath:
		return http.StatusOK, listReply
	case req.Method == http.MethodGet && req.URL.Path == keyPath:
		return http.StatusOK, keyReply
	}
	return http.StatusNotFound, []byte("{}\n")
}

func serve(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	status, body := answer(req)
	w.Header().Set("Content-Type", contentJSON)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// A network is what lies between a client and the server.
type network struct {
	baseURL string
	// transport returns a new transport, so that no client finds the connections
	// of another. It adds the connections it dials to dialled.
	transport func(dialled *atomic.Int64) http.RoundTripper
	close     func()
}

// The names of the networks.
const (
	memory   = "memory"
	loopback = "loopback"
	https    = "https"
)

var networks = []struct {
	name  string
	start func() network
}{{memory, inMemory}, {loopback, overHTTP}, {https, overHTTPS}}

// inMemory has no network at all: what is left is the client's own cost.
func inMemory() network {
	return network{
		baseURL:   "http://127.0.0.1",
		transport: func(*atomic.Int64) http.RoundTripper { return roundTripper(answer) },
		close:     func() {},
	}
}

// overHTTP is HTTP/1.1 over loopback.
func overHTTP() network {
	server := newServer(serve, false)
	return network{server.URL, tunedFor(server), server.Close}
}

// overHTTPS is HTTP/2 over TLS over loopback.
func overHTTPS() network {
	server := newServer(serve, true)
	return network{server.URL, tunedFor(server), server.Close}
}

// roundTripper is a server in memory. It does what the contract of
// http.RoundTripper asks for: the body is read and closed, the response is new.
type roundTripper func(*http.Request) (status int, body []byte)

func (answer roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		_, _ = io.Copy(io.Discard, req.Body)
		_ = req.Body.Close()
	}
	status, body := answer(req)
	return &http.Response{
		Status: http.StatusText(status), StatusCode: status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        http.Header{"Content-Type": {contentJSON}},
		ContentLength: int64(len(body)),
		Body:          io.NopCloser(bytes.NewReader(body)),
		Request:       req,
	}, nil
}

// newServer starts a server on loopback: HTTP/2 over TLS, or plain HTTP/1.1.
func newServer(handler http.HandlerFunc, overTLS bool) *countingServer {
	s := &countingServer{Server: httptest.NewUnstartedServer(handler)}
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			s.accepted.Add(1)
		}
	}
	if overTLS {
		s.EnableHTTP2 = true
		s.StartTLS()
	} else {
		s.Start()
	}
	return s
}

// countingServer counts the connections it was asked for.
type countingServer struct {
	*httptest.Server
	accepted atomic.Int64
}

// roots holds what a client of the server must trust.
func (s *countingServer) roots() *x509.CertPool {
	pool := x509.NewCertPool()
	if cert := s.Certificate(); cert != nil {
		pool.AddCert(cert)
	}
	return pool
}

// tunedFor returns the settings that all clients share: those of
// http.DefaultTransport, with as many idle connections as goroutines.
func tunedFor(server *countingServer) func(*atomic.Int64) http.RoundTripper {
	return func(dialled *atomic.Int64) http.RoundTripper {
		t := http.DefaultTransport.(*http.Transport).Clone()
		dial := t.DialContext
		t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
			dialled.Add(1)
			return dial(ctx, network, addr)
		}
		t.MaxIdleConnsPerHost = manyGoroutines
		if strings.HasPrefix(server.URL, "https:") {
			t.TLSClientConfig = &tls.Config{RootCAs: server.roots()}
		}
		return t
	}
}
