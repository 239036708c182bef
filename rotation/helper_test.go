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
	"testing"
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

// scene is Anna's key "ci", which is about to expire, and the store that holds it. A
// step is a request or a call of the store. After each step, the stored key must work.
type scene struct {
	t      testing.TB
	server *palettetest.Server
	values map[string]string // of all keys, by uid
	stored palette.Secret

	fault  fault
	steps  int                                             // of this run
	dead   bool                                            // the run was killed
	hook   func()                                          // called after each step
	change func(*http.Request, *httptest.ResponseRecorder) // changes a response
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

func newScene(t testing.TB, opts ...palettetest.Option) *scene {
	t.Helper()
	opts = append(opts, palettetest.WithUser(palettetest.User{UID: anna}), palettetest.WithUser(palettetest.User{UID: mallory}))
	s := &scene{t: t, server: palettetest.NewServer(opts...), values: map[string]string{}}
	t.Cleanup(s.server.Close)
	s.add(palettetest.Key{UID: oldUID, Expiry: time.Now().Add(12 * time.Hour)})
	s.stored = palette.NewSecret(s.values[oldUID])
	return s
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
	s.steps++
	hit := s.steps == s.fault.step
	if s.dead || hit && !s.fault.after {
		s.dead = s.dead || s.fault.kill
		return errKilled
	}
	err := work()
	if s.stored != (palette.Secret{}) && !s.works(s.stored.Reveal()) {
		s.t.Errorf("the stored key does not work after step %d (%v)", s.steps, s.fault)
	}
	if s.hook != nil {
		s.hook()
	}
	if hit {
		s.dead = s.fault.kill
		return errKilled
	}
	return err
}

func (s *scene) Load(context.Context) (stored palette.Secret, err error) {
	err = s.step(func() error { stored = s.stored; return nil })
	return stored, err
}

func (s *scene) Save(_ context.Context, key palette.Secret) error {
	return s.step(func() error { s.stored = key; return nil })
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

// works reports whether value authenticates.
func (s *scene) works(value string) bool {
	return s.do(http.MethodGet, "none", value) == http.StatusNotFound
}

// remove deletes a key as somebody else does.
func (s *scene) remove(uid string) {
	require.Equal(s.t, http.StatusNoContent, s.do(http.MethodDelete, uid, s.server.APIKey))
}

// do sends a request that is not a step, and returns the status of the response.
func (s *scene) do(method, uid, credential string) int {
	req := httptest.NewRequestWithContext(s.t.Context(), method, "/v1/apiKeys/"+uid, nil)
	req.Header.Set("ApiKey", credential)
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

// requireClean requires that Anna has one key that is not about to end, that it is the
// stored one, and that all others were replaced and end within the overlap.
func (s *scene) requireClean(overlap time.Duration) {
	s.t.Helper()
	var live []string
	for _, key := range s.server.Keys() {
		switch {
		case key.UserUID != anna:
		case key.Expiry.After(time.Now().Add(20 * day)):
			live = append(live, key.UID)
		default:
			assert.NotZero(s.t, overlap, "the key %s was not deleted", key.UID)
			assert.Contains(s.t, key.Annotations["rotation/replacedBy"], key.UID+" ")
			assert.False(s.t, key.Expiry.After(time.Now().Add(overlap)))
		}
	}
	require.Len(s.t, live, 1)
	require.Equal(s.t, s.values[live[0]], s.stored.Reveal())
}

// rotate is a program that rotates the key "ci".
func (s *scene) rotate(client *palette.Client, policy rotation.Policy) (rotation.Result, error) {
	return rotation.Rotate(s.t.Context(), client, rotation.Key{Name: "ci", UserUID: anna}, s, policy)
}
