package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const (
	namePrefix = "palette-conformance-"
	marker     = "palette-conformance" // the annotation that holds the name of its key
	maxKeys    = 3                     // at a time
	streak     = 5                     // answers in a row that prove that something is gone

	maxWait     = 90 * time.Second // until a change has an effect
	interval    = time.Second      // between two looks
	soon        = 15 * time.Second // until a shortened expiry
	rest        = 10 * time.Second // until the rate limit of the server is unused again
	maxCleaning = 3 * time.Minute
)

// session is a comparison with one Palette.
type session struct {
	client  *palette.Client
	options []palette.Option // of client
	offset  time.Duration    // of the server's clock
	caller  identity         // empty if the server does not tell
	owned   int              // keys of the caller before the start
	left    int              // keys that may be changed before the start
	denied  string           // why no key may be created

	names   *regexp.Regexp // of the keys that may be changed
	prefix  string         // of the names of new keys
	serial  int
	keys    []*key // that may exist
	shared  *key   // one of keys, for rows that leave it as it was
	results map[string]string
}

type identity struct {
	OrgName   string `json:"orgName"`
	TenantUID string `json:"tenantUid"`
	UserUID   string `json:"userUid"`
}

// key is a key that this program has created.
type key struct {
	sent   palette.CreateAPIKeyRequest
	status int
	uid    string // "" if it is not known

	response struct {
		APIKey string `json:"apiKey"`
		UID    string `json:"uid"`
	}
}

// newSession looks at the server without changing anything. The session may change the keys
// of all earlier ones if sweep is set.
func newSession(ctx context.Context, sweep bool, opts []palette.Option) (*session, error) {
	client, err := newClient(opts...)
	if err != nil {
		return nil, err
	}
	id := randomHex(8)
	s := &session{client: client, options: opts, prefix: namePrefix + id + "-", results: map[string]string{}}
	if sweep {
		id = "[0-9a-f]{16}"
	}
	s.names = regexp.MustCompile("^" + namePrefix + id + "-[0-9]+$")
	info := send(ctx, client, http.MethodGet, "/v1/users/info", "")
	_ = json.Unmarshal(info.body, &s.caller) // row W1 says if it is something else
	if date, err := http.ParseTime(info.header.Get("Date")); err == nil && time.Until(date).Abs() > 2*time.Second {
		s.offset = time.Until(date).Round(time.Second) // below, it is the precision of the header
	}
	keys, err := client.APIKeys.List(ctx)
	switch {
	case errors.Is(err, palette.ErrForbidden):
		s.denied = "needs apiKey.list"
	case err != nil:
		return nil, err
	case send(ctx, client, http.MethodGet, keyPath(unknownUID()), "").status == http.StatusForbidden:
		s.denied = "needs apiKey.get"
	case send(ctx, client, http.MethodDelete, keyPath(unknownUID()), "").status == http.StatusForbidden:
		s.denied = "needs apiKey.delete"
	}
	for _, k := range keys {
		if k.Spec.User.UID == s.caller.UserUID {
			s.owned++
		}
		if s.ours(k) {
			s.left++
		}
	}
	return s, ctx.Err()
}

// ours reports whether a key may be changed. The marker holds the name, so that a copy of
// the annotations on another key has no effect.
func (s *session) ours(k palette.APIKey) bool {
	return s.names.MatchString(k.Metadata.Name) && k.Metadata.Annotations[marker] == k.Metadata.Name
}

// now returns the time of the server, in the precision of the API.
func (s *session) now() time.Time { return time.Now().Add(s.offset).UTC().Truncate(time.Second) }

// clean deletes all keys of this session, until several lists in a row have none.
func (s *session) clean(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxCleaning)
	defer cancel()
	for none := 0; none < streak && (s.denied == "" || len(s.keys) > 0); {
		if none++; !s.removeAll(ctx) {
			none = 0
		}
		// A key whose creation was not answered may need a moment.
		if (none == 0 || len(s.keys) > 0) && sleep(ctx, interval) != nil {
			return errors.New("keys may be left: they expire an hour after their creation, and -sweep deletes them")
		}
	}
	s.keys, s.shared = nil, nil
	return nil
}

// removeAll deletes the keys that it finds. It reports whether there were none.
func (s *session) removeAll(ctx context.Context) bool {
	s.client.CloseIdleConnections()
	keys, err := s.client.APIKeys.List(ctx)
	uids, none := map[string]bool{}, err == nil
	for _, k := range keys {
		uids[k.Metadata.UID] = s.ours(k)
		if !s.ours(k) && strings.HasPrefix(k.Metadata.Name, s.prefix) { // the server has dropped the marker
			none = false
		}
	}
	for _, k := range s.keys { // the list may not have them yet
		uids[k.uid] = k.uid != ""
	}
	for uid, ours := range uids {
		if ours {
			t := &trial{session: s, ctx: ctx}
			none = !t.remove(uid) && t.result == "" && none
		}
	}
	return none
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func keyPath(uid string) string { return collection + "/" + uid }

// unknownUID returns a uid that no key has: its first digits are a second in the year 2106.
func unknownUID() string { return "ffffffff" + randomHex(8) }

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
