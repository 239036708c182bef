package palette_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const (
	// attackKey has what JSON, URLs, HTML and regular expressions treat specially.
	attackKey = `Qz7+k/4(x.*)[y]^$|w{2}\J"t&<'>=`
	// attackMadeKey is the key that a server makes.
	attackMadeKey = "newly+made/KEY.0123456789abcdef="
	attackUID     = "66e844c44bab2337f20c7471"
	attackPrefix  = "/behind/a/gateway"
	attackURL     = "https://palette.test" + attackPrefix
)

// attackKeys are credentials of every look: opaque means any of them.
var attackKeys = []string{
	attackKey,
	"0123456789abcdefABCDEF9876543210",
	"q83vEjRWeJq83vEjRWeJq83vEjRWeJ+/q83vEjRWeA8=",
	"..........",
	"(a+b)*.[c]{2}^$|?",
	"ключ-schlüssel-鍵",
	"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl-_",
}

// attackCall is one method of the service with what it sends and expects.
type attackCall struct {
	name, op, method, path string

	want  int
	reply string // the body of a success
	// do reports whether the method returned nothing beside its error.
	do func(context.Context, *palette.APIKeysService) (nothing bool, err error)
}

func (c attackCall) creates() bool { return c.name == "Create" }

// attackCalls are all methods of the service.
func attackCalls() []attackCall {
	const list = `{"items":[{"metadata":{"name":"ci","uid":"` + attackUID + `"},"status":{"isActive":true}}]}`
	return append([]attackCall{
		{
			"Create", "apiKeys.create", "POST", "/v1/apiKeys", 201,
			`{"apiKey":"` + attackMadeKey + `","uid":"` + attackUID + `"}`,
			func(ctx context.Context, s *palette.APIKeysService) (bool, error) {
				made, err := s.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "ci"}})
				return made == nil, err
			},
		},
		{
			"List", "apiKeys.list", "GET", "/v1/apiKeys", 200, list,
			func(ctx context.Context, s *palette.APIKeysService) (bool, error) {
				keys, err := s.List(ctx)
				return keys == nil, err
			},
		},
		{
			"All", "apiKeys.list", "GET", "/v1/apiKeys", 200, list,
			func(ctx context.Context, s *palette.APIKeysService) (nothing bool, last error) {
				nothing = true
				for key, err := range s.All(ctx) {
					nothing = nothing && reflect.ValueOf(key).IsZero()
					last = err
				}
				return nothing, last
			},
		},
		{
			"FindByName", "apiKeys.list", "GET", "/v1/apiKeys", 200, list,
			func(ctx context.Context, s *palette.APIKeysService) (bool, error) {
				keys, err := s.FindByName(ctx, "ci")
				return keys == nil, err
			},
		},
	}, attackCallsOn(attackUID)...)
}

// attackCallsOn are the methods that take a uid.
func attackCallsOn(uid string) []attackCall {
	path := "/v1/apiKeys/" + uid
	write := func(name, method, path string, do func(*palette.APIKeysService, context.Context, string) error) attackCall {
		return attackCall{
			name, "apiKeys." + strings.ToLower(name), method, path, 204, "",
			func(ctx context.Context, s *palette.APIKeysService) (bool, error) {
				return true, do(s, ctx, uid)
			},
		}
	}
	return []attackCall{
		{
			"Get", "apiKeys.get", "GET", path, 200, `{"metadata":{"name":"ci","uid":"` + attackUID + `"},"status":{"isActive":true}}`,
			func(ctx context.Context, s *palette.APIKeysService) (bool, error) {
				key, err := s.Get(ctx, uid)
				return key == nil, err
			},
		},
		write("Update", "PUT", path, func(s *palette.APIKeysService, ctx context.Context, uid string) error {
			return s.Update(ctx, uid, palette.UpdateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "ci"}})
		}),
		write("Delete", "DELETE", path, (*palette.APIKeysService).Delete),
		write("Activate", "PATCH", path, (*palette.APIKeysService).Activate),
		write("Deactivate", "PATCH", path, (*palette.APIKeysService).Deactivate),
		write("Revoke", "PUT", path+"/state", (*palette.APIKeysService).Revoke),
		write("Reactivate", "PUT", path+"/state", (*palette.APIKeysService).Reactivate),
	}
}

// attackSetup makes clients; its zero fields have defaults.
type attackSetup struct {
	url   string            // attackURL
	key   string            // attackKey; "-" for none
	rt    http.RoundTripper // the SDK's own
	retry palette.RetryPolicy
	more  []palette.Option
}

// attackTwice repeats two times, at once.
var attackTwice = palette.RetryPolicy{MaxRetries: 2, MinWait: 1, MaxWait: 1}

func (s attackSetup) client(t testing.TB) *palette.Client {
	t.Helper()
	if s.url == "" {
		s.url = attackURL
	}
	if s.key == "" {
		s.key = attackKey
	}
	opts := append([]palette.Option{palette.WithBaseURL(s.url), palette.WithRetry(s.retry)}, s.more...)
	if s.key != "-" {
		opts = append(opts, palette.WithAPIKey(s.key))
	}
	if s.rt != nil {
		opts = append(opts, palette.WithHTTPClient(&http.Client{Transport: s.rt}))
	}
	client, err := palette.NewClient(opts...)
	require.NoError(t, err)
	return client
}

// attackTrip is a RoundTripper without a network.
type attackTrip func(*http.Request) (*http.Response, error)

func (f attackTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// attackReply makes what an attackTrip returns.
func attackReply(status int, contentType, body string) *http.Response {
	resp := &http.Response{
		StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}
	if contentType != "" {
		resp.Header.Set("Content-Type", contentType)
	}
	return resp
}

// attackCounter counts requests, by method and path.
type attackCounter struct {
	mu   sync.Mutex
	seen []string
}

func (c *attackCounter) add(req *http.Request) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, req.Method+" "+req.URL.EscapedPath())
	return len(c.seen)
}

func (c *attackCounter) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.seen)
}

// attackForms are the ways in which people print a value.
func attackForms(v any) string {
	var b bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p", "%t", "%e", "%c", "%U", "%b", "%o", "%T", "%10.3s", "%!", "%z"} {
		fmt.Fprintf(&b, verb+"\n", v)
	}
	if encoded, err := json.Marshal(v); err == nil {
		b.Write(encoded)
	}
	for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
		slog.New(h).Info("shown", "value", v, slog.Group("group", "inner", v))
	}
	return b.String()
}

// attackHides fails when text shows secret, also written as hex or in JSON.
func attackHides(t testing.TB, text, secret string) {
	t.Helper()
	quoted, err := json.Marshal(secret)
	require.NoError(t, err)
	for _, form := range []string{
		secret, string(quoted[1 : len(quoted)-1]), fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), fmt.Sprintf("%d", []byte(secret)),
	} {
		if strings.Contains(text, form) {
			t.Errorf("shows the secret as %s in: %.2000s", form, text)
			return
		}
	}
}

// attackNoLeak fails when err, or anything that can be reached from it, shows a secret
// or keeps a request.
func attackNoLeak(t testing.TB, err error, secrets ...string) {
	t.Helper()
	if len(secrets) == 0 {
		secrets = []string{attackKey}
	}
	seen := map[attackVisit]bool{}
	for _, e := range attackChain(err) {
		for _, secret := range secrets {
			attackHides(t, attackForms(e), secret)
		}
		attackWalk(t, reflect.ValueOf(e), reflect.TypeOf(e).String(), seen, secrets)
	}
}

// attackChain is err and all that it wraps.
func attackChain(err error) []error {
	if err == nil {
		return nil
	}
	chain := []error{err}
	switch wrapper := err.(type) { //nolint:errorlint // walks the chain itself
	case interface{ Unwrap() error }:
		chain = append(chain, attackChain(wrapper.Unwrap())...)
	case interface{ Unwrap() []error }:
		for _, e := range wrapper.Unwrap() {
			chain = append(chain, attackChain(e)...)
		}
	}
	return chain
}

type attackVisit struct {
	at  uintptr
	typ reflect.Type
}

var (
	attackRequestType = reflect.TypeFor[http.Request]()
	attackConnType    = reflect.TypeFor[net.Conn]()
)

// attackWalk visits what v holds, unexported fields included. It stops at
// connections, which other goroutines write to.
func attackWalk(t testing.TB, v reflect.Value, path string, seen map[attackVisit]bool, secrets []string) {
	t.Helper()
	if !v.IsValid() || v.Type().Implements(attackConnType) {
		return
	}
	if v.Type() == attackRequestType {
		t.Errorf("%s is a request", path)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		visit := attackVisit{v.Pointer(), v.Type()}
		if v.IsNil() || seen[visit] {
			return
		}
		seen[visit] = true
		attackWalk(t, v.Elem(), path, seen, secrets)
	case reflect.Interface:
		attackWalk(t, v.Elem(), path, seen, secrets)
	case reflect.Struct:
		for i := range v.NumField() {
			attackWalk(t, v.Field(i), path+"."+v.Type().Field(i).Name, seen, secrets)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			attackWalk(t, key, path+".key", seen, secrets)
			attackWalk(t, v.MapIndex(key), path+"[]", seen, secrets)
		}
	case reflect.Slice, reflect.Array:
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
			attackHolds(t, string(v.Bytes()), path, secrets)
			return
		}
		for i := range v.Len() {
			attackWalk(t, v.Index(i), path+"[]", seen, secrets)
		}
	case reflect.String:
		attackHolds(t, v.String(), path, secrets)
	}
}

func attackHolds(t testing.TB, text, path string, secrets []string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%s holds the secret: %q", path, text)
		}
	}
}

// attackKinds are the sentinels that err is.
func attackKinds(err error) []error {
	var kinds []error
	for _, kind := range []error{
		palette.ErrInvalidArgument, palette.ErrBadRequest, palette.ErrUnauthorized, palette.ErrForbidden, palette.ErrNotFound,
		palette.ErrConflict, palette.ErrRateLimited, palette.ErrServer, palette.ErrRedirect, palette.ErrUnexpectedResponse,
		palette.ErrOutcomeUnknown, palette.ErrSecretNotEncoded, context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// attackIs asserts that err is of exactly these kinds.
func attackIs(t testing.TB, err error, kinds ...error) bool {
	t.Helper()
	return assert.ElementsMatch(t, kinds, attackKinds(err), "kinds of: %v", err)
}

// What http.Transport says where nothing was sent, and where perhaps everything was.
var (
	attackDialError = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	attackCutError  = &net.OpError{Op: "read", Net: "tcp", Err: syscall.ECONNRESET}
)

// attackBody reads the body of a request, if it has one.
func attackBody(req *http.Request) string {
	if req.Body == nil {
		return ""
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err.Error()
	}
	return string(body)
}
