package rotation_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
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

func root(uid string) map[string]string { return map[string]string{"rotation/root": uid} }

func saved(uid, root string) map[string]string {
	return map[string]string{"rotation/root": root, "rotation/fingerprint": uid + " 0123456789abcdef"}
}

func retired(uid, root string, end time.Time) map[string]string {
	annotations := saved(uid, root)
	annotations["rotation/retired"] = uid + " " + end.UTC().Format(time.RFC3339Nano)
	return annotations
}

func TestFind(t *testing.T) {
	t.Parallel()
	virtualNow := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	past, future := virtualNow.Add(-time.Minute), virtualNow.Add(day)
	for name, tt := range map[string]struct {
		keys    []palettetest.Key // the oldest first
		revoked string            // uid
		stored  string            // uid of the key that the store holds; empty: none
		key     rotation.Key      // empty: the name "ci"
		want    string            // uid
		err     string
	}{
		"the only one":              {keys: []palettetest.Key{{UID: "a"}}, want: "a"},
		"an expired one":            {keys: []palettetest.Key{{UID: "a", Expiry: past}}, want: "a"},
		"none of the name":          {keys: []palettetest.Key{{UID: "a", Name: "ci2"}}, err: "not found"},
		"none":                      {err: "not found"},
		"an inactive one":           {keys: []palettetest.Key{{UID: "a"}}, revoked: "a", err: "the key a is inactive"},
		"several, one works":        {keys: []palettetest.Key{{UID: "a", Expiry: past}, {UID: "b", Expiry: future}, {UID: "c"}}, revoked: "c", want: "b"},
		"several":                   {keys: []palettetest.Key{{UID: "a"}, {UID: "b"}}, err: "several keys have this name, set UID: a (user " + anna + "), b (user " + anna + ")"},
		"several expired":           {keys: []palettetest.Key{{UID: "a", Expiry: past}, {UID: "b", Expiry: past}}, err: "several keys"},
		"of a given user":           {keys: []palettetest.Key{{UID: "a"}, {UID: "b", UserUID: mallory}}, key: rotation.Key{Name: "ci", UserUID: mallory}, want: "b"},
		"none of the given user":    {keys: []palettetest.Key{{UID: "a"}}, key: rotation.Key{Name: "ci", UserUID: mallory}, err: "not found"},
		"several users":             {keys: []palettetest.Key{{UID: "a"}, {UID: "b", UserUID: mallory, Expiry: past}}, err: "several users have such keys, set UserUID: a (user " + anna + "), b (user " + mallory + ")"},
		"by uid":                    {keys: []palettetest.Key{{UID: "a"}, {UID: "b"}}, key: rotation.Key{UID: "b"}, want: "b"},
		"by uid, of another user":   {keys: []palettetest.Key{{UID: "a"}, {UID: "b"}}, key: rotation.Key{UID: "b", UserUID: mallory}, err: "not found"},
		"by an unknown uid":         {keys: []palettetest.Key{{UID: "a"}}, key: rotation.Key{UID: "x"}, err: "not found"},
		"the stored one":            {keys: []palettetest.Key{{UID: "a"}, {UID: "b", Annotations: root("a")}, {UID: "c", Annotations: root("a")}}, stored: "b", want: "b"},
		"the stored one, by name":   {keys: []palettetest.Key{{UID: "a"}, {UID: "b", Name: "renamed", Annotations: root("a")}}, stored: "b", want: "b"},
		"by the uid of a member":    {keys: []palettetest.Key{{UID: "a"}, {UID: "b", Annotations: root("a")}}, stored: "b", key: rotation.Key{UID: "a"}, want: "b"},
		"by the uid of the deleted": {keys: []palettetest.Key{{UID: "b", Annotations: root("a")}}, stored: "b", key: rotation.Key{UID: "a"}, want: "b"},
		"by the uid of the deleted, nothing stored": {
			keys: []palettetest.Key{{UID: "b", Annotations: saved("b", "a")}}, key: rotation.Key{UID: "a"}, err: "not found",
		},
		"by the uid of the deleted, with the owner": {
			keys: []palettetest.Key{{UID: "b", Annotations: saved("b", "a")}}, key: rotation.Key{UID: "a", UserUID: anna}, want: "b",
		},
		"stored, among several of the name": {keys: []palettetest.Key{{UID: "a"}, {UID: "b"}}, stored: "b", want: "b"},
		"stored, but retired": {
			keys: []palettetest.Key{{UID: "a", Expiry: future, Annotations: retired("a", "", future)}, {UID: "b", Annotations: saved("b", "a")}}, stored: "a", want: "a",
		},
		"nothing stored: the oldest that is not retired": {
			keys: []palettetest.Key{
				{UID: "a", Expiry: future, Annotations: retired("a", "", future)}, {UID: "b", Annotations: saved("b", "a")}, {UID: "c", Annotations: saved("c", "a")},
			}, want: "b",
		},
		"nothing stored: not one that was never saved": {keys: []palettetest.Key{{UID: "b", Annotations: root("a")}, {UID: "c", Annotations: saved("c", "a")}}, want: "c"},
		"only ones that were never saved":              {keys: []palettetest.Key{{UID: "b", Annotations: root("a")}}, err: "not found"},
		"nothing stored: not an expired one":           {keys: []palettetest.Key{{UID: "a", Expiry: past}, {UID: "b", Annotations: saved("b", "a")}}, want: "b"},
		"retired, but its expiry was extended":         {keys: []palettetest.Key{{UID: "a", Expiry: future, Annotations: retired("a", "", past)}, {UID: "b", Annotations: saved("b", "a")}}, want: "a"},
		"only retired ones":                            {keys: []palettetest.Key{{UID: "a", Expiry: past, Annotations: retired("a", "", past)}, {UID: "b", Expiry: future, Annotations: retired("b", "a", future)}}, want: "b"},
		"a copy is no member":                          {keys: []palettetest.Key{{UID: "a"}, {UID: "b", Name: "copy", Annotations: saved("x", "a")}}, key: rotation.Key{Name: "copy"}, want: "b"},
		"another rotation has the store": {
			keys: []palettetest.Key{{UID: "a"}, {UID: "b", Name: "other"}}, stored: "b", err: "the store holds the key b of another rotation",
		},
		"a rotation of another user has the store": {keys: []palettetest.Key{{UID: "a"}, {UID: "b", Name: "other", UserUID: mallory}}, stored: "b", want: "a"},
		"neither name nor uid":                     {key: rotation.Key{UserUID: anna}, err: "either the name or the uid of the key are required"},
		"name and uid":                             {key: rotation.Key{Name: "ci", UID: "a"}, err: "either the name or the uid of the key are required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				s.remove(oldUID)
				s.stored = palette.Secret{}
				for i, key := range tt.keys {
					key.CreatedAt = virtualNow.Add(time.Duration(i)*time.Second - 30*day)
					s.add(key)
				}
				if tt.stored != "" {
					s.store(tt.stored)
				}
				if tt.revoked != "" {
					s.revoke(tt.revoked)
				}
				if tt.key == (rotation.Key{}) {
					tt.key.Name = "ci"
				}
				before := s.server.Keys()

				key, err := rotation.Find(s.t.Context(), s.admin(), tt.key, s)

				assert.Equal(t, tt.want, key.Metadata.UID, err)
				assert.Equal(t, before, s.server.Keys())
				if tt.err == "" {
					require.NoError(t, err)
					return
				}
				require.ErrorContains(t, err, "rotation: ")
				require.ErrorContains(t, err, tt.err)
				assert.Equal(t, tt.err == "not found", errors.Is(err, palette.ErrNotFound))
			})
		})
	}
}

// store puts a key into the store and gives it its fingerprint.
func (s *scene) store(uid string) {
	s.stored = palette.NewSecret(s.values[uid])
	client := s.admin()
	key, err := client.APIKeys.Get(s.t.Context(), uid)
	require.NoError(s.t, err)
	update := key.UpdateRequest()
	sum := sha256.Sum256([]byte(s.values[uid]))
	update.Metadata.Annotations["rotation/fingerprint"] = uid + " " + hex.EncodeToString(sum[:8])
	require.NoError(s.t, client.APIKeys.Update(s.t.Context(), uid, update))
}

func TestErrorsOfTheListAndTheStoreChangeNothing(t *testing.T) {
	t.Parallel()
	for step, want := range map[int]string{1: "rotation: list the keys: palette: apiKeys.list: ", 2: "rotation: load the stored key: killed"} {
		inScene(t, func(s *scene) {
			before := s.server.Keys()
			s.start(fault{step: step})
			_, findErr := rotation.Find(s.t.Context(), s.admin(), rotation.Key{Name: "ci"}, s)
			s.start(fault{step: step})
			_, rotateErr := s.rotate(s.admin(), days(90, 0))

			require.ErrorContains(t, findErr, want)
			require.ErrorContains(t, rotateErr, want)
			require.ErrorContains(t, rotateErr, "; nothing was changed")
			assert.Equal(t, before, s.server.Keys())
		})
	}
}

func TestKeysWithoutOwnerOrCreationTimeAreNotRotated(t *testing.T) {
	t.Parallel()
	for want, missing := range map[string]string{"the key has no owner": anna, "the server did not say when the key " + oldUID + " was created": "creationTimestamp"} {
		inScene(t, func(s *scene) {
			s.change = func(_ *http.Request, rec *httptest.ResponseRecorder) {
				rec.Body = bytes.NewBuffer(bytes.ReplaceAll(rec.Body.Bytes(), []byte(missing), nil))
			}

			_, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{Name: "ci"}, s, days(90, 0))

			require.ErrorContains(t, err, want)
			assert.Equal(t, 2, s.steps)
		})
	}
}

func TestReplaced(t *testing.T) {
	t.Parallel()
	now := time.Now().UTC().Truncate(time.Millisecond)
	key := func(uid, owner string, age time.Duration, expiry time.Time, annotations map[string]string) (key palette.APIKey) {
		key.Metadata.UID, key.Spec.User.UID, key.Spec.Expiry, key.Metadata.Annotations = uid, owner, expiry, annotations
		key.Metadata.CreationTimestamp = now.Add(-age)
		key.Status.IsActive = true
		return key
	}
	soon, late := now.Add(time.Hour), now.Add(90*day)
	old := key("a", anna, day, soon, retired("a", "", soon))
	inactive := key("b", anna, 0, late, saved("b", "a"))
	inactive.Status.IsActive = false
	for name, tt := range map[string]struct {
		key   palette.APIKey
		other palette.APIKey
		want  bool
	}{
		"by a newer one":                {old, key("b", anna, 0, late, saved("b", "a")), true},
		"by one without expiry":         {old, key("b", anna, 0, time.Time{}, saved("b", "a")), true},
		"of another owner":              {old, key("b", mallory, 0, late, saved("b", "a")), false},
		"of another lineage":            {old, key("b", anna, 0, late, saved("b", "x")), false},
		"a copy":                        {old, key("b", anna, 0, late, saved("x", "a")), false},
		"an inactive one":               {old, inactive, false},
		"an older one":                  {old, key("b", anna, 2*day, late, saved("b", "a")), false},
		"one that ends before":          {old, key("b", anna, 0, soon.Add(-time.Minute), saved("b", "a")), false},
		"no mark":                       {key("a", anna, day, soon, nil), key("b", anna, 0, late, saved("b", "a")), false},
		"the mark of another key":       {key("a", anna, day, soon, retired("x", "", soon)), key("b", anna, 0, late, saved("b", "a")), false},
		"its expiry was extended":       {key("a", anna, day, soon.Add(time.Hour), retired("a", "", soon)), key("b", anna, 0, late, saved("b", "a")), false},
		"no expiry":                     {key("a", anna, day, time.Time{}, retired("a", "", soon)), key("b", anna, 0, late, saved("b", "a")), false},
		"no owners":                     {key("a", "", day, soon, retired("a", "", soon)), key("b", "", 0, late, saved("b", "a")), false},
		"only itself is in the lineage": {old, old, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, rotation.Replaced(tt.key, []palette.APIKey{tt.key, tt.other}))
		})
	}
}

// Everybody can write annotations on their own keys. Anna's key is rotated; the other
// user's key, and the key that Anna's store holds, must work all the time.
func TestMarkersOfAnotherUserHaveNoEffect(t *testing.T) {
	t.Parallel()
	for name, forged := range forgeries(mallory) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachOverlap(t, func(s *scene, overlap time.Duration) {
				forged := forged
				forged.UID = "forged"
				s.add(forged)
				before := s.key("forged")
				for _, key := range []rotation.Key{{UID: oldUID}, {Name: "ci", UserUID: anna}} {
					for range 3 {
						result, err := rotation.Rotate(s.t.Context(), s.admin(), key, s, days(90, overlap))

						require.NoError(s.t, err)
						assert.True(s.t, result.Rotated)
						assert.NotContains(s.t, []string{result.OldUID, result.NewUID}, "forged")
						assert.Equal(s.t, anna, s.key(result.NewUID).UserUID)
						s.wait(30 * time.Minute)
					}
				}
				assert.Equal(s.t, before, s.key("forged"))
			})
		})
	}
}

// With all markers that Mallory can write on her key, it is never rotated in the place of
// Anna's, even if none of Anna's is left.
func TestKeyOfAnotherUserIsNotRotatedInsteadOfADeletedOne(t *testing.T) {
	t.Parallel()
	for name, forged := range forgeries(mallory) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				forged.UID = "forged"
				s.add(forged)
				s.requireRotated(s.admin(), days(90, 0))
				s.mayDie = true
				s.remove(s.storedUID())
				before := s.server.Keys()
				for _, stored := range []palette.Secret{s.stored, {}} {
					s.stored = stored

					result, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{UID: oldUID}, s, days(90, 0))

					require.ErrorIs(t, err, palette.ErrNotFound)
					assert.Zero(t, result)
					assert.Equal(t, before, s.server.Keys())
				}
			})
		})
	}
}

// A Result names only keys that exist, whatever the owner of the key wrote.
func TestMarkersOfTheOwnerAreNotNamedInAResult(t *testing.T) {
	t.Parallel()
	for name, forged := range forgeries(anna) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			eachOverlap(t, func(s *scene, overlap time.Duration) {
				admins := s.add(palettetest.Key{UID: "admins", Name: "any", UserUID: palettetest.AdminUID})
				before := s.key(admins)
				forged := forged
				forged.UID, forged.Name, forged.Annotations = "forged", "forged", maps.Clone(forged.Annotations)
				for name, value := range forged.Annotations {
					forged.Annotations[name] = value + " " + admins
				}
				s.add(forged)
				uids := map[string]bool{"forged": true}
				for range 3 {
					result, _ := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{Name: "forged"}, s, days(90, overlap))
					for _, key := range s.server.Keys() {
						uids[key.UID] = key.UserUID == anna
					}
					if result != (rotation.Result{}) {
						assert.True(s.t, uids[result.OldUID], result)
						assert.True(s.t, uids[result.NewUID], result)
					}
					s.wait(time.Minute)
				}
				assert.Equal(s.t, before, s.key(admins))
			})
		})
	}
}

// forgeries returns keys that pretend to be part of the rotation of Anna's key.
func forgeries(owner string) map[string]palettetest.Key {
	key := func(annotations map[string]string) palettetest.Key {
		return palettetest.Key{Name: "any", UserUID: owner, Annotations: annotations}
	}
	soon := time.Date(2000, 1, 1, 1, 0, 0, 0, time.UTC)
	newer := key(saved("forged", oldUID))
	newer.CreatedAt = soon.Add(-time.Hour)
	ended := key(retired("forged", oldUID, soon))
	ended.Expiry = soon.Add(-6 * time.Hour)
	replaces := key(saved("forged", oldUID))
	replaces.Annotations["rotation/replaces"] = oldUID
	forgeries := map[string]palettetest.Key{
		"never saved":         key(root(oldUID)),
		"saved":               key(saved("forged", oldUID)),
		"saved, newer":        newer,
		"saved, replaces":     replaces,
		"a copy":              key(saved(oldUID, oldUID)),
		"root is itself":      key(saved("forged", "forged")),
		"expired and retired": ended,
		"annotation of owner": key(map[string]string{"ownerUid": anna}),
	}
	sameName := key(saved("forged", oldUID))
	sameName.Name = "ci"
	if owner != anna {
		forgeries["same name"] = sameName
	}
	return forgeries
}

// Mallory copies all annotations and labels of Anna's keys at every step of a rotation.
func TestMarkersCopiedDuringARotationHaveNoEffect(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		copies := map[string]*palettetest.Key{}
		s.hook = func() {
			for _, key := range s.server.Keys() {
				if key.UserUID == anna {
					uid := s.add(palettetest.Key{UserUID: mallory, Annotations: key.Annotations, Labels: key.Labels, Expiry: key.Expiry})
					copies[uid] = s.key(uid)
				}
			}
		}
		s.start(fault{step: 11, after: true, kill: true})
		_, err := s.rotate(s.admin(), days(90, overlap))
		require.ErrorIs(s.t, err, errKilled)
		s.start(fault{})
		_, err = s.rotate(s.admin(), days(90, overlap))

		require.NoError(s.t, err)
		s.requireClean(overlap)
		require.NotEmpty(s.t, copies)
		for uid, before := range copies {
			assert.Equal(s.t, before, s.key(uid))
		}
	}, palettetest.WithKeyLimit(0))
}
