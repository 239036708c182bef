package palette_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// attackChaos breaks a third of the replies of a server that keeps books.
type attackChaos struct {
	inner http.Handler

	mu          sync.Mutex
	random      *rand.Rand
	struck      map[string]int
	whole       int
	connections map[net.Conn]bool
}

func (c *attackChaos) roll() (fault string, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.random.IntN(3) > 0 {
		c.whole++
		return "", 0
	}
	faults := []string{"cut before", "cut after", "status before", "status after", "truncated", "too many"}
	fault = faults[c.random.IntN(len(faults))]
	c.struck[fault]++
	return fault, []int{500, 502, 503, 504}[c.random.IntN(4)]
}

func (c *attackChaos) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	fault, status := c.roll()
	switch fault {
	case "":
		c.inner.ServeHTTP(w, req)
	case "cut before":
		attackAbort(w)
	case "cut after":
		c.inner.ServeHTTP(httptest.NewRecorder(), req)
		attackAbort(w)
	case "status before":
		http.Error(w, "chaos", status)
	case "status after":
		c.inner.ServeHTTP(httptest.NewRecorder(), req)
		http.Error(w, "chaos", status)
	case "too many":
		http.Error(w, `{"code":"TooManyRequests"}`, http.StatusTooManyRequests)
	case "truncated":
		reply := httptest.NewRecorder()
		c.inner.ServeHTTP(reply, req)
		body := reply.Body.Bytes()
		if len(body) == 0 {
			attackAbort(w)
			return
		}
		w.Header().Set("Content-Type", reply.Header().Get("Content-Type"))
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(reply.Code)
		_, _ = w.Write(body[:len(body)/2])
		panic(http.ErrAbortHandler)
	}
}

// track keeps the connections that are open.
func (c *attackChaos) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state { //nolint:exhaustive // the others change nothing
	case http.StateNew:
		c.connections[conn] = true
	case http.StateClosed, http.StateHijacked:
		delete(c.connections, conn)
	}
}

func (c *attackChaos) open() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.connections)
}

// attackAbort resets the connection, or the stream of HTTP/2.
func attackAbort(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_ = conn.(*net.TCPConn).SetLinger(0)
	_ = conn.Close()
}

// attackFate is what a worker knows about a key it asked for.
type attackFate struct {
	uid    string
	secret palette.Secret
	exists string // "yes", "no", or "" for who knows
	active string
	text   string // the description; "?" for who knows
}

// attackWorker makes a key, uses it, and says what it knows.
func attackWorker(ctx context.Context, t *testing.T, s *palette.APIKeysService, random *rand.Rand, name string) attackFate {
	t.Helper()
	made, err := s.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: name, Annotations: map[string]string{"description": "first"}}})
	switch {
	case errors.Is(err, palette.ErrOutcomeUnknown):
		return attackFate{}
	case err != nil:
		assert.ErrorIs(t, err, palette.ErrRateLimited, "the one way for a Create to fail without a doubt")
		return attackFate{exists: "no"}
	}
	fate := attackFate{uid: made.UID, secret: made.APIKey, exists: "yes", active: "yes", text: "first"}
	for range 3 {
		switch random.IntN(9) {
		case 0, 5:
			if key, err := s.Get(ctx, made.UID); err == nil {
				assert.Equal(t, name, key.Metadata.Name)
			} else {
				assert.NotErrorIs(t, err, palette.ErrNotFound, "the key was made")
			}
		case 1:
			if keys, err := s.FindByName(ctx, name); err == nil && assert.Len(t, keys, 1, "the key was made once") {
				assert.Equal(t, made.UID, keys[0].Metadata.UID)
			}
		case 2, 6:
			fate.active = "no"
			if s.Revoke(ctx, made.UID) != nil {
				fate.active = ""
			}
		case 3, 7:
			fate.active = "yes"
			if s.Activate(ctx, made.UID) != nil {
				fate.active = ""
			}
		case 4, 8:
			fate.text = "second"
			err := s.Update(ctx, made.UID, palette.UpdateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: name, Annotations: map[string]string{"description": "second"}}})
			if err != nil {
				fate.text = "?"
			}
		}
	}
	if random.IntN(2) == 0 {
		fate.exists = "no"
		if err := s.Delete(ctx, made.UID); err != nil && !errors.Is(err, palette.ErrNotFound) { // gone by an attempt that got a 502
			fate.exists = ""
		}
	}
	return fate
}

// 64 goroutines against a server that breaks a third of its replies, before and after the work. In the
// end its books and what the callers were told agree: nothing is lost, nothing is made
// twice, nothing is left behind.
func TestChaos(t *testing.T) { //nolint:paralleltest // looks for what is left behind
	for name, start := range map[string]func(*httptest.Server){ //nolint:paralleltest // as above
		"HTTP/1.1": (*httptest.Server).Start,
		"HTTP/2":   func(s *httptest.Server) { s.EnableHTTP2 = true; s.StartTLS() },
	} {
		t.Run(name, func(t *testing.T) { attackWithChaos(t, start) })
	}
}

func attackWithChaos(t *testing.T, start func(*httptest.Server)) {
	t.Helper()
	const workers, rounds = 64, 2
	books := palettetest.NewServer(palettetest.WithKeyLimit(0), palettetest.WithPageSize(50), palettetest.WithPathPrefix(attackPrefix))
	defer books.Close()
	chaos := &attackChaos{inner: books, random: rand.New(rand.NewPCG(4, 2)), struck: map[string]int{}, connections: map[net.Conn]bool{}}
	server := httptest.NewUnstartedServer(chaos)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Config.ConnState = chaos.track
	start(server)
	defer server.Close()
	transport := &http.Transport{ForceAttemptHTTP2: true, MaxIdleConnsPerHost: workers, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	client := attackSetup{
		url: server.URL + attackPrefix, key: books.APIKey, rt: transport,
		retry: palette.RetryPolicy{MaxRetries: 6, MinWait: time.Millisecond, MaxWait: 2 * time.Millisecond},
	}.client(t)

	var mu sync.Mutex
	var done sync.WaitGroup
	var made atomic.Int64
	fates := map[string]attackFate{}
	for worker := range workers {
		done.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 7))
			for round := range rounds {
				name := fmt.Sprintf("w%d-r%d", worker, round)
				fate := attackWorker(t.Context(), t, client.APIKeys, random, name)
				if fate.uid != "" {
					made.Add(1)
				}
				mu.Lock()
				fates[name] = fate
				mu.Unlock()
			}
		})
	}
	done.Wait()

	byName, byUID := map[string]int{}, map[string]palettetest.Key{}
	for _, key := range books.Keys() {
		byName[key.Name]++
		byUID[key.UID] = key
		fate, asked := fates[key.Name]
		assert.True(t, asked, "nobody asked for %s", key.Name)
		assert.Equal(t, 1, byName[key.Name], "%s was made more than once", key.Name)
		assert.NotEqual(t, "no", fate.exists, "%s exists, its maker was told that it does not", key.Name)
		if fate.uid != "" {
			assert.Equal(t, fate.uid, key.UID, key.Name)
		}
	}
	for name, fate := range fates {
		key, exists := byUID[fate.uid]
		if fate.exists == "yes" && assert.True(t, exists, "%s was lost", name) {
			assert.Contains(t, []string{"?", key.Annotations["description"]}, fate.text, name)
			if fate.active != "" {
				assert.Equal(t, fate.active == "yes", key.Active, name)
			}
			if key.Active { // and its value is its own
				own := attackSetup{url: books.URL, key: fate.secret.Reveal(), rt: transport}.client(t)
				_, err := own.APIKeys.Get(t.Context(), fate.uid)
				assert.NoError(t, err, name)
			}
		}
	}
	assert.Greater(t, int(made.Load()), workers/2, "hardly any key was made: the test proves little")
	for _, fault := range []string{"cut before", "cut after", "status before", "status after", "truncated", "too many"} {
		assert.Greater(t, chaos.struck[fault], 5, "%s hardly happened: the test proves little", fault)
	}

	noneOpen := func() bool {
		transport.CloseIdleConnections() // each time: a connection may become idle after the call
		return chaos.open() == 0
	}
	assert.Eventually(t, noneOpen, 10*time.Second, time.Millisecond, "connections are left behind")
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	assert.NotContains(t, string(stacks), "palette-apikeys-go.(*", "goroutines are left behind")
}
