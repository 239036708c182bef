package palette_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// What is not among the calls is not attacked.
func TestEveryMethodIsAttacked(t *testing.T) {
	t.Parallel()
	attacked := map[string]bool{}
	for _, call := range attackCalls() {
		attacked[call.name] = true
	}
	service := reflect.TypeFor[*palette.APIKeysService]()
	for i := range service.NumMethod() {
		assert.True(t, attacked[service.Method(i).Name], "%s is not among attackCalls", service.Method(i).Name)
	}
}

// attackRefusals are the statuses of refusal: what they mean, and which operations are
// sent again.
var attackRefusals = map[int]struct {
	kind                 error
	repeated, repeatedIf bool // Create, and all the others
}{
	400: {kind: palette.ErrBadRequest},
	401: {kind: palette.ErrUnauthorized},
	403: {kind: palette.ErrForbidden},
	404: {kind: palette.ErrNotFound},
	409: {kind: palette.ErrConflict},
	422: {kind: palette.ErrBadRequest},
	429: {kind: palette.ErrRateLimited, repeated: true, repeatedIf: true},
	500: {kind: palette.ErrServer},
	501: {kind: palette.ErrServer},
	502: {kind: palette.ErrServer, repeatedIf: true},
	503: {kind: palette.ErrServer, repeatedIf: true},
	504: {kind: palette.ErrServer, repeatedIf: true},
	520: {kind: palette.ErrServer},
	599: {kind: palette.ErrServer},
	402: {}, 405: {}, 408: {}, 410: {}, 418: {}, 425: {}, 451: {},
}

// attackErrorBodies are bodies of errors, good and bad, and what is to be read from them.
var attackErrorBodies = map[string]struct {
	contentType, body string
	want              palette.APIError
}{
	"good": {
		"application/json", `{"code":"SomeCode","message":"some words","details":{"k":["v"]},"ref":"r-1"}`,
		palette.APIError{Code: "SomeCode", Message: "some words", Ref: "r-1", Details: json.RawMessage(`{"k":["v"]}`)},
	},
	"numeric code": {
		"application/json", `{"code":608,"message":"limit in query should be less than or equal to 50"}`,
		palette.APIError{Code: "608", Message: "limit in query should be less than or equal to 50"},
	},
	"wrong types": {
		"application/json", `{"code":{"a":1},"message":["m"],"details":7,"ref":true}`,
		palette.APIError{Details: json.RawMessage(`7`)},
	},
	"one wrong type": {
		"application/json", `{"code":[],"message":"still there","ref":"r-2"}`,
		palette.APIError{Message: "still there", Ref: "r-2"},
	},
	"nulls":     {"application/json", `{"code":null,"message":null,"details":null,"ref":null}`, palette.APIError{Details: json.RawMessage(`null`)}},
	"empty":     {"application/json", ``, palette.APIError{}},
	"null":      {"application/json", `null`, palette.APIError{}},
	"truncated": {"application/json", `{"code":"SomeCode","mess`, palette.APIError{Message: `{"code":"SomeCode","mess`}},
	"HTML": {
		"text/html; charset=utf-8",
		"<html>\r\n<head><title>502 Bad Gateway</title><style>b{}</style></head><body><script>alert(1)</script>\r\n<h1>No &amp; no</h1></body></html>",
		palette.APIError{Message: "502 Bad Gateway No & no"},
	},
	"no content type": {"", `{"code":"SomeCode"}`, palette.APIError{Code: "SomeCode"}},
}

// Whatever a refusal looks like, it is an APIError of the right kind, with what could be read,
// after as many requests as the table says.
func TestEveryRefusalOfEveryOperation(t *testing.T) {
	t.Parallel()
	for status, refusal := range attackRefusals {
		for name, sent := range attackErrorBodies {
			requests := 0
			var call attackCall
			client := attackSetup{retry: attackTwice, rt: attackTrip(func(req *http.Request) (*http.Response, error) {
				requests++
				require.Equal(t, call.method+" "+attackPrefix+call.path, req.Method+" "+req.URL.Path)
				return attackReply(status, sent.contentType, sent.body), nil
			})}.client(t)
			for _, call = range attackCalls() {
				requests = 0
				nothing, err := call.do(t.Context(), client.APIKeys)
				where := fmt.Sprintf("%s, %d, %s", call.name, status, name)

				var got *palette.APIError
				require.ErrorAs(t, err, &got, where)
				require.True(t, nothing, where)
				want := sent.want
				want.Op, want.Method, want.Path, want.StatusCode, want.Attempts = call.op, call.method, call.path, status, 1
				if refusal.repeated || refusal.repeatedIf && !call.creates() {
					want.Attempts = 3
				}
				require.Equal(t, want, *got, where)
				require.Equal(t, want.Attempts, requests, "requests of %s", where)

				var kinds []error
				if refusal.kind != nil {
					kinds = append(kinds, refusal.kind)
				}
				if call.creates() && status >= 500 {
					kinds = append(kinds, palette.ErrOutcomeUnknown)
				}
				require.True(t, attackIs(t, err, kinds...), where)
			}
		}
	}
}

// The policy's number of repeats is kept, for nought and for many.
func TestRepeatsAreCounted(t *testing.T) {
	t.Parallel()
	for _, retries := range []int{0, 1, 5} {
		for _, call := range attackCalls() {
			for status, attempts := range map[int]int{500: 1, 429: retries + 1, 503: retries + 1} {
				if status == 503 && call.creates() {
					attempts = 1
				}
				requests := 0
				client := attackSetup{
					retry: palette.RetryPolicy{MaxRetries: retries, MinWait: 1, MaxWait: 1},
					rt: attackTrip(func(*http.Request) (*http.Response, error) {
						requests++
						return attackReply(status, "", ""), nil
					}),
				}.client(t)
				_, err := call.do(t.Context(), client.APIKeys)
				require.Error(t, err)
				assert.Equal(t, attempts, requests, "%s, %d, %d retries", call.name, status, retries)
			}
		}
	}
}

// The success of a repeat is the success of the call.
func TestRepeatThatSucceeds(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		for _, status := range []int{429, 502, 503, 504} {
			if call.creates() && status != 429 {
				continue
			}
			var bodies []string
			client := attackSetup{retry: attackTwice, rt: attackTrip(func(req *http.Request) (*http.Response, error) {
				bodies = append(bodies, attackBody(req))
				if len(bodies) < 3 {
					return attackReply(status, "", ""), nil
				}
				return attackReply(call.want, "application/json", call.reply), nil
			})}.client(t)
			nothing, err := call.do(t.Context(), client.APIKeys)
			require.NoError(t, err, "%s, %d", call.name, status)
			assert.Equal(t, call.reply == "", nothing, call.name)
			require.Len(t, bodies, 3)
			assert.Equal(t, bodies[0], bodies[2], "%s: a repeat sends the same body", call.name)
			assert.Equal(t, call.method == "GET" || call.method == "DELETE", bodies[0] == "", call.name)
		}
	}
}

// "Not found" is success for a Delete whose answer was lost, and for nothing else.
func TestNotFoundIsSuccessOnlyForADeleteThatLostItsAnswer(t *testing.T) {
	t.Parallel()
	for first, gone := range map[string]bool{"cut": true, "none": false, "refused": false, "503": false, "429": false} {
		for _, call := range attackCalls() {
			requests := 0
			client := attackSetup{retry: attackTwice, rt: attackTrip(func(*http.Request) (*http.Response, error) {
				requests++
				switch {
				case requests == 2 || first == "none":
					return attackReply(404, "application/json", `{"code":"ResourceNotFound"}`), nil
				case first == "503":
					return attackReply(503, "", ""), nil
				case first == "429":
					return attackReply(429, "", ""), nil
				case first == "refused":
					return nil, attackDialError
				}
				return nil, attackCutError
			})}.client(t)
			_, err := call.do(t.Context(), client.APIKeys)
			switch {
			case call.name == "Delete" && gone:
				assert.NoError(t, err)
			case call.creates() && (first == "cut" || first == "503"):
				assert.ErrorIs(t, err, palette.ErrOutcomeUnknown)
			default:
				attackIs(t, err, palette.ErrNotFound)
			}
		}
	}
}
