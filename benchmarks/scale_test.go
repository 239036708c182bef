package main

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// The clients are only worth comparing as long as they do the same.
func TestClientsSendTheSameAndReadTheSame(t *testing.T) {
	type request struct {
		method, url            string
		length                 int64
		key, accept, mediaType []string
	}
	seen := map[string][]request{}
	keys, lists := map[string]any{}, map[string]any{}
	for _, k := range kinds {
		c, err := k.make("http://127.0.0.1", roundTripper(func(req *http.Request) (int, []byte) {
			if _, ok := req.Context().Deadline(); !ok {
				t.Errorf("%s: %s %s has no timeout", k.name, req.Method, req.URL)
			}
			seen[k.name] = append(seen[k.name], request{
				req.Method, req.URL.String(), req.ContentLength,
				req.Header.Values("ApiKey"), req.Header.Values("Accept"), req.Header.Values("Content-Type"),
			})
			return answer(req)
		}))
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		uid, err := c.create(ctx)
		if err != nil || uid != keyUID {
			t.Errorf("%s: create: %q, %v", k.name, uid, err)
		}
		if keys[k.name], err = c.get(ctx); err != nil {
			t.Errorf("%s: get: %v", k.name, err)
		}
		if lists[k.name], err = c.list(ctx); err != nil {
			t.Errorf("%s: list: %v", k.name, err)
		}
		if n := len(lists[k.name].([]palette.APIKey)); n != listLength {
			t.Errorf("%s: list of %d", k.name, n)
		}
	}
	for _, k := range kinds {
		if !reflect.DeepEqual(seen[k.name], seen[netHTTP]) {
			t.Errorf("%s sent %+v, %s %+v", k.name, seen[k.name], netHTTP, seen[netHTTP])
		}
		if !reflect.DeepEqual(keys[k.name], keys[netHTTP]) || !reflect.DeepEqual(lists[k.name], lists[netHTTP]) {
			t.Errorf("%s and %s read different keys", k.name, netHTTP)
		}
	}
}

// Over HTTP/1.1, 64 goroutines open 64 connections and keep them. What is not
// promised is the start: while connections are still being made, net/http gives
// one that comes free to whoever waits, and its last user has to dial again. So
// the first call of each goroutine waits here until all have their connection.
func TestGoroutinesKeepTheirConnections(t *testing.T) {
	const creates = 6_400
	var arrived atomic.Int64
	everybody := make(chan struct{})
	server := newServer(func(w http.ResponseWriter, req *http.Request) {
		if arrived.Add(1) == manyGoroutines {
			close(everybody)
		}
		<-everybody
		serve(w, req)
	}, false)
	defer server.Close()
	c := newClient(t, server)
	if err := repeat(manyGoroutines, creates, create(c)); err != nil {
		t.Fatal(err)
	}
	if n := server.accepted.Load(); n != manyGoroutines {
		t.Errorf("%d connections for %d creates by %d goroutines", n, creates, manyGoroutines)
	}
}

// Over HTTP/2, goroutines share the one connection that there is. If there is
// none yet, each may dial before the first one is ready; never more than that.
func TestGoroutinesShareOneConnection(t *testing.T) {
	for _, c := range []struct {
		warm bool
		most int
	}{{true, 1}, {false, manyGoroutines}} {
		n, err := connections(6_400, true, c.warm)
		if err != nil {
			t.Fatal(err)
		}
		if n > c.most {
			t.Errorf("%d connections, at most %d wanted (warm: %v)", n, c.most, c.warm)
		}
	}
}

// All holds one page at a time.
func TestAllDoesNotHoldThePages(t *testing.T) {
	const pages, keysOnPage = 200, 200
	page := 0
	rt := roundTripper(func(*http.Request) (int, []byte) {
		page++
		token := ""
		if page < pages {
			token = fmt.Sprintf("page-%d", page+1)
		}
		return http.StatusOK, listText(keysOnPage, token)
	})
	c, err := palette.NewClient(palette.WithAPIKey(credential), palette.WithHTTPClient(&http.Client{Transport: rt}))
	if err != nil {
		t.Fatal(err)
	}
	var early, late uint64
	keys := 0
	for _, err := range c.APIKeys.All(context.Background()) {
		if err != nil {
			t.Fatal(err)
		}
		switch keys++; keys {
		case 20 * keysOnPage:
			early = heap()
		case pages * keysOnPage:
			late = heap()
		}
	}
	if keys != pages*keysOnPage {
		t.Fatalf("%d keys", keys)
	}
	// What grows are the tokens that were seen: some 100 bytes a page, where a
	// page has more than 100,000.
	t.Logf("%d bytes at page 20, %d at page %d", early, late, pages)
	if late > early+64<<10 {
		t.Errorf("%d bytes at page 20, %d at page %d", early, late, pages)
	}
}

// Calls leave nothing behind.
func TestCallsLeaveNothingBehind(t *testing.T) {
	const calls = 10_000
	server := newServer(serve, false)
	defer server.Close()
	c := newClient(t, server)
	rounds := func(n int) {
		for i := range n {
			var err error
			if i%2 == 0 {
				err = create(c)()
			} else {
				_, err = c.APIKeys.Get(context.Background(), keyUID)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	rounds(500)
	goroutines, before := runtime.NumGoroutine(), heap()
	rounds(calls)
	after := heap()
	t.Logf("heap %d bytes before and %d after", before, after)
	if after > before+10*calls { // 10 bytes a call
		t.Errorf("heap grew from %d to %d bytes over %d calls", before, after, calls)
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > goroutines; runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), goroutines)
		}
	}
	if n := server.accepted.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

// newClient returns a client with the SDK's own transport.
func newClient(t *testing.T, server *countingServer) *palette.Client {
	t.Helper()
	c, err := palette.NewClient(palette.WithAPIKey(credential), palette.WithBaseURL(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func create(c *palette.Client) func() error {
	return func() error {
		_, err := c.APIKeys.Create(context.Background(), newKey)
		return err
	}
}

// heap returns the bytes in use. What is unique, or has a finalizer, takes more
// than one collection.
func heap() uint64 {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
