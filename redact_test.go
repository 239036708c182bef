package palette_test

import (
	"bytes"
	"context"
	"encoding/json"
	"html"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const (
	echoKey  = `Qz7+k/4<x>&w"t'\w=`               // each encoding of it is another text
	plainKey = "0123456789abcdef0123456789abcdef" // can be a part of a uid, a path and a media type
)

// echoForms returns the encodings in which a server or a proxy may repeat key.
func echoForms(key string) map[string]string {
	inJSON := strings.TrimSuffix(quoted(key)[1:], `"`)
	return map[string]string{
		"verbatim":            key,
		"JSON":                inJSON,
		"JSON, escaped slash": strings.ReplaceAll(inJSON, "/", `\/`),
		"URL query":           url.QueryEscape(key),
		"URL path":            url.PathEscape(key),
		"HTML":                html.EscapeString(key),
		"Go":                  strings.TrimSuffix(strconv.Quote(key)[1:], `"`),
	}
}

// quoted returns s as a JSON string.
func quoted(s string) string {
	text, _ := json.Marshal(s)
	return string(text)
}

func TestRedactionOfServerTexts(t *testing.T) {
	t.Parallel()
	const asText = `Content-Type is "text/plain", not JSON: `
	word, text := strings.Repeat("x", 195), strings.Repeat("x", 495)
	type row struct {
		key      string
		response httpmock.Responder
		want     errorTexts
	}
	rows := map[string]row{
		"details":                  {testKey, respond(400, `{"details":{"a":"b `+testKey+`"}}`), errorTexts{}},
		"number in details":        {"1234567890", respond(400, `{"details":{"a":1234567890}}`), errorTexts{}},
		"across syntax in details": {`"a":"b","c"`, respond(400, `{"details":{"a":"b","c":1}}`), errorTexts{}},
		"escapes in details":       {plainKey, respond(400, `{"details":"\u00301`+plainKey[2:]+`"}`), errorTexts{}},
		"URL in details":           {testKey, respond(400, `{"details":"/?`+url.QueryEscape(testKey)+`"}`), errorTexts{}},
		"other details":            {testKey, respond(400, `{"details":{"a":"\u003c"}}`), errorTexts{Details: `{"a":"\u003c"}`}},
		"location":                 {plainKey, redirectTo("/a/" + plainKey + "/b"), errorTexts{Location: "/a/[REDACTED]/b"}},
		"media type":               {plainKey, respondAs("text/"+plainKey, "<p>"), errorTexts{Message: `Content-Type is "text/[REDACTED]", not JSON`}},
		"shortened": {
			testKey, respond(400, `{"code":"`+word+testKey+`","message":"`+text+testKey+`","ref":"`+word+testKey+`"}`),
			errorTexts{Code: word + "[REDA…", Message: text + "[REDA…", Ref: word + "[REDA…"},
		},
		"shortened text": {testKey, respondAs("text/plain", word+testKey), errorTexts{Message: asText + word + "[REDA…"}},
		"cut at 1 MiB":   {testKey, respondAs("text/plain", strings.Repeat(" ", 1<<20-10)+testKey), errorTexts{}},
		"7 characters":   {"1234567", respondAs("text/plain", "a 1234567"), errorTexts{Message: asText + "a 1234567"}},
		"8 characters":   {"12345678", respondAs("text/plain", "a 12345678"), errorTexts{Message: asText + "a [REDACTED]"}},
	}
	for name, form := range echoForms(echoKey) {
		inJSON := quoted("a " + form + " b")
		response := respond(400, `{"code":`+inJSON+`,"message":`+inJSON+`,"ref":`+inJSON+`}`)
		want := "[REDACTED]"
		if name == "verbatim" {
			want = "a [REDACTED] b"
		}
		rows[name] = row{echoKey, response, errorTexts{Code: want, Message: want, Ref: want}}
		rows[name+" in text"] = row{echoKey, respondAs("text/plain", "a "+form+" b"), errorTexts{Message: asText + want}}
	}
	for name, tt := range rows {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, tt.want, textsOf(apiErrorOf(t, tt.response, palette.WithAPIKey(tt.key))))
		})
	}
}

func TestRedactionOfTransportErrors(t *testing.T) {
	t.Parallel()
	for name, form := range echoForms(echoKey) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cause := &transportErr{"cannot send " + form}
			ctx, cancel := context.WithCancel(t.Context())
			client := newTestClient(t, roundTripFunc(failing(written, cause)), palette.WithAPIKey(echoKey))
			canceling := newTestClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
				cancel()
				return failing(written, cause)(req)
			}), palette.WithAPIKey(echoKey))

			_, err := client.APIKeys.Get(ctx, testUID)
			_, canceledErr := canceling.APIKeys.Get(ctx, testUID)

			const phase, end = "palette: apiKeys.get: waiting for the response: ", "[REDACTED] (host palette.test, 1 attempt)"
			text, canceledText := end, end
			if name == "verbatim" {
				text, canceledText = "cannot send "+end, "context canceled: cannot send "+end
			}
			require.EqualError(t, err, phase+text)
			require.EqualError(t, canceledErr, phase+canceledText)
			require.ErrorIs(t, canceledErr, context.Canceled)
			for _, err := range []error{err, canceledErr} {
				require.NotErrorIs(t, err, cause)
				require.NotContains(t, printed(err), form)
			}
		})
	}
}

func TestCredentialIsInNoErrorLogOrKeptRequest(t *testing.T) {
	t.Parallel()
	body := strings.ReplaceAll(`{"code":"Code","message":"KEY","details":["KEY"],"items":[{"metadata":{"uid":"KEY"},"spec":7}]}`, "KEY", plainKey)
	header := http.Header{"Content-Type": {"application/json"}, "Location": {"/" + plainKey}, "Retry-After": {plainKey}}
	for _, op := range methods("List", "Create") {
		for _, status := range []int{op.success, 202, 302, 400, 404, 503} {
			t.Run(op.name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()
				var log bytes.Buffer
				var kept []*http.Request
				base := roundTripFunc(func(req *http.Request) (*http.Response, error) {
					assert.Equal(t, plainKey, req.Header.Get("ApiKey"))
					assert.NotContains(t, printed(req.Context()), plainKey)
					return respondWith(status, header, body)(req)
				})
				wrap := func(rt http.RoundTripper) http.RoundTripper {
					return roundTripFunc(func(req *http.Request) (*http.Response, error) {
						resp, err := rt.RoundTrip(req)
						kept = append(kept, req, resp.Request)
						return resp, err
					})
				}
				client := newTestClient(t, base, append(withFastRetries(1), palette.WithAPIKey(plainKey),
					palette.WithTransportWrapper(wrap), palette.WithLogger(debugLogger(&log)))...)

				_, err := op.call(t.Context(), client.APIKeys)

				assert.NotContains(t, printed(err), plainKey)
				assert.NotContains(t, log.String(), plainKey)
				assert.Contains(t, log.String(), " op="+op.op+" ")
				require.NotEmpty(t, kept)
				for _, req := range kept {
					assert.NotContains(t, printed(req.Header)+printed(req.Context()), plainKey)
					requireUnreachable(t, plainKey, req.Context())
				}
			})
		}
	}
}

func TestUIDThatIsTheCredentialIsNotSent(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	client := newTestClient(t, newMock(t), append(withFastRetries(3), palette.WithAPIKey(plainKey),
		palette.WithLogger(debugLogger(&log)))...)

	err := client.APIKeys.Delete(t.Context(), plainKey)

	require.EqualError(t, err, "palette: apiKeys.delete: the uid is the client's own credential (host palette.test, 1 attempt)")
	assert.Equal(t, 1, strings.Count(log.String(), "\n"))
	assert.NotContains(t, log.String(), plainKey)
}

func TestClientDoesNotShowItsCredential(t *testing.T) {
	t.Parallel()
	for name, option := range map[string]palette.Option{
		"key": palette.WithAPIKey(plainKey), "token": palette.WithAuthToken(plainKey), "func": palette.WithAPIKeyFunc(returns(plainKey)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			hc := &http.Client{Transport: roundTripFunc(respond(200, testKeyJSON))}
			client, err := palette.NewClient(option, palette.WithHTTPClient(hc))
			require.NoError(t, err)
			require.NoError(t, getKey(t, client))
			derived, err := client.WithAPIKey(plainKey)
			require.NoError(t, err)

			for _, v := range []any{client, *client, client.APIKeys, derived, *derived, option} {
				assert.NotContains(t, printed(v), plainKey)
				requireUnreachable(t, plainKey, v)
			}
		})
	}
}

// A connection has the credential in its buffers.
func TestClientWithConnectionsDoesNotShowItsCredential(t *testing.T) {
	t.Parallel()
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			server, _ := startServer(t, http2, serveKey)
			client := newNetworkClient(t, server, palette.WithAPIKey(plainKey))

			require.NoError(t, getKey(t, client))

			requireUnreachable(t, plainKey, client)
		})
	}
}

// Other encoders choose other letters, and encode more characters.
func TestRedactionUndoesEveryEncoding(t *testing.T) {
	t.Parallel()
	for name, form := range map[string]string{
		"URL, lower case":  "test-credential%2b4711%2f%3d",
		"JSON, upper case": `test-credential\u002B4711\u002F\u003D`,
		"JSON, lower case": `test-credential\u002b4711\u002f=`,
		"HTML, decimal":    "test-credential&#43;4711&#47;&#61;",
		"HTML, hex":        "test-credential&#x2B;4711&#x2F;&#x3d;",
		"HTML in JSON":     `test-credential\u0026#43;4711/=`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := apiErrorOf(t, respondAs("text/plain", "no key "+form))

			assert.Equal(t, `Content-Type is "text/plain", not JSON: [REDACTED]`, err.Message)
		})
	}
}

// FuzzRedact requires that no encoding of a credential that a server repeats is in an error.
func FuzzRedact(f *testing.F) {
	for _, key := range append(validKeys, echoKey, testKey, plainKey, "0000&amp", "0000000%", "%00%00%00", `"message"`) {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		_, err := palette.NewClient(palette.WithAPIKey(key))
		if err != nil || len(key) < 8 || !utf8.ValidString(key) || strings.Contains("before [REDACTED] after", key) {
			return
		}
		for name, form := range echoForms(key) {
			text, details := quoted("before "+form+" after"), quoted("before "+key+" after")

			apiErr := apiErrorOf(t, respond(400, `{"code":`+text+`,"message":`+text+`,"details":[`+details+`]}`), palette.WithAPIKey(key))

			require.Contains(t, apiErr.Message, "[REDACTED]", name)
			for _, text := range []string{apiErr.Code, apiErr.Message} {
				require.NotContains(t, text, key, name)
				require.NotContains(t, text, form, name)
			}
			require.Empty(t, apiErr.Details)
		}
	})
}
