package rotation_test

import (
	"bytes"
	"maps"
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

// Everybody can write annotations on their own keys. Anna's key is rotated; the other
// user's key, and the key that Anna's store holds, must work all the time.
func TestAnnotationsOfAnotherUserHaveNoEffect(t *testing.T) {
	t.Parallel()
	for name, tt := range forgeries() {
		for _, overlap := range []time.Duration{0, time.Hour} {
			t.Run(name+", overlap "+overlap.String(), func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				forged := s.forge(tt.key)
				before := s.key(forged)

				_, err := s.rotate(s.admin(), rotation.Policy{Overlap: overlap})

				require.NoError(t, err)
				s.requireClean(overlap)
				assert.Equal(t, before, s.key(forged))
			})
		}
	}
}

// The same with a server that returns Anna as the owner of all keys, so that comparing
// owners has no effect. The forgeries that are fatal now are those that need it.
func TestForgeriesThatNeedTheOwnersToBeCompared(t *testing.T) {
	t.Parallel()
	for name, tt := range forgeries() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			forged := s.forge(tt.key)
			before := s.key(forged)
			s.change = func(_ *http.Request, rec *httptest.ResponseRecorder) {
				rec.Body = bytes.NewBuffer(bytes.ReplaceAll(rec.Body.Bytes(), []byte(mallory), []byte(anna)))
			}

			_, err := s.rotate(s.admin(), rotation.Policy{})

			fatal := err != nil || !assert.ObjectsAreEqual(before, s.key(forged))
			assert.Equal(t, tt.fatal, fatal, err)
		})
	}
}

type forgery struct {
	key   palettetest.Key
	fatal bool // if owners were not compared: a key of another user is retired, or nothing is rotated
}

// forgeries returns keys of another user that pretend to be part of Anna's rotation.
func forgeries() map[string]forgery {
	annotated := func(name, value string) palettetest.Key {
		return palettetest.Key{UID: "forged", Name: "any", Annotations: map[string]string{name: value}}
	}
	expired := func(key palettetest.Key) palettetest.Key {
		key.Expiry = time.Now().Add(-day)
		return key
	}
	both := annotated("rotation/replaces", oldUID)
	both.Annotations["rotation/replacedBy"] = oldUID + " forged"
	return map[string]forgery{
		"replaces the old key":          {annotated("rotation/replaces", oldUID), true},
		"replaces the old key, expired": {expired(annotated("rotation/replaces", oldUID)), true},
		"replaces itself":               {annotated("rotation/replaces", "forged"), false},
		"replaced by the old key":       {annotated("rotation/replacedBy", "forged "+oldUID), false},
		"replaced, expired":             {expired(annotated("rotation/replacedBy", "forged new")), true},
		"copied replacedBy":             {annotated("rotation/replacedBy", oldUID+" forged"), false},
		"copied replacedBy, expired":    {expired(annotated("rotation/replacedBy", oldUID+" forged")), false},
		"both":                          {both, true},
		"owner annotation":              {annotated("ownerUid", anna), false},
		"former marker":                 {annotated("rotatesUid", oldUID), false},
		"same name":                     {palettetest.Key{UID: "forged"}, true},
		"same name, replaces":           {palettetest.Key{UID: "forged", Annotations: both.Annotations}, true},
	}
}

func (s *scene) forge(key palettetest.Key) (uid string) {
	key.UserUID = mallory
	key.Annotations = maps.Clone(key.Annotations)
	return s.add(key)
}

// Mallory copies all annotations and labels of Anna's keys at every step of a rotation.
func TestAnnotationsCopiedFromARotationHaveNoEffect(t *testing.T) {
	t.Parallel()
	for _, overlap := range []time.Duration{0, time.Hour} {
		t.Run(overlap.String(), func(t *testing.T) {
			t.Parallel()
			s := newScene(t, palettetest.WithKeyLimit(0))
			copies := map[string]*palettetest.Key{}
			s.hook = func() {
				for _, key := range s.server.Keys() {
					if key.UserUID == anna {
						uid := s.forge(palettetest.Key{Annotations: key.Annotations, Labels: key.Labels, Expiry: key.Expiry})
						copies[uid] = s.key(uid)
					}
				}
			}
			policy := rotation.Policy{Overlap: overlap, Validity: 90 * day, RenewBefore: day}

			s.start(fault{step: 7, after: true, kill: true})
			_, err := s.rotate(s.admin(), policy)
			require.ErrorIs(t, err, errKilled)
			s.start(fault{})
			_, err = s.rotate(s.admin(), policy)

			require.NoError(t, err)
			s.requireClean(overlap)
			require.NotEmpty(t, copies)
			for uid, before := range copies {
				assert.Equal(t, before, s.key(uid))
			}
		})
	}
}

// A key of the same name never takes the place of Anna's, also while a rotation is
// interrupted and the old key has expired.
func TestFindDoesNotReturnAKeyOfAnotherUserWithoutAnError(t *testing.T) {
	t.Parallel()
	for first := range faults(9) {
		for name, expired := range map[string]bool{"valid": false, "expired": true} {
			t.Run(first.String()+", "+name, func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				if expired {
					s.stored = palette.Secret{}
					s.expireOld()
				}
				s.start(first)
				_, _ = s.rotate(s.admin(), rotation.Policy{Validity: 90 * day})
				s.start(fault{})
				s.forge(palettetest.Key{Annotations: map[string]string{"rotation/replaces": oldUID}})

				_, err := rotation.Find(t.Context(), s.admin(), "ci", "")
				key, ownErr := rotation.Find(t.Context(), s.admin(), "ci", anna)

				require.ErrorContains(t, err, mallory)
				require.ErrorContains(t, err, anna)
				require.NoError(t, ownErr)
				assert.Equal(t, anna, key.Spec.User.UID)
			})
		}
	}
}
