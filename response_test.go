package palette_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// listKeys returns the keys of a list.
func TestAny2xxWithTheDocumentedBodyIsSuccess(t *testing.T) {
	t.Parallel()
	for _, op := range methods("Get", "List", "Create") {
		for _, status := range []int{200, 201, 202, 203, 206, 299} {
			t.Run(op.name+" "+strconv.Itoa(status), func(t *testing.T) {
				t.Parallel()

				result, err := op.call(t.Context(), newTestClient(t, newMock(t, respond(status, op.response))).APIKeys)

				require.NoError(t, err)
				assert.NotNil(t, result)
			})
		}
	}
}

func TestOther2xxIsUnexpected(t *testing.T) {
	t.Parallel()
	const noType = ` with Content-Type "", not JSON: something other than Palette responded, such as a proxy or a sign-in page before it`
	for _, tt := range []struct {
		method, body string
		status       int
		want         string
	}{
		{"Delete", "", 200, "status 200, not 204"}, // a sign-in page
		{"Delete", "", 201, "status 201, not 204"},
		{"Delete", "", 205, "status 205, not 204"},
		{"Delete", "", 600, "status 600, not 204"},
		{"Get", "", 204, "status 204" + noType},
		{"Create", "", 200, "status 200" + noType},
		{"Create", `{"message":"accepted"}`, 202, "no apiKey or no uid"},
		{"Get", testKeyJSON, 600, "status 600, not 2xx"},
		{"Get", testKeyJSON, 999, "status 999, not 2xx"},
	} {
		for _, op := range methods(tt.method) {
			t.Run(op.name+" "+tt.want, func(t *testing.T) {
				t.Parallel()
				m := newMock(t, respond(tt.status, tt.body)) // one response: it is not retried

				result, err := op.call(t.Context(), newTestClient(t, m, withFastRetries(2)...).APIKeys)

				requireUnexpected(t, op, result, err, tt.want)
			})
		}
	}
}

func TestGetOfAnotherKeyIsUnexpected(t *testing.T) {
	t.Parallel()
	client := newTestClient(t, newMock(t, respond(200, testKeyJSON)))

	key, err := client.APIKeys.Get(t.Context(), "u1")

	assert.Nil(t, key)
	require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
	require.EqualError(t, err, "palette: apiKeys.get: unexpected response: metadata.uid is not that of the request (host palette.test, 1 attempt)")
}

func TestResponseWithoutBodyIsNotDecoded(t *testing.T) {
	t.Parallel()
	m := newMock(t, respondWith(204, http.Header{"Content-Type": {"text/html"}}, "<html>"))

	require.NoError(t, newTestClient(t, m).APIKeys.Delete(t.Context(), testUID))
}

func TestMediaType(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		contentType string
		media       string // in the error; "JSON": success
	}{
		{"application/json", "JSON"},
		{"application/json; charset=utf-8", "JSON"},
		{"application/json;", "JSON"},
		{"Application/JSON;charset=UTF-8", "JSON"},
		{"application/problem+json", "JSON"},
		{"application/vnd.spectrocloud.palette+json; version=1", "JSON"},
		{"", ""},
		{"json", "json"},
		{"text/html", "text/html"},
		{"Text/HTML; charset=utf-8", "text/html"},
		{"text/html; a=application/json", "text/html"},
		{"text/plain", "text/plain"},
		{"application/jsonp", "application/jsonp"},
		{"application/x-ndjson", "application/x-ndjson"},
		{"application/json, text/html", "application/json, text/html"},
	} {
		t.Run(tt.contentType, func(t *testing.T) {
			t.Parallel()
			for _, op := range getAndCreate() {
				header := http.Header{"Content-Type": {tt.contentType}}
				client := newTestClient(t, newMock(t, respondWith(op.success, header, op.response)))

				result, err := op.call(t.Context(), client.APIKeys)

				if tt.media == "JSON" {
					require.NoError(t, err)
					require.NotNil(t, result)
					continue
				}
				why := fmt.Sprintf("status %d with Content-Type %q, not JSON: something other than Palette responded, such as a proxy or a sign-in page before it", op.success, tt.media)
				requireUnexpected(t, op, result, err, why)
			}
		})
	}
}

func TestBodyThatIsNotJSON(t *testing.T) {
	t.Parallel()
	for _, op := range getAndCreate() {
		size := len(op.response)
		for _, tt := range []struct {
			name, body string
			offset     int // of the first invalid byte, starting at 1
		}{
			{"empty", "", 0},
			{"HTML", "<html></html>", 1},
			{"incomplete", op.response[:size-1], size - 1},
			{"two values", op.response + "{}", size + 1},
		} {
			t.Run(op.name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				header := http.Header{"Content-Type": {"application/json"}}
				client := newTestClient(t, newMock(t, respondWith(op.success, header, tt.body)))

				result, err := op.call(t.Context(), client.APIKeys)

				requireUnexpected(t, op, result, err, fmt.Sprintf("invalid JSON at offset %d of %d bytes", tt.offset, len(tt.body)))
			})
		}
	}
}

// respondStreamed responds with a body and a Content-Length, which is -1 if it is not known.
func respondStreamed(status int, length int64, body io.ReadCloser) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		send(req, written)
		resp := newResponse(status, http.Header{"Content-Type": {"application/json"}}, "")
		resp.Request, resp.ContentLength, resp.Body = req, length, body
		return resp, nil
	}
}

// zeros is an endless body that costs nothing to produce.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestBodyLimit(t *testing.T) {
	t.Parallel()
	const limit = 64 << 20
	for _, tt := range []struct { //nolint:paralleltest // two cases read 64 MiB, and not at the same time
		name   string
		body   io.Reader
		length int64
		read   int64
		want   string
	}{
		{"endless", zeros{}, -1, limit + 1, "the body is larger than the limit"},
		{"exactly the limit", io.LimitReader(zeros{}, limit), limit, limit, "invalid JSON at offset 1 of 67108864 bytes"},
		{"larger than the limit by its Content-Length", zeros{}, limit + 1, 0, "the body is larger than the limit"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := &streamed{Reader: tt.body}
			client := newTestClient(t, newMock(t, respondStreamed(200, tt.length, body)))

			err := getKey(t, client)

			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.EqualError(t, err, "palette: apiKeys.get: unexpected response: "+tt.want+" (host palette.test, 1 attempt)")
			assert.Equal(t, tt.read, body.read)
		})
	}
}

// A body that breaks off is an error of the transport as well, even if what was read could
// be decoded.
func TestTruncatedBody(t *testing.T) {
	t.Parallel()
	for _, op := range getAndCreate() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			body := io.MultiReader(strings.NewReader(op.response), iotest.ErrReader(io.ErrUnexpectedEOF))
			client := newTestClient(t, newMock(t, respondStreamed(op.success, -1, io.NopCloser(body))))

			result, err := op.call(t.Context(), client.APIKeys)

			assert.Nil(t, result)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			require.ErrorContains(t, err, "palette: "+op.op+": truncated response: unexpected EOF (host palette.test, 1 attempt)")
		})
	}
}

// A body that is not closed is a lost connection.
func TestResponseBodyIsClosed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*http.Response)
	}{
		{"success", func(*http.Response) {}},
		{"other status", func(resp *http.Response) { resp.StatusCode = 202 }},
		{"status that HTTP does not have", func(resp *http.Response) { resp.StatusCode = 999 }},
		{"other media type", func(resp *http.Response) { resp.Header.Set("Content-Type", "text/html") }},
		{"not JSON", func(resp *http.Response) { resp.Body = io.NopCloser(strings.NewReader("<")) }},
		{"truncated", func(resp *http.Response) { resp.Body = io.NopCloser(iotest.ErrReader(io.ErrUnexpectedEOF)) }},
		{"too large", func(resp *http.Response) { resp.ContentLength = 1 << 40 }},
		{"redirect", func(resp *http.Response) { resp.StatusCode = 302 }},
		{"error", func(resp *http.Response) { resp.StatusCode = 404 }},
		{"error that is retried", func(resp *http.Response) { resp.StatusCode = 429 }},
		{"error that is too large", func(resp *http.Response) { resp.StatusCode, resp.ContentLength = 500, 1<<40 }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for _, op := range methods("Get", "Create", "Delete") {
				var bodies []*streamed
				client := newTestClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
					resp, err := op.succeed()(req)
					tt.change(resp)
					body := &streamed{Reader: resp.Body}
					bodies = append(bodies, body)
					resp.Body = body
					return resp, err
				}), withFastRetries(2)...)

				_, _ = op.call(t.Context(), client.APIKeys) // other tests check the result

				assert.NotEmpty(t, bodies, op.name)
				for _, body := range bodies {
					assert.True(t, body.closed, op.name)
				}
			}
		})
	}
}

func listKeys(t *testing.T, body string) ([]palette.APIKey, error) {
	t.Helper()
	return newTestClient(t, newMock(t, respond(200, body))).APIKeys.List(t.Context())
}

func TestCreateResponse(t *testing.T) {
	t.Parallel()
	body := strings.Replace(fixture(t, "created.json"), "{", `{"new":{"field":[1]},`, 1) // a field that is not documented

	created, err := createKey(t, newTestClient(t, newMock(t, respond(201, body))))

	require.NoError(t, err)
	assert.Equal(t, "bmV3LWtleS1mb3ItdGhlLXRlc3RzLW9mLXRoaXMtc2RrIQ==", created.APIKey.Reveal())
	assert.Equal(t, "66e844c44bab2337f20c7471", created.UID)
}

func TestListResponse(t *testing.T) {
	t.Parallel()

	keys, err := listKeys(t, fixture(t, "list.json"))

	require.NoError(t, err)
	inactive := palette.APIKey{ // never expires, and has no isActive
		Metadata: palette.ObjectMeta{
			Annotations:           map[string]string{"description": ""},
			CreationTimestamp:     time.Date(2023, 1, 31, 23, 59, 59, 999_000_000, time.UTC),
			LastModifiedTimestamp: time.Date(2023, 1, 31, 23, 59, 59, 999_000_000, time.UTC),
			Name:                  "revoked",
			UID:                   "63d9acff4bab2337f20c7472",
		},
		Spec: palette.APIKeySpec{
			User: palette.APIKeyUser{FirstName: "Grace", LastName: "Hopper", UID: "0123456789abcdef0123456789abcdef"},
		},
	}
	assert.Equal(t, []palette.APIKey{nightlyKey(), inactive}, keys)
	assert.NotContains(t, fmt.Sprintf("%+v", keys), "nobody-may-read", "the deprecated spec.key is not read")
}

// Palette sends null where others send nothing. Only create's response has required fields.
func TestNullFieldsReadAsEmpty(t *testing.T) {
	t.Parallel()

	keys, err := listKeys(t, fixture(t, "list_nulls.json"))

	require.NoError(t, err)
	assert.Equal(t, []palette.APIKey{
		{},
		{Metadata: palette.ObjectMeta{UID: "66e844c44bab2337f20c7471"}},
		{Metadata: palette.ObjectMeta{UID: "63d9acff4bab2337f20c7472"}},
	}, keys)
}

func TestMissingRequiredField(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		method, want string
		bodies       []string
	}{
		{"Create", "no apiKey or no uid", []string{
			`{}`, `null`, `{"uid":"u"}`, `{"uid":"u","apiKey":""}`, `{"uid":"u","apiKey":null}`, `{"apiKey":"k"}`,
			`{"apiKey":"k","uid":""}`, `{"data":{"apiKey":"k","uid":"u"}}`, `{"code":"Failed","message":"with a 201"}`,
		}},
		{"Get", "metadata.uid is not that of the request", []string{
			`{}`, `null`, `{"uid":"` + testUID + `"}`, `{"metadata":null}`, `{"metadata":{"name":"ci"}}`, `{"metadata":{"uid":""}}`,
		}},
		{"List", "no items", []string{`{}`, `null`, `{"listmeta":{"count":0}}`, `{"items2":[]}`}},
	} {
		for _, op := range methods(tt.method) {
			for _, body := range tt.bodies {
				t.Run(op.name+" "+body, func(t *testing.T) {
					t.Parallel()
					client := newTestClient(t, newMock(t, respond(op.success, body)))

					result, err := op.call(t.Context(), client.APIKeys)

					requireUnexpected(t, op, result, err, tt.want)
				})
			}
		}
	}
}

// A body may hold the value of a key, and its map keys are the server's, too.
func TestErrorQuotesNothingOfBody(t *testing.T) {
	t.Parallel()
	const mark = "DO-NOT-QUOTE"
	bodies := map[string][]string{
		"Create": {
			`{"apiKey":"#"}`, `{"apiKey":["#"],"uid":"u"}`, `{"apiKey":{"#":1},"uid":"u"}`, `{"apiKey":"#","uid":7}`,
			`{"APIKEY":7,"uid":"#"}`, `[{"apiKey":"#","uid":"u"}]`, `{"apiKey":"#`, `{"apiKey":"#","uid":#}`, `{"apiKey":"#\x"}`,
		},
		"Get": {
			`"#"`, `["#"]`, `#`, `{"metadata":"#"}`, `{"METADATA":["#"]}`, `{"metadata":{"name":{"#":1}}}`, `{"status":"#"}`,
			`{"metadata":{"annotations":{"#":5}}}`, `{"metadata":{"LABELS":{"#":["#"]}}}`, `{"metadata":{"creationTimestamp":"#"}}`,
			`{"metadata":{"lastModifiedTimestamp":{"#":1}}}`, `{"spec":"#"}`, `{"spec":{"expiry":"10000-#"}}`,
			`{"spec":{"user":{"uid":{"#":1}}}}`, `{"STATUS":{"ISACTIVE":"#"}}`, `{"metadata":{"uid":"#`,
		},
		"List": {
			`"#"`, `["#"]`, `{"#":[]}`, `{"items":"#"}`, `{"ITEMS":{"#":1}}`, `{"ITEMS":[{"METADATA":["#"]}]}`,
			`{"items":[{},"#"]}`, `{"items":[{"metadata":{"uid":7,"name":"#"}}]}`, `{"items":[{"metadata":{"uid":"u","name":["#"]}}]}`,
			`{"items":[{"metadata":{"uid":"/#","labels":{"#":7}}}]}`, `{"items":[{"metadata":{"annotations":{"#":{"#":1}}}}]}`,
			`{"items":[{"metadata":{"name":"#"},"spec":{"expiry":"#"}}]}`, `{"items":[],"LISTMETA":{"CONTINUE":{"#":1}}}`,
			`{"items":[],"listmeta":"#"}`, `{"items":[],"listmeta":{"count":"#"}}`, `{"items":[{"metadata":{"uid":"#`,
		},
	}
	for _, op := range methods("Create", "Get", "List") {
		for _, body := range bodies[op.name] {
			t.Run(op.name+" "+body, func(t *testing.T) {
				t.Parallel()
				client := newTestClient(t, newMock(t, respond(op.success, strings.ReplaceAll(body, "#", mark))))

				result, err := op.call(t.Context(), client.APIKeys)

				assert.Nil(t, result)
				require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
				for _, hidden := range []string{mark, "ITEMS", "METADATA", "ISACTIVE", "LABELS", "LISTMETA", "APIKEY"} {
					assert.NotContains(t, fmt.Sprintf("%+v %#v", err, err), hidden)
				}
				assert.NotErrorAs(t, err, new(*json.UnmarshalTypeError)) // its fields quote the body, as those of the next
				assert.NotErrorAs(t, err, new(*time.ParseError))
			})
		}
	}
}

// A user can create a key whose expiry RFC 3339 cannot express. It must neither make the
// list unreadable nor look like a key that never expires.
func TestTimestamp(t *testing.T) {
	t.Parallel()
	const never, earliest, latest = "0001-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "9999-12-31T23:59:59.999Z"
	for _, tt := range []struct{ raw, want string }{
		{`null`, never},
		{`"0001-01-01T00:00:00.000Z"`, never},
		{`"2030-01-02T02:04:05.678Z"`, "2030-01-02T02:04:05.678Z"},
		{`"2030-01-02T02:04:05Z"`, "2030-01-02T02:04:05Z"},
		{`"2030-01-02T02:04:05.678999999Z"`, "2030-01-02T02:04:05.678999999Z"},
		{`"2030-01-02T04:34:05.678+02:30"`, "2030-01-02T02:04:05.678Z"},
		{`"9999-01-01T00:00:00Z"`, "9999-01-01T00:00:00Z"},
		{`"9999-12-31T23:59:59.999Z"`, latest},
		{`"9999-12-31T23:59:59-12:00"`, latest},
		{`"10000-01-01T00:00:00Z"`, latest},
		{`"10000-01-01T00:00:00.000+14:00"`, latest},
		{`"+10000-01-01T00:00:00Z"`, latest},
		{`"292277026596-12-04T15:30:07.999Z"`, latest},
		{`"0001-01-01T00:00:00+14:00"`, "0000-12-31T10:00:00Z"},
		{`"0000-01-01T00:00:00.000Z"`, earliest},
		{`"0000-01-01T00:00:00+14:00"`, earliest},
		{`"-0001-12-31T23:59:59.999Z"`, earliest},
		{`"-292277022399-01-01T00:00:00Z"`, earliest},
	} {
		t.Run(tt.raw, func(t *testing.T) {
			t.Parallel()

			key, err := readKey(t, `{"metadata":{"uid":"`+testUID+`","creationTimestamp":`+tt.raw+`,"deletionTimestamp":`+tt.raw+
				`,"lastModifiedTimestamp":`+tt.raw+`},"spec":{"expiry":`+tt.raw+`}}`)

			require.NoError(t, err)
			for name, got := range map[string]time.Time{
				"creationTimestamp": key.Metadata.CreationTimestamp, "deletionTimestamp": key.Metadata.DeletionTimestamp,
				"lastModifiedTimestamp": key.Metadata.LastModifiedTimestamp, "expiry": key.Spec.Expiry,
			} {
				assert.Equal(t, tt.want, got.Format(time.RFC3339Nano), name)
				assert.Equal(t, time.UTC, got.Location(), name)
			}
			assert.Equal(t, tt.want == never, key.Spec.Expiry.IsZero())
		})
	}
}

func TestInvalidTimestamp(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		`""`, `"never"`, `"2030-01-02"`, `"2030-01-02 02:04:05Z"`, `"2030-01-02T02:04:05"`, `"2030-13-01T00:00:00Z"`,
		`"10000"`, `"-1"`, `"10000-01-01"`, `"in 10000-01-01T00:00:00Z"`, `"in -0001-01-01T00:00:00Z"`, `"999-01-01T00:00:00Z"`,
		`"\"-0001-01-01T00:00:00Z"`, `"\"10000-01-01T00:00:00Z"`, `1893463445678`, `true`, `{}`, `[]`,
	} {
		t.Run(raw, func(t *testing.T) {
			t.Parallel()

			key, err := readKey(t, `{"metadata":{"uid":"u"},"spec":{"expiry":`+raw+`}}`)

			assert.Nil(t, key)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.EqualError(t, err, "palette: apiKeys.get: unexpected response: invalid timestamp (host palette.test, 1 attempt)")
		})
	}
}

// An audit that skips a key that it cannot read is worse than one that fails.
func TestUndecodableKeyFailsList(t *testing.T) {
	t.Parallel()
	const good = `{"metadata":{"name":"ci","uid":"good"}}`
	at := func(uid, expiry string) string {
		return `{"metadata":{"uid":"` + uid + `"},"spec":{"expiry":` + expiry + `}}`
	}
	for _, tt := range []struct{ name, items, want string }{
		{"the only key", at("u-1", `"x"`), "invalid timestamp in key u-1"},
		{"after another", good + `,` + at("u-2", `7`) + `,` + good, "invalid timestamp in key u-2"},
		{"first of two", at("u-1", `7`) + `,` + at("u-2", `7`), "invalid timestamp in key u-1"},
		{"wrong type", `{"metadata":{"uid":"u-1","labels":{"team":7}}}`, "wrong JSON type for string at offset 43 in key u-1"},
		{"no uid", `{"spec":{"expiry":"x"}}`, "invalid timestamp"},
		{"first has no uid", `{"spec":{"expiry":7}},` + at("u-2", `7`), "invalid timestamp"},
		{"uid of a wrong type", `{"metadata":{"uid":7}}`, "wrong JSON type for string at offset 20"},
		{"empty uid", at("", `7`), "invalid timestamp"},
		{"uid that is a path", at("..", `7`), "invalid timestamp"},
		{"uid with other characters", at(`a b\nc`, `7`), "invalid timestamp"},
		{"not an object", good + `,7`, "wrong JSON type for palette.lenientKey at offset 1"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			keys, err := listKeys(t, `{"items":[`+tt.items+`]}`)

			assert.Nil(t, keys)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.EqualError(t, err, "palette: apiKeys.list: unexpected response: "+tt.want+" (host palette.test, 1 attempt)")
		})
	}
}

// FuzzList checks that a body is a list whose keys can be marshaled and updated, or an
// error that quotes nothing of it.
func FuzzList(f *testing.F) {
	for _, body := range []string{
		fixture(f, "list.json"), fixture(f, "list_nulls.json"), `{}`, `null`, `[]`, `7`, ``, `{"items":[`, `{"items":[null]}`,
		`{"ITEMS":[{}],"items":[]}`, `{"items":[{}],"listmeta":{"count":2}}`, `{"items":[{}],"listmeta":{"continue":"a&b"}}`,
		`{"items":[{"metadata":{"uid":"u","name":"\ud800"},"spec":{"expiry":"9999-12-31T23:59:59-12:00"}}]}`,
		`{"items":[{"metadata":{"uid":"u"},"spec":{"expiry":"0000-01-01T00:00:00+14:00"}}]}`, `{"items":[{"spec":7}]}`,
		`{"items":[{"metadata":{"uid":"u-1","labels":{"a":7}}}]}`, `{"items":[{"metadata":{"uid":"u"},"spec":{"expiry":7}}]}`,
		"{\"items\":[{\"metadata\":{\"name\":\"\xff\",\"annotations\":{\"\xc0\":\"\xff\"}}}]}", `{"items":[{"metadata":[]}]}`,
	} {
		f.Add([]byte(body))
	}
	failure := regexp.MustCompile(`\Apalette: apiKeys\.list: unexpected response: ` +
		`(no items|the list ends after \d+ of \d+ keys|invalid JSON at offset \d+ of \d+ bytes` +
		`|(invalid timestamp|wrong JSON type for (\[\]|map\[string\])?(\w+|palette\.\w+) at offset \d+)` +
		`( in key [A-Za-z0-9._~-]+)?) \(host palette\.test, 1 attempt\)\z`)
	f.Fuzz(func(t *testing.T, body []byte) {
		first := true
		service := newTestClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
			switch {
			case req.Method == http.MethodPut:
				return respond(204, "")(req)
			case first:
				first = false
				return respondWith(200, http.Header{"Content-Type": {"application/json"}}, string(body))(req)
			}
			return respond(200, `{"items":[]}`)(req)
		})).APIKeys

		keys, err := service.List(t.Context())
		if err != nil {
			require.Nil(t, keys)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.Regexp(t, failure, err.Error())
			return
		}
		require.NotNil(t, keys)
		for _, key := range keys {
			_, err := json.Marshal(key)
			require.NoError(t, err)
			req := key.UpdateRequest()
			if strings.TrimSpace(req.Metadata.Name) == "" {
				req.Metadata.Name = "ci"
			}
			if err := service.Update(t.Context(), testUID, req); err != nil {
				require.ErrorContains(t, err, "invalid argument: the year of the expiry is 0 in UTC")
			}
		}
	})
}
