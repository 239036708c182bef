package palette_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const (
	testHost    = "palette.test"
	testBaseURL = "https://" + testHost + "/prefix" // a prefix, so that absolute paths fail
	testKey     = "test-credential+4711/="
	testUID     = "66e844c44bab2337f20c7471"
	testList    = `{"items":[{"metadata":{"name":"ci","uid":"` + testUID + `"},"status":{"isActive":true}}]}`
	testKeyJSON = `{"metadata":{"name":"ci","uid":"` + testUID + `"},"status":{"isActive":true}}`
)

// operation is one method of the service, with its request and the response of a success.
type operation struct {
	name     string // of the method
	op       string // in errors and logs
	method   string
	path     string
	body     string // of the request
	hint     string // if the outcome is unknown; "" if the operation is idempotent
	success  int
	response string
	call     func(ctx context.Context, s *palette.APIKeysService) (result any, err error) // result is nil if the method's is
}

// operations returns all methods of the service.
func operations() []operation {
	list := operation{op: "apiKeys.list", method: "GET", path: "/v1/apiKeys", success: 200, response: testList}
	list.name = "List"
	list.call = func(ctx context.Context, s *palette.APIKeysService) (any, error) {
		keys, err := s.List(ctx)
		return nilIf(keys == nil, keys), err
	}
	all := list
	all.name = "All"
	all.call = func(ctx context.Context, s *palette.APIKeysService) (result any, err error) {
		for key, err := range s.All(ctx) {
			if err != nil {
				return nilIf(key.Metadata.UID == "", key), err
			}
			result = key
		}
		return result, nil
	}
	find := list
	find.name = "FindByName"
	find.call = func(ctx context.Context, s *palette.APIKeysService) (any, error) {
		keys, err := s.FindByName(ctx, "ci")
		return nilIf(keys == nil, keys), err
	}
	create := operation{
		name: "Create", op: "apiKeys.create", method: "POST", path: "/v1/apiKeys",
		body: `{"metadata":{"name":"ci"}}`, hint: "a key with this name may exist: use FindByName before creating another",
		success: 201, response: `{"apiKey":"value-of-the-new-key","uid":"` + testUID + `"}`,
		call: func(ctx context.Context, s *palette.APIKeysService) (any, error) {
			created, err := s.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}})
			return nilIf(created == nil, created), err
		},
	}
	return append([]operation{create, list, all, find}, keyOperations(testUID)...)
}

// getAndCreate returns two methods that stand for all where the method makes no difference
// but for one: Create is not idempotent. TestEveryMethodButCreateIsRetried has the others.
func getAndCreate() []operation { return methods("Get", "Create") }

// methods returns the methods with the given names.
func methods(names ...string) (ops []operation) {
	for _, op := range operations() {
		if slices.Contains(names, op.name) {
			ops = append(ops, op)
		}
	}
	return ops
}

// keyOperations returns the methods that take a uid.
func keyOperations(uid string) []operation {
	path := "/v1/apiKeys/" + uid
	get := operation{
		name: "Get", op: "apiKeys.get", method: "GET", path: path, success: 200, response: testKeyJSON,
		call: func(ctx context.Context, s *palette.APIKeysService) (any, error) {
			key, err := s.Get(ctx, uid)
			return nilIf(key == nil, key), err
		},
	}
	update := operation{
		name: "Update", op: "apiKeys.update", method: "PUT", path: path, body: `{"metadata":{"name":"ci"}}`, success: 204,
		call: func(ctx context.Context, s *palette.APIKeysService) (any, error) {
			return nil, s.Update(ctx, uid, palette.UpdateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}})
		},
	}
	change := func(name, method, path, body string, call func(*palette.APIKeysService, context.Context, string) error) operation {
		return operation{
			name: name, op: "apiKeys." + strings.ToLower(name), method: method, path: path, body: body, success: 204,
			call: func(ctx context.Context, s *palette.APIKeysService) (any, error) { return nil, call(s, ctx, uid) },
		}
	}
	return []operation{
		get, update,
		change("Delete", "DELETE", path, "", (*palette.APIKeysService).Delete),
		change("Activate", "PATCH", path, `{"isActive":true}`, (*palette.APIKeysService).Activate),
		change("Deactivate", "PATCH", path, `{"isActive":false}`, (*palette.APIKeysService).Deactivate),
		change("Revoke", "PUT", path+"/state", `{"isActive":false}`, (*palette.APIKeysService).Revoke),
		change("Reactivate", "PUT", path+"/state", `{"isActive":true}`, (*palette.APIKeysService).Reactivate),
	}
}

// nilIf avoids an interface that holds a nil pointer.
func nilIf(isNil bool, v any) any {
	if isNil {
		return nil
	}
	return v
}

// idempotent reports whether a second request does nothing that the first did not do.
func (op operation) idempotent() bool { return op.hint == "" }

// succeed returns the response of a success.
func (op operation) succeed() httpmock.Responder { return respond(op.success, op.response) }

// getKey is the operation for tests in which any operation would do.
func getKey(t *testing.T, client *palette.Client) error {
	t.Helper()
	_, err := client.APIKeys.Get(t.Context(), testUID)
	return err
}

// createKey is the operation for tests of what must not happen twice.
func createKey(t testing.TB, client *palette.Client) (*palette.CreateAPIKeyResponse, error) {
	t.Helper()
	return client.APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}})
}

// newTestClient returns a client that sends its requests to rt, with no retries and no
// rate limit unless opts set them.
func newTestClient(t testing.TB, rt http.RoundTripper, opts ...palette.Option) *palette.Client {
	t.Helper()
	client, err := palette.NewClient(append([]palette.Option{
		palette.WithAPIKey(testKey),
		palette.WithBaseURL(testBaseURL),
		palette.WithHTTPClient(&http.Client{Transport: rt}),
		palette.WithMaxRetries(0),
		palette.WithoutRateLimit(),
	}, opts...)...)
	require.NoError(t, err)
	return client
}

// withFastRetries makes a client retry n times without a noticeable wait.
func withFastRetries(n int) []palette.Option {
	return []palette.Option{palette.WithMaxRetries(n), palette.WithBackoff(time.Nanosecond, time.Nanosecond)}
}

// mock is a transport that responds as a test says and records the requests. A request
// for which there is no response fails the test.
type mock struct {
	*httpmock.MockTransport
	t testing.TB

	mu   sync.Mutex
	sent []sentRequest
}

// sentRequest is a request as it would go over the network.
type sentRequest struct {
	Line   string // "GET /v1/apiKeys?continue=x", below the base URL
	Body   string
	Length int64 // Content-Length
	Header http.Header
}

// newMock returns a mock that sends the given responses, in this order.
func newMock(t testing.TB, responses ...httpmock.Responder) *mock {
	t.Helper()
	m := &mock{MockTransport: httpmock.NewMockTransport(), t: t}
	m.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		n := m.record(req)
		if n > len(responses) {
			t.Errorf("request %d is one too many: %s %s", n, req.Method, req.URL)
			return nil, io.ErrUnexpectedEOF
		}
		return responses[n-1](req)
	})
	return m
}

// record records a request, and its body while a response reads it.
func (m *mock) record(req *http.Request) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sent = append(m.sent, sentRequest{
		Line:   req.Method + " " + strings.TrimPrefix(req.URL.String(), testBaseURL),
		Length: req.ContentLength,
		Header: req.Header.Clone(),
	})
	if n := len(m.sent); req.Body != nil {
		req.Body = recordedBody{ReadCloser: req.Body, record: func(content []byte) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.sent[n-1].Body += string(content)
		}}
	}
	return len(m.sent)
}

type recordedBody struct {
	io.ReadCloser

	record func(content []byte)
}

func (b recordedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.record(p[:n])
	return n, err
}

// requests returns the requests that were sent so far.
func (m *mock) requests() []sentRequest {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]sentRequest(nil), m.sent...)
}

// requireSent requires that exactly these requests were sent, each "METHOD PATH" below the
// base URL, followed by the body if there is one.
func (m *mock) requireSent(want ...string) {
	m.t.Helper()
	var got []string
	for _, req := range m.requests() {
		got = append(got, strings.TrimSpace(req.Line+" "+req.Body))
	}
	require.Equal(m.t, want, got)
}

// readBody reads the body of a request, if it has one.
func readBody(t testing.TB, req *http.Request) string {
	if req.Body == nil {
		return ""
	}
	body, err := io.ReadAll(req.Body)
	assert.NoError(t, err)
	return string(body)
}

// respond responds with a JSON body, or with none if it is empty.
func respond(status int, body string) httpmock.Responder {
	if body == "" {
		return respondWith(status, nil, "")
	}
	return respondWith(status, http.Header{"Content-Type": {"application/json"}}, body)
}

// respondWith responds with a header and a body.
func respondWith(status int, header http.Header, body string) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		send(req, written)
		resp := newResponse(status, header, body)
		resp.Request = req
		return resp, nil
	}
}

func newResponse(status int, header http.Header, body string) *http.Response {
	resp := httpmock.NewStringResponse(status, body)
	if header != nil {
		resp.Header = header.Clone()
	}
	resp.ContentLength = int64(len(body))
	return resp
}

// respondError responds with an error in the API's form.
func respondError(status int, code, message string) httpmock.Responder {
	return respond(status, `{"code":"`+code+`","message":"`+message+`","details":null,"ref":"ref-1"}`)
}

// phase is how far a transport gets with a request.
type phase int

const (
	connecting phase = iota // there is no connection
	connected               // there is a connection, and nothing was written
	written                 // the header and the body were written
)

// send does what net/http does with a request until it gets to a phase: it calls the hooks
// of the trace and reads the body.
func send(req *http.Request, until phase) {
	trace := httptrace.ContextClientTrace(req.Context())
	if trace == nil {
		trace = new(httptrace.ClientTrace)
	}
	if trace.GetConn != nil {
		trace.GetConn(testHost + ":443")
	}
	if trace.GotConn != nil && until >= connected {
		trace.GotConn(httptrace.GotConnInfo{})
	}
	if trace.WroteHeaders != nil && until >= written {
		trace.WroteHeaders()
	}
	if req.Body != nil && until >= written {
		_, _ = io.Copy(io.Discard, req.Body)
	}
}

// failing fails with err in a phase, as a transport does.
func failing(in phase, err error) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		send(req, in)
		return nil, err
	}
}

// hanging waits in a phase until the context of the request ends.
func hanging(in phase) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		send(req, in)
		<-req.Context().Done()
		return nil, req.Context().Err()
	}
}

// roundTripFunc is a transport.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// fixture returns a body as the server sends it.
func fixture(t testing.TB, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(body)
}

// busy responds with an error in the API's form.
func busy(status int) httpmock.Responder { return respondError(status, "Busy", "text") }

// requireAttempts requires that an error says how many attempts there were.
func requireAttempts(t *testing.T, err error, want int) {
	t.Helper()
	text := strconv.Itoa(want) + " attempts)"
	if want == 1 {
		text = "1 attempt)"
	}
	require.ErrorContains(t, err, text)
}

// requireOutcomeUnknown requires that an error is ErrOutcomeUnknown, or that it is not.
func requireOutcomeUnknown(t *testing.T, err error, want bool) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, errors.Is(err, palette.ErrOutcomeUnknown), err)
}

// withWrapper adds a transport wrapper.
func withWrapper(roundTrip func(next http.RoundTripper, req *http.Request) (*http.Response, error)) palette.Option {
	return palette.WithTransportWrapper(func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(req *http.Request) (*http.Response, error) { return roundTrip(next, req) })
	})
}

// startServer starts a server below the path prefix of testBaseURL.
func startServer(t *testing.T, http2 bool, handler http.Handler) (*httptest.Server, *connections) {
	t.Helper()
	conns := new(connections)
	server := httptest.NewUnstartedServer(http.StripPrefix("/prefix", handler))
	server.Config.ErrorLog, server.Config.ConnState = discardLog(), conns.count
	if server.EnableHTTP2 = http2; http2 {
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	return server, conns
}

// serveKey responds as Get expects.
var serveKey http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, testKeyJSON)
}

func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// connections counts the connections of a server.
type connections struct{ dialed, open atomic.Int64 }

func (c *connections) count(_ net.Conn, state http.ConnState) {
	switch state { //nolint:exhaustive // the others change nothing
	case http.StateNew:
		c.dialed.Add(1)
		c.open.Add(1)
	case http.StateClosed:
		c.open.Add(-1)
	}
}
