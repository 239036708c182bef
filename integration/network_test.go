package integration

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
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
	defer func() { _ = conn.Close() }()
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

// newNetworkClient returns a client that uses its own transport over real connections.
func newNetworkClient(t *testing.T, server *httptest.Server, opts ...palette.Option) *palette.Client {
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
	client := newNetworkClient(t, server)

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
	client := newNetworkClient(t, server)

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
			client := newNetworkClient(t, server, palette.WithBackoff(time.Millisecond, time.Millisecond))

			_, err := createKey(t, client)

			require.ErrorIs(t, err, palette.ErrOutcomeUnknown)
			assert.EqualValues(t, 1, made.Load())
		})
	}
}

// A server that ends a new connection with an error code, and names no stream that it
// processes, has not processed the first.
func TestCreateIsRetriedAfterGoAwayWithErrorCode(t *testing.T) {
	t.Parallel()
	var made, refused atomic.Int64
	server := newFrameServer(t, 250, func(c *frameConn, stream uint32) {
		if refused.Add(1) <= 2 {
			_ = c.framer.WriteGoAway(0, http2.ErrCodeEnhanceYourCalm, []byte("too_many_pings"))
			return
		}
		made.Add(1)
		c.created(stream)
	})
	client := newNetworkClient(t, server, palette.WithBackoff(time.Millisecond, time.Millisecond))

	_, err := createKey(t, client)

	require.NoError(t, err)
	assert.EqualValues(t, 1, made.Load())
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
	client := newNetworkClient(t, server, palette.WithBackoff(time.Millisecond, time.Millisecond))

	_, err := createKey(t, client)

	require.ErrorIs(t, err, palette.ErrOutcomeUnknown)
	assert.EqualValues(t, 1, made.Load())
}

func createKey(t *testing.T, client *palette.Client) (*palette.CreateAPIKeyResponse, error) {
	t.Helper()
	return client.APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}})
}

// memoryNetwork is a network of pipes, which works in virtual time. Its connections can
// silently stop carrying bytes, as with a load balancer that forgets them.
type memoryNetwork struct {
	latency   time.Duration // of each direction
	accepted  chan net.Conn
	closed    chan struct{}
	closeOnce sync.Once

	mu    sync.Mutex
	conns []*memoryConn
}

type memoryConn struct {
	net.Conn
	dead atomic.Bool
}

func (c *memoryConn) Write(p []byte) (int, error) {
	if c.dead.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// slowConn is a connection whose bytes need some time for their way.
type slowConn struct {
	net.Conn
	sent   chan packet
	closed chan struct{}
	once   sync.Once
}

type packet struct {
	due  time.Time
	data []byte
}

func newSlowConn(conn net.Conn, latency time.Duration) *slowConn {
	c := &slowConn{Conn: conn, sent: make(chan packet, 1000), closed: make(chan struct{})}
	go c.deliver(latency)
	return c
}

func (c *slowConn) deliver(latency time.Duration) {
	for {
		select {
		case p := <-c.sent:
			select {
			case <-time.After(time.Until(p.due.Add(latency))):
				_, _ = c.Conn.Write(p.data)
			case <-c.closed:
			}
		case <-c.closed:
			return
		}
	}
}

func (c *slowConn) Write(data []byte) (int, error) {
	select {
	case c.sent <- packet{time.Now(), bytes.Clone(data)}:
		return len(data), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *slowConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

func newMemoryNetwork() *memoryNetwork {
	return &memoryNetwork{accepted: make(chan net.Conn), closed: make(chan struct{})}
}

func (n *memoryNetwork) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	var client, server net.Conn = net.Pipe()
	if n.latency > 0 {
		client, server = newSlowConn(client, n.latency), newSlowConn(server, n.latency)
	}
	conn := &memoryConn{Conn: client}
	select {
	case n.accepted <- server:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, conn)
	return conn, nil
}

func (n *memoryNetwork) Accept() (net.Conn, error) {
	select {
	case conn := <-n.accepted:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

func (n *memoryNetwork) Close() error   { n.closeOnce.Do(func() { close(n.closed) }); return nil }
func (n *memoryNetwork) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 443} }

// kill makes all present connections stop carrying bytes.
func (n *memoryNetwork) kill() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, conn := range n.conns {
		conn.dead.Store(true)
	}
}

// A dead connection costs at most one attempt. The times are virtual.
func TestCallsSurviveDeadConnections(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	for _, tt := range []struct { //nolint:paralleltest // as above
		name  string
		http2 bool
		opts  []palette.Option
		limit time.Duration
	}{
		{"HTTP/2, default timeout", true, nil, 20 * time.Second},
		{"HTTP/2, 3 s", true, []palette.Option{palette.WithTimeout(3 * time.Second)}, 6 * time.Second},
		{"HTTP/1.1, 1 s", false, []palette.Option{palette.WithTimeout(time.Second)}, 3 * time.Second},
	} {
		for _, calls := range []int{1, 8} {
			t.Run(tt.name+", "+strconv.Itoa(calls)+" calls", func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					network := newMemoryNetwork()
					server := newMemoryServer(t, network, tt.http2, serveKey)
					client := newNetworkClient(t, server, tt.opts...)
					require.Zero(t, getConcurrently(t, client, calls))
					network.kill()
					start := time.Now()

					failed := getConcurrently(t, client, calls)

					assert.Zero(t, failed)
					assert.LessOrEqual(t, time.Since(start), tt.limit)
					client.CloseIdleConnections()
					server.Close()
				})
			})
		}
	}
}

// newMemoryServer starts a server in a network of pipes, which the default transport dials.
func newMemoryServer(t *testing.T, network *memoryNetwork, http2 bool, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	transport := http.DefaultTransport.(*http.Transport)
	dialing := transport.Clone()
	dialing.DialContext = network.DialContext
	http.DefaultTransport = dialing
	t.Cleanup(func() { http.DefaultTransport = transport })

	server := &httptest.Server{Listener: network, Config: &http.Server{Handler: handler}}
	if http2 {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	return server
}

func serveKey(w http.ResponseWriter, _ *http.Request) {
	time.Sleep(time.Millisecond) //nolint:forbidigo // virtual, so that concurrent calls use several connections
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"metadata":{"name":"ci","uid":"u"}}`)
}

// The client's pings must not end a healthy connection. With a timeout of 3 s and a round trip
// of 600 ms, the response to a ping comes after more than half a second.
func TestPingsKeepConnectionsOfASlowNetwork(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	synctest.Test(t, func(t *testing.T) {
		network := newMemoryNetwork()
		network.latency = 300 * time.Millisecond
		server := newMemoryServer(t, network, true, func(w http.ResponseWriter, req *http.Request) {
			if req.Method == http.MethodGet {
				serveKey(w, req)
				return
			}
			time.Sleep(1300 * time.Millisecond) //nolint:forbidigo // virtual
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"apiKey":"value","uid":"u"}`)
		})
		client := newNetworkClient(t, server, palette.WithTimeout(3*time.Second))
		require.NoError(t, getKey(t, client))

		for range 3 {
			_, err := createKey(t, client)
			assert.NoError(t, err)
		}

		client.CloseIdleConnections()
		server.Close()
	})
}

// http2.ConfigureTransport gives http.DefaultTransport a table of protocols, which holds its
// pool of connections. A clone that used it would share connections that it did not verify.
func TestUnverifiedConnectionsAreNotShared(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	original := http.DefaultTransport.(*http.Transport)
	t.Cleanup(func() { http.DefaultTransport = original })
	shared := original.Clone()
	require.NoError(t, http2.ConfigureTransport(shared)) //nolint:staticcheck // what other code does
	http.DefaultTransport = shared
	server := httptest.NewUnstartedServer(http.HandlerFunc(serveKey))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	client, err := palette.NewClient(palette.WithAPIKey("test-credential-4711"), palette.WithBaseURL(server.URL), palette.WithInsecureSkipVerify())
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	require.NoError(t, getKey(t, client))

	resp, err := (&http.Client{Transport: shared}).Get(server.URL) //nolint:noctx // other code
	if err == nil {
		resp.Body.Close()
	}

	require.Error(t, err, "other code used the unverified connection")
}

// getConcurrently gets a key n times at once and returns the number of failed calls.
func getConcurrently(t *testing.T, client *palette.Client, n int) int64 {
	t.Helper()
	var wg sync.WaitGroup
	var failed atomic.Int64
	for range n {
		wg.Go(func() {
			if err := getKey(t, client); err != nil {
				failed.Add(1)
				t.Log(err)
			}
		})
	}
	wg.Wait()
	return failed.Load()
}

// net/http does not retry a POST on a connection that the server closes just as it is used,
// because the server may have processed it. Neither does the client.
func TestIdleConnectionClosedJustAsItIsUsed(t *testing.T) {
	t.Parallel()
	server := newHangUpServer(t)
	plain := &http.Client{Transport: &http.Transport{}}
	post := func() error {
		resp, err := plain.Post(server.URL+"/prefix/v1/apiKeys", "application/json", bytes.NewReader([]byte(`{}`))) //nolint:noctx // the reference
		if err == nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		return err
	}
	client := newNetworkClient(t, server, palette.WithBackoff(time.Millisecond, time.Millisecond))

	require.NoError(t, post())
	require.Error(t, post(), "the reference")

	_, err := createKey(t, client)
	require.NoError(t, err)
	_, err = createKey(t, client)
	require.ErrorIs(t, err, palette.ErrOutcomeUnknown)

	_, err = createKey(t, client)
	require.NoError(t, err)
	_, err = client.APIKeys.List(t.Context())
	require.NoError(t, err, "an idempotent request is retried on another connection")
}

// newHangUpServer starts a server that closes each connection at its second request.
func newHangUpServer(t *testing.T) *httptest.Server {
	t.Helper()
	var mu sync.Mutex
	used := map[string]bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		second := used[req.RemoteAddr]
		used[req.RemoteAddr] = true
		mu.Unlock()
		if second {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("Content-Type", "application/json")
		if req.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, `{"apiKey":"value","uid":"u"}`)
			return
		}
		_, _ = io.WriteString(w, `{"items":[]}`)
	}))
	t.Cleanup(server.Close)
	return server
}

func getKey(t *testing.T, client *palette.Client) error {
	t.Helper()
	_, err := client.APIKeys.Get(t.Context(), "u")
	return err
}
