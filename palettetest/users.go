package palettetest

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"time"
)

// The uids of the built-in administrator and of the only tenant.
const (
	AdminUID  = "5f0c1f9e8d3b2a4c6e7f1a2b"
	TenantUID = "5f0c1f9ad1e2c3b4a5968778"
)

const tokenLifetime = 15 * time.Minute

// User is a user who can own keys.
type User struct {
	UID       string
	FirstName string
	LastName  string

	// Admin makes the user a tenant administrator, who can see and change the keys of
	// all users. Other users have access to their own keys only.
	Admin bool

	// Credential is the user's credential for the ApiKey header. If it is empty, the
	// server generates one: see [Server.Credential].
	Credential string
}

// Credential returns the credential of a user for the ApiKey header. It returns "" if
// the user does not exist.
func (s *Server) Credential(userUID string) string { return s.users[userUID].Credential }

// AuthToken returns a new JWT of the built-in administrator for the Authorization
// header, without "Bearer". It is valid for 15 minutes, as Palette's are (doc).
func (s *Server) AuthToken() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	expiry := s.cfg.now().Add(tokenLifetime)
	encode := base64.RawURLEncoding.EncodeToString
	payload := fmt.Sprintf(`{"exp":%d,"sub":%q}`, expiry.Unix(), AdminUID)
	token := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(payload)) + "." + encode(randomBytes(32))
	s.tokens[token] = expiry
	return token
}

// userInfo responds to GET /v1/users/info, which tells a client who it is.
func (s *Server) userInfo(c call) *response {
	if s.cfg.noUsersInfo {
		return frameworkError(http.StatusNotFound, "path %s was not found", c.request.URL.EscapedPath())
	}
	return jsonResponse(http.StatusOK, map[string]string{
		"orgName": "palettetest", "tenantUid": TenantUID, "userUid": c.user.UID,
	})
}

// authenticate returns the user of a request. If the request has both headers, only
// ApiKey counts.
func (s *Server) authenticate(h http.Header) (User, bool) {
	if value := h.Get("ApiKey"); value != "" {
		return s.userOfKey(value)
	}
	expiry := s.tokens[h.Get("Authorization")] // zero if the token is unknown
	return s.users[AdminUID], s.cfg.now().Before(expiry)
}

func (s *Server) userOfKey(value string) (User, bool) {
	for _, u := range s.users {
		if u.Credential == value {
			return u, true
		}
	}
	for _, k := range slices.Concat(s.keys, s.deleted) {
		if k.value == value {
			u := s.users[k.UserUID] // may not exist: see AddKey
			u.UID = k.UserUID
			return u, s.works(k)
		}
	}
	return User{}, false
}

// works reports whether a key works as a credential.
func (s *Server) works(k *storedKey) bool {
	return (k.Active || s.cfg.revokedKeysAccepted) &&
		(!s.expired(k.Expiry) || s.cfg.expiredKeysAccepted) &&
		!s.tooNew(k)
}
