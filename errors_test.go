package palette_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

var sentinels = map[string]error{
	"ErrInvalidArgument":    palette.ErrInvalidArgument,
	"ErrBadRequest":         palette.ErrBadRequest,
	"ErrUnauthorized":       palette.ErrUnauthorized,
	"ErrForbidden":          palette.ErrForbidden,
	"ErrNotFound":           palette.ErrNotFound,
	"ErrConflict":           palette.ErrConflict,
	"ErrRateLimited":        palette.ErrRateLimited,
	"ErrServer":             palette.ErrServer,
	"ErrRedirect":           palette.ErrRedirect,
	"ErrUnexpectedResponse": palette.ErrUnexpectedResponse,
	"ErrOutcomeUnknown":     palette.ErrOutcomeUnknown,
	"ErrSecretNotEncoded":   palette.ErrSecretNotEncoded,
}

// kindsOf names the sentinels that err is.
func kindsOf(err error) []string {
	kinds := []string{}
	for name, sentinel := range sentinels {
		if errors.Is(err, sentinel) {
			kinds = append(kinds, name)
		}
	}
	return kinds
}

func TestSentinelTexts(t *testing.T) {
	t.Parallel()
	texts := map[string]bool{}
	for name, sentinel := range sentinels {
		assert.Regexp(t, `^palette: \S`, sentinel.Error(), name)
		texts[sentinel.Error()] = true
		assert.Equal(t, []string{name}, kindsOf(sentinel))
	}
	assert.Len(t, texts, len(sentinels), "each says something else")
}

// Each status is exactly one kind, also behind other errors.
func TestStatusKinds(t *testing.T) {
	t.Parallel()
	tests := map[int]string{
		300: "ErrRedirect", 301: "ErrRedirect", 304: "ErrRedirect", 399: "ErrRedirect",
		400: "ErrBadRequest", 422: "ErrBadRequest",
		401: "ErrUnauthorized", 403: "ErrForbidden", 404: "ErrNotFound", 409: "ErrConflict", 429: "ErrRateLimited",
		402: "", 405: "", 410: "", 418: "", 499: "",
		500: "ErrServer", 501: "ErrServer", 502: "ErrServer", 503: "ErrServer", 504: "ErrServer", 599: "ErrServer",
	}
	for status, want := range tests {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			kinds := []string{}
			if want != "" {
				kinds = append(kinds, want)
			}
			apiErr := &palette.APIError{StatusCode: status}
			assert.Equal(t, kinds, kindsOf(apiErr))
			wrapped := errors.Join(errors.New("other"), fmt.Errorf("rotating: %w", apiErr))
			assert.Equal(t, kinds, kindsOf(wrapped))
			var found *palette.APIError
			require.ErrorAs(t, wrapped, &found)
			assert.Same(t, apiErr, found)
		})
	}
}

func TestAPIErrorText(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  palette.APIError
		want string
	}{
		{
			palette.APIError{Op: "apiKeys.get", StatusCode: 404, Code: "ResourceNotFound", Message: "no such key", Ref: "r-1", Attempts: 1},
			"palette: apiKeys.get: 404 ResourceNotFound: no such key (ref r-1, 1 attempt)",
		},
		{
			palette.APIError{Op: "apiKeys.list", StatusCode: 503, Attempts: 4},
			"palette: apiKeys.list: 503 Service Unavailable (4 attempts)",
		},
		{
			palette.APIError{Op: "apiKeys.list", StatusCode: 422, Code: "608", Message: "limit", Attempts: 1},
			"palette: apiKeys.list: 422 608: limit (1 attempt)",
		},
		{
			palette.APIError{Op: "apiKeys.list", StatusCode: 307, Location: "https://other.test/login", Attempts: 1},
			"palette: apiKeys.list: 307 Temporary Redirect: to https://other.test/login (1 attempt)",
		},
		{ // a proxy's own status, which has no text
			palette.APIError{Op: "apiKeys.list", StatusCode: 520, Attempts: 1},
			"palette: apiKeys.list: 520 (1 attempt)",
		},
		{
			palette.APIError{Op: "apiKeys.list", StatusCode: 520, Message: "web server says no", Attempts: 1},
			"palette: apiKeys.list: 520: web server says no (1 attempt)",
		},
	}
	for _, tt := range tests {
		t.Run(tt.want, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, tt.err.Error())
		})
	}
}

// refusal is what a Get makes of a reply.
func refusal(t *testing.T, reply httpmock.Responder) *palette.APIError {
	t.Helper()
	w := newWire(t).on("GET", keyPath, reply)
	key, err := w.client().APIKeys.Get(t.Context(), keyUID)
	assert.Nil(t, key)
	var apiErr *palette.APIError
	require.ErrorAs(t, err, &apiErr)
	return apiErr
}

// From the wire to the fields.
func TestAPIErrorFields(t *testing.T) {
	t.Parallel()
	get := func(more palette.APIError) *palette.APIError {
		more.Op, more.Method, more.Path, more.Attempts = "apiKeys.get", "GET", keyPath, 1
		return &more
	}
	tests := []struct {
		name  string
		reply httpmock.Responder
		want  *palette.APIError
	}{
		{
			"an error of the application", replyJSON(404, fixture(t, "error_not_found.json")),
			get(palette.APIError{
				StatusCode: 404, Code: "ResourceNotFound",
				Message: "The API key '66e844c44bab2337f20c7471' was not found", Ref: "4f1c2d3e-ref",
				Details: []byte(`{"kind":"apiKey","tries":[1, 2.50]}`),
			}),
		},
		{
			"an error of the framework has a number", replyJSON(422, fixture(t, "error_number.json")),
			get(palette.APIError{StatusCode: 422, Code: "608", Message: "limit in query should be less than or equal to 50"}),
		},
		{"no body", replyWith(403, "", ""), get(palette.APIError{StatusCode: 403})},
		{"an empty object", replyJSON(403, "{}"), get(palette.APIError{StatusCode: 403})},
		{"null", replyJSON(403, "null"), get(palette.APIError{StatusCode: 403})},
		{
			"nulls", replyJSON(403, `{"code":null,"message":null,"details":null,"ref":null}`),
			get(palette.APIError{StatusCode: 403, Details: []byte("null")}),
		},
		{
			"one field of a wrong type costs the others nothing",
			replyJSON(403, `{"code":{"a":1},"message":"still here","details":7,"ref":["x"]}`),
			get(palette.APIError{StatusCode: 403, Message: "still here", Details: []byte("7")}),
		},
		{
			"large numbers keep their digits", replyJSON(400, `{"code":12345678901234567890,"message":5}`),
			get(palette.APIError{StatusCode: 400, Code: "12345678901234567890", Message: "5"}),
		},
		{
			"the content type does not matter", replyWith(403, "text/plain", `{"code":"OperationForbidden"}`),
			get(palette.APIError{StatusCode: 403, Code: "OperationForbidden"}),
		},
		{
			"lines become one", replyJSON(400, `{"message":"two\nlines\t\u0000and \u001b[31mcolors"}`),
			get(palette.APIError{StatusCode: 400, Message: "two lines and [31mcolors"}),
		},
		{
			"plain text", replyWith(503, "text/plain", "no healthy upstream\n"),
			get(palette.APIError{StatusCode: 503, Message: "no healthy upstream"}),
		},
		{
			"a page of a proxy", replyWith(502, "text/html", fixture(t, "error_gateway.html")),
			get(palette.APIError{StatusCode: 502, Message: "502 Bad Gateway The gateway & its server disagree Try again later."}),
		},
		{
			"JSON that is cut", replyJSON(500, `{"code":"Oops","mess`),
			get(palette.APIError{StatusCode: 500, Message: `{"code":"Oops","mess`}),
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, refusal(t, tt.reply))
		})
	}
}

func TestAPIErrorTextFromTheWire(t *testing.T) {
	t.Parallel()
	err := refusal(t, replyJSON(404, fixture(t, "error_not_found.json")))
	require.EqualError(t, err, "palette: apiKeys.get: 404 ResourceNotFound: "+
		"The API key '66e844c44bab2337f20c7471' was not found (ref 4f1c2d3e-ref, 1 attempt)")
}

// What a server writes is cut to a readable length; Details is kept whole.
func TestAPIErrorIsShort(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ä", 100_000)

	err := refusal(t, replyJSON(400, `{"code":"`+long+`","message":"`+long+`","ref":"`+long+`","details":"`+long+`"}`))
	assert.Equal(t, strings.Repeat("ä", 200)+"…", err.Code)
	assert.Equal(t, strings.Repeat("ä", 500)+"…", err.Message)
	assert.Equal(t, strings.Repeat("ä", 200)+"…", err.Ref)
	assert.Equal(t, `"`+long+`"`, string(err.Details))

	err = refusal(t, replyWith(502, "text/html", "<html><p>"+long+"</p></html>"))
	assert.Equal(t, strings.Repeat("ä", 200)+"…", err.Message)

	exact := strings.Repeat("ä", 500)
	assert.Equal(t, exact, refusal(t, replyJSON(400, `{"message":"`+exact+`"}`)).Message)
}

// Errors log themselves, in fields.
func TestAPIErrorLogs(t *testing.T) {
	t.Parallel()
	err := &palette.APIError{
		Op: "apiKeys.get", Method: "GET", Path: keyPath, StatusCode: 429,
		Code: "TooManyRequests", Message: "slow down", Ref: "r-1", Details: []byte(`{"private":1}`),
		Location: "https://other.test/", RetryAfter: 2 * time.Second, Attempts: 3,
	}
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	logger.Error("rotation failed", "error", err)
	assert.JSONEq(t, `{"level":"ERROR","msg":"rotation failed","error":{"op":"apiKeys.get","method":"GET",`+
		`"path":"/v1/apiKeys/66e844c44bab2337f20c7471","status":429,"code":"TooManyRequests","message":"slow down","ref":"r-1",`+
		`"location":"https://other.test/","retryAfter":2000000000,"attempts":3}}`, out.String())
}

// An error can be put into a report as JSON, with details and without.
func TestAPIErrorEncodes(t *testing.T) {
	t.Parallel()
	const rest = `,"Location":"","RetryAfter":0,"Attempts":1}`
	tests := map[string]string{
		`{"code":"Oops","details":{"a":1}}`: `{"Op":"apiKeys.get","Method":"GET","Path":"` + keyPath + `","StatusCode":400,` +
			`"Code":"Oops","Message":"","Ref":"","Details":{"a":1}` + rest,
		`{"code":"Oops"}`: `{"Op":"apiKeys.get","Method":"GET","Path":"` + keyPath + `","StatusCode":400,` +
			`"Code":"Oops","Message":"","Ref":"","Details":null` + rest,
	}
	for body, want := range tests {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			//nolint:musttag // its fields keep their Go names
			got, err := json.Marshal(refusal(t, replyJSON(http.StatusBadRequest, body)))
			require.NoError(t, err)
			assert.Equal(t, want, string(got))
		})
	}
}

// What is not the server's word is no APIError, begins with the package's name
// and keeps its cause.
func TestOtherErrors(t *testing.T) {
	t.Parallel()
	cause := errors.New("cable unplugged")
	tests := []struct {
		name  string
		reply httpmock.Responder
		want  string
	}{
		{"the network", httpmock.NewErrorResponder(cause), "palette: apiKeys.get: cable unplugged (1 attempt)"},
		{"an unexpected reply", replyJSON(http.StatusOK, "[]"), "palette: apiKeys.get: unexpected response: wrong JSON type for palette.keyReply at offset 1 (1 attempt)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t).on("GET", keyPath, tt.reply)
			_, err := w.client().APIKeys.Get(t.Context(), keyUID)
			require.EqualError(t, err, tt.want)
			var apiErr *palette.APIError
			require.NotErrorAs(t, err, &apiErr)
			assert.Equal(t, tt.name == "the network", errors.Is(err, cause))
		})
	}
}
