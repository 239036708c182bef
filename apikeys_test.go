package palette_test

import (
	"context"
	"errors"
	"iter"
	"maps"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// The tests that loop over operations() prove nothing about a method that is not there.
func TestOperationsHasEveryMethod(t *testing.T) {
	t.Parallel()
	var want, got []string
	for method := range reflect.TypeFor[*palette.APIKeysService]().Methods() {
		want = append(want, method.Name)
	}

	for _, op := range operations() {
		got = append(got, op.name)
	}

	assert.ElementsMatch(t, want, got)
}

func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			m := newMock(t, op.succeed())
			want := sentRequest{
				Line: op.method + " " + op.path, Body: op.body, Length: int64(len(op.body)),
				Header: http.Header{"Accept": {"application/json"}, "Apikey": {testKey}},
			}
			if op.body != "" {
				want.Header.Set("Content-Type", "application/json")
			}

			_, err := op.call(t.Context(), newTestClient(t, m).APIKeys)

			require.NoError(t, err)
			sent := m.requests()
			for _, req := range sent {
				assert.Regexp(t, `^palette-apikeys-go/\d+\.\d+\.\d+$`, req.Header.Get("User-Agent"))
				req.Header.Del("User-Agent")
			}
			assert.Equal(t, []sentRequest{want}, sent)
		})
	}
}

// createAndUpdate calls both methods with the same values.
func createAndUpdate(t *testing.T, m *mock, meta palette.ObjectMetaInput, expiry time.Time) (create, update error) {
	t.Helper()
	keys := newTestClient(t, m).APIKeys
	_, create = keys.Create(t.Context(), palette.CreateAPIKeyRequest{
		Metadata: meta, Spec: palette.APIKeyCreateSpec{Expiry: expiry},
	})
	update = keys.Update(t.Context(), testUID, palette.UpdateAPIKeyRequest{
		Metadata: meta, Spec: palette.APIKeyUpdateSpec{Expiry: expiry},
	})
	return create, update
}

func TestRequestBody(t *testing.T) {
	t.Parallel()
	ci, never := palette.ObjectMetaInput{Name: "ci"}, time.Time{}
	empty := palette.ObjectMetaInput{Name: "ci", Annotations: map[string]string{}, Labels: map[string]string{}}
	full := palette.ObjectMetaInput{
		Name:        "ci",
		Annotations: map[string]string{"description": "nightly"}, Labels: map[string]string{"team": "builds", "env": ""},
	}
	odd := palette.ObjectMetaInput{Name: " \"Größe\"\n<1> & 鍵 "}
	until := func(expiry string) string { return `{"metadata":{"name":"ci"},"spec":{"expiry":"` + expiry + `"}}` }
	for _, tt := range []struct {
		name   string
		meta   palette.ObjectMetaInput
		expiry time.Time
		want   string
	}{
		{"nil maps and no expiry", ci, never, `{"metadata":{"name":"ci"}}`},
		{"no expiry in a zone", ci, never.In(hoursEast(-5)), `{"metadata":{"name":"ci"}}`},
		{"empty maps", empty, never, `{"metadata":{"annotations":{},"labels":{},"name":"ci"}}`},
		{
			"maps", full, never,
			`{"metadata":{"annotations":{"description":"nightly"},"labels":{"env":"","team":"builds"},"name":"ci"}}`,
		},
		{"HTML and quotes", odd, never, `{"metadata":{"name":" \"Größe\"\n\u003c1\u003e \u0026 鍵 "}}`},
		{"UTC", ci, time.Date(2030, 1, 2, 4, 34, 5, 0, hoursEast(2.5)), until("2030-01-02T02:04:05Z")},
		{"milliseconds", ci, time.Date(2030, 1, 2, 2, 4, 5, 678_999_999, time.UTC), until("2030-01-02T02:04:05.678Z")},
		{"year 0 there", ci, time.Date(0, 12, 31, 23, 0, 0, 1e6, hoursEast(-1)), until("0001-01-01T00:00:00.001Z")},
		{"year 10000 there", ci, time.Date(10000, 1, 1, 13, 59, 59, 1e9-1, hoursEast(14)), until("9999-12-31T23:59:59.999Z")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMock(t, respond(201, `{"apiKey":"k","uid":"u"}`), respond(204, ""))
			annotations, labels := maps.Clone(tt.meta.Annotations), maps.Clone(tt.meta.Labels)

			errCreate, errUpdate := createAndUpdate(t, m, tt.meta, tt.expiry)

			assert.NoError(t, errCreate)
			assert.NoError(t, errUpdate)
			m.requireSent("POST /v1/apiKeys "+tt.want, "PUT /v1/apiKeys/"+testUID+" "+tt.want)
			assert.Equal(t, annotations, tt.meta.Annotations, "the caller's maps are not modified")
			assert.Equal(t, labels, tt.meta.Labels, "the caller's maps are not modified")
		})
	}
}

func TestCreateForAnotherUser(t *testing.T) {
	t.Parallel()
	m := newMock(t, respond(201, `{"apiKey":"k","uid":"u"}`))
	keys, req := newTestClient(t, m).APIKeys, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}}

	req.Spec.UserUID = "5f3a1c2e9d8b7a6c5e4f3a21"
	_, err := keys.Create(t.Context(), req)
	require.NoError(t, err)
	req.Spec.UserUID = "u\xff"
	_, err = keys.Create(t.Context(), req)
	require.ErrorIs(t, err, palette.ErrInvalidArgument)

	m.requireSent(`POST /v1/apiKeys {"metadata":{"name":"ci"},"spec":{"userUid":"5f3a1c2e9d8b7a6c5e4f3a21"}}`)
}

// PUT replaces the object: what was read must be sent again, with the server's annotations.
func TestUpdateAfterGet(t *testing.T) {
	t.Parallel()
	m := newMock(t, respond(200, fixture(t, "key.json")), respond(204, ""))
	keys := newTestClient(t, m).APIKeys

	key, err := keys.Get(t.Context(), testUID)
	require.NoError(t, err)
	req := key.UpdateRequest()
	req.Metadata.Name = "ci-2"
	require.NoError(t, keys.Update(t.Context(), testUID, req))

	m.requireSent("GET /v1/apiKeys/66e844c44bab2337f20c7471",
		`PUT /v1/apiKeys/66e844c44bab2337f20c7471 {"metadata":{"annotations":{"description":"nightly builds",`+
			`"ownerUid":"5f3a1c2e9d8b7a6c5e4f3a21",`+
			`"permissions":"apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update",`+
			`"scope":"tenant","scopeVisibility":"20","tenantUid":"5e0d1c2b3a4f5e6d7c8b9a0f"},`+
			`"labels":{"team":"builds"},"name":"ci-2"},"spec":{"expiry":"2030-01-02T02:04:05.678Z"}}`)
}

func TestNilContext(t *testing.T) {
	t.Parallel()
	for _, op := range methods("Get", "Create", "All") {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			var ctx context.Context

			result, err := op.call(ctx, newTestClient(t, newMock(t)).APIKeys)

			assert.Nil(t, result)
			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			require.EqualError(t, err, "palette: "+op.op+": invalid argument: the context is nil")
		})
	}
}

func TestInvalidRequestIsNotSent(t *testing.T) {
	t.Parallel()
	const noName, notUTF8 = "Metadata.Name is empty", "a name, uid, annotation or label is not UTF-8"
	ci, never := palette.ObjectMetaInput{Name: "ci"}, time.Time{}
	annotation := func(name, value string) palette.ObjectMetaInput {
		return palette.ObjectMetaInput{Name: "ci", Annotations: map[string]string{name: value}}
	}
	label := func(name, value string) palette.ObjectMetaInput {
		return palette.ObjectMetaInput{Name: "ci", Labels: map[string]string{name: value}}
	}
	year := func(n string) string { return "the year of the expiry is " + n + " in UTC, not 1 to 9999" }
	for _, tt := range []struct {
		name   string
		meta   palette.ObjectMetaInput
		expiry time.Time
		want   string
	}{
		{"no name", palette.ObjectMetaInput{}, never, noName},
		{"blank name", palette.ObjectMetaInput{Name: " \t\n\u00a0"}, never, noName},
		{"name", palette.ObjectMetaInput{Name: "ci\xff"}, never, notUTF8},
		{"label name", label("\xc3\x28", ""), never, notUTF8},
		{"label", label("a", "\xed\xa0\x80"), never, notUTF8},
		{"annotation name", annotation("\x80", ""), never, notUTF8},
		{"annotation", annotation("a", "b\xc0"), never, notUTF8},
		{"year 10000", ci, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), year("10000")},
		{"year 10000 of UTC", ci, time.Date(9999, 12, 31, 23, 59, 59, 0, hoursEast(-12)), year("10000")},
		{"year 0", ci, time.Date(0, 12, 31, 23, 59, 59, 999_999_999, time.UTC), year("0")},
		{"year 0 of UTC", ci, time.Date(1, 1, 1, 0, 0, 0, 0, hoursEast(14)), year("0")},
		{"year -44", ci, time.Date(-44, 3, 15, 0, 0, 0, 0, time.UTC), year("-44")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()

			errCreate, errUpdate := createAndUpdate(t, newMock(t), tt.meta, tt.expiry)

			assert.ErrorIs(t, errCreate, palette.ErrInvalidArgument)
			assert.NotErrorIs(t, errCreate, palette.ErrOutcomeUnknown)
			assert.EqualError(t, errCreate, "palette: apiKeys.create: invalid argument: "+tt.want)
			assert.ErrorIs(t, errUpdate, palette.ErrInvalidArgument)
			assert.EqualError(t, errUpdate, "palette: apiKeys.update: invalid argument: "+tt.want)
		})
	}
}

func TestInvalidUIDIsNotSent(t *testing.T) {
	t.Parallel()
	const character = "uid contains a character other than letters, digits, '.', '_', '-' and '~'"
	for _, tt := range []struct {
		name, uid, want string
	}{
		{"empty", "", "uid is empty"}, // would address all keys
		{"this folder", ".", "uid is a relative path"},
		{"parent folder", "..", "uid is a relative path"},
		{"another operation", testUID + "/state", character},
		{"another resource", "../users", character},
		{"query", testUID + "?force=true", character},
		{"newline", testUID + "\n", character},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			keys := newTestClient(t, newMock(t)).APIKeys
			for _, op := range keyOperations(tt.uid) {
				result, err := op.call(t.Context(), keys)

				assert.Nil(t, result)
				assert.ErrorIs(t, err, palette.ErrInvalidArgument)
				assert.EqualError(t, err, "palette: "+op.op+": invalid argument: "+tt.want)
			}
		})
	}
}

// FuzzUID checks that a uid becomes one segment of the path as it is, or no request is sent.
func FuzzUID(f *testing.F) {
	for _, uid := range []string{
		testUID, "a", "A", "z", "Z", "0", "9", "-", "_", "~", "...", ".a", "a.", "a..b", "state", strings.Repeat("f", 500),
		"", ".", "..", "/", "//", "../", "/..", "./a", "a/.", "a/../b", `..\a`, "%2e%2e", "..%2f", "%252e", "%00", "%", "%zz",
		"a?b", "a#b", "a;b", "a+b", "a@b", "a:b", "a=b", "a&b", "a*b", "a'b", "(a)", `a"b`, "a<b>", "a|b", "a^b", "a`b", "a[b]",
		"{a}", "a,b", "a!b", "a$b", " ", "a b", "\x00", "\x7f", "\t", "é",
		"．．", "‥", "\u200b", "\ufeff", "٣", "鍵", "\xff", "\xc0\xae",
	} {
		f.Add(uid)
	}
	valid := regexp.MustCompile(`\A[A-Za-z0-9._~-]+\z`)
	f.Fuzz(func(t *testing.T, uid string) {
		for _, op := range keyOperations(uid) {
			var sent []string
			client := newTestClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
				sent = append(sent, req.URL.String())
				return op.succeed()(req)
			}))

			_, err := op.call(t.Context(), client.APIKeys)

			if valid.MatchString(uid) && uid != "." && uid != ".." {
				require.NoError(t, err)
				require.Equal(t, []string{testBaseURL + op.path}, sent)
				continue
			}
			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			require.Empty(t, sent)
		}
	})
}

// pageOf responds with a page of keys, whose names are their uids, and the number of keys
// of all pages.
func pageOf(token string, count int, uids ...string) httpmock.Responder {
	items := make([]string, len(uids))
	for i, uid := range uids {
		items[i] = `{"metadata":{"name":"` + uid + `","uid":"` + uid + `"}}`
	}
	return respond(200, `{"items":[`+strings.Join(items, ",")+`],"listmeta":{"continue":"`+token+
		`","count":`+strconv.Itoa(count)+`,"limit":50,"offset":50}}`)
}

func uidsOf(keys []palette.APIKey) []string {
	uids := []string{}
	for _, key := range keys {
		uids = append(uids, key.Metadata.UID)
	}
	return uids
}

// collect returns the uids that an iterator yields, and its error. It fails the test if
// the error is not the last thing that it yields.
func collect(t *testing.T, all iter.Seq2[palette.APIKey, error]) (uids []string, last error) {
	t.Helper()
	for key, err := range all {
		require.NoError(t, last, "the iterator goes on after an error")
		if last = err; err != nil {
			require.Equal(t, palette.APIKey{}, key)
			continue
		}
		uids = append(uids, key.Metadata.UID)
	}
	return uids, last
}

// newThreePages returns a list whose tokens contain what a query must escape.
func newThreePages(t *testing.T) *mock {
	t.Helper()
	return newMock(t, pageOf("p2 +/=&x", 4, "a", "b"), pageOf("p3#?%;ö", 4, "c"), pageOf("", 4, "d"))
}

func TestListFollowsContinueTokens(t *testing.T) {
	t.Parallel()
	m := newThreePages(t)

	keys, err := newTestClient(t, m).APIKeys.List(t.Context())

	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "c", "d"}, uidsOf(keys))
	m.requireSent("GET /v1/apiKeys",
		"GET /v1/apiKeys?continue=p2+%2B%2F%3D%26x", "GET /v1/apiKeys?continue=p3%23%3F%25%3B%C3%B6")
}

func TestAllRequestsPageWhenLoopReachesIt(t *testing.T) {
	t.Parallel()
	for stop, requests := range map[string]int{"a": 1, "b": 1, "c": 2, "d": 3} {
		t.Run(stop, func(t *testing.T) {
			t.Parallel()
			m := newThreePages(t)
			all := newTestClient(t, m).APIKeys.All(t.Context())
			require.Empty(t, m.requests(), "no request before the loop")

			for key, err := range all {
				require.NoError(t, err)
				if key.Metadata.UID == stop {
					break
				}
			}

			assert.Len(t, m.requests(), requests)
		})
	}
}

func TestAllStartsAgainInEachLoop(t *testing.T) {
	t.Parallel()
	m := newMock(t,
		pageOf("p2", 2, "a"), pageOf("", 2, "b"),
		pageOf("p2", 2, "a"), // the loop ends here
		pageOf("p2", 2, "c"), pageOf("", 2, "d"))
	all := newTestClient(t, m).APIKeys.All(t.Context())

	first, err := collect(t, all)
	require.NoError(t, err)
	for _, err := range all {
		require.NoError(t, err)
		break
	}
	third, err := collect(t, all)
	require.NoError(t, err)

	assert.Equal(t, []string{"a", "b"}, first)
	assert.Equal(t, []string{"c", "d"}, third)
	m.requireSent("GET /v1/apiKeys", "GET /v1/apiKeys?continue=p2",
		"GET /v1/apiKeys",
		"GET /v1/apiKeys", "GET /v1/apiKeys?continue=p2")
}

// A page that fails fails the list, because an audit that misses keys is worse than one
// that fails.
func TestListIsCompleteOrFails(t *testing.T) {
	t.Parallel()
	type pages []httpmock.Responder
	unexpected := palette.ErrUnexpectedResponse
	for _, tt := range []struct {
		name  string
		pages pages
		uids  string // that All yields, before the error
		class error  // nil: the list is complete
		want  string // in the error
	}{
		{"no keys", pages{respond(200, `{"items":[]}`)}, "", nil, ""},
		{"null items", pages{respond(200, `{"items":null,"listmeta":{"continue":""}}`)}, "", nil, ""},
		{"empty pages", pages{pageOf("p2", 1), pageOf("p3", 1), pageOf("", 1, "a")}, "a", nil, ""},
		{"count is too small", pages{pageOf("p2", 0, "a"), pageOf("", 1, "b")}, "a b", nil, ""},
		{"count is negative", pages{pageOf("", -1)}, "", nil, ""},
		{"count of another page", pages{pageOf("p2", 117, "a"), respond(200, `{"items":[],"listmeta":null}`)}, "a", nil, ""},

		{"no keys of one", pages{pageOf("", 1)}, "", unexpected, "the list ends after 0 of 1 keys"},
		{"one page is short", pages{pageOf("", 3, "a", "b")}, "", unexpected, "the list ends after 2 of 3 keys"},
		{
			"several pages are short",
			pages{pageOf("p2", 5, "a", "b"), pageOf("p3", 5, "c"), pageOf("", 5, "d")},
			"a b c", unexpected, "the list ends after 4 of 5 keys",
		},
		{"no items", pages{pageOf("p2", 9, "a"), respond(200, `{"listmeta":{"continue":"p3"}}`)}, "a", unexpected, "no items"},
		{"an error", pages{pageOf("p2", 9, "a"), respondError(403, "No", "no")}, "a", palette.ErrForbidden, "403 No: no"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMock(t, slices.Repeat(tt.pages, 3)...)
			service := newTestClient(t, m).APIKeys

			keys, err := service.List(t.Context())
			found, errFind := service.FindByName(t.Context(), "a")
			uids, errAll := collect(t, service.All(t.Context()))

			assert.Len(t, m.requests(), 3*len(tt.pages))
			assert.Equal(t, tt.uids, strings.Join(uids, " "))
			if tt.class == nil {
				require.NoError(t, errors.Join(err, errFind, errAll))
				assert.Equal(t, tt.uids, strings.Join(uidsOf(keys), " "))
				assert.NotNil(t, keys)
				assert.NotNil(t, found)
				return
			}
			assert.Nil(t, keys)
			assert.Nil(t, found)
			for _, err := range []error{err, errFind, errAll} {
				require.ErrorIs(t, err, tt.class)
				require.ErrorContains(t, err, tt.want)
			}
		})
	}
}

// A continue token that was seen before leads in a circle.
func TestPageTokenTwiceFailsTheList(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		pages []httpmock.Responder
	}{
		{"a page leads to itself", []httpmock.Responder{pageOf("p2", 9, "a"), pageOf("p2", 9, "b")}},
		{"a page leads back", []httpmock.Responder{pageOf("p2", 9, "a"), pageOf("p3", 9), pageOf("p2", 9, "b")}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMock(t, tt.pages...)

			keys, err := newTestClient(t, m).APIKeys.List(t.Context())

			assert.Nil(t, keys)
			require.EqualError(t, err, "palette: apiKeys.list: unexpected response: "+
				"a continue token for the second time (host palette.test, 1 attempt)")
			require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
			assert.Len(t, m.requests(), len(tt.pages))
		})
	}
}

// A server that always has one more page must not keep the client busy forever.
func TestListHasAtMost10000Pages(t *testing.T) {
	t.Parallel()
	requests := 0
	client := newTestClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
		requests++
		return pageOf(strconv.Itoa(requests), 0, "u")(req)
	}))

	uids, err := collect(t, client.APIKeys.All(t.Context()))

	assert.Len(t, uids, 10_000)
	assert.Equal(t, 10_001, requests)
	require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
	require.ErrorContains(t, err, "palette: apiKeys.list: unexpected response: more than 10000 pages")
}

func TestFindByName(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, uids string }{
		{"ci", "1 4"}, // also on the second page
		{"CI", "2"},
		{"c", ""},
		{" ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMock(t,
				respond(200, `{"items":[{"metadata":{"name":"ci","uid":"1"}},{"metadata":{"name":"CI","uid":"2"}},`+
					`{"metadata":{"name":"ci-2","uid":"3"}}],"listmeta":{"continue":"p2"}}`),
				respond(200, `{"items":[{"metadata":{"name":"ci","uid":"4"}},{"metadata":{"uid":"5"}}]}`))

			keys, err := newTestClient(t, m).APIKeys.FindByName(t.Context(), tt.name)

			require.NoError(t, err)
			assert.NotNil(t, keys)
			assert.Equal(t, tt.uids, strings.Join(uidsOf(keys), " "))
			m.requireSent("GET /v1/apiKeys", "GET /v1/apiKeys?continue=p2")
		})
	}
}

func TestFindByNameWithInvalidName(t *testing.T) {
	t.Parallel()
	for test, name := range map[string]string{"empty": "", "not UTF-8": "ci\xff"} {
		t.Run(test, func(t *testing.T) {
			t.Parallel()

			keys, err := newTestClient(t, newMock(t)).APIKeys.FindByName(t.Context(), name)

			assert.Nil(t, keys)
			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			require.EqualError(t, err, "palette: apiKeys.findByName: invalid argument: name is empty or not UTF-8")
		})
	}
}
