package palette_test

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// This file says what each operation sends and what it makes of the reply.

// An exchange is one successful call: what is called, the one request it sends,
// the reply, and the result.
type exchange struct {
	name  string
	call  func(context.Context, *palette.APIKeysService) (any, error)
	sends string // "METHOD path", below the base URL
	body  string // to the letter; "" is none
	reply httpmock.Responder
	want  any // nil for the operations that return nothing
}

func runExchanges(t *testing.T, exchanges []exchange) {
	t.Helper()
	for _, x := range exchanges {
		t.Run(x.name, func(t *testing.T) {
			t.Parallel()
			method, path, _ := strings.Cut(x.sends, " ")
			w := newWire(t).on(method, path, x.reply)

			got, err := x.call(t.Context(), w.client().APIKeys)

			require.NoError(t, err)
			assert.Equal(t, x.want, got)
			require.Equal(t, []string{x.sends}, w.lines())
			sent := w.requests()[0]
			assert.Equal(t, x.body, sent.Body)
			assert.Equal(t, int64(len(x.body)), sent.ContentLength)
			checkHeader(t, sent)
		})
	}
}

// checkHeader wants the four headers of a request and none beside them.
func checkHeader(t *testing.T, sent sentRequest) {
	t.Helper()
	want := http.Header{}
	want.Set("Accept", "application/json")
	want.Set("ApiKey", wireKey)
	if sent.Body != "" {
		want.Set("Content-Type", "application/json")
	}
	rest := sent.Header.Clone()
	assert.Regexp(t, `^palette-apikeys-go/\d+\.\d+\.\d+$`, rest.Get("User-Agent"))
	rest.Del("User-Agent")
	assert.Equal(t, want, rest)
}

// only makes a call that returns an error alone fit into an exchange.
func only(call func(context.Context, *palette.APIKeysService) error) func(context.Context, *palette.APIKeysService) (any, error) {
	return func(ctx context.Context, keys *palette.APIKeysService) (any, error) { return nil, call(ctx, keys) }
}

func createOf(req palette.CreateAPIKeyRequest) func(context.Context, *palette.APIKeysService) (any, error) {
	return func(ctx context.Context, keys *palette.APIKeysService) (any, error) { return keys.Create(ctx, req) }
}

func updateOf(req palette.UpdateAPIKeyRequest) func(context.Context, *palette.APIKeysService) (any, error) {
	return only(func(ctx context.Context, keys *palette.APIKeysService) error { return keys.Update(ctx, keyUID, req) })
}

func TestCreate(t *testing.T) {
	t.Parallel()
	created := replyJSON(http.StatusCreated, fixture(t, "created.json"))
	response := &palette.CreateAPIKeyResponse{
		APIKey: palette.NewSecret("bmV3LWtleS1mb3ItdGhlLXRlc3RzLW9mLXRoaXMtc2RrIQ=="),
		UID:    keyUID,
	}
	runExchanges(t, []exchange{
		{
			name:  "a name is enough",
			call:  createOf(palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "ci"}}),
			sends: "POST /v1/apiKeys",
			body:  `{"metadata":{"name":"ci"}}`,
			reply: created,
			want:  response,
		},
		{
			name: "an expiry goes out in UTC and cut to milliseconds",
			call: createOf(palette.CreateAPIKeyRequest{
				Metadata: palette.ObjectMeta{Name: "ci"},
				Spec: palette.APIKeyCreateSpec{
					Expiry:  time.Date(2030, 1, 2, 4, 34, 5, 678_999_999, time.FixedZone("UTC+2:30", 9000)),
					UserUID: "u1",
				},
			}),
			sends: "POST /v1/apiKeys",
			body:  `{"metadata":{"name":"ci"},"spec":{"expiry":"2030-01-02T02:04:05.678Z","userUid":"u1"}}`,
			reply: created,
			want:  response,
		},
		{
			name: "a whole second has no fraction",
			call: createOf(palette.CreateAPIKeyRequest{
				Metadata: palette.ObjectMeta{Name: "ci"},
				Spec:     palette.APIKeyCreateSpec{Expiry: time.Date(2030, 1, 2, 2, 4, 5, 999, time.UTC)},
			}),
			sends: "POST /v1/apiKeys",
			body:  `{"metadata":{"name":"ci"},"spec":{"expiry":"2030-01-02T02:04:05Z"}}`,
			reply: created,
			want:  response,
		},
		{
			name: "description and labels are metadata",
			call: createOf(palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{
				Name:        "Größe \"1\"",
				Annotations: map[string]string{"description": "nightly builds"},
				Labels:      map[string]string{"team": "builds", "env": "ci"},
			}}),
			sends: "POST /v1/apiKeys",
			body:  `{"metadata":{"annotations":{"description":"nightly builds"},"labels":{"env":"ci","team":"builds"},"name":"Größe \"1\""}}`,
			reply: created,
			want:  response,
		},
		{
			name: "what only the server sets is never sent",
			call: createOf(palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{
				Name: "ci", UID: "mine",
				CreationTimestamp:     time.Unix(1, 0),
				DeletionTimestamp:     time.Unix(2, 0),
				LastModifiedTimestamp: time.Unix(3, 0),
			}}),
			sends: "POST /v1/apiKeys",
			body:  `{"metadata":{"name":"ci"}}`,
			reply: created,
			want:  response,
		},
		{
			name:  "a reply may hold more than is known",
			call:  createOf(palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "ci"}}),
			sends: "POST /v1/apiKeys",
			body:  `{"metadata":{"name":"ci"}}`,
			reply: replyJSON(http.StatusCreated, `{"new":{"field":[1]},"uid":"u","apiKey":"k"}`),
			want:  &palette.CreateAPIKeyResponse{APIKey: palette.NewSecret("k"), UID: "u"},
		},
	})
}

// Requests that cannot be meant are refused before anything is sent.
func TestCreateRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		req  palette.CreateAPIKeyRequest
		want string
	}{
		{"no name", palette.CreateAPIKeyRequest{}, "palette: apiKeys.create: invalid argument: Metadata.Name is empty"},
		{
			"a blank name",
			palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: " \t"}},
			"palette: apiKeys.create: invalid argument: Metadata.Name is empty",
		},
		{
			"an expiry that RFC 3339 cannot say",
			palette.CreateAPIKeyRequest{
				Metadata: palette.ObjectMeta{Name: "ci"},
				Spec:     palette.APIKeyCreateSpec{Expiry: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
			},
			"palette: apiKeys.create: invalid argument: ",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			created, err := newWire(t).client().APIKeys.Create(t.Context(), tt.req)
			assert.Nil(t, created)
			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			require.NotErrorIs(t, err, palette.ErrOutcomeUnknown)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	get := func(ctx context.Context, keys *palette.APIKeysService) (any, error) { return keys.Get(ctx, keyUID) }
	ci := ciKey()
	runExchanges(t, []exchange{
		{
			name:  "a key with everything",
			call:  get,
			sends: "GET " + keyPath,
			reply: replyJSON(http.StatusOK, fixture(t, "key.json")),
			want:  &ci,
		},
		{
			name:  "a key with next to nothing",
			call:  get,
			sends: "GET " + keyPath,
			reply: replyJSON(http.StatusOK, `{"metadata":{"uid":"66e844c44bab2337f20c7471"}}`),
			want:  &palette.APIKey{Metadata: palette.ObjectMeta{UID: keyUID}},
		},
		{
			name:  "every letter that a uid may have",
			call:  func(ctx context.Context, keys *palette.APIKeysService) (any, error) { return keys.Get(ctx, "aZ0._-~") },
			sends: "GET /v1/apiKeys/aZ0._-~",
			reply: replyJSON(http.StatusOK, `{"metadata":{"uid":"aZ0._-~"}}`),
			want:  &palette.APIKey{Metadata: palette.ObjectMeta{UID: "aZ0._-~"}},
		},
	})
}

// A failed Get returns no key, not an empty one.
func TestGetNothing(t *testing.T) {
	t.Parallel()
	w := newWire(t).on("GET", keyPath,
		replyJSON(http.StatusNotFound, fixture(t, "error_not_found.json")),
		replyJSON(http.StatusOK, `{"metadata":{"name":"ci"}}`))
	client := w.client()

	key, err := client.APIKeys.Get(t.Context(), keyUID)
	assert.Nil(t, key)
	require.ErrorIs(t, err, palette.ErrNotFound)

	key, err = client.APIKeys.Get(t.Context(), keyUID)
	assert.Nil(t, key)
	require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
	require.EqualError(t, err, "palette: apiKeys.get: unexpected response: no metadata.uid (1 attempt)")
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	fromKey := ciKey().UpdateRequest()
	fromKey.Metadata.Name = "ci-2"
	runExchanges(t, []exchange{
		{
			name:  "what was read is sent again, but for the change",
			call:  updateOf(fromKey),
			sends: "PUT " + keyPath,
			body: `{"metadata":{"annotations":{"description":"nightly builds","ownerUid":"5f3a1c2e9d8b7a6c5e4f3a21",` +
				`"permissions":"apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update",` +
				`"scope":"tenant","scopeVisibility":"20","tenantUid":"5e0d1c2b3a4f5e6d7c8b9a0f"},` +
				`"labels":{"team":"builds"},"name":"ci-2"},"spec":{"expiry":"2030-01-02T02:04:05.678Z"}}`,
			reply: replyDone(),
		},
		{
			name: "an expiry alone",
			call: updateOf(palette.UpdateAPIKeyRequest{Spec: palette.APIKeyUpdateSpec{
				Expiry: time.Date(2030, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("UTC+1", 3600)),
			}}),
			sends: "PUT " + keyPath,
			body:  `{"spec":{"expiry":"2030-01-02T02:04:05.678Z"}}`,
			reply: replyDone(),
		},
		{
			name: "what only the server sets is never sent",
			call: updateOf(palette.UpdateAPIKeyRequest{Metadata: palette.ObjectMeta{
				Name: "ci", UID: "mine",
				CreationTimestamp:     time.Unix(1, 0),
				DeletionTimestamp:     time.Unix(2, 0),
				LastModifiedTimestamp: time.Unix(3, 0),
			}}),
			sends: "PUT " + keyPath,
			body:  `{"metadata":{"name":"ci"}}`,
			reply: replyDone(),
		},
		{
			name:  "nothing is an object all the same",
			call:  updateOf(palette.UpdateAPIKeyRequest{}),
			sends: "PUT " + keyPath,
			body:  `{}`,
			reply: replyDone(),
		},
	})
}

// The request values stay the caller's: a call changes nothing in them.
func TestRequestsAreNotWrittenTo(t *testing.T) {
	t.Parallel()
	meta := func() palette.ObjectMeta {
		return palette.ObjectMeta{
			Name: "ci", UID: "mine", CreationTimestamp: time.Unix(1, 0),
			Annotations: map[string]string{"description": "d"}, Labels: map[string]string{"team": "builds"},
		}
	}
	expiry := time.Date(2030, 1, 2, 3, 4, 5, 678_999_999, time.FixedZone("UTC+1", 3600))
	w := newWire(t).
		on("POST", "/v1/apiKeys", replyJSON(http.StatusCreated, fixture(t, "created.json"))).
		on("PUT", keyPath, replyDone())
	keys := w.client().APIKeys

	create := palette.CreateAPIKeyRequest{Metadata: meta(), Spec: palette.APIKeyCreateSpec{Expiry: expiry}}
	_, err := keys.Create(t.Context(), create)
	require.NoError(t, err)
	assert.Equal(t, palette.CreateAPIKeyRequest{Metadata: meta(), Spec: palette.APIKeyCreateSpec{Expiry: expiry}}, create)

	update := palette.UpdateAPIKeyRequest{Metadata: meta(), Spec: palette.APIKeyUpdateSpec{Expiry: expiry}}
	require.NoError(t, keys.Update(t.Context(), keyUID, update))
	assert.Equal(t, palette.UpdateAPIKeyRequest{Metadata: meta(), Spec: palette.APIKeyUpdateSpec{Expiry: expiry}}, update)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	runExchanges(t, []exchange{{
		name: "by uid",
		call: only(func(ctx context.Context, keys *palette.APIKeysService) error {
			return keys.Delete(ctx, keyUID)
		}),
		sends: "DELETE " + keyPath,
		reply: replyDone(),
	}})
}

// The four verbs say their state in so many words: without the field, "false"
// would be the same as nothing.
func TestStateVerbs(t *testing.T) {
	t.Parallel()
	verb := func(call func(*palette.APIKeysService, context.Context, string) error) func(context.Context, *palette.APIKeysService) (any, error) {
		return only(func(ctx context.Context, keys *palette.APIKeysService) error { return call(keys, ctx, keyUID) })
	}
	runExchanges(t, []exchange{
		{
			name: "Activate", call: verb((*palette.APIKeysService).Activate),
			sends: "PATCH " + keyPath, body: `{"isActive":true}`, reply: replyDone(),
		},
		{
			name: "Deactivate", call: verb((*palette.APIKeysService).Deactivate),
			sends: "PATCH " + keyPath, body: `{"isActive":false}`, reply: replyDone(),
		},
		{
			name: "Revoke", call: verb((*palette.APIKeysService).Revoke),
			sends: "PUT " + keyPath + "/state", body: `{"isActive":false}`, reply: replyDone(),
		},
		{
			name: "Reactivate", call: verb((*palette.APIKeysService).Reactivate),
			sends: "PUT " + keyPath + "/state", body: `{"isActive":true}`, reply: replyDone(),
		},
	})
}

// Each operation calls itself by its own name in errors.
func TestOperationNames(t *testing.T) {
	t.Parallel()
	named := map[string]func(context.Context, *palette.APIKeysService) error{
		"apiKeys.create": func(ctx context.Context, keys *palette.APIKeysService) error {
			_, err := keys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "ci"}})
			return err
		},
		"apiKeys.list": func(ctx context.Context, keys *palette.APIKeysService) error {
			_, err := keys.List(ctx)
			return err
		},
		"apiKeys.get": func(ctx context.Context, keys *palette.APIKeysService) error {
			_, err := keys.Get(ctx, keyUID)
			return err
		},
		"apiKeys.update": func(ctx context.Context, keys *palette.APIKeysService) error {
			return keys.Update(ctx, keyUID, palette.UpdateAPIKeyRequest{})
		},
		"apiKeys.delete": func(ctx context.Context, keys *palette.APIKeysService) error {
			return keys.Delete(ctx, keyUID)
		},
		"apiKeys.activate": func(ctx context.Context, keys *palette.APIKeysService) error {
			return keys.Activate(ctx, keyUID)
		},
		"apiKeys.deactivate": func(ctx context.Context, keys *palette.APIKeysService) error {
			return keys.Deactivate(ctx, keyUID)
		},
		"apiKeys.revoke": func(ctx context.Context, keys *palette.APIKeysService) error {
			return keys.Revoke(ctx, keyUID)
		},
		"apiKeys.reactivate": func(ctx context.Context, keys *palette.APIKeysService) error {
			return keys.Reactivate(ctx, keyUID)
		},
	}
	for name, call := range named {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t)
			w.mock.RegisterNoResponder(replyJSON(http.StatusForbidden, errorBody("OperationForbidden", "no")))

			err := call(t.Context(), w.client().APIKeys)

			var apiErr *palette.APIError
			require.ErrorAs(t, err, &apiErr)
			assert.Equal(t, name, apiErr.Op)
			require.ErrorContains(t, err, "palette: "+name+": 403 OperationForbidden: no")
		})
	}
}

// A uid that is none is refused before anything is sent: an empty one would
// address all keys, and a path something else.
func TestUIDsAreChecked(t *testing.T) {
	t.Parallel()
	calls := map[string]func(context.Context, *palette.APIKeysService, string) error{
		"apiKeys.get": func(ctx context.Context, keys *palette.APIKeysService, uid string) error {
			key, err := keys.Get(ctx, uid)
			assert.Nil(t, key)
			return err
		},
		"apiKeys.update": func(ctx context.Context, keys *palette.APIKeysService, uid string) error {
			return keys.Update(ctx, uid, palette.UpdateAPIKeyRequest{})
		},
		"apiKeys.delete": func(ctx context.Context, keys *palette.APIKeysService, uid string) error {
			return keys.Delete(ctx, uid)
		},
		"apiKeys.activate": func(ctx context.Context, keys *palette.APIKeysService, uid string) error {
			return keys.Activate(ctx, uid)
		},
		"apiKeys.deactivate": func(ctx context.Context, keys *palette.APIKeysService, uid string) error {
			return keys.Deactivate(ctx, uid)
		},
		"apiKeys.revoke": func(ctx context.Context, keys *palette.APIKeysService, uid string) error {
			return keys.Revoke(ctx, uid)
		},
		"apiKeys.reactivate": func(ctx context.Context, keys *palette.APIKeysService, uid string) error {
			return keys.Reactivate(ctx, uid)
		},
	}
	tests := map[string]string{
		"":                  "uid is empty",
		".":                 "uid is a relative path",
		"..":                "uid is a relative path",
		keyUID + "/state":   "uid holds a character other than letters, digits, '.', '_', '-' and '~'",
		keyUID + "?force=1": "uid holds a character other than letters, digits, '.', '_', '-' and '~'",
	}
	for name, call := range calls {
		for uid, want := range tests {
			t.Run(name+" "+uid, func(t *testing.T) {
				t.Parallel()
				err := call(t.Context(), newWire(t).client().APIKeys, uid)
				require.ErrorIs(t, err, palette.ErrInvalidArgument)
				require.EqualError(t, err, "palette: "+name+": invalid argument: "+want)
			})
		}
	}
}

// A created key needs both its value and its uid.
func TestCreateWantsTheWholeReply(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		`{"uid":"u"}`:               "no apiKey",
		`{"uid":"u","apiKey":""}`:   "no apiKey",
		`{"apiKey":"k"}`:            "no uid",
		`{"apiKey":"k","uid":null}`: "no uid",
		`{"apiKey":"k","uid":7}`:    "wrong JSON type for string at offset 21",
	}
	for body, want := range tests {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			w := newWire(t).on("POST", "/v1/apiKeys", replyJSON(http.StatusCreated, body))
			created, err := w.client().APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMeta{Name: "ci"}})
			assert.Nil(t, created)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.ErrorIs(t, err, palette.ErrOutcomeUnknown)
			require.EqualError(t, err, "palette: apiKeys.create: unexpected response: "+want+
				" (1 attempt); the key may exist: look for its name before creating again")
		})
	}
}

// ---- lists ----

// page is a list with keys of the given names, continued by token if there is one.
func page(token string, names ...string) httpmock.Responder {
	items := make([]string, len(names))
	for i, name := range names {
		items[i] = `{"metadata":{"name":"` + name + `","uid":"uid-` + name + `"},"spec":{},"status":{"isActive":true}}`
	}
	return replyJSON(http.StatusOK, `{"items":[`+strings.Join(items, ",")+
		`],"listmeta":{"continue":"`+token+`","count":117,"limit":50,"offset":50}}`)
}

// threePages is a list in three pages. The tokens hold what must be escaped.
func threePages(t *testing.T) *wire {
	t.Helper()
	return newWire(t).on("GET", "/v1/apiKeys", page("p2 +/=&x", "a", "b"), page("p3#?%", "c"), page("", "d"))
}

var threePagesLines = []string{
	"GET /v1/apiKeys",
	"GET /v1/apiKeys?continue=p2+%2B%2F%3D%26x",
	"GET /v1/apiKeys?continue=p3%23%3F%25",
}

func namesOf(keys []palette.APIKey) []string {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = key.Metadata.Name
	}
	return names
}

// drain ranges over everything. It returns the names before the error, and fails
// if something came after that.
func drain(t *testing.T, keys iter.Seq2[palette.APIKey, error]) ([]string, error) {
	t.Helper()
	var names []string
	var last error
	for key, err := range keys {
		require.NoError(t, last, "the error must be the last thing")
		if last = err; err != nil {
			assert.Zero(t, key)
			continue
		}
		names = append(names, key.Metadata.Name)
	}
	return names, last
}

func TestList(t *testing.T) {
	t.Parallel()
	list := func(ctx context.Context, keys *palette.APIKeysService) (any, error) { return keys.List(ctx) }
	runExchanges(t, []exchange{
		{
			name:  "every key",
			call:  list,
			sends: "GET /v1/apiKeys",
			reply: replyJSON(http.StatusOK, fixture(t, "list.json")),
			want:  []palette.APIKey{ciKey(), revokedKey()},
		},
		{
			name: "no key", call: list, sends: "GET /v1/apiKeys",
			reply: replyJSON(http.StatusOK, `{"items":[]}`), want: []palette.APIKey{},
		},
		{
			name: "null for no key", call: list, sends: "GET /v1/apiKeys",
			reply: replyJSON(http.StatusOK, `{"items":null,"listmeta":{"continue":""}}`), want: []palette.APIKey{},
		},
	})
}

// Without items there is no list, whatever else the body holds.
func TestListWithoutItems(t *testing.T) {
	t.Parallel()
	for _, body := range []string{`{}`, `{"listmeta":{"count":0}}`, `null`, `{"Items2":[]}`} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			w := newWire(t).on("GET", "/v1/apiKeys", replyJSON(http.StatusOK, body))
			keys, err := w.client().APIKeys.List(t.Context())
			assert.Nil(t, keys)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.EqualError(t, err, "palette: apiKeys.list: unexpected response: no items (1 attempt)")
		})
	}
}

// Pages are followed to the end, since a key that is not in the list would be
// missing from every audit.
func TestListPages(t *testing.T) {
	t.Parallel()
	w := threePages(t)
	keys, err := w.client().APIKeys.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c", "d"}, namesOf(keys))
	assert.Equal(t, threePagesLines, w.lines())
	for _, sent := range w.requests() {
		query, err := url.ParseQuery(strings.TrimPrefix(sent.Line, "GET /v1/apiKeys?"))
		require.NoError(t, err)
		assert.LessOrEqual(t, len(query), 1)
		checkHeader(t, sent)
	}
}

// An empty page in the middle is not the end.
func TestListEmptyPage(t *testing.T) {
	t.Parallel()
	w := newWire(t).on("GET", "/v1/apiKeys", page("p2"), page("p3"), page("", "a"))
	keys, err := w.client().APIKeys.List(t.Context())
	require.NoError(t, err)
	assert.Equal(t, []string{"a"}, namesOf(keys))
	assert.Len(t, w.lines(), 3)
}

func TestListFailsAsAWhole(t *testing.T) {
	t.Parallel()
	w := newWire(t).on("GET", "/v1/apiKeys", page("p2", "a"), replyJSON(http.StatusForbidden, errorBody("OperationForbidden", "no")))
	keys, err := w.client().APIKeys.List(t.Context())
	assert.Nil(t, keys)
	require.ErrorIs(t, err, palette.ErrForbidden)
}

func TestAll(t *testing.T) {
	t.Parallel()
	w := threePages(t)
	all := w.client().APIKeys.All(t.Context())
	assert.Empty(t, w.lines(), "nothing is fetched before the range")
	names, err := drain(t, all)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c", "d"}, names)
	assert.Equal(t, threePagesLines, w.lines())
}

// A page is fetched when its first key is wanted.
func TestAllFetchesNoMoreThanItYields(t *testing.T) {
	t.Parallel()
	pagesAt := map[string]int{"a": 1, "b": 1, "c": 2, "d": 3}
	for stop, pages := range pagesAt {
		t.Run("stop at "+stop, func(t *testing.T) {
			t.Parallel()
			w := threePages(t)
			for key, err := range w.client().APIKeys.All(t.Context()) {
				require.NoError(t, err)
				assert.Len(t, w.lines(), pagesAt[key.Metadata.Name])
				if key.Metadata.Name == stop {
					break
				}
			}
			assert.Len(t, w.lines(), pages)
		})
	}
}

func TestAllStartsAnewInEachRange(t *testing.T) {
	t.Parallel()
	w := newWire(t).on("GET", "/v1/apiKeys",
		page("p2", "a"), page("", "b"), // the first range
		page("p2", "a"),                // the second, which stops
		page("p2", "c"), page("", "d")) // the third, with the same token again
	all := w.client().APIKeys.All(t.Context())

	names, err := drain(t, all)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b"}, names)

	for key, err := range all {
		require.NoError(t, err)
		assert.Equal(t, "a", key.Metadata.Name)
		break
	}

	names, err = drain(t, all)
	require.NoError(t, err)
	assert.Equal(t, []string{"c", "d"}, names)
	assert.Equal(t, []string{
		"GET /v1/apiKeys", "GET /v1/apiKeys?continue=p2",
		"GET /v1/apiKeys",
		"GET /v1/apiKeys", "GET /v1/apiKeys?continue=p2",
	}, w.lines())
}

func TestAllEndsWithItsError(t *testing.T) {
	t.Parallel()
	w := newWire(t).on("GET", "/v1/apiKeys", page("p2", "a", "b"), replyJSON(http.StatusInternalServerError, errorBody("Oops", "no")))
	names, err := drain(t, w.client().APIKeys.All(t.Context()))
	assert.Equal(t, []string{"a", "b"}, names)
	require.ErrorIs(t, err, palette.ErrServer)
	assert.Len(t, w.lines(), 2)
}

// A token that comes back would go round forever.
func TestAllRefusesARepeatedToken(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		pages []httpmock.Responder
		want  []string // what came before the page that is refused
	}{
		{"at once", []httpmock.Responder{page("p2", "a"), page("p2", "b")}, []string{"a"}},
		{"in a circle", []httpmock.Responder{page("p2", "a"), page("p3", "b"), page("p2", "c")}, []string{"a", "b"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t).on("GET", "/v1/apiKeys", tt.pages...)
			names, err := drain(t, w.client().APIKeys.All(t.Context()))
			assert.Equal(t, tt.want, names)
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			require.ErrorContains(t, err, "palette: apiKeys.list: unexpected response: no listmeta.continue that is new")
			assert.Len(t, w.lines(), len(tt.pages))
		})
	}
}

func TestFindByName(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		uids []string
	}{
		{"ci", []string{"1", "4"}}, // every match, over all pages
		{"CI", []string{"2"}},
		{"c", []string{}},
		{"nobody", []string{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWire(t).on("GET", "/v1/apiKeys",
				replyJSON(http.StatusOK, `{"items":[{"metadata":{"name":"ci","uid":"1"}},{"metadata":{"name":"CI","uid":"2"}},`+
					`{"metadata":{"name":"ci-2","uid":"3"}}],"listmeta":{"continue":"next"}}`),
				replyJSON(http.StatusOK, `{"items":[{"metadata":{"name":"ci","uid":"4"}},{"metadata":{"uid":"5"}}]}`))

			keys, err := w.client().APIKeys.FindByName(t.Context(), tt.name)

			require.NoError(t, err)
			uids := []string{}
			for _, key := range keys {
				uids = append(uids, key.Metadata.UID)
			}
			assert.Equal(t, tt.uids, uids)
			assert.NotNil(t, keys)
			assert.Equal(t, []string{"GET /v1/apiKeys", "GET /v1/apiKeys?continue=next"}, w.lines())
		})
	}
}

func TestFindByNameRefusesNoName(t *testing.T) {
	t.Parallel()
	keys, err := newWire(t).client().APIKeys.FindByName(t.Context(), "")
	assert.Nil(t, keys)
	require.ErrorIs(t, err, palette.ErrInvalidArgument)
	require.EqualError(t, err, "palette: apiKeys.findByName: invalid argument: name is empty")
}

func TestFindByNameFailsAsAWhole(t *testing.T) {
	t.Parallel()
	w := newWire(t).on("GET", "/v1/apiKeys", page("p2", "ci"), replyJSON(http.StatusUnauthorized, errorBody("UnAuthorizedAccess", "no")))
	keys, err := w.client().APIKeys.FindByName(t.Context(), "ci")
	assert.Nil(t, keys)
	require.ErrorIs(t, err, palette.ErrUnauthorized)
}
