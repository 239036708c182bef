package rotation_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

const (
	anna    = "0123456789abcdef01234567"
	mallory = "76543210fedcba9876543210"
	oldUID  = "66e844c44bab2337f20c7471"
	day     = 24 * time.Hour
)

var errKilled = errors.New("killed")

// scene is Anna's key "ci", which is about to expire, and the store that holds it, in
// virtual time. A step is a request or a call of the store; it takes ten milliseconds.
// After each step and whenever time passes, the stored key must work.
type scene struct {
	t      testing.TB
	server *palettetest.Server
	skew   time.Duration     // how far the server's clock is ahead
	values map[string]string // of all keys, by uid
	stored palette.Secret

	fault   fault
	steps   int                                             // of this run
	dead    bool                                            // the run was killed
	mayDie  bool                                            // the stored key was revoked
	turn    func()                                          // waits until this step may happen
	hook    func()                                          // called after each step
	load    func() (palette.Secret, error)                  // replaces Load
	save    func(palette.Secret) error                      // replaces Save
	change  func(*http.Request, *httptest.ResponseRecorder) // changes a response
	effects []effect                                        // of saves, that are still to come
}

// effect is what happens at a time.
type effect struct {
	at     time.Time
	happen func()
}

// later lets f happen after d: before the first step, or the first look at the stored key,
// from then on. Another goroutine would need a lock for all that f changes.
func (s *scene) later(d time.Duration, f func()) {
	s.effects = append(s.effects, effect{time.Now().Add(d), f})
}

func (s *scene) happen() {
	s.effects = slices.DeleteFunc(s.effects, func(e effect) bool {
		due := !time.Now().Before(e.at)
		if due {
			e.happen()
		}
		return due
	})
}

// fault is a step that fails.
type fault struct {
	step  int  // the first is 1
	after bool // after its work was done
	kill  bool // all later steps fail as well
}

func (f fault) String() string {
	return fmt.Sprintf("step=%d,after=%t,kill=%t", f.step, f.after, f.kill)
}

// inScene runs a test in a new scene.
func inScene(t *testing.T, test func(s *scene), opts ...palettetest.Option) {
	t.Helper()
	s := &scene{values: map[string]string{}, turn: func() { <-time.After(10 * time.Millisecond) }}
	// The server starts outside of the bubble, where its listener would stop the clock.
	s.server = palettetest.Start(t, append([]palettetest.Option{
		palettetest.WithUser(palettetest.User{UID: anna}), palettetest.WithUser(palettetest.User{UID: mallory}),
		palettetest.WithClock(func() time.Time { return time.Now().Add(s.skew) }),
	}, opts...)...)
	synctest.Test(t, func(t *testing.T) {
		s.t = t
		s.add(palettetest.Key{UID: oldUID, Expiry: time.Now().Add(12 * time.Hour)})
		s.stored = palette.NewSecret(s.values[oldUID])
		test(s)
	})
}

// add adds an active key, by default Anna's, named "ci" and 30 days old.
func (s *scene) add(key palettetest.Key) (uid string) {
	key.Name = cmp.Or(key.Name, "ci")
	key.UserUID = cmp.Or(key.UserUID, anna)
	key.CreatedAt = cmp.Or(key.CreatedAt, time.Now().Add(-30*day))
	key.Active = true
	uid, value := s.server.AddKey(key)
	s.values[uid] = value
	return uid
}

// admin returns a client with the credential of the tenant administrator.
func (s *scene) admin() *palette.Client { return s.client(palette.WithAPIKey(s.server.APIKey)) }

// own returns a client that uses the key that is stored now.
func (s *scene) own() *palette.Client { return s.client(palette.WithAPIKey(s.stored.Reveal())) }

// reading returns a client that reads the stored key before each request.
func (s *scene) reading() *palette.Client {
	return s.client(palette.WithAPIKeyFunc(func(context.Context) (string, error) { return s.stored.Reveal(), nil }))
}

func (s *scene) client(credential palette.Option) *palette.Client {
	s.t.Helper()
	client, err := palette.NewClient(credential, palette.WithBaseURL(s.server.URL),
		palette.WithHTTPClient(&http.Client{Transport: s}), palette.WithMaxRetries(0), palette.WithoutRateLimit())
	require.NoError(s.t, err)
	return client
}

// start starts a run in which f happens.
func (s *scene) start(f fault) { s.fault, s.steps, s.dead = f, 0, false }

// step does the work of a step, unless it fails before.
func (s *scene) step(work func() error) error {
	s.turn()
	s.happen()
	s.steps++
	hit := s.steps == s.fault.step
	if s.dead || hit && !s.fault.after {
		s.dead = s.dead || s.fault.kill
		return errKilled
	}
	err := work()
	s.requireStoredKeyWorks()
	if s.hook != nil {
		s.hook()
	}
	if hit {
		s.dead = s.fault.kill
		return errKilled
	}
	return err
}

func (s *scene) requireStoredKeyWorks() {
	s.t.Helper()
	if !s.mayDie && !s.stored.IsZero() && !s.works(s.stored.Reveal()) {
		require.Fail(s.t, "the stored key does not work", "after step %d (%v), %v", s.steps, s.fault, s.server.Keys())
	}
}

// wait lets time pass, and requires that the stored key works all the time.
func (s *scene) wait(d time.Duration) {
	s.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		<-time.After(min(time.Until(end), max(time.Minute, d/50)))
		s.happen()
		s.requireStoredKeyWorks()
	}
}

func (s *scene) Load(context.Context) (stored palette.Secret, err error) {
	err = s.step(func() (err error) {
		stored = s.stored
		if s.load != nil {
			stored, err = s.load()
		}
		return err
	})
	return stored, err
}

func (s *scene) Save(_ context.Context, key palette.Secret) error {
	return s.step(func() error {
		if s.save != nil {
			return s.save(key)
		}
		s.stored = key
		return nil
	})
}

// RoundTrip calls the server without a network.
func (s *scene) RoundTrip(req *http.Request) (*http.Response, error) {
	rec := httptest.NewRecorder()
	body := &bytes.Buffer{}
	if req.Body != nil {
		_, _ = io.Copy(body, req.Body) // also if the step fails: the request was sent
	}
	err := s.step(func() error {
		clone := req.Clone(req.Context())
		clone.Body = io.NopCloser(body)
		s.server.ServeHTTP(rec, clone)
		if rec.Code == http.StatusCreated {
			var created struct {
				APIKey string `json:"apiKey"`
				UID    string `json:"uid"`
			}
			require.NoError(s.t, json.Unmarshal(rec.Body.Bytes(), &created))
			s.values[created.UID] = created.APIKey
		}
		if s.change != nil {
			s.change(req, rec)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return rec.Result(), nil
}

func replaceResponse(rec *httptest.ResponseRecorder, status int, body string) {
	*rec = *httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	rec.WriteHeader(status)
	rec.Body = bytes.NewBufferString(body)
}

// works reports whether value authenticates.
func (s *scene) works(value string) bool {
	return s.do(http.MethodGet, "none", value, "") == http.StatusNotFound
}

// revoke revokes a key as somebody else does.
func (s *scene) revoke(uid string) {
	require.Equal(s.t, http.StatusNoContent, s.do(http.MethodPut, uid+"/state", s.server.APIKey, `{"isActive":false}`))
}

// remove deletes a key as somebody else does.
func (s *scene) remove(uid string) {
	require.Equal(s.t, http.StatusNoContent, s.do(http.MethodDelete, uid, s.server.APIKey, ""))
}

// do sends a request that is not a step, and returns the status of the response.
func (s *scene) do(method, path, credential, body string) int {
	req := httptest.NewRequestWithContext(context.Background(), method, "/v1/apiKeys/"+path, bytes.NewBufferString(body))
	req.Header.Set("ApiKey", credential)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	s.server.ServeHTTP(rec, req)
	return rec.Code
}

// key returns the key with the given uid, or nil.
func (s *scene) key(uid string) *palettetest.Key {
	for _, key := range s.server.Keys() {
		if key.UID == uid {
			return &key
		}
	}
	return nil
}

// live returns the uids of Anna's keys that work.
func (s *scene) live() (uids []string) {
	for _, key := range s.server.Keys() {
		if key.UserUID == anna && s.works(s.values[key.UID]) {
			uids = append(uids, key.UID)
		}
	}
	return uids
}

// storedUID returns the uid of the key that is stored.
func (s *scene) storedUID() string {
	for uid, value := range s.values {
		if value == s.stored.Reveal() {
			return uid
		}
	}
	return ""
}

// requireClean requires that the stored key is the only one that is not about to end: all
// others are retired and end within the overlap, or nobody has their value.
func (s *scene) requireClean(overlap time.Duration) {
	s.t.Helper()
	for _, key := range s.server.Keys() {
		switch {
		case key.UserUID != anna, key.UID == s.storedUID():
		case key.Annotations["rotation/root"] != "" && key.Annotations["rotation/fingerprint"] == "":
		default:
			assert.Contains(s.t, key.Annotations["rotation/retired"], key.UID+" ")
			assert.False(s.t, key.Expiry.After(time.Now().Add(overlap)), key)
		}
	}
}

// rotate runs the rotation of the key "ci".
func (s *scene) rotate(client *palette.Client, policy rotation.Policy) (rotation.Result, error) {
	return rotation.Rotate(s.t.Context(), client, rotation.Key{Name: "ci", UserUID: anna}, s, policy)
}

// requireRotated requires that a run rotates the key.
func (s *scene) requireRotated(client *palette.Client, policy rotation.Policy) {
	s.t.Helper()
	before := s.stored
	result, err := s.rotate(client, policy)
	require.NoError(s.t, err)
	require.True(s.t, result.Rotated)
	require.NotEqual(s.t, before, s.stored)
	require.Equal(s.t, s.storedUID(), result.NewUID)
}

// days returns a policy for keys that live for some days.
func days(validity int, overlap time.Duration) rotation.Policy {
	return rotation.Policy{Validity: time.Duration(validity) * day, Overlap: overlap}
}

// eachOverlap runs a test without and with an overlap, each in a scene of its own.
func eachOverlap(t *testing.T, test func(s *scene, overlap time.Duration), opts ...palettetest.Option) {
	t.Helper()
	for _, overlap := range []time.Duration{0, time.Hour} {
		t.Run("overlap "+overlap.String(), func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) { test(s, overlap) }, opts...)
		})
	}
}
