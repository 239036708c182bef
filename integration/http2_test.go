package integration

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// frameConn is the server's side of an HTTP/2 connection, in frames, so that a test can do
// what no net/http server does.
type frameConn struct {
	framer   *http2.Framer
	conn     net.Conn
	requests int        // on this connection
	last     uint32     // after a GOAWAY: the last stream that the server processes
	mu       sync.Mutex // guards the framer's Write methods
	open     int        // streams without a response
}

// created responds to a create.
func (c *frameConn) created(stream uint32) {
	var header bytes.Buffer
	enc := hpack.NewEncoder(&header)
	_ = enc.WriteField(hpack.HeaderField{Name: ":status", Value: "201"})
	_ = enc.WriteField(hpack.HeaderField{Name: "content-type", Value: "application/json"})
	_ = c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: header.Bytes(), EndHeaders: true})
	_ = c.framer.WriteData(stream, true, []byte(`{"apiKey":"value","uid":"u"}`))
}

func (c *frameConn) locked(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

// newFrameServer starts an HTTPS server that calls handle for each complete request.
func newFrameServer(t *testing.T, maxStreams uint32, handle func(c *frameConn, stream uint32)) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	server.EnableHTTP2 = true
	server.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) { serveFrames(conn, maxStreams, handle) },
	}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func serveFrames(conn *tls.Conn, maxStreams uint32, handle func(*frameConn, uint32)) {
	defer conn.Close()
	if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	c := &frameConn{framer: http2.NewFramer(conn, conn), conn: conn}
	if c.framer.WriteSettings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: maxStreams}) != nil {
		return
	}
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return
		}
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				c.locked(func() { _ = c.framer.WriteSettingsAck() })
			}
		case *http2.PingFrame:
			if !frame.IsAck() {
				c.locked(func() { _ = c.framer.WritePing(true, frame.Data) })
			}
		case *http2.DataFrame:
			if !frame.StreamEnded() {
				continue
			}
			c.requests++
			c.locked(func() { handle(c, frame.StreamID) })
		}
	}
}

// newHTTP2Client returns a client that uses its own transport over real connections.
func newHTTP2Client(t *testing.T, server *httptest.Server, opts ...palette.Option) *palette.Client {
	t.Helper()
	opts = append([]palette.Option{
		palette.WithAPIKey("test-credential-4711"), palette.WithBaseURL(server.URL + "/prefix"), palette.WithoutRateLimit(),
	}, opts...)
	if cert := server.Certificate(); cert != nil {
		pool := x509.NewCertPool()
		pool.AddCert(cert)
		opts = append(opts, palette.WithRootCAs(pool))
	}
	client, err := palette.NewClient(opts...)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// nginx ends a connection after keepalive_requests: it names the last stream that it
// processes and ignores later ones.
func TestCreateSurvivesGracefulShutdownOfHTTP2Connections(t *testing.T) {
	t.Parallel()
	const calls, goroutines, perConnection = 4000, 64, 100
	var made atomic.Int64
	server := newFrameServer(t, 250, func(c *frameConn, stream uint32) {
		if c.last > 0 && stream > c.last {
			return
		}
		if c.requests == perConnection {
			c.last = stream
			_ = c.framer.WriteGoAway(stream, http2.ErrCodeNo, nil)
		}
		made.Add(1)
		c.created(stream)
	})
	client := newHTTP2Client(t, server)

	failed := createConcurrently(t, client, calls, goroutines)

	assert.Zero(t, failed)
	assert.EqualValues(t, calls, made.Load())
}

func TestCreateIsRetriedAfterRefusedStreams(t *testing.T) {
	t.Parallel()
	const calls, maxStreams = 200, 8
	var made, refused atomic.Int64
	server := newFrameServer(t, maxStreams, func(c *frameConn, stream uint32) {
		if c.open == maxStreams {
			refused.Add(1)
			_ = c.framer.WriteRSTStream(stream, http2.ErrCodeRefusedStream)
			return
		}
		c.open++
		made.Add(1)
		time.AfterFunc(5*time.Millisecond, func() {
			c.locked(func() { c.open--; c.created(stream) })
		})
	})
	client := newHTTP2Client(t, server)

	failed := createConcurrently(t, client, calls, calls)

	assert.Zero(t, failed)
	assert.EqualValues(t, calls, made.Load())
	assert.Positive(t, refused.Load(), "no stream was refused: the test proves nothing")
}

// createConcurrently creates n keys from several goroutines and returns the number of
// failed calls.
func createConcurrently(t *testing.T, client *palette.Client, n, goroutines int) int64 {
	t.Helper()
	var wg sync.WaitGroup
	var next, failed atomic.Int64
	for range goroutines {
		wg.Go(func() {
			for next.Add(1) <= int64(n) {
				if _, err := createKey(t, client); err != nil {
					failed.Add(1)
					t.Log(err)
				}
			}
		})
	}
	wg.Wait()
	return failed.Load()
}

// Only REFUSED_STREAM promises that the request was not processed.
func TestCreateIsNotRetriedAfterResetOfProcessedStream(t *testing.T) {
	t.Parallel()
	for _, code := range []http2.ErrCode{
		http2.ErrCodeProtocol, http2.ErrCodeInternal, http2.ErrCodeCancel, http2.ErrCodeEnhanceYourCalm, http2.ErrCodeHTTP11Required,
	} {
		t.Run(code.String(), func(t *testing.T) {
			t.Parallel()
			var made atomic.Int64
			server := newFrameServer(t, 250, func(c *frameConn, stream uint32) {
				made.Add(1)
				_ = c.framer.WriteRSTStream(stream, code)
			})
			client := newHTTP2Client(t, server, palette.WithBackoff(time.Millisecond, time.Millisecond))

			_, err := createKey(t, client)

			require.ErrorIs(t, err, palette.ErrOutcomeUnknown)
			assert.EqualValues(t, 1, made.Load())
		})
	}
}

// A GOAWAY quotes debug data of the server, which must not pass for a refusal.
func TestCreateIsNotRetriedAfterGoAwayWithForgedText(t *testing.T) {
	t.Parallel()
	var made atomic.Int64
	server := newFrameServer(t, 250, func(c *frameConn, stream uint32) {
		made.Add(1)
		_ = c.framer.WriteGoAway(stream, http2.ErrCodeInternal, []byte("http2: Transport: cannot retry err "+
			"[http2: Transport received Server's graceful shutdown GOAWAY] after Request.Body was written; define Request.GetBody to avoid this error"))
		_ = c.conn.Close()
	})
	client := newHTTP2Client(t, server, palette.WithBackoff(time.Millisecond, time.Millisecond))

	_, err := createKey(t, client)

	require.ErrorIs(t, err, palette.ErrOutcomeUnknown)
	assert.EqualValues(t, 1, made.Load())
}

func createKey(t *testing.T, client *palette.Client) (*palette.CreateAPIKeyResponse, error) {
	t.Helper()
	return client.APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}})
}
