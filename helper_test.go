package palette_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
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

	// A part of an error text.
	whiteSpace = `the credential contains white space: trim the newline at the end of a file, and do not add "Bearer"`
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

// keyOperations returns the methods that take a uid.
func keyOperations(uid string) []operation {
	path := "/v1/apiKeys/" + uid
	get := operation{
		name: "Get", op: "apiKeys.get", method: "GET", path: path, success: 200, response: strings.ReplaceAll(testKeyJSON, testUID, uid),
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

// idempotent reports whether a second request does nothing that the first did not do.
func (op operation) idempotent() bool { return op.hint == "" }

// succeed returns the response of a success.
func (op operation) succeed() httpmock.Responder { return respond(op.success, op.response) }

// nilIf avoids an interface that holds a nil pointer.
func nilIf(isNil bool, v any) any {
	if isNil {
		return nil
	}
	return v
}

// methods returns the methods with the given names.
func methods(names ...string) (ops []operation) {
	for _, op := range operations() {
		if slices.Contains(names, op.name) {
			ops = append(ops, op)
		}
	}
	return ops
}

// getAndCreate returns two methods that stand for all where the method makes no difference
// but for one: Create is not idempotent. TestEveryMethodButCreateIsRetried has the others.
func getAndCreate() []operation { return methods("Get", "Create") }

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

// newDefaultClient returns a client with default options.
func newDefaultClient(t *testing.T, rt http.RoundTripper, opts ...palette.Option) *palette.Client {
	t.Helper()
	client, err := palette.NewClient(append([]palette.Option{
		palette.WithAPIKey(testKey), palette.WithBaseURL(testBaseURL), palette.WithHTTPClient(&http.Client{Transport: rt}),
	}, opts...)...)
	require.NoError(t, err)
	return client
}

// newFuncClient returns a client as newTestClient does, with f instead of an API key.
func newFuncClient(t *testing.T, rt http.RoundTripper, f keyFunc, opts ...palette.Option) *palette.Client {
	t.Helper()
	client, err := palette.NewClient(append([]palette.Option{
		palette.WithAPIKeyFunc(f), palette.WithBaseURL(testBaseURL), palette.WithHTTPClient(&http.Client{Transport: rt}),
		palette.WithMaxRetries(0), palette.WithoutRateLimit(),
	}, opts...)...)
	require.NoError(t, err)
	return client
}

// keyFunc is a function for WithAPIKeyFunc.
type keyFunc func(context.Context) (string, error)

// returns returns a keyFunc that returns key.
func returns(key string) keyFunc {
	return func(context.Context) (string, error) { return key, nil }
}

// newNetworkClient returns a client that uses its own transport over real connections.
func newNetworkClient(t *testing.T, server *httptest.Server, opts ...palette.Option) *palette.Client {
	t.Helper()
	opts = append([]palette.Option{
		palette.WithAPIKey(testKey), palette.WithBaseURL(server.URL + "/prefix"), palette.WithoutRateLimit(),
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

// withFastRetries makes a client retry n times without a noticeable wait.
func withFastRetries(n int) []palette.Option {
	return []palette.Option{palette.WithMaxRetries(n), palette.WithBackoff(time.Nanosecond, time.Nanosecond)}
}

// withWrapper adds a transport wrapper.
func withWrapper(roundTrip func(next http.RoundTripper, req *http.Request) (*http.Response, error)) palette.Option {
	return palette.WithTransportWrapper(func(next http.RoundTripper) http.RoundTripper {
		return roundTripFunc(func(req *http.Request) (*http.Response, error) { return roundTrip(next, req) })
	})
}

func debugLogger(log *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

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

// readKey returns the key that a server sends.
func readKey(t *testing.T, body string) (*palette.APIKey, error) {
	t.Helper()
	return newTestClient(t, newMock(t, respond(200, body))).APIKeys.Get(t.Context(), testUID)
}

// apiErrorOf returns the error of Get if the server responds with r.
func apiErrorOf(t *testing.T, r httpmock.Responder, opts ...palette.Option) *palette.APIError {
	t.Helper()
	apiErr, ok := errors.AsType[*palette.APIError](getKey(t, newTestClient(t, newMock(t, r), opts...)))
	require.True(t, ok)
	return apiErr
}

// sentBy returns the request that a client with the given options sends for Get.
func sentBy(t *testing.T, opts ...palette.Option) *http.Request {
	t.Helper()
	var sent []*http.Request
	rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		sent = append(sent, req)
		return respond(200, testKeyJSON)(req)
	})
	client, err := palette.NewClient(append(opts, palette.WithHTTPClient(&http.Client{Transport: rt}))...)
	require.NoError(t, err)
	require.NoError(t, getKey(t, client))
	require.Len(t, sent, 1)
	return sent[0]
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

// createConcurrently creates n keys from several goroutines and returns the number of
// failed calls.
func createConcurrently(t testing.TB, client *palette.Client, n, goroutines int) int64 {
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

// roundTripFunc is a transport.
type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

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

// sentKeys returns the credentials of the requests that were sent.
func sentKeys(m *mock) []string {
	var keys []string
	for _, req := range m.requests() {
		keys = append(keys, req.Header.Get("ApiKey"))
	}
	return keys
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

// sharedTransport is a transport of the caller that others use as well.
type sharedTransport struct {
	http.RoundTripper

	t *testing.T
}

func (rt sharedTransport) CloseIdleConnections() { rt.t.Error("idle connections were closed") }

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

// busy responds with an error in the API's form.
func busy(status int) httpmock.Responder { return respondError(status, "Busy", "text") }

// busyFor responds with an error and a Retry-After header.
func busyFor(status int, retryAfter string) httpmock.Responder {
	header := http.Header{"Content-Type": {"application/json"}, "Retry-After": {retryAfter}}
	return respondWith(status, header, `{"code":"Busy","message":"text","ref":"ref-1"}`)
}

// respondAs responds with a 502 and a body of the given media type.
func respondAs(mediaType, body string) httpmock.Responder {
	return respondWith(502, http.Header{"Content-Type": {mediaType}}, body)
}

// redirectTo responds with a redirect whose body repeats the target.
func redirectTo(location string) httpmock.Responder {
	return respondWith(307, http.Header{"Location": {location}, "Content-Type": {"text/plain"}}, "Redirecting to "+location)
}

// streamed is a body that counts what is read and whether it is closed.
type streamed struct {
	io.Reader

	read   int64
	closed bool
}

func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	s.read += int64(n)
	return n, err
}

func (s *streamed) Close() error {
	s.closed = true
	return nil
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

// Errors of a transport.
var (
	errDNS         = &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: testHost}}
	errConnRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	errConnReset   = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	errCertificate = &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
)

// transportErr is an error of a transport.
type transportErr struct{ text string }

func (e *transportErr) Error() string { return e.text }

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

// requireUnexpected requires that op returned nothing but the error for a response that is
// not the documented one.
func requireUnexpected(t *testing.T, op operation, result any, err error, why string) {
	t.Helper()
	require.Nil(t, result)
	require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
	want := "palette: " + op.op + ": unexpected response: " + why + " (host palette.test, 1 attempt)"
	if !op.idempotent() {
		want += "; " + op.hint
	}
	require.EqualError(t, err, want)
}

// requireInvalidOptions requires that NewClient fails with the given text and without "pass-word".
func requireInvalidOptions(t *testing.T, want string, opts ...palette.Option) {
	t.Helper()
	client, err := palette.NewClient(opts...)
	require.ErrorIs(t, err, palette.ErrInvalidArgument)
	require.EqualError(t, err, "palette: NewClient: invalid argument: "+want)
	require.NotContains(t, printed(err), "pass-word")
	require.Nil(t, client)
}

// errorTexts are the server's texts in an APIError.
type errorTexts struct{ Code, Message, Ref, Details, Location string }

func textsOf(e *palette.APIError) errorTexts {
	return errorTexts{e.Code, e.Message, e.Ref, string(e.Details), e.Location}
}

// printed returns v as programs print it, and for an error also the errors that it wraps.
func printed(v any) string {
	var b strings.Builder
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	slog.New(slog.NewTextHandler(&b, nil)).Info("", "value", v)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("", "value", v)
	switch wrapper := v.(type) {
	case interface{ Unwrap() error }:
		b.WriteString(printed(wrapper.Unwrap()))
	case interface{ Unwrap() []error }:
		for _, err := range wrapper.Unwrap() {
			b.WriteString(printed(err))
		}
	}
	return b.String()
}

// requireUnreachable requires that no string or byte slice that can be reached from v by
// reflection, also through pointers and unexported fields, contains value.
func requireUnreachable(t *testing.T, value string, v any) {
	t.Helper()
	seen := map[any]bool{}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		switch v.Kind() {
		case reflect.String:
			assert.NotContains(t, v.String(), value, path)
		case reflect.Interface:
			walk(path, v.Elem())
		case reflect.Pointer:
			if key := [2]any{v.Pointer(), v.Type()}; !seen[key] {
				seen[key] = true
				walk(path, v.Elem())
			}
		case reflect.Struct:
			for i := range v.NumField() {
				walk(path+"."+v.Type().Field(i).Name, v.Field(i))
			}
		case reflect.Map:
			for _, key := range v.MapKeys() {
				walk(path+"[key]", key)
				walk(path+"[]", v.MapIndex(key))
			}
		case reflect.Slice, reflect.Array:
			if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
				assert.NotContains(t, string(v.Bytes()), value, path)
				return
			}
			for i := range v.Len() {
				walk(path+"[]", v.Index(i))
			}
		}
	}
	walk(fmt.Sprintf("%T", v), reflect.ValueOf(v))
}

// fixture returns a body as the server sends it.
func fixture(t testing.TB, name string) string {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	return string(body)
}

// nightlyKey is the key of testdata/key.json, and the first of testdata/list.json.
func nightlyKey() palette.APIKey {
	return palette.APIKey{
		Metadata: palette.ObjectMeta{
			Annotations: map[string]string{
				"description":     "nightly builds",
				"ownerUid":        "5f3a1c2e9d8b7a6c5e4f3a21",
				"permissions":     "apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update",
				"scope":           "tenant",
				"scopeVisibility": "20",
				"tenantUid":       "5e0d1c2b3a4f5e6d7c8b9a0f",
			},
			CreationTimestamp:     time.Date(2024, 9, 16, 14, 46, 28, 677_000_000, time.UTC),
			Labels:                map[string]string{"team": "builds"},
			LastModifiedTimestamp: time.Date(2024, 9, 17, 8, 1, 2, 3_000_000, time.UTC),
			Name:                  "ci",
			UID:                   "66e844c44bab2337f20c7471",
		},
		Spec: palette.APIKeySpec{
			Expiry: time.Date(2030, 1, 2, 2, 4, 5, 678_000_000, time.UTC),
			User:   palette.APIKeyUser{FirstName: "Ada", LastName: "Byron", UID: "5f3a1c2e9d8b7a6c5e4f3a21"},
		},
		Status: palette.APIKeyStatus{IsActive: true},
	}
}

// validKeys are API keys with several lengths and alphabets, which are not documented.
var validKeys = []string{
	"v1", // is in the path of every request
	"0123456789abcdefABCDEF9876543210",
	"q83vEjRWeJq83vEjRWeJq83vEjRWeJ+/q83vEjRWeA8=",
	`Qz7+k/4(x.*)[y]^$|w{2}\J"t&<'>=%20~`,
	"ключ-schlüssel-鍵",
}

func hoursEast(hours float64) *time.Location { return time.FixedZone("", int(hours*3600)) }
