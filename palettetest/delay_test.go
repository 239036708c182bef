package palettetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestKeyDelay(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithKeyDelay(5*time.Second))
	_, created := s.create(s.APIKey, createBody)
	_, added := s.AddKey(palettetest.Key{Active: true, CreatedAt: s.Keys()[0].CreatedAt.Add(-5 * time.Second)})

	s.requireStatus(401, created, "GET", "/v1/apiKeys")
	s.requireStatus(200, added, "GET", "/v1/apiKeys")
	s.advance(4999 * time.Millisecond)
	s.requireStatus(401, created, "GET", "/v1/apiKeys")
	s.advance(time.Millisecond)
	s.requireStatus(200, created, "GET", "/v1/apiKeys")
}

func TestListDelay(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithListDelay(5*time.Second))
	list := func() string {
		names, _ := s.names(s.APIKey, "")
		return names
	}
	s.AddKey(palettetest.Key{UID: "old", Name: "old", CreatedAt: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)})
	uid, _ := s.create(s.APIKey, `{"metadata":{"name":"a"}}`)
	s.create(s.APIKey, `{"metadata":{"name":"b"}}`)

	assert.Equal(t, "old", list())
	s.advance(5 * time.Second)
	assert.Equal(t, "old a b", list())

	assert.Equal(t, 204, s.send(s.APIKey, "PUT", "/v1/apiKeys/"+uid, `{"metadata":{"name":"c"}}`).status)
	assert.Contains(t, s.get(uid), `"name":"c"`, "only the list is delayed")
	s.advance(time.Second)
	s.requireStatus(204, s.APIKey, "DELETE", "/v1/apiKeys/old")
	s.advance(3999 * time.Millisecond)
	assert.Equal(t, "old a b", list())
	s.advance(time.Millisecond)
	assert.Equal(t, "old c b", list())
	s.advance(time.Second)
	assert.Equal(t, "c b", list())
}

func TestListDelayOfTheState(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithListDelay(time.Minute))
	uid, _ := s.create(s.APIKey, createBody)
	s.advance(time.Minute)
	s.send(s.APIKey, "PUT", "/v1/apiKeys/"+uid+"/state", `{"isActive":false}`)

	_, before := s.names(s.APIKey, "")
	s.advance(time.Minute)
	_, after := s.names(s.APIKey, "")

	assert.Contains(t, before, `"status":{"isActive":true}`)
	assert.Contains(t, after, `"status":{}`)
}

func TestListDelayWithPages(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithListDelay(time.Minute), palettetest.WithPageSize(1))
	s.create(s.APIKey, `{"metadata":{"name":"a"}}`)
	s.create(s.APIKey, `{"metadata":{"name":"b"}}`)
	s.advance(time.Minute)

	names, list := s.names(s.APIKey, "")

	assert.Equal(t, "a", names)
	assert.Contains(t, list, `"listmeta":{"continue":"c+/1==","count":2,"limit":1,"offset":0}`)
}

func TestIgnoredExpiry(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		opts []palettetest.Option
		want string
	}{
		"by default":        {nil, `"expiry":"2026-03-02T00:00:00.000Z"`},
		"WithIgnoredExpiry": {[]palettetest.Option{palettetest.WithIgnoredExpiry()}, `"expiry":"2026-04-01T00:00:00.000Z"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newTestServer(t, tt.opts...)
			uid, _ := s.create(s.APIKey, `{"metadata":{"name":"ci"},"spec":{"expiry":"2026-04-01T00:00:00Z"}}`)

			got := s.send(s.APIKey, "PUT", "/v1/apiKeys/"+uid, `{"metadata":{"name":"new"},"spec":{"expiry":"2026-03-02T00:00:00Z"}}`)

			assert.Equal(t, 204, got.status)
			assert.Contains(t, s.get(uid), tt.want)
			assert.Contains(t, s.get(uid), `"name":"new"`, "the rest is updated")
		})
	}
}
