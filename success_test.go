package palette_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// attackMark stands in every body of a success that is none. No error may quote it: a
// key may be there.
const attackMark = "SUCCESS-BODY-MARK"

// attackExpectFalse makes the call and asserts that the reply is refused.
func attackExpectFalse(t *testing.T, call attackCall, status int, contentType, body string) {
	t.Helper()
	requests := 0
	client := attackSetup{retry: attackTwice, rt: attackTrip(func(*http.Request) (*http.Response, error) {
		requests++
		return attackReply(status, contentType, body), nil
	})}.client(t)
	nothing, err := call.do(t.Context(), client.APIKeys)
	where := fmt.Sprintf("%s, %d, %q, %.200q", call.name, status, contentType, body)

	require.Error(t, err, where)
	require.True(t, nothing, "a value came with the error: %s", where)
	kinds := []error{palette.ErrUnexpectedResponse}
	if call.creates() {
		kinds = append(kinds, palette.ErrOutcomeUnknown)
	}
	require.True(t, attackIs(t, err, kinds...), where)
	require.Equal(t, 1, requests, "a bad reply is not asked for again: %s", where)
	require.Less(t, len(err.Error()), 300, where)
	for _, e := range attackChain(err) {
		text := fmt.Sprintf("%v %+v %#v", e, e, e)
		require.NotContains(t, text, attackMark, where)
		require.NotContains(t, text, attackKey, where)
	}
}

// attackGood is call's success with the mark in it.
func attackGood(call attackCall) string {
	return strings.Replace(call.reply, "{", `{"mark":"`+attackMark+`",`, 1)
}

// Only the documented status is success.
func TestOtherStatusIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		for _, status := range []int{200, 201, 202, 203, 204, 205, 206, 207, 226, 299, 600, 700, 999} {
			if status == call.want {
				continue
			}
			for _, body := range []string{attackGood(call), "", "{}"} {
				attackExpectFalse(t, call, status, "application/json", body)
			}
		}
	}
}

// Where a body is wanted, it is JSON by its type as well.
func TestOtherContentTypeIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		if call.reply == "" {
			continue
		}
		for _, contentType := range []string{
			"", " ", "text/html", "text/html; charset=utf-8", "application/xml", "text/plain", "text/json", "application/octet-stream",
			"application/jsonp", "application/javascript", "application/x-ndjson", "json", "application/", "/json", "multipart/form-data; boundary=json",
			"text/html; application/json", "text/html+jsonx", "application/" + attackMark,
		} {
			attackExpectFalse(t, call, call.want, contentType, attackGood(call))
		}
		attackExpectFalse(t, call, call.want, "text/html", "<html>"+attackMark+"</html>")
		attackExpectFalse(t, call, call.want, "application/xml", "<a>"+attackMark+"</a>")
		for _, contentType := range []string{"application/json", "Application/JSON; charset=UTF-8", "application/problem+json"} {
			client := attackSetup{rt: attackTrip(func(*http.Request) (*http.Response, error) {
				return attackReply(call.want, contentType, attackGood(call)), nil
			})}.client(t)
			nothing, err := call.do(t.Context(), client.APIKeys)
			require.NoError(t, err, "%s: %s", call.name, contentType)
			require.False(t, nothing)
		}
	}
}

// attackNoJSON are bodies that are not what any operation returns.
var attackNoJSON = []string{
	"", " ", "\n", "null", "true", "7", `"` + attackMark + `"`, "[]", `[{"uid":"` + attackMark + `"}]`, "{}", `{"` + attackMark + `":1}`,
	"<html>" + attackMark + "</html>", "\xef\xbb\xbf{}", "{", `{"apiKey":"` + attackMark, `{"items":[`, `{"items":[{"metadata":{"uid":"` + attackMark,
	`{'apiKey':'` + attackMark + `'}`, "{}{}", "\x00", "\xff\xfe",
	`{"code":"X","message":"` + attackMark + `"}`, // an error in the coat of a success
}

// attackBadBodies are bodies that are nearly what the operation returns.
var attackBadBodies = map[string][]string{
	"POST": {
		`{"apiKey":"` + attackMark + `"}`, `{"uid":"` + attackMark + `"}`, `{"apiKey":"","uid":"` + attackMark + `"}`, `{"apiKey":"` + attackMark + `","uid":""}`,
		`{"apiKey":null,"uid":"` + attackMark + `"}`, `{"apiKey":"` + attackMark + `","uid":null}`, `{"apiKey":["` + attackMark + `"],"uid":"u"}`,
		`{"apiKey":7,"uid":"` + attackMark + `"}`, `{"apiKey":{"` + attackMark + `":1},"uid":"u"}`, `{"apiKey":"` + attackMark + `","uid":{}}`,
		`[{"apiKey":"` + attackMark + `","uid":"u"}]`, `{"data":{"apiKey":"` + attackMark + `","uid":"u"}}`,
	},
	"GET": {
		`{"metadata":{"uid":""}}`, `{"metadata":{"name":"` + attackMark + `"}}`, `{"metadata":null}`, `{"metadata":["` + attackMark + `"]}`, `{"metadata":{"uid":{"` + attackMark + `":1}}}`,
		`{"metadata":{"uid":"u","annotations":{"` + attackMark + `":5}},"items":7}`, `{"metadata":{"uid":"u","creationTimestamp":"` + attackMark + `"},"items":[{"metadata":{"creationTimestamp":"` + attackMark + `"}}]}`,
		`{"metadata":{"uid":"u"},"status":{"isActive":"` + attackMark + `"},"items":{}}`, `{"metadata":{"uid":"u"},"spec":{"expiry":7},"items":[{"spec":{"expiry":7}}]}`,
		`{"metadata":{"uid":"u"},"status":[],"items":["` + attackMark + `"]}`, `{"metadata":{"uid":"u"},"status":7,"items":[[]]}`, `{"metadata":{"uid":7},"items":"` + attackMark + `"}`,
		`{"metadata":{"uid":7},"items":[],"listmeta":{"continue":{"` + attackMark + `":1}}}`, `{"metadata":7,"items":[],"listmeta":[]}`,
	},
}

func TestOtherBodyIsNoSuccess(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		if call.reply == "" {
			continue
		}
		good := attackGood(call)
		bodies := append(append([]string{
			good + "x", good + good, good + " null", good + "\x00", good[:len(good)-1], good[:len(good)/2], "[" + good + "]", `"` + good + `"`, ")]}'\n" + good, "\xef\xbb\xbf" + good,
		}, attackNoJSON...), attackBadBodies[call.method]...)
		for _, body := range bodies {
			attackExpectFalse(t, call, call.want, "application/json", body)
		}
	}
}

// attackCloseSpy is a body that knows whether it was closed.
type attackCloseSpy struct {
	io.Reader
	closed *int
}

func (c attackCloseSpy) Close() error {
	*c.closed++
	return nil
}

// A body that is not closed is a connection that is lost.
func TestEveryReplyIsClosed(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		for name, broken := range map[string]func(*http.Response){
			"success":      func(*http.Response) {},
			"other status": func(resp *http.Response) { resp.StatusCode = 202 },
			"other type":   func(resp *http.Response) { resp.Header.Set("Content-Type", "text/html") },
			"other body":   func(resp *http.Response) { resp.Body = io.NopCloser(strings.NewReader("<")) },
			"cut body":     func(resp *http.Response) { resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)) },
			"huge":         func(resp *http.Response) { resp.ContentLength = 1 << 40 },
			"redirect":     func(resp *http.Response) { resp.StatusCode = 302 },
			"refusal":      func(resp *http.Response) { resp.StatusCode = 404 },
			"repeated":     func(resp *http.Response) { resp.StatusCode = 429 },
			"cut refusal": func(resp *http.Response) {
				resp.StatusCode = 500
				resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF))
			},
			"huge refusal":    func(resp *http.Response) { resp.StatusCode = 500; resp.ContentLength = 1 << 40 },
			"unheard-of code": func(resp *http.Response) { resp.StatusCode = 999 },
		} {
			requests, closed := 0, 0
			client := attackSetup{retry: attackTwice, rt: attackTrip(func(*http.Request) (*http.Response, error) {
				requests++
				resp := attackReply(call.want, "application/json", call.reply)
				broken(resp)
				resp.Body = attackCloseSpy{resp.Body, &closed}
				return resp, nil
			})}.client(t)
			_, err := call.do(t.Context(), client.APIKeys)
			_ = err // other tests look at it
			require.Positive(t, requests)
			require.GreaterOrEqual(t, closed, requests, "bodies closed of %s, %s", call.name, name)
		}
	}
}

// An operation that returns nothing has no body to be wrong: its status is all.
func TestNoContentNeedsNoBody(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		if call.reply != "" {
			continue
		}
		for _, contentType := range []string{"", "text/html", "application/json"} {
			client := attackSetup{rt: attackTrip(func(*http.Request) (*http.Response, error) { return attackReply(204, contentType, ""), nil })}.client(t)
			_, err := call.do(t.Context(), client.APIKeys)
			require.NoError(t, err, call.name)
		}
	}
}

// A page that leads back to one that was read would make a list without end, and one that is
// lost would hide keys. Both are errors, also when every token before was new.
func TestRepeatedPageIsNoList(t *testing.T) {
	t.Parallel()
	for cycle, tokens := range map[string][]string{
		"itself": {"a", "a"}, "the first": {"a", "b", "c", "a"}, "one between": {"a", "b", "c", "b"},
	} {
		for _, call := range attackCalls()[1:4] {
			requests := 0
			client := attackSetup{retry: attackTwice, rt: attackTrip(func(*http.Request) (*http.Response, error) {
				requests++
				if requests > len(tokens) {
					t.Error("a page is asked for again")
					return attackReply(500, "", ""), nil
				}
				return attackReply(200, "application/json", `{"items":[],"listmeta":{"continue":"`+tokens[requests-1]+`"}}`), nil
			})}.client(t)
			nothing, err := call.do(t.Context(), client.APIKeys)
			attackIs(t, err, palette.ErrUnexpectedResponse)
			assert.True(t, nothing, "%s back to %s", call.name, cycle)
			assert.Equal(t, len(tokens), requests, "%s back to %s", call.name, cycle)
		}
	}
}

// Half a list is no list: when a later page fails, List has nothing.
func TestHalfAListIsNoList(t *testing.T) {
	t.Parallel()
	for _, second := range []struct {
		status            int
		contentType, body string
	}{{500, "", ""}, {200, "text/html", "x"}, {200, "application/json", `{}`}, {404, "", ""}} {
		requests := 0
		client := attackSetup{rt: attackTrip(func(req *http.Request) (*http.Response, error) {
			requests++
			if requests == 1 {
				return attackReply(200, "application/json", `{"items":[{"metadata":{"uid":"u","name":"ci"}}],"listmeta":{"continue":"a&b=c"}}`), nil
			}
			assert.Equal(t, "continue=a%26b%3Dc", req.URL.RawQuery)
			return attackReply(second.status, second.contentType, second.body), nil
		})}.client(t)
		keys, err := client.APIKeys.List(t.Context())
		require.Error(t, err)
		assert.Nil(t, keys)
	}
}

// attackFlood is a server that sends more than anybody wants, and counts how much of it
// was taken.
func attackFlood(t *testing.T, status int, header http.Header, prefix string, chunk []byte, chunks int) (url string, taken *atomic.Int64) {
	t.Helper()
	taken = new(atomic.Int64)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		taken.Store(0)
		maps.Copy(w.Header(), header)
		w.WriteHeader(status)
		_, _ = w.Write([]byte(prefix))
		for range chunks {
			n, err := w.Write(chunk)
			if err != nil {
				return
			}
			taken.Add(int64(n))
		}
	}))
	t.Cleanup(server.Close)
	return server.URL + attackPrefix, taken
}

// Bodies without end and bodies that swell when unpacked cost a bounded amount of memory.
func TestFloodIsBounded(t *testing.T) { //nolint:paralleltest // measures what the whole process allocates
	const mib = 1 << 20
	blanks := bytes.Repeat([]byte(" "), mib)
	var packed bytes.Buffer // 1 MiB in 1 KiB; gzip allows many in a row
	zip := gzip.NewWriter(&packed)
	_, err := zip.Write(blanks)
	require.NoError(t, err)
	require.NoError(t, zip.Close())

	plain := http.Header{"Content-Type": {"application/json"}}
	zipped := http.Header{"Content-Type": {"application/json"}, "Content-Encoding": {"gzip"}}
	promised := http.Header{"Content-Type": {"application/json"}, "Content-Length": {strconv.Itoa(60 * mib)}}
	announced := http.Header{"Content-Type": {"application/json"}, "Content-Length": {"1099511627776"}}
	for name, flood := range map[string]struct {
		status      int
		header      http.Header
		chunk       []byte
		call        int    // in attackCalls
		limit       uint64 // of what is allocated for it
		kind        error
		mayTakeMiBs int64 // of what is on the wire
	}{
		"a packed list":          {200, zipped, packed.Bytes(), 1, 700 * mib, palette.ErrUnexpectedResponse, 8},
		"a list of promises":     {200, promised, blanks[:4<<10], 1, 16 * mib, palette.ErrUnexpectedResponse, 2}, // 1.2 MiB, then nothing
		"an announced create":    {201, announced, blanks, 0, 8 * mib, palette.ErrOutcomeUnknown, 16},
		"an error":               {500, plain, blanks, 1, 24 * mib, palette.ErrServer, 24},
		"a packed error":         {404, zipped, packed.Bytes(), 5, 24 * mib, palette.ErrNotFound, 8},
		"an announced error":     {403, announced, blanks, 6, 8 * mib, palette.ErrForbidden, 16},
		"a redirect":             {302, plain, blanks, 4, 8 * mib, palette.ErrRedirect, 16},
		"a status that is wrong": {202, plain, blanks, 0, 8 * mib, palette.ErrUnexpectedResponse, 16},
		"a body of nothing":      {200, plain, blanks, 8, 8 * mib, palette.ErrUnexpectedResponse, 16},
	} {
		url, taken := attackFlood(t, flood.status, flood.header, `{"mark":"`, flood.chunk, 300)
		if flood.header.Get("Content-Encoding") != "" {
			url, taken = attackFlood(t, flood.status, flood.header, "", flood.chunk, 300)
		}
		client := attackSetup{url: url}.client(t)
		call := attackCalls()[flood.call]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := call.do(t.Context(), client.APIKeys)
		runtime.ReadMemStats(&after)

		require.ErrorIs(t, err, flood.kind, name)
		assert.Less(t, after.TotalAlloc-before.TotalAlloc, flood.limit, "bytes allocated for %s", name)
		assert.Less(t, taken.Load(), flood.mayTakeMiBs*mib, "bytes taken of %s", name)
		assert.Less(t, len(err.Error()), 300, name)
	}
}

// A list may have 64 MiB. Reading that much without knowing it, in buffers that double, costs three times as much.
func TestListWithoutEndIsBounded(t *testing.T) { //nolint:paralleltest // measures what the whole process allocates
	const mib = 1 << 20
	body := &endless{start: strings.NewReader(`{"items":[`), length: 300 * mib}
	w := newWire(t).on("GET", "/v1/apiKeys", replyEndless(http.StatusOK, -1, body))
	client := w.client()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	keys, err := client.APIKeys.List(t.Context())
	runtime.ReadMemStats(&after)

	assert.Nil(t, keys)
	require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
	require.EqualError(t, err, "palette: apiKeys.list: unexpected response: body is larger than the limit (1 attempt)")
	assert.EqualValues(t, 64*mib+1, body.read.Load())
	assert.True(t, body.closed.Load(), "the body is closed")
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(200*mib), "bytes allocated")
}

// However long what the server says is, an error stays readable.
func TestErrorTextIsShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("very long words ", 10_000)
	for _, body := range []string{
		long, "<html>" + long + "</html>", `{"message":"` + long + `"}`, `{"code":"` + long + `","ref":"` + long + `","message":"` + long + `"}`,
		`{"code":` + strings.Repeat("7", 50_000) + `}`,
	} {
		client := attackSetup{rt: attackTrip(func(*http.Request) (*http.Response, error) { return attackReply(500, "application/json", body), nil })}.client(t)
		_, err := client.APIKeys.Get(t.Context(), attackUID)
		require.ErrorIs(t, err, palette.ErrServer)
		assert.Less(t, len(err.Error()), 1100)
		assert.NotContains(t, err.Error(), "\n")
	}
}
