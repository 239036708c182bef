package rotation_test

import (
	"bytes"
	"errors"
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

func TestFind(t *testing.T) {
	t.Parallel()
	replaces := func(uid string) map[string]string { return map[string]string{"rotation/replaces": uid} }
	replaced := func(uid, newUID string) map[string]string {
		return map[string]string{"rotation/replacedBy": uid + " " + newUID}
	}
	past, future := time.Now().Add(-time.Minute), time.Now().Add(day)
	for name, tt := range map[string]struct {
		keys    []palettetest.Key
		revoked string // uid
		user    string
		want    string // uid
		err     string
	}{
		"the only one":            {keys: []palettetest.Key{{UID: "a"}}, want: "a"},
		"of a given user":         {keys: []palettetest.Key{{UID: "a"}, {UID: "b", UserUID: mallory}}, user: mallory, want: "b"},
		"not a replaced one":      {keys: []palettetest.Key{{UID: "a", Annotations: replaced("a", "b")}, {UID: "b", Annotations: replaces("a")}}, want: "b"},
		"the old key was deleted": {keys: []palettetest.Key{{UID: "b", Annotations: replaces("a")}}, want: "b"},
		"not a leftover":          {keys: []palettetest.Key{{UID: "a"}, {UID: "b", Annotations: replaces("a")}}, want: "a"},
		"not leftovers":           {keys: []palettetest.Key{{UID: "a"}, {UID: "b", Annotations: replaces("a")}, {UID: "c", Annotations: replaces("a")}}, want: "a"},
		"a leftover only of the name of its owner": {
			keys: []palettetest.Key{{UID: "a", UserUID: mallory, Name: "other"}, {UID: "b", Annotations: replaces("a")}}, want: "b",
		},
		"not a leftover, old renamed":   {keys: []palettetest.Key{{UID: "a", Name: "other"}, {UID: "b", Annotations: replaces("a")}}, err: "not found"},
		"not a leftover, old expired":   {keys: []palettetest.Key{{UID: "a", Expiry: past}, {UID: "b", Annotations: replaces("a")}}, want: "a"},
		"the active one":                {keys: []palettetest.Key{{UID: "a"}, {UID: "b"}}, revoked: "a", want: "b"},
		"the one that has not expired":  {keys: []palettetest.Key{{UID: "a", Expiry: past}, {UID: "b", Expiry: future}}, want: "b"},
		"an expired one":                {keys: []palettetest.Key{{UID: "a", Expiry: past}}, want: "a"},
		"an inactive one":               {keys: []palettetest.Key{{UID: "a"}}, revoked: "a", want: "a"},
		"none":                          {keys: []palettetest.Key{{UID: "a", Name: "ci2"}}, err: "not found"},
		"none of the user":              {keys: []palettetest.Key{{UID: "a"}}, user: mallory, err: "not found"},
		"only a replaced one":           {keys: []palettetest.Key{{UID: "a", Annotations: replaced("a", "b")}}, err: "not found"},
		"a copied replacedBy":           {keys: []palettetest.Key{{UID: "b", Annotations: replaced("a", "b")}}, want: "b"},
		"replacedBy without a new key":  {keys: []palettetest.Key{{UID: "a", Annotations: replaced("a", "")}}, want: "a"},
		"replaces itself":               {keys: []palettetest.Key{{UID: "a", Annotations: replaces("a")}}, want: "a"},
		"several":                       {keys: []palettetest.Key{{UID: "a"}, {UID: "b"}}, err: `several keys have the name "ci": a (user ` + anna + `), b (user ` + anna + `)`},
		"several expired":               {keys: []palettetest.Key{{UID: "a", Expiry: past}, {UID: "b", Expiry: past}}, err: "several keys"},
		"several users":                 {keys: []palettetest.Key{{UID: "a"}, {UID: "b", UserUID: mallory}}, err: `several users have keys with the name "ci": a (user ` + anna + `), b (user ` + mallory + `)`},
		"several users, one has none":   {keys: []palettetest.Key{{UID: "a", Annotations: replaced("a", "b")}, {UID: "b", UserUID: mallory}}, err: "several users"},
		"several users, one is expired": {keys: []palettetest.Key{{UID: "a", Expiry: past}, {UID: "b", UserUID: mallory}}, err: "several users"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.stored = palette.Secret{}
			s.remove(oldUID)
			for _, key := range tt.keys {
				s.add(key)
			}
			if tt.revoked != "" {
				require.NoError(t, s.admin().APIKeys.Revoke(t.Context(), tt.revoked))
			}

			key, err := rotation.Find(t.Context(), s.admin(), "ci", tt.user)

			assert.Equal(t, tt.want, key.Metadata.UID)
			if tt.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "rotation: ")
			require.ErrorContains(t, err, tt.err)
			assert.Equal(t, tt.err == "not found", errors.Is(err, palette.ErrNotFound))
		})
	}
}

func TestFindReturnsTheErrorOfTheList(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.start(fault{step: 1})

	_, err := rotation.Find(t.Context(), s.admin(), "ci", "")

	require.ErrorIs(t, err, errKilled)
	require.ErrorContains(t, err, "rotation: list the keys: palette: apiKeys.list: ")
}

func TestFindDoesNotTakeUnknownOwnersForOne(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.add(palettetest.Key{Annotations: map[string]string{"rotation/replaces": oldUID}})
	s.change = func(_ *http.Request, rec *httptest.ResponseRecorder) {
		rec.Body = bytes.NewBuffer(bytes.ReplaceAll(rec.Body.Bytes(), []byte(anna), nil))
	}

	_, err := rotation.Find(t.Context(), s.admin(), "ci", "")

	require.ErrorContains(t, err, "several keys")
}
