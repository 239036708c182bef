package palette_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// attackServer speaks HTTP/1.1 by hand.
type attackServer struct {
	url         string
	connections atomic.Int64
	requests    attackCounter
}

// attackConn is a connection to an attackServer.
type attackConn struct {
	net.Conn

	server *attackServer
	number int // from 1
	in     *bufio.Reader
	body   string // of the last request
}

// attackRaw starts a server that serves every connection with serve and then closes it.
func attackRaw(t testing.TB, serve func(*attackConn)) *attackServer {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &attackServer{url: "http://" + listener.Addr().String() + attackPrefix}
	attackServe(t, listener, func(conn net.Conn) {
		n := server.connections.Add(1)
		serve(&attackConn{Conn: conn, server: server, number: int(n), in: bufio.NewReader(conn)})
	})
	return server
}

// attackServe serves listener until the test ends, and leaves nothing behind.
func attackServe(t testing.TB, listener net.Listener, serve func(net.Conn)) {
	t.Helper()
	var running sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	ended := false
	running.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			if ended {
				_ = conn.Close()
			}
			open[conn] = true
			mu.Unlock()
			running.Go(func() {
				_ = conn.SetDeadline(time.Now().Add(time.Minute))
				serve(conn)
				_ = conn.Close()
				mu.Lock()
				delete(open, conn)
				mu.Unlock()
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mu.Lock()
		ended = true
		for conn := range open {
			_ = conn.Close()
		}
		mu.Unlock()
		running.Wait()
	})
}

// request reads a request to its end, and reports whether there was one.
func (c *attackConn) request() bool {
	req, err := http.ReadRequest(c.in)
	if err != nil {
		return false
	}
	defer req.Body.Close()
	body := make([]byte, max(0, req.ContentLength))
	if _, err := io.ReadFull(req.Body, body); err != nil {
		return false
	}
	c.body = string(body)
	c.server.requests.add(req)
	return true
}

func (c *attackConn) send(text string) { _, _ = c.Write([]byte(text)) }

// reset ends the connection in the rude way.
func (c *attackConn) reset() {
	_ = c.Conn.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

// attackRefused is the URL of a port that nobody listens on. One that was free a moment ago may be
// another test's by now.
const attackRefused = "http://127.0.0.1:1" + attackPrefix

// attackCut is a way to break a connection off once the request has come.
var attackCuts = map[string]func(*attackConn, attackCall){
	"no reply, closed":      func(*attackConn, attackCall) {},
	"no reply, reset":       func(c *attackConn, _ attackCall) { c.reset() },
	"in the status line":    func(c *attackConn, _ attackCall) { c.send("HTTP/1.1 20") },
	"in the headers":        func(c *attackConn, call attackCall) { c.send(attackHead(call, "Content-Ty")) },
	"in the headers, reset": func(c *attackConn, call attackCall) { c.send(attackHead(call, "Content-Ty")); c.reset() },
}

// attackBodyCuts are the same for replies that have a body.
var attackBodyCuts = map[string]func(*attackConn, attackCall){
	"before the body": func(c *attackConn, call attackCall) {
		c.send(attackHead(call, "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"))
	},
	"in the body": func(c *attackConn, call attackCall) {
		c.send(attackHead(call, "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"+call.reply))
	},
	"in the body, reset": func(c *attackConn, call attackCall) {
		c.send(attackHead(call, "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"+call.reply))
		c.reset()
	},
	"between chunks": func(c *attackConn, call attackCall) {
		c.send(attackHead(call, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"+fmt.Sprintf("%x\r\n%s\r\n", len(call.reply), call.reply)))
	},
	"in a chunk": func(c *attackConn, call attackCall) {
		c.send(attackHead(call, "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n"+call.reply))
	},
	"in gzip": func(c *attackConn, call attackCall) {
		var packed bytes.Buffer
		w := gzip.NewWriter(&packed)
		_, _ = w.Write([]byte(call.reply))
		_ = w.Close()
		c.send(attackHead(call, "Content-Type: application/json\r\nContent-Encoding: gzip\r\n\r\n"+packed.String()[:packed.Len()-9]))
	},
}

func attackHead(call attackCall, rest string) string {
	return fmt.Sprintf("HTTP/1.1 %d X\r\n%s", call.want, rest)
}

// attackWhole is the reply of a success.
func attackWhole(call attackCall) string {
	if call.reply == "" {
		return attackHead(call, "\r\n")
	}
	return attackHead(call, fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(call.reply), call.reply))
}

func attackCutsOf(call attackCall) map[string]func(*attackConn, attackCall) {
	cuts := maps.Clone(attackCuts)
	if call.reply != "" {
		maps.Copy(cuts, attackBodyCuts)
	}
	return cuts
}

// A reply that is cut is asked for again, except by a Create, which leaves open what became of
// it. Cut for good, it is an error after all attempts.
func TestCutReply(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		for name, cut := range attackCutsOf(call) {
			for _, mended := range []bool{false, true} {
				server := attackRaw(t, func(c *attackConn) {
					if !c.request() {
						return
					}
					if mended && c.number > 1 {
						c.send(attackWhole(call))
						return
					}
					cut(c, call)
				})
				where := fmt.Sprintf("%s, cut %s, mended %v", call.name, name, mended)
				client := attackSetup{url: server.url, retry: attackTwice}.client(t)
				nothing, err := call.do(t.Context(), client.APIKeys)
				requests := 3
				switch {
				case call.creates():
					requests = 1
					require.ErrorIs(t, err, palette.ErrOutcomeUnknown, where)
					require.ErrorContains(t, err, "look for its name before creating again", where)
					require.True(t, nothing, where)
				case mended:
					requests = 2
					require.NoError(t, err, where)
				default:
					require.Error(t, err, where)
					require.NotErrorIs(t, err, palette.ErrOutcomeUnknown, where)
					require.Contains(t, err.Error(), "(3 attempts)", where)
					require.True(t, nothing, where)
				}
				_, inBody := attackBodyCuts[name]
				require.Equal(t, inBody && err != nil, errors.Is(err, palette.ErrUnexpectedResponse), where)
				require.Equal(t, requests, server.requests.count(), "requests of %s", where)
				attackNotQuoted(t, err, attackMadeKey, attackKey)
			}
		}
	}
}

// attackNotQuoted is a quick attackNoLeak, without the walk.
func attackNotQuoted(t testing.TB, err error, secrets ...string) {
	t.Helper()
	for _, e := range attackChain(err) {
		for _, secret := range secrets {
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", e, e, e), secret)
		}
	}
}

// A connection that served a request and is closed when the next one comes: net/http itself
// repeats what only reads, the table says the rest.
func TestReusedConnectionThatCloses(t *testing.T) {
	t.Parallel()
	warm := attackCalls()[4]
	for _, call := range attackCalls() {
		for _, reset := range []bool{false, true} {
			var struck atomic.Int64
			server := attackRaw(t, func(c *attackConn) {
				for c.request() {
					if c.number > 1 { // the connection after the one that closed
						c.send(attackWhole(call))
						return
					}
					if c.server.requests.count() == 1 {
						c.send(attackWhole(warm))
						continue
					}
					struck.Add(1)
					if reset {
						c.reset()
					}
					return
				}
			})
			where := fmt.Sprintf("%s, reset %v", call.name, reset)
			client := attackSetup{url: server.url, retry: attackTwice}.client(t)
			_, err := warm.do(t.Context(), client.APIKeys)
			require.NoError(t, err, where)
			_, err = call.do(t.Context(), client.APIKeys)
			require.EqualValues(t, 1, struck.Load(), "the connection was not used again, the test proves nothing: %s", where)
			if call.creates() {
				require.ErrorIs(t, err, palette.ErrOutcomeUnknown, where)
				require.Equal(t, 2, server.requests.count(), "a second Create was sent")
				continue
			}
			require.NoError(t, err, where)
			require.Equal(t, 3, server.requests.count(), where)
		}
	}
}

// The server closes an idle connection just when a Create comes. Whether the client notices in
// time or not: never two keys, and never one that nobody was told of.
func TestCreateOnAConnectionThatCloses(t *testing.T) {
	t.Parallel()
	create, warm := attackCalls()[0], attackCalls()[4]
	for range 20 {
		made := atomic.Int64{}
		server := attackRaw(t, func(c *attackConn) {
			if !c.request() {
				return
			}
			if c.body == "" {
				c.send(attackWhole(warm))
				return // closes
			}
			made.Add(1)
			c.send(attackWhole(create))
		})
		client := attackSetup{url: server.url, retry: attackTwice}.client(t)
		_, err := warm.do(t.Context(), client.APIKeys)
		require.NoError(t, err)
		_, err = create.do(t.Context(), client.APIKeys)
		if err == nil {
			require.EqualValues(t, 1, made.Load())
			continue
		}
		require.ErrorIs(t, err, palette.ErrOutcomeUnknown)
		require.LessOrEqual(t, made.Load(), int64(1))
	}
}

// attackDialled counts the connections that a transport makes.
func attackDialled(dialled *atomic.Int64, dial func(context.Context, string, string) (net.Conn, error)) http.RoundTripper {
	return &http.Transport{DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
		dialled.Add(1)
		return dial(ctx, network, addr)
	}}
}

// Where nothing was sent, everything may be sent again, a Create as well, and what became of
// it is known.
func TestNothingSentIsSentAgain(t *testing.T) {
	t.Parallel()
	hangsUp := attackRaw(t, func(*attackConn) {})
	plain := attackRaw(t, func(c *attackConn) { _ = c.request(); c.send("HTTP/1.1 400 Bad Request\r\n\r\n") })
	secured := func(s *attackServer) string { return strings.Replace(s.url, "http:", "https:", 1) }
	for name, failing := range map[string]struct {
		url  string
		dial func(context.Context, string, string) (net.Conn, error)
	}{
		"refused": {attackRefused, new(net.Dialer).DialContext},
		"no such host": {"https://palette.test", func(context.Context, string, string) (net.Conn, error) {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "palette.test", IsNotFound: true}}
		}},
		"own dialler":                {"https://palette.test", func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route today") }},
		"hangs up in the handshake":  {secured(hangsUp), new(net.Dialer).DialContext},
		"plain server where TLS was": {secured(plain), new(net.Dialer).DialContext},
	} {
		for _, call := range attackCalls() {
			var dialled atomic.Int64
			client := attackSetup{url: failing.url, retry: attackTwice, rt: attackDialled(&dialled, failing.dial)}.client(t)
			_, err := call.do(t.Context(), client.APIKeys)
			require.Error(t, err, name)
			attackIs(t, err)
			require.EqualValues(t, 3, dialled.Load(), "%s, %s: %v", call.name, name, err)
			require.Contains(t, err.Error(), "(3 attempts)", name)
			attackNotQuoted(t, err, attackKey)
		}
	}
	require.Zero(t, plain.requests.count(), "a request was sent in the clear to an https address")
}

// A server that comes up while a Create waits gets it once.
func TestCreateReachesAServerThatComesUp(t *testing.T) {
	t.Parallel()
	create := attackCalls()[0]
	server := attackRaw(t, func(c *attackConn) {
		if c.request() {
			c.send(attackWhole(create))
		}
	})
	var dialled atomic.Int64
	client := attackSetup{url: server.url, retry: attackTwice, rt: attackDialled(&dialled, func(ctx context.Context, network, addr string) (net.Conn, error) {
		if dialled.Load() < 3 {
			return nil, attackDialError
		}
		return new(net.Dialer).DialContext(ctx, network, addr)
	})}.client(t)
	nothing, err := create.do(t.Context(), client.APIKeys)
	require.NoError(t, err)
	assert.False(t, nothing)
	assert.Equal(t, 1, server.requests.count())
}

// A server that is not who it should be gets no second chance, and no request.
func TestCertificateThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	cert, pool := attackCertificate()
	for name, base := range map[string]func(port string) (string, palette.Option){
		"unknown authority": func(port string) (string, palette.Option) { return "https://127.0.0.1:" + port, nil },
		"another name": func(port string) (string, palette.Option) {
			return "https://localhost:" + port, palette.WithRootCAs(pool)
		},
	} {
		for _, call := range attackCalls() {
			listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
			require.NoError(t, err)
			var connections, got atomic.Int64
			attackServe(t, listener, func(conn net.Conn) {
				connections.Add(1)
				n, _ := conn.Read(make([]byte, 1))
				got.Add(int64(n))
			})
			_, port, err := net.SplitHostPort(listener.Addr().String())
			require.NoError(t, err)
			url, trust := base(port)
			client := attackSetup{url: url, retry: attackTwice, more: []palette.Option{trust}}.client(t)
			_, err = call.do(t.Context(), client.APIKeys)
			var untrusted *tls.CertificateVerificationError
			require.ErrorAs(t, err, &untrusted, name)
			attackIs(t, err)
			require.EqualValues(t, 1, connections.Load(), "%s, %s", call.name, name)
			require.Zero(t, got.Load(), "%s, %s: a request was sent", call.name, name)
		}
	}
}

// attackCertificate is a certificate for 127.0.0.1, and what trusts it.
var attackCertificate = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	pool := x509.NewCertPool()
	pool.AddCert(server.Certificate())
	return server.TLS.Certificates[0], pool
})

// The frames of HTTP/2 that the tests need (RFC 9113), written by hand.
const (
	h2Data, h2Headers, h2Reset, h2Settings, h2Ping, h2GoAway = 0x0, 0x1, 0x3, 0x4, 0x6, 0x7

	h2EndStream, h2Ack, h2EndHeaders = 0x1, 0x1, 0x4

	h2NoError, h2ProtocolError, h2InternalError, h2RefusedStream, h2Cancel, h2EnhanceYourCalm = 0x0, 0x1, 0x2, 0x7, 0x8, 0xb

	h2Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
)

// attackH2 is a server of HTTP/2 that answers every request as act says.
type attackH2 struct {
	url     string
	pool    *x509.CertPool
	streams atomic.Int64
}

// attackH2Conn is a connection to an attackH2, and the stream of the last request.
type attackH2Conn struct {
	net.Conn

	stream uint32
}

func (c *attackH2Conn) frame(kind, flags byte, stream uint32, payload ...byte) {
	head := []byte{byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind, flags, 0, 0, 0, 0}
	binary.BigEndian.PutUint32(head[5:], stream)
	_, _ = c.Write(append(head, payload...))
}

func (c *attackH2Conn) resetStream(code uint32) {
	c.frame(h2Reset, 0, c.stream, binary.BigEndian.AppendUint32(nil, code)...)
}

// goAway says that streams after last were not looked at.
func (c *attackH2Conn) goAway(last, code uint32, debug string) {
	payload := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(nil, last), code)
	c.frame(h2GoAway, 0, 0, append(payload, debug...)...)
}

// headers sends the status of call's success, and that JSON follows.
func (c *attackH2Conn) headers(call attackCall, flags byte) {
	block := []byte{0x08, 0x03} // literal, the name is :status of the static table
	block = fmt.Appendf(block, "%d", call.want)
	block = append(block, 0x0f, 0x10, 0x10) // literal, the name is content-type
	block = append(block, "application/json"...)
	c.frame(h2Headers, h2EndHeaders|flags, c.stream, block...)
}

func (c *attackH2Conn) succeed(call attackCall) {
	if call.reply == "" {
		c.headers(call, h2EndStream)
		return
	}
	c.headers(call, 0)
	c.frame(h2Data, h2EndStream, c.stream, []byte(call.reply)...)
}

// attackHTTP2 starts a server that calls act for every request, with its number from 1, until act reports
// that the connection is to be closed.
func attackHTTP2(t testing.TB, act func(c *attackH2Conn, n int) (hangUp bool)) *attackH2 {
	t.Helper()
	cert, pool := attackCertificate()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, NextProtos: []string{"h2"}})
	require.NoError(t, err)
	server := &attackH2{url: "https://" + listener.Addr().String() + attackPrefix, pool: pool}
	attackServe(t, listener, func(raw net.Conn) {
		c := &attackH2Conn{Conn: raw}
		if _, err := io.ReadFull(raw, make([]byte, len(h2Preface))); err != nil {
			return
		}
		c.frame(h2Settings, 0, 0)
		for head := make([]byte, 9); ; {
			if _, err := io.ReadFull(raw, head); err != nil {
				return
			}
			payload := make([]byte, int(head[0])<<16|int(head[1])<<8|int(head[2]))
			if _, err := io.ReadFull(raw, payload); err != nil {
				return
			}
			kind, flags := head[3], head[4]
			switch {
			case kind == h2Settings && flags&h2Ack == 0:
				c.frame(h2Settings, h2Ack, 0)
			case kind == h2Ping && flags&h2Ack == 0:
				c.frame(h2Ping, h2Ack, 0, payload...)
			}
			if kind == h2Headers {
				c.stream = binary.BigEndian.Uint32(head[5:])
			}
			if (kind == h2Headers || kind == h2Data) && flags&h2EndStream != 0 {
				if act(c, int(server.streams.Add(1))) {
					return
				}
			}
		}
	})
	return server
}

// The ways to break off over HTTP/2, and whether net/http may repeat by itself what has no
// body: the server says that it did nothing.
func TestCutReplyOverHTTP2(t *testing.T) {
	t.Parallel()
	for name, cut := range map[string]func(*attackH2Conn, attackCall) (hangUp bool){
		"REFUSED_STREAM":   func(c *attackH2Conn, _ attackCall) bool { c.resetStream(h2RefusedStream); return false },
		"PROTOCOL_ERROR":   func(c *attackH2Conn, _ attackCall) bool { c.resetStream(h2ProtocolError); return false },
		"INTERNAL_ERROR":   func(c *attackH2Conn, _ attackCall) bool { c.resetStream(h2InternalError); return false },
		"CANCEL":           func(c *attackH2Conn, _ attackCall) bool { c.resetStream(h2Cancel); return false },
		"GOAWAY, not seen": func(c *attackH2Conn, _ attackCall) bool { c.goAway(0, h2NoError, ""); return true },
		"GOAWAY, perhaps":  func(c *attackH2Conn, _ attackCall) bool { c.goAway(c.stream, h2NoError, ""); return true },
		"GOAWAY with reason": func(c *attackH2Conn, _ attackCall) bool {
			c.goAway(c.stream, h2EnhanceYourCalm, "who is "+attackKey)
			return true
		},
		"GOAWAY, protocol": func(c *attackH2Conn, _ attackCall) bool { c.goAway(c.stream, h2ProtocolError, attackKey); return true },
		"closed":           func(*attackH2Conn, attackCall) bool { return true },
		"no frame": func(c *attackH2Conn, _ attackCall) bool {
			_, _ = c.Write([]byte("HTTP/1.1 400 Bad\r\n\r\n"))
			return true
		},
		"after the headers": func(c *attackH2Conn, call attackCall) bool {
			if call.reply == "" { // its reply would be whole
				c.resetStream(h2InternalError)
				return false
			}
			c.headers(call, 0)
			c.resetStream(h2InternalError)
			return false
		},
		"in the body": func(c *attackH2Conn, call attackCall) bool {
			if call.reply == "" {
				return true
			}
			c.headers(call, 0)
			c.frame(h2Data, 0, c.stream, []byte(call.reply)...)
			return true
		},
	} {
		for _, call := range attackCalls() {
			server := attackHTTP2(t, func(c *attackH2Conn, n int) bool {
				if n == 1 {
					return cut(c, call)
				}
				c.succeed(call)
				return false
			})
			where := call.name + ", " + name
			client := attackSetup{url: server.url, retry: attackTwice, more: []palette.Option{palette.WithRootCAs(server.pool)}}.client(t)
			nothing, err := call.do(t.Context(), client.APIKeys)
			if call.creates() {
				require.ErrorIs(t, err, palette.ErrOutcomeUnknown, where)
				require.True(t, nothing, where)
				require.EqualValues(t, 1, server.streams.Load(), "a second Create was sent: %s", name)
				attackNotQuoted(t, err, attackKey, attackMadeKey)
				continue
			}
			require.NoError(t, err, where)
			require.EqualValues(t, 2, server.streams.Load(), "requests of %s", where)
		}
	}
}

// What HTTP/2 carries as the reason of an end is the server's text: it may hold the key.
func TestHTTP2ReasonDoesNotShowTheKey(t *testing.T) {
	t.Parallel()
	for _, key := range attackKeys {
		server := attackHTTP2(t, func(c *attackH2Conn, _ int) bool {
			c.goAway(c.stream, h2EnhanceYourCalm, "who is "+key+"?")
			return true
		})
		client := attackSetup{url: server.url, key: key, more: []palette.Option{palette.WithRootCAs(server.pool)}}.client(t)
		_, err := client.APIKeys.Get(t.Context(), attackUID)
		require.Error(t, err)
		attackNoLeak(t, err, key)
		assert.NotContains(t, attackDecoded(err.Error()), attackDecoded(key))
	}
}
