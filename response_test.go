package palette_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// listKeys returns the keys of a list.
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
		{"Get", "no metadata.uid", []string{
			`{}`, `null`, `{"uid":"u"}`, `{"metadata":null}`, `{"metadata":{"name":"ci"}}`, `{"metadata":{"uid":""}}`,
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

			key, err := readKey(t, `{"metadata":{"uid":"u","creationTimestamp":`+tt.raw+`,"deletionTimestamp":`+tt.raw+
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
