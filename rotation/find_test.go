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
	type keys = []palettetest.Key
	replaces := func(uid string) map[string]string { return map[string]string{"rotation/replaces": uid} }
	replaced := func(uid, newUID string) map[string]string {
		return map[string]string{"rotation/replacedBy": uid + " " + newUID}
	}
	a, b, other := palettetest.Key{UID: "a"}, palettetest.Key{UID: "b"}, palettetest.Key{UID: "b", UserUID: mallory}
	expiredA, expiredB := a, b
	expiredA.Expiry, expiredB.Expiry = time.Now().Add(-time.Minute), time.Now().Add(-time.Minute)
	replacedA := palettetest.Key{UID: "a", Annotations: replaced("a", "b")}
	leftoverB := palettetest.Key{UID: "b", Annotations: replaces("a")}
	leftoverC := palettetest.Key{UID: "c", Annotations: replaces("a")}
	for name, tt := range map[string]struct {
		keys    keys
		revoked string // uid
		user    string
		want    string // uid
		err     string
	}{
		"the only one":                  {keys: keys{a}, want: "a"},
		"of a given user":               {keys: keys{a, other}, user: mallory, want: "b"},
		"not a replaced one":            {keys: keys{replacedA, leftoverB}, want: "b"},
		"the old key was deleted":       {keys: keys{leftoverB}, want: "b"},
		"not a leftover":                {keys: keys{a, leftoverB}, want: "a"},
		"not several leftovers":         {keys: keys{a, leftoverB, leftoverC}, want: "a"},
		"the old key is another user's": {keys: keys{{UID: "a", UserUID: mallory, Name: "other"}, leftoverB}, want: "b"},
		"the old key was renamed":       {keys: keys{{UID: "a", Name: "other"}, leftoverB}, err: "not found"},
		"the old key has expired":       {keys: keys{expiredA, leftoverB}, want: "a"},
		"the active one":                {keys: keys{a, b}, revoked: "a", want: "b"},
		"the one that has not expired":  {keys: keys{expiredA, b}, want: "b"},
		"an expired one":                {keys: keys{expiredA}, want: "a"},
		"an inactive one":               {keys: keys{a}, revoked: "a", want: "a"},
		"none":                          {keys: keys{{UID: "a", Name: "ci2"}}, err: "not found"},
		"none of the user":              {keys: keys{a}, user: mallory, err: "not found"},
		"only a replaced one":           {keys: keys{replacedA}, err: "not found"},
		"a copied replacedBy":           {keys: keys{{UID: "b", Annotations: replaced("a", "b")}}, want: "b"},
		"replacedBy without a new key":  {keys: keys{{UID: "a", Annotations: replaced("a", "")}}, want: "a"},
		"replaces itself":               {keys: keys{{UID: "a", Annotations: replaces("a")}}, want: "a"},
		"several": {
			keys: keys{a, b},
			err:  `several keys have the name "ci": a (user ` + anna + `), b (user ` + anna + `)`,
		},
		"several expired": {keys: keys{expiredA, expiredB}, err: "several keys"},
		"several users": {
			keys: keys{a, other},
			err:  `several users have keys with the name "ci": a (user ` + anna + `), b (user ` + mallory + `)`,
		},
		"several users, one was replaced": {keys: keys{replacedA, other}, err: "several users"},
		"several users, one has expired":  {keys: keys{expiredA, other}, err: "several users"},
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
