package palettetest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestCredentials(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	token := s.AuthToken()
	for name, tt := range map[string]struct {
		header http.Header
		want   int
	}{
		"administrator":        {http.Header{"Apikey": {s.APIKey}}, 200},
		"header in other case": {http.Header{"aPIKEY": {s.APIKey}}, 200},
		"user":                 {http.Header{"Apikey": {aliceKey}}, 200},
		"token":                {http.Header{"Authorization": {token}}, 200},
		"key and wrong token":  {http.Header{"Apikey": {s.APIKey}, "Authorization": {"wrong-token"}}, 200},
		"wrong key and token":  {http.Header{"Apikey": {"wrong-key"}, "Authorization": {token}}, 401},
		"none":                 {nil, 401},
		"empty":                {http.Header{"Apikey": {""}, "Authorization": {""}}, 401},
		"unknown key":          {http.Header{"Apikey": {"wrong-key"}}, 401},
		"key with Bearer":      {http.Header{"Apikey": {"Bearer " + s.APIKey}}, 401},
		"key as token":         {http.Header{"Authorization": {s.APIKey}}, 401},
		"token with Bearer":    {http.Header{"Authorization": {"Bearer " + token}}, 401},
		"uid as key":           {http.Header{"Apikey": {palettetest.AdminUID}}, 401},
		"token as key":         {http.Header{"Apikey": {token}}, 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.sendHeader(tt.header, "GET", "/v1/apiKeys", "")

			if tt.want == 200 {
				assert.Equal(t, 200, got.status)
				return
			}
			requireAppError(t, got, "401 UnAuthorizedAccess: The credential is missing, unknown or no longer valid")
		})
	}
}

func TestGeneratedCredentials(t *testing.T) {
	t.Parallel()
	const form = `^palettetest\+[0-9A-Za-z+/]{31}=$` // 44 characters of base64
	s := newTestServer(t, palettetest.WithUser(palettetest.User{UID: "carol"}))
	_, added := s.AddKey(palettetest.Key{Active: true})
	_, created := s.create(s.APIKey, createBody)

	for _, credential := range []string{s.APIKey, s.Credential("carol"), added, created} {
		assert.Regexp(t, form, credential)
		s.requireStatus(200, credential, "GET", "/v1/apiKeys")
	}
	assert.NotEqual(t, added, created)
	assert.Equal(t, s.APIKey, s.Credential(palettetest.AdminUID))
	assert.Equal(t, aliceKey, s.Credential(aliceUID))
	assert.Empty(t, s.Credential("unknown"))
}

func TestGivenAPIKey(t *testing.T) {
	t.Parallel()
	s := newTestServer(t, palettetest.WithAPIKey("palettetest+given"))

	assert.Equal(t, "palettetest+given", s.APIKey)
	s.requireStatus(200, "palettetest+given", "GET", "/v1/apiKeys")
}

func TestUserInfo(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	_, created := s.create(aliceKey, createBody)
	for credential, uid := range map[string]string{s.APIKey: palettetest.AdminUID, aliceKey: aliceUID, created: aliceUID} {
		got := s.send(credential, "GET", "/v1/users/info", "")

		assert.Equal(t, `200 {"orgName":"palettetest","tenantUid":"`+palettetest.TenantUID+`","userUid":"`+uid+`"}`, got.String())
	}
	s.requireStatus(401, "wrong-key", "GET", "/v1/users/info")
}

func TestTokensAreValidFor15Minutes(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	token := http.Header{"Authorization": {s.AuthToken()}}
	assert.Regexp(t, `^eyJ[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+\.[0-9A-Za-z_-]+$`, token.Get("Authorization"))

	s.advance(15*time.Minute - 1)
	assert.Equal(t, 200, s.sendHeader(token, "GET", "/v1/apiKeys", "").status)

	s.advance(1)
	assert.Equal(t, 401, s.sendHeader(token, "GET", "/v1/apiKeys", "").status)
}
