package palettetest

import (
	"cmp"
	"encoding/base64"
	"fmt"
	"time"
)

// AdminUID is the uid of the tenant admin that every server has.
const AdminUID = "5f0c1f9e8d3b2a4c6e7f1a2b"

const tokenLifetime = 15 * time.Minute

// User is somebody who can own keys.
type User struct {
	UID       string // required, and not [AdminUID]
	FirstName string
	LastName  string

	// Admin says that the user is a tenant admin, who may see and change the
	// keys of all users; others have their own keys only.
	Admin bool

	// Credential is the user's way in, as the server's APIKey is the admin's.
	// Empty means one is made up, which [Server.Credential] tells.
	Credential string
}

// Credential returns the credential of a user of this server, which works in the
// ApiKey header, and "" for an unknown user.
func (s *Server) Credential(userUID string) string {
	return s.store.users[userUID].Credential // never written after NewServer
}

// AuthToken returns a token of the tenant admin for the Authorization header,
// without "Bearer", valid for 15 minutes by the server's clock: what Palette
// answers to a login with a password.
func (s *Server) AuthToken() string {
	encode := base64.RawURLEncoding.EncodeToString
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	until := s.store.now().Add(tokenLifetime)
	payload := fmt.Sprintf(`{"exp":%d,"sub":%q}`, until.Unix(), AdminUID)
	token := encode([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + encode([]byte(payload)) + "." + encode(randomBytes(32))
	s.store.tokens[token] = until
	return token
}

func (st *store) addUser(u User) {
	if _, taken := st.users[u.UID]; taken || u.UID == "" {
		panic(fmt.Sprintf("palettetest: WithUser: the UID %q is empty or taken", u.UID))
	}
	u.Credential = cmp.Or(u.Credential, newKeyValue())
	st.users[u.UID] = u
}

// userOfKey finds who a value of the ApiKey header speaks for.
func (st *store) userOfKey(value string) (User, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, u := range st.users {
		if u.Credential == value {
			return u, true
		}
	}
	k := st.byValue[value]
	if k == nil || !k.Active || k.expired(st.now()) {
		return User{}, false
	}
	return st.user(k.UserUID), true
}

func (st *store) userOfToken(token string) (User, bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	until, known := st.tokens[token]
	return st.users[AdminUID], known && st.now().Before(until)
}

// user also answers for users who are gone while their keys are still there.
func (st *store) user(uid string) User {
	if u, ok := st.users[uid]; ok {
		return u
	}
	return User{UID: uid}
}
