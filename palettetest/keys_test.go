package palettetest_test

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

const zeroTime = "0001-01-01T00:00:00.000Z"

func TestEmptyListIsAnArray(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	got := w.send(w.APIKey, "GET", "/v1/apiKeys", "")
	assert.Equal(t, 200, got.status)
	assert.Equal(t, "application/json", got.header.Get("Content-Type"))
	assert.JSONEq(t, `{"items":[]}`, got.body)
}

func TestCreateThenRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uid, value := w.create(w.APIKey, `{"metadata":{
		"name":"ci","annotations":{"description":"for <ci> & co","ownerUid":"forged","scope":"forged"},"labels":{"team":"a"},
		"uid":"forged","creationTimestamp":"0001-01-01T00:00:00.000Z","deletionTimestamp":"0001-01-01T00:00:00.000Z",
		"lastModifiedTimestamp":"2020-01-01T00:00:00.000Z"},
		"spec":{"expiry":"2026-04-01T12:00:00.5+02:00","userUid":"`+aliceUID+`"}}`)

	assert.Regexp(t, `^[0-9a-f]{24}$`, uid)
	assert.Regexp(t, `^[0-9A-Za-z+/]{43}=$`, value)
	seconds, err := strconv.ParseInt(uid[:8], 16, 64)
	require.NoError(t, err)
	assert.Equal(t, w.clock.Now().Unix(), seconds)

	got := w.send(w.APIKey, "GET", "/v1/apiKeys/"+uid, "")
	assert.NotContains(t, got.body, value)
	assert.Contains(t, got.body, "for <ci> & co")
	key := got.decode(t)
	annotations := field(key, "metadata", "annotations").(map[string]any)
	assert.Equal(t, "for <ci> & co", annotations["description"])
	assert.Equal(t, aliceUID, annotations["ownerUid"])
	assert.Equal(t, "tenant", annotations["scope"])
	assert.Equal(t, "20", annotations["scopeVisibility"])
	assert.Contains(t, annotations["permissions"], "apiKey.create")
	assert.NotEmpty(t, annotations["tenantUid"])
	delete(key["metadata"].(map[string]any), "annotations")
	assert.Equal(t, map[string]any{
		"metadata": map[string]any{
			"creationTimestamp":     "2026-03-01T09:30:00.123Z",
			"deletionTimestamp":     zeroTime,
			"lastModifiedTimestamp": "2026-03-01T09:30:00.123Z",
			"labels":                map[string]any{"team": "a"},
			"name":                  "ci",
			"uid":                   uid,
		},
		"spec": map[string]any{
			"expiry": "2026-04-01T10:00:00.500Z",
			"user":   map[string]any{"firstName": "Alice", "lastName": "A", "uid": aliceUID},
		},
		"status": map[string]any{"isActive": true},
	}, key)
}

func TestCreateWithLittle(t *testing.T) {
	t.Parallel()
	for _, body := range []string{
		`{"metadata":{"name":"ci"}}`,
		`{"metadata":{"name":"ci","annotations":null,"labels":null},"spec":{}}`,
		`{"metadata":{"name":"ci"},"spec":{"expiry":null}}`,
		`{"metadata":{"name":"ci"},"spec":{"expiry":"0001-01-01T00:00:00.000Z","userUid":""},"unknown":1}`,
	} {
		t.Run(body, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			uid, _ := w.create(aliceKey, body)
			key := w.read(uid)
			assert.Equal(t, zeroTime, field(key, "spec", "expiry"))
			assert.Equal(t, aliceUID, field(key, "spec", "user", "uid"), "the owner is the caller")
			assert.NotContains(t, key["metadata"], "labels")
		})
	}
}

func TestNamesNeedNotBeUnique(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first, firstValue := w.create(w.APIKey, `{"metadata":{"name":"ci"}}`)
	second, secondValue := w.create(w.APIKey, `{"metadata":{"name":"ci"}}`)
	assert.NotEqual(t, first, second)
	assert.NotEqual(t, firstValue, secondValue)
}

func TestRefusedWrites(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, key, method, path, body string
		status                        int
		code                          string
	}{
		{"create without a name", "", "POST", "", `{"metadata":{},"spec":{}}`, 400, "InvalidRequest"},
		{"create with a past expiry", "", "POST", "", `{"metadata":{"name":"a"},"spec":{"expiry":"2026-03-01T09:29:59Z"}}`, 400, "InvalidRequest"},
		{"create that expires now", "", "POST", "", `{"metadata":{"name":"a"},"spec":{"expiry":"2026-03-01T09:30:00.123Z"}}`, 400, "InvalidRequest"},
		{"create for nobody", "", "POST", "", `{"metadata":{"name":"a"},"spec":{"userUid":"nobody"}}`, 400, "InvalidRequest"},
		{"create for somebody else", bobKey, "POST", "", `{"metadata":{"name":"a"},"spec":{"userUid":"` + aliceUID + `"}}`, 403, "OperationForbidden"},
		{"create for nobody, as a user", bobKey, "POST", "", `{"metadata":{"name":"a"},"spec":{"userUid":"nobody"}}`, 403, "OperationForbidden"},
		{"update with a past expiry", "", "PUT", "/{uid}", `{"metadata":{"name":"b"},"spec":{"expiry":"2025-01-01T00:00:00Z"}}`, 400, "InvalidRequest"},
		{"update of somebody else's", bobKey, "PUT", "/{uid}", `{"metadata":{"name":"b"}}`, 403, "ResOperationForbidden"},
		{"activate somebody else's", bobKey, "PATCH", "/{uid}", `{"isActive":false}`, 403, "ResOperationForbidden"},
		{"revoke somebody else's", bobKey, "PUT", "/{uid}/state", `{"isActive":false}`, 403, "ResOperationForbidden"},
		{"delete somebody else's", bobKey, "DELETE", "/{uid}", "", 403, "ResOperationForbidden"},
		{"read somebody else's", bobKey, "GET", "/{uid}", "", 403, "ResOperationForbidden"},
		{"update of nothing", "", "PUT", "/none", `{"metadata":{"name":"b"}}`, 404, "ResourceNotFound"},
		{"activate nothing", "", "PATCH", "/none", `{"isActive":true}`, 404, "ResourceNotFound"},
		{"revoke nothing", "", "PUT", "/none/state", `{"isActive":false}`, 404, "ResourceNotFound"},
		{"delete nothing", "", "DELETE", "/none", "", 404, "ResourceNotFound"},
		{"read nothing", "", "GET", "/none", "", 404, "ResourceNotFound"},
		{"read an escaped uid", "", "GET", "/a%2Fb%20c", "", 404, "ResourceNotFound"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			uid, _ := w.create(aliceKey, `{"metadata":{"name":"alice's"}}`)
			before := w.Keys()
			key := test.key
			if key == "" {
				key = w.APIKey
			}
			got := w.send(key, test.method, "/v1/apiKeys"+strings.ReplaceAll(test.path, "{uid}", uid), test.body)
			got.requireAppError(t, test.status, test.code)
			assert.Equal(t, before, w.Keys(), "a refused request changes nothing")
		})
	}
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uid, value := w.create(aliceKey, `{"metadata":{"name":"old","annotations":{"description":"d","x":"y"},"labels":{"a":"b"}},
		"spec":{"expiry":"2027-01-01T00:00:00.000Z"}}`)
	w.clock.Advance(time.Minute)

	got := w.send(aliceKey, "PUT", "/v1/apiKeys/"+uid, `{"metadata":{"name":"new","uid":"forged","annotations":{"description":"e","tenantUid":"forged"}},
		"spec":{"userUid":"`+bobUID+`"}}`)
	assert.Equal(t, 204, got.status)
	assert.Empty(t, got.body)
	assert.Empty(t, got.header.Get("Content-Type"))

	key := w.read(uid)
	assert.Equal(t, "new", field(key, "metadata", "name"))
	assert.Equal(t, "e", field(key, "metadata", "annotations", "description"))
	assert.NotContains(t, field(key, "metadata", "annotations"), "x", "annotations are replaced")
	assert.NotEqual(t, "forged", field(key, "metadata", "annotations", "tenantUid"))
	assert.NotContains(t, key["metadata"], "labels", "labels are replaced")
	assert.Equal(t, "2026-03-01T09:30:00.123Z", field(key, "metadata", "creationTimestamp"))
	assert.Equal(t, "2026-03-01T09:31:00.123Z", field(key, "metadata", "lastModifiedTimestamp"))
	assert.Equal(t, "2027-01-01T00:00:00.000Z", field(key, "spec", "expiry"), "a missing expiry is kept")
	assert.Equal(t, aliceUID, field(key, "spec", "user", "uid"), "a key stays with its user")
	assert.Equal(t, 200, w.send(value, "GET", "/v1/apiKeys", "").status, "the value stays")

	w.send(aliceKey, "PUT", "/v1/apiKeys/"+uid, `{"metadata":{"labels":{"c":"d"}},"spec":{"expiry":"2026-12-24T18:00:00.123456Z"}}`)
	key = w.read(uid)
	assert.Equal(t, "new", field(key, "metadata", "name"), "a missing name is kept")
	assert.Equal(t, map[string]any{"c": "d"}, field(key, "metadata", "labels"))
	assert.Equal(t, "2026-12-24T18:00:00.123Z", field(key, "spec", "expiry"))

	w.send(aliceKey, "PUT", "/v1/apiKeys/"+uid, `{"spec":{"expiry":"0001-01-01T00:00:00.000Z"}}`)
	assert.Equal(t, "2026-12-24T18:00:00.123Z", field(w.read(uid), "spec", "expiry"), "a zero expiry is a missing one")
}

func TestStateOfAKey(t *testing.T) {
	t.Parallel()
	for _, way := range []struct{ method, suffix string }{{"PATCH", ""}, {"PUT", "/state"}} {
		for _, off := range []string{`{"isActive":false}`, `{}`, `{"isActive":null}`} {
			t.Run(way.method+off, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				uid, value := w.create(w.APIKey, `{"metadata":{"name":"ci"}}`)
				path := "/v1/apiKeys/" + uid + way.suffix
				require.Equal(t, 200, w.send(value, "GET", "/v1/apiKeys", "").status, "works at once")

				w.clock.Advance(time.Second)
				assert.Equal(t, 204, w.send(w.APIKey, way.method, path, off).status)
				w.send(value, "GET", "/v1/apiKeys", "").requireAppError(t, 401, "UnAuthorizedAccess")
				key := w.read(uid)
				assert.Equal(t, map[string]any{}, key["status"])
				assert.Equal(t, "2026-03-01T09:30:01.123Z", field(key, "metadata", "lastModifiedTimestamp"))

				assert.Equal(t, 204, w.send(w.APIKey, way.method, path, `{"isActive":true}`).status)
				assert.Equal(t, 200, w.send(value, "GET", "/v1/apiKeys", "").status)
				assert.Equal(t, map[string]any{"isActive": true}, w.read(uid)["status"])
			})
		}
	}
}

func TestAKeyCanRevokeItself(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uid, value := w.create(aliceKey, `{"metadata":{"name":"ci"}}`)
	assert.Equal(t, 204, w.send(value, "PUT", "/v1/apiKeys/"+uid+"/state", `{"isActive":false}`).status)
	assert.Equal(t, 401, w.send(value, "PUT", "/v1/apiKeys/"+uid+"/state", `{"isActive":true}`).status)
}

func TestDelete(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uid, value := w.create(w.APIKey, `{"metadata":{"name":"ci"}}`)
	got := w.send(value, "DELETE", "/v1/apiKeys/"+uid, "")
	assert.Equal(t, 204, got.status)
	assert.Empty(t, got.body)
	assert.Equal(t, 401, w.send(value, "GET", "/v1/apiKeys", "").status)
	w.send(w.APIKey, "DELETE", "/v1/apiKeys/"+uid, "").requireAppError(t, 404, "ResourceNotFound")
	assert.Empty(t, w.Keys())
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uid, value := w.create(w.APIKey, `{"metadata":{"name":"lab"},"spec":{"expiry":"2026-03-01T10:30:00.123Z"}}`)
	w.clock.Advance(time.Hour - time.Millisecond)
	assert.Equal(t, 200, w.send(value, "GET", "/v1/apiKeys", "").status)
	w.clock.Advance(time.Millisecond)
	w.send(value, "GET", "/v1/apiKeys", "").requireAppError(t, 401, "UnAuthorizedAccess")

	state := "/v1/apiKeys/" + uid + "/state"
	assert.Equal(t, map[string]any{"isActive": true}, w.read(uid)["status"], "expired is not inactive")
	assert.Equal(t, 204, w.send(w.APIKey, "PUT", state, `{"isActive":false}`).status)
	w.send(w.APIKey, "PUT", state, `{"isActive":true}`).requireAppError(t, 400, "InvalidRequest")
	w.send(w.APIKey, "PATCH", "/v1/apiKeys/"+uid, `{"isActive":true}`).requireAppError(t, 400, "InvalidRequest")

	assert.Equal(t, 204, w.send(w.APIKey, "PUT", "/v1/apiKeys/"+uid, `{"spec":{"expiry":"2026-03-02T00:00:00Z"}}`).status)
	assert.Equal(t, 204, w.send(w.APIKey, "PUT", state, `{"isActive":true}`).status)
	assert.Equal(t, 200, w.send(value, "GET", "/v1/apiKeys", "").status)
}

func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(aliceKey, `{"metadata":{"name":"alice-1"}}`)
	w.create(w.APIKey, `{"metadata":{"name":"bob-1"},"spec":{"userUid":"`+bobUID+`"}}`)
	w.create(w.APIKey, `{"metadata":{"name":"admin-1"}}`)
	_, value := w.create(aliceKey, `{"metadata":{"name":"alice-2"},"spec":{"userUid":"`+aliceUID+`"}}`)

	assert.Equal(t, []string{"alice-1", "bob-1", "admin-1", "alice-2"}, w.names(w.APIKey))
	assert.Equal(t, []string{"alice-1", "alice-2"}, w.names(aliceKey))
	assert.Equal(t, []string{"alice-1", "alice-2"}, w.names(value), "a key acts for its user")
	assert.Equal(t, []string{"bob-1"}, w.names(bobKey))
}

func TestASecondAdmin(t *testing.T) {
	t.Parallel()
	w := newWorld(t, palettetest.WithUser(palettetest.User{UID: "boss", Admin: true}))
	w.create(aliceKey, `{"metadata":{"name":"alice-1"}}`)
	assert.Equal(t, []string{"alice-1"}, w.names(w.Credential("boss")))
}

func TestKeyLimit(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		opts  []palettetest.Option
		limit int
	}{
		"default": {nil, 20},
		"set":     {[]palettetest.Option{palettetest.WithKeyLimit(2)}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, test.opts...)
			var uid string
			for range test.limit {
				uid, _ = w.create(aliceKey, `{"metadata":{"name":"ci"}}`)
			}
			w.send(w.APIKey, "PUT", "/v1/apiKeys/"+uid+"/state", `{"isActive":false}`)
			w.send(aliceKey, "POST", "/v1/apiKeys", `{"metadata":{"name":"ci"}}`).requireAppError(t, 400, "ResourceLimitExceeded")
			w.create(bobKey, `{"metadata":{"name":"a limit of each user"}}`)
			w.send(aliceKey, "DELETE", "/v1/apiKeys/"+uid, "")
			w.create(aliceKey, `{"metadata":{"name":"room again"}}`)
		})
	}
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t, palettetest.WithKeyLimit(0))
		for range 21 {
			w.create(aliceKey, `{"metadata":{"name":"ci"}}`)
		}
	})
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t, palettetest.WithPageSize(2))
	uids := map[string]string{}
	for i := range 5 {
		name := "k" + strconv.Itoa(i)
		uids[name], _ = w.create(w.APIKey, `{"metadata":{"name":"`+name+`"}}`)
	}
	page := func(token string) map[string]any {
		path := "/v1/apiKeys"
		if token != "" {
			path += "?continue=" + url.QueryEscape(token)
		}
		got := w.send(w.APIKey, "GET", path, "")
		require.Equal(t, 200, got.status, got.body)
		return got.decode(t)
	}

	first := page("")
	token := field(first, "listmeta", "continue").(string)
	assert.Equal(t, []string{"k0", "k1"}, namesIn(first))
	assert.Equal(t, map[string]any{"continue": token, "count": 5.0, "limit": 2.0, "offset": 0.0}, first["listmeta"])
	assert.NotEqual(t, token, url.QueryEscape(token), "a token must be escaped")

	w.send(w.APIKey, "DELETE", "/v1/apiKeys/"+uids["k0"], "")
	second := page(token)
	assert.Equal(t, []string{"k2", "k3"}, namesIn(second), "a deletion between pages hides nothing")
	last := page(field(second, "listmeta", "continue").(string))
	assert.Equal(t, []string{"k4"}, namesIn(last))
	assert.Equal(t, map[string]any{"continue": "", "count": 4.0, "limit": 2.0, "offset": 3.0}, last["listmeta"])

	for name := range uids {
		w.send(w.APIKey, "DELETE", "/v1/apiKeys/"+uids[name], "")
	}
	assert.Empty(t, namesIn(page(token)))
	w.send(w.APIKey, "GET", "/v1/apiKeys?continue=never-seen", "").requireAppError(t, 400, "InvalidRequest")
}

func TestWithoutPagesThereIsNoListMeta(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.create(w.APIKey, `{"metadata":{"name":"ci"}}`)
	got := w.send(w.APIKey, "GET", "/v1/apiKeys?continue=whatever", "")
	assert.Equal(t, 200, got.status)
	assert.NotContains(t, got.body, "listmeta")
}

func TestAddKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t, palettetest.WithKeyLimit(1))
	old := time.Date(2024, 9, 16, 14, 46, 28, 677_000_000, time.UTC)
	annotations := map[string]string{"description": "left behind"}
	uid, value := w.AddKey(palettetest.Key{
		Name: "stale", UserUID: "gone", Active: true, Expiry: old.AddDate(0, 0, 7), CreatedAt: old,
		Annotations: annotations,
	})
	annotations["description"] = "changed later"
	assert.True(t, strings.HasPrefix(uid, "66e844c4"), uid)
	w.send(value, "GET", "/v1/apiKeys", "").requireAppError(t, 401, "UnAuthorizedAccess")
	key := w.read(uid)
	assert.Equal(t, "2024-09-16T14:46:28.677Z", field(key, "metadata", "creationTimestamp"))
	assert.Equal(t, "2024-09-23T14:46:28.677Z", field(key, "spec", "expiry"))
	assert.Equal(t, "left behind", field(key, "metadata", "annotations", "description"))
	assert.Equal(t, map[string]any{"firstName": "", "lastName": "", "uid": "gone"}, field(key, "spec", "user"))

	_, inactive := w.AddKey(palettetest.Key{Name: "revoked"})
	assert.Equal(t, 401, w.send(inactive, "GET", "/v1/apiKeys", "").status)
	given, orphan := w.AddKey(palettetest.Key{UID: "66e844c44bab2337f20c7471", Name: "orphan", UserUID: "gone", Active: true})
	assert.Equal(t, "66e844c44bab2337f20c7471", given)
	assert.Equal(t, []string{"stale", "orphan"}, w.names(orphan), "works, with the rights of a user")
	assert.Panics(t, func() { w.AddKey(palettetest.Key{UID: given}) })
}

func TestTheBooks(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	uid, value := w.create(aliceKey, `{"metadata":{"name":"ci","labels":{"a":"b"}},"spec":{"expiry":"2027-01-01T00:00:00Z"}}`)
	want := palettetest.Key{
		UID: uid, Name: "ci", UserUID: aliceUID, Active: true,
		Expiry:    time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		CreatedAt: w.clock.Now().Truncate(time.Millisecond),
		Labels:    map[string]string{"a": "b"},
	}
	books := w.Keys()
	assert.Equal(t, []palettetest.Key{want}, books)
	assert.NotContains(t, fmt.Sprintf("%+v", books), value)
	books[0].Labels["a"] = "changed"
	assert.Equal(t, []palettetest.Key{want}, w.Keys(), "the books are copies")
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, palettetest.WithKeyLimit(50), palettetest.WithPageSize(7))
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			got, err := w.try(t.Context(), aliceKey, "POST", "/v1/apiKeys", `{"metadata":{"name":"k`+strconv.Itoa(i)+`"}}`)
			if !assert.NoError(t, err) || got.status != 201 {
				return
			}
			uid := field(got.decode(t), "uid").(string)
			_, err = w.try(t.Context(), w.APIKey, "PUT", "/v1/apiKeys/"+uid, `{"metadata":{"annotations":{"a":"b"}}}`)
			assert.NoError(t, err)
			_, err = w.try(t.Context(), w.APIKey, "GET", "/v1/apiKeys", "")
			assert.NoError(t, err)
			w.Keys()
			w.Requests()
			w.AuthToken()
		})
	}
	wg.Wait()
	assert.Len(t, w.Keys(), 50, "the limit holds against a crowd")
	uids := map[string]bool{}
	for _, k := range w.Keys() {
		uids[k.UID] = true
	}
	assert.Len(t, uids, 50)
}
