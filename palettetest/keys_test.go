package palettetest_test

import (
	"cmp"
	"net/http"
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

func TestCreateAndGet(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)

	uid, value := s.create(s.APIKey, `{
		"metadata":{"name":"ci","labels":{"team":"a"},"uid":"ignored",
			"annotations":{
				"description":"<ci>","ownerUid":"x","permissions":"x","scope":"x","scopeVisibility":"x","tenantUid":"x"},
			"creationTimestamp":"0001-01-01T00:00:00.000Z","deletionTimestamp":"0001-01-01T00:00:00.000Z",
			"lastModifiedTimestamp":"0001-01-01T00:00:00.000Z"},
		"spec":{"expiry":"2026-04-01T12:00:00.5+02:00","userUid":"`+aliceUID+`"}}`)

	assert.Regexp(t, `^69a40718[0-9a-f]{16}$`, uid) // starts with the second of creation
	want := `{
		"metadata":{"name":"ci","labels":{"team":"a"},"uid":"` + uid + `",
			"annotations":{"description":"<ci>","ownerUid":"` + aliceUID + `",
				"permissions":"apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update",
				"scope":"tenant","scopeVisibility":"20","tenantUid":"5f0c1f9ad1e2c3b4a5968778"},
			"creationTimestamp":"2026-03-01T09:30:00.123Z","deletionTimestamp":"0001-01-01T00:00:00.000Z",
			"lastModifiedTimestamp":"2026-03-01T09:30:00.123Z"},
		"spec":{"expiry":"2026-04-01T10:00:00.500Z","user":{"firstName":"Alice","lastName":"Doe","uid":"` + aliceUID + `"}},
		"status":{"isActive":true}}`
	assert.JSONEq(t, want, s.get(uid))
	assert.Contains(t, s.get(uid), "<ci>") // not escaped
	assert.JSONEq(t, `{"items":[`+want+`]}`, s.send(value, "GET", "/v1/apiKeys", "").body)
}

func TestExpiryOfACreatedKey(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	for spec, want := range map[string]string{
		`{}`:                                     "0001-01-01T00:00:00.000Z",
		`{"expiry":null,"userUid":null}`:         "0001-01-01T00:00:00.000Z",
		`{"expiry":"0001-01-01T00:00:00Z"}`:      "0001-01-01T00:00:00.000Z",
		`{"expiry":"2026-03-01T09:30:00.124Z"}`:  "2026-03-01T09:30:00.124Z",
		`{"expiry":"9999-12-31T23:59:59.9999Z"}`: "9999-12-31T23:59:59.999Z",
	} {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()

			uid, _ := s.create(aliceKey, `{"metadata":{"name":"ci"},"spec":`+spec+`}`)

			assert.Contains(t, s.get(uid), `"spec":{"expiry":"`+want+`","user":{"firstName":"Alice"`)
			assert.NotContains(t, s.get(uid), "labels")
		})
	}
}

func TestRejectedRequests(t *testing.T) {
	t.Parallel()
	const (
		now, early, late = "2026-03-01T09:30:00.1239Z", "0000-01-01T00:00:00+12:00", "9999-12-31T23:59:59-12:00"
		tooLate          = "400 InvalidRequest: The year of the expiry " + late + " has more than four digits in UTC"
	)
	expiry := func(text string) string { return `{"metadata":{"name":"a"},"spec":{"expiry":"` + text + `"}}` }
	user := func(uid string) string { return `{"metadata":{"name":"a"},"spec":{"userUid":"` + uid + `"}}` }
	lacks := func(permission string) string {
		return "Operation '" + permission + "' is forbidden. Verify the user has '" + permission + "' permission"
	}
	for _, tt := range []struct{ name, credential, method, path, body, want string }{
		{"create without a name", "", "POST", "", `{}`, "400 InvalidRequest: A name is required"},
		{"create, past", "", "POST", "", expiry(now), "400 InvalidRequest: The expiry " + now + " has passed"},
		{"create, late", "", "POST", "", expiry(late), tooLate},
		{"update, past", "", "PUT", "/{uid}", expiry(early), "400 InvalidRequest: The expiry " + early + " has passed"},
		{"update, late", "", "PUT", "/{uid}", expiry(late), tooLate},
		{"create for nobody", "", "POST", "", user("x"), "400 InvalidRequest: The user 'x' does not exist"},
		{"create for Alice", bobKey, "POST", "", user(aliceUID), "403 OperationForbidden: " + lacks("apiKey.create")},
		{"create for nobody, as Bob", bobKey, "POST", "", user("x"), "403 OperationForbidden: " + lacks("apiKey.create")},
		{"get", bobKey, "GET", "/{uid}", "", "403 ResOperationForbidden: " + lacks("apiKey.get")},
		{"update", bobKey, "PUT", "/{uid}", createBody, "403 ResOperationForbidden: " + lacks("apiKey.update")},
		{"deactivate", bobKey, "PATCH", "/{uid}", `{}`, "403 ResOperationForbidden: " + lacks("apiKey.update")},
		{"revoke", bobKey, "PUT", "/{uid}/state", `{}`, "403 ResOperationForbidden: " + lacks("apiKey.update")},
		{"delete", bobKey, "DELETE", "/{uid}", "", "403 ResOperationForbidden: " + lacks("apiKey.delete")},
		{"get unknown", "", "GET", "/a%2Fb", "", "404 ResourceNotFound: API key 'a/b' was not found"},
		{"revoke unknown", "", "PUT", "/x/state", `{}`, "404 ResourceNotFound: API key 'x' was not found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t)
			uid, _ := s.create(aliceKey, createBody)
			before := s.Keys()
			path := "/v1/apiKeys" + strings.ReplaceAll(tt.path, "{uid}", uid)

			got := s.send(cmp.Or(tt.credential, s.APIKey), tt.method, path, tt.body)

			requireAppError(t, got, tt.want)
			assert.Equal(t, before, s.Keys())
		})
	}
}

func TestTenantAsOwnerMeansTheCaller(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)

	uid, _ := s.create(aliceKey, `{"metadata":{"name":"ci"},"spec":{"userUid":"`+palettetest.TenantUID+`"}}`)

	assert.Contains(t, s.get(uid), `"user":{"firstName":"Alice","lastName":"Doe","uid":"`+aliceUID+`"}`)
}

func TestUpdate(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	uid, value := s.create(aliceKey, `{"metadata":{"name":"old","annotations":{"a":"1"}}}`)
	s.advance(time.Minute)

	got := s.send(value, "PUT", "/v1/apiKeys/"+uid, `{
		"metadata":{"name":"new","annotations":{"b":"2","tenantUid":"x"},"labels":{"c":"3"},"uid":"x"},
		"spec":{"expiry":"2028-01-01T00:00:00.000999Z","userUid":"`+bobUID+`"}}`)

	assert.Equal(t, "204 ", got.String())
	assert.NotContains(t, got.header, "Content-Type")
	want := palettetest.Key{
		UID: uid, Name: "new", UserUID: aliceUID, Active: true,
		Expiry:      time.Date(2028, 1, 1, 0, 0, 0, 0, time.UTC),
		CreatedAt:   time.Date(2026, 3, 1, 9, 30, 0, 123_000_000, time.UTC),
		Annotations: map[string]string{"b": "2", "tenantUid": "x"}, Labels: map[string]string{"c": "3"},
	}
	assert.Equal(t, []palettetest.Key{want}, s.Keys())
	assert.Contains(t, s.get(uid), `"lastModifiedTimestamp":"2026-03-01T09:31:00.123Z"`)
	assert.NotContains(t, s.get(uid), `"tenantUid":"x"`)

	want.Annotations, want.Labels = nil, nil // name and expiry are kept if they are missing or zero
	for _, body := range []string{`{}`, `{"metadata":{"name":""},"spec":{"expiry":"0001-01-01T00:00:00.000Z"}}`} {
		assert.Equal(t, "204 ", s.send(value, "PUT", "/v1/apiKeys/"+uid, body).String())
		assert.Equal(t, []palettetest.Key{want}, s.Keys())
	}
}

func TestState(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ method, subpath, body string }{
		"deactivate":         {"PATCH", "", `{"isActive":false}`},
		"deactivate with {}": {"PATCH", "", `{}`},
		"revoke":             {"PUT", "/state", `{"isActive":false}`},
		"revoke with null":   {"PUT", "/state", `{"isActive":null}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t)
			uid, value := s.create(s.APIKey, createBody)
			path := "/v1/apiKeys/" + uid + tt.subpath
			s.advance(time.Second)

			assert.Equal(t, "204 ", s.send(value, tt.method, path, tt.body).String())
			s.requireStatus(401, value, "GET", "/v1/apiKeys")
			assert.Contains(t, s.get(uid), `"status":{}`)
			assert.Contains(t, s.get(uid), `"lastModifiedTimestamp":"2026-03-01T09:30:01.123Z"`)

			assert.Equal(t, "204 ", s.send(s.APIKey, tt.method, path, `{"isActive":true}`).String())
			s.requireStatus(200, value, "GET", "/v1/apiKeys")
		})
	}
}

func TestDelete(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	kept, _ := s.create(s.APIKey, createBody)
	uid, value := s.create(s.APIKey, createBody)

	s.requireStatus(204, value, "DELETE", "/v1/apiKeys/"+uid)
	s.requireStatus(401, value, "GET", "/v1/apiKeys")
	s.requireStatus(404, s.APIKey, "DELETE", "/v1/apiKeys/"+uid)

	s.requireStatus(204, s.APIKey, "DELETE", "/v1/apiKeys/"+kept)
	assert.Equal(t, `200 {"items":[]}`, s.send(s.APIKey, "GET", "/v1/apiKeys?continue=ignored", "").String())
}

func TestExpiredKey(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	uid, value := s.create(s.APIKey, `{"metadata":{"name":"ci"},"spec":{"expiry":"2026-03-01T10:30:00.123Z"}}`)
	path := "/v1/apiKeys/" + uid

	s.advance(time.Hour - 456_790) // 1 ns before the expiry
	s.requireStatus(200, value, "GET", "/v1/apiKeys")

	s.advance(1)
	s.requireStatus(401, value, "GET", "/v1/apiKeys")
	assert.Contains(t, s.get(uid), `"status":{"isActive":true}`)
	requireAppError(t, s.send(s.APIKey, "PATCH", path, `{"isActive":true}`),
		"400 InvalidRequest: The key has expired and cannot be activated")
	assert.Equal(t, "204 ", s.send(s.APIKey, "PATCH", path, `{"isActive":false}`).String())

	assert.Equal(t, "204 ", s.send(s.APIKey, "PUT", path, `{"spec":{"expiry":"2026-03-02T00:00:00Z"}}`).String())
	assert.Equal(t, "204 ", s.send(s.APIKey, "PATCH", path, `{"isActive":true}`).String())
	s.requireStatus(200, value, "GET", "/v1/apiKeys")
}

func TestUsersSeeTheirOwnKeys(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithUser(palettetest.User{UID: "carol", Admin: true}))
	_, value := s.create(aliceKey, `{"metadata":{"name":"alice-1"},"spec":{"userUid":"`+aliceUID+`"}}`)
	s.create(s.APIKey, `{"metadata":{"name":"bob-1"},"spec":{"userUid":"`+bobUID+`"}}`)
	s.create(value, `{"metadata":{"name":"alice-2"}}`)

	for credential, want := range map[string]string{
		s.APIKey:              "alice-1 bob-1 alice-2",
		s.Credential("carol"): "alice-1 bob-1 alice-2",
		aliceKey:              "alice-1 alice-2",
		value:                 "alice-1 alice-2",
		bobKey:                "bob-1",
	} {
		names, _ := s.names(credential, "")
		assert.Equal(t, want, names)
	}
}

func TestKeyLimit(t *testing.T) {
	t.Parallel()
	for limit, opt := range map[int]palettetest.Option{20: nil, 2: palettetest.WithKeyLimit(2)} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t, opt)
			uid, _ := s.AddKey(palettetest.Key{UserUID: aliceUID}) // an inactive key counts
			for range limit - 1 {
				s.create(aliceKey, createBody)
			}

			requireAppError(t, s.send(aliceKey, "POST", "/v1/apiKeys", createBody),
				"400 ResourceLimitExceeded: The user has "+strconv.Itoa(limit)+" API keys, which is the limit")
			s.create(bobKey, createBody) // the limit is per user
			s.requireStatus(204, aliceKey, "DELETE", "/v1/apiKeys/"+uid)
			s.create(aliceKey, createBody)
		})
	}
}

func TestNoKeyLimit(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithKeyLimit(0))

	for range 21 {
		s.create(aliceKey, createBody)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		size               int
		token, names, meta string
	}{
		"first of 1":     {1, "", "k1", `{"continue":"c+/1==","count":3,"limit":1,"offset":0}`},
		"second of 1":    {1, "c+/1==", "k2", `{"continue":"c+/2==","count":3,"limit":1,"offset":1}`},
		"last of 1":      {1, "c+/2==", "k3", `{"continue":"","count":3,"limit":1,"offset":2}`},
		"first of 2":     {2, "", "k1 k2", `{"continue":"c+/2==","count":3,"limit":2,"offset":0}`},
		"last of 2":      {2, "c+/2==", "k3", `{"continue":"","count":3,"limit":2,"offset":2}`},
		"only one":       {3, "", "k1 k2 k3", `{"continue":"","count":3,"limit":3,"offset":0}`},
		"after the last": {2, "c+/3==", "", `{"continue":"","count":3,"limit":2,"offset":3}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t, palettetest.WithPageSize(tt.size))
			for _, name := range []string{"k1", "k2", "k3"} {
				s.AddKey(palettetest.Key{Name: name})
			}

			names, list := s.names(s.APIKey, "?continue="+url.QueryEscape(tt.token))

			assert.Equal(t, tt.names, names)
			assert.Contains(t, list, `],"listmeta":`+tt.meta+`}`)
		})
	}
}

func TestDeletionBetweenPagesSkipsNoKey(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithPageSize(1))
	first, _ := s.AddKey(palettetest.Key{Name: "k1"})
	s.AddKey(palettetest.Key{Name: "k2"})

	s.requireStatus(204, s.APIKey, "DELETE", "/v1/apiKeys/"+first)

	names, list := s.names(s.APIKey, "?continue=c%2B%2F1%3D%3D")
	assert.Equal(t, "k2", names)
	assert.Contains(t, list, `"listmeta":{"continue":"","count":1,"limit":1,"offset":0}`)
}

func TestUnknownContinueToken(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithPageSize(1))
	for _, token := range []string{"x", "c+/1==x", "c /1=="} {
		got := s.send(s.APIKey, "GET", "/v1/apiKeys?continue="+url.QueryEscape(token), "")
		requireAppError(t, got, "400 InvalidRequest: The continue token is unknown")
	}
}

func TestAddKey(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	local := time.FixedZone("", 2*60*60)
	key := palettetest.Key{
		UID: "given-uid", Name: "ci", UserUID: "unknown", Active: true,
		Expiry:      time.Date(2027, 1, 1, 2, 0, 0, 999_999, local),
		CreatedAt:   time.Date(2024, 9, 16, 16, 46, 28, 677_999_999, local),
		Annotations: map[string]string{"a": "1"}, Labels: map[string]string{"b": "2"},
	}

	uid, value := s.AddKey(key)

	assert.Equal(t, "given-uid", uid)
	want := []palettetest.Key{{
		UID: "given-uid", Name: "ci", UserUID: "unknown", Active: true,
		Expiry:      time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC),
		CreatedAt:   time.Date(2024, 9, 16, 14, 46, 28, 677_000_000, time.UTC),
		Annotations: map[string]string{"a": "1"}, Labels: map[string]string{"b": "2"},
	}}
	got := s.Keys()
	assert.Equal(t, want, got)
	assert.Contains(t, s.get(uid), `"lastModifiedTimestamp":"2024-09-16T14:46:28.677Z"`)
	assert.Contains(t, s.get(uid), `"user":{"firstName":"","lastName":"","uid":"unknown"}`)
	names, _ := s.names(value, "") // works as a credential, with the access of a user
	assert.Equal(t, "ci", names)
	assert.PanicsWithValue(t, `palettetest: AddKey: the UID "given-uid" exists`, func() { s.AddKey(key) })

	key.Annotations["a"], got[0].Labels["b"] = "x", "x"
	assert.Equal(t, want, s.Keys()) // copies
	s.create(value, createBody)     // also for its unknown user
}

func TestAddKeyDefaults(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)

	uid, value := s.AddKey(palettetest.Key{})

	assert.Regexp(t, "^69a40718[0-9a-f]{16}$", uid)
	assert.Equal(t, []palettetest.Key{{
		UID: uid, UserUID: palettetest.AdminUID, CreatedAt: time.Date(2026, 3, 1, 9, 30, 0, 123_000_000, time.UTC),
	}}, s.Keys())
	s.requireStatus(401, value, "GET", "/v1/apiKeys") // inactive
}

func TestAddKeyAcceptsAnyExpiry(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)

	s.AddKey(palettetest.Key{Expiry: time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -12*60*60))})
	s.AddKey(palettetest.Key{Expiry: time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", 12*60*60))})

	list := s.send(s.APIKey, "GET", "/v1/apiKeys", "").body
	assert.Contains(t, list, `"expiry":"10000-01-01T11:59:59.000Z"`)
	assert.Contains(t, list, `"expiry":"-0001-12-31T12:00:00.000Z"`)
}

func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithKeyLimit(50))
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			_, err := s.try(t.Context(), http.Header{"Apikey": {aliceKey}}, "POST", "/v1/apiKeys", createBody)
			assert.NoError(t, err)
			s.Keys()
			s.Requests()
			s.AuthToken()
			s.AddKey(palettetest.Key{UserUID: bobUID})
			s.Inject(palettetest.Fault{Path: "/never"})
		})
	}
	wg.Wait()

	require.Len(t, s.Keys(), 50+64)
}
