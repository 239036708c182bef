package rotation_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

func TestNewKeyIsLikeTheOldOne(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	uid := s.add(palettetest.Key{
		Name:        "builds",
		Labels:      map[string]string{"team": "x"},
		Annotations: map[string]string{"description": "nightly", "rotation/replaces": "a", "rotation/replacedBy": "b c"},
	})

	result, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{})

	require.NoError(t, err)
	key := s.key(result.NewUID)
	require.NotNil(t, key)
	assert.Equal(t, rotation.Result{Rotated: true, OldUID: uid, NewUID: key.UID}, result)
	assert.Equal(t, s.values[key.UID], s.stored.Reveal())
	assert.Equal(t, "builds", key.Name)
	assert.Equal(t, anna, key.UserUID)
	assert.Equal(t, map[string]string{"team": "x"}, key.Labels)
	assert.Equal(t, map[string]string{"description": "nightly", "rotation/replaces": uid}, key.Annotations)
	assert.Nil(t, s.key(uid))
}

func TestLifetimeOfTheNewKey(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		old      time.Duration // lifetime of the old key, which is 30 days old; 0: it does not expire
		validity time.Duration
		want     time.Duration // 0: the new key does not expire
	}{
		"of the old key":        {old: 40 * day, want: 40 * day},
		"of an expired key":     {old: 20 * day, want: 20 * day},
		"of a key without one":  {},
		"of the policy":         {old: 40 * day, validity: day, want: day},
		"of the policy, no old": {validity: day, want: day},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			created := time.Now().Add(-30 * day)
			old := palettetest.Key{CreatedAt: created}
			if tt.old != 0 {
				old.Expiry = created.Add(tt.old)
			}
			uid := s.add(old)
			before := time.Now().Truncate(time.Millisecond)

			result, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{Validity: tt.validity})

			require.NoError(t, err)
			expiry := s.key(result.NewUID).Expiry
			if tt.want == 0 {
				assert.Zero(t, expiry)
				return
			}
			assert.WithinRange(t, expiry, before.Add(tt.want-time.Millisecond), time.Now().Add(tt.want+time.Millisecond))
		})
	}
}

func TestOverlapLimitsTheLifeOfTheOldKey(t *testing.T) {
	t.Parallel()
	const overlap = 10 * time.Hour
	for name, tt := range map[string]struct {
		expiry time.Duration // from now; 0: none
		want   time.Duration // 0: the old key is deleted
	}{
		"expires later":  {expiry: 12 * time.Hour, want: overlap},
		"expires before": {expiry: 5 * time.Hour, want: 5 * time.Hour},
		"never expires":  {want: overlap},
		"has expired":    {expiry: -time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			key := palettetest.Key{Annotations: map[string]string{"description": "nightly"}, Labels: map[string]string{"team": "x"}}
			before := time.Now().Truncate(time.Millisecond)
			if tt.expiry != 0 {
				key.Expiry = before.Add(tt.expiry)
			}
			uid := s.add(key)

			result, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{Overlap: overlap})

			require.NoError(t, err)
			if tt.want == 0 {
				assert.Zero(t, result.OldExpiry)
				assert.Nil(t, s.key(uid))
				return
			}
			old := s.key(uid)
			require.NotNil(t, old)
			assert.WithinRange(t, old.Expiry, before.Add(tt.want), time.Now().Add(tt.want))
			assert.True(t, old.Expiry.Equal(result.OldExpiry))
			assert.Equal(t, uid+" "+result.NewUID, old.Annotations["rotation/replacedBy"])
			assert.Equal(t, "nightly", old.Annotations["description"])
			assert.Equal(t, key.Labels, old.Labels)
			assert.Equal(t, "ci", old.Name)
			assert.True(t, s.works(s.values[uid]))
		})
	}
}

func TestKeyIsRotatedOnlyIfItIsDue(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		expiry      time.Duration // from now; 0: none
		renewBefore time.Duration
		want        bool
	}{
		"always":              {expiry: 20 * day, want: true},
		"always, no expiry":   {want: true},
		"expires soon":        {expiry: 6 * day, renewBefore: 7 * day, want: true},
		"expires later":       {expiry: 8 * day, renewBefore: 7 * day},
		"never expires":       {renewBefore: 7 * day},
		"has expired already": {expiry: -day, renewBefore: 7 * day, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			key := palettetest.Key{}
			if tt.expiry != 0 {
				key.Expiry = time.Now().Add(tt.expiry).UTC().Truncate(time.Millisecond)
			}
			uid := s.add(key)
			stored := s.stored

			result, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{RenewBefore: tt.renewBefore})

			require.NoError(t, err)
			assert.Equal(t, tt.want, result.Rotated)
			assert.Equal(t, tt.want, stored != s.stored)
			if !tt.want {
				assert.Equal(t, rotation.Result{OldUID: uid, OldExpiry: key.Expiry}, result)
				assert.Equal(t, 2, s.steps, "get and list")
			}
		})
	}
}

// The store may hold the new key of an interrupted run, which can expire long before the
// old key is due.
func TestUnfinishedRotationIsAlwaysDue(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	uid := s.add(palettetest.Key{Name: "forever"})
	s.start(fault{step: 6, after: true, kill: true}) // get, list, create, get, save, load
	_, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{Validity: 30 * day})
	require.ErrorIs(t, err, errKilled)
	s.start(fault{})

	result, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{Validity: 30 * day, RenewBefore: day})

	require.NoError(t, err)
	assert.True(t, result.Rotated)
	assert.Nil(t, s.key(uid))
	assert.Equal(t, s.values[result.NewUID], s.stored.Reveal())
}

// Such a key is in its overlap: a program may use it until then.
func TestReplacedKeyOfAnInterruptedRunIsNotTouchedAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	uid := s.add(palettetest.Key{UID: "a", Annotations: map[string]string{"rotation/replaces": oldUID, "rotation/replacedBy": "a b"}})
	before := s.key(uid)

	idle, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{RenewBefore: time.Hour})
	require.NoError(t, err)
	due, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{})

	require.NoError(t, err)
	assert.False(t, idle.Rotated)
	assert.True(t, due.Rotated)
	assert.Equal(t, before, s.key(uid))
}

func TestReplacedKeyIsNotRotatedAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	first, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{Overlap: time.Hour})
	require.NoError(t, err)
	stored := s.stored

	again, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{RenewBefore: day})

	require.NoError(t, err)
	first.Rotated = false
	assert.Equal(t, first, again)
	assert.Equal(t, stored, s.stored)
}

// Its lifetime, which the overlap has shortened, does not matter.
func TestReplacedKeyIsNotComparedWithThePolicy(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	uid := s.add(palettetest.Key{Name: "new", CreatedAt: time.Now().Add(-time.Hour)})
	first, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{Overlap: time.Hour})
	require.NoError(t, err)

	again, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{RenewBefore: day})

	require.NoError(t, err)
	assert.Equal(t, first.NewUID, again.NewUID)
}

func TestCopyOfReplacedByDoesNotCount(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{Overlap: time.Hour})
	require.NoError(t, err)
	copied := s.add(palettetest.Key{Name: "copy", Annotations: s.key(oldUID).Annotations, Expiry: time.Now().Add(day)})

	found, err := rotation.Find(t.Context(), s.admin(), "copy", "")
	require.NoError(t, err)
	result, err := rotation.Rotate(t.Context(), s.admin(), copied, s, rotation.Policy{})

	require.NoError(t, err)
	assert.Equal(t, copied, found.Metadata.UID)
	assert.True(t, result.Rotated)
	assert.NotContains(t, s.key(result.NewUID).Annotations, "rotation/replacedBy")
}

func TestNewKeyOfAnUnfinishedRotationIsNotRotated(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	uid := s.add(palettetest.Key{Annotations: map[string]string{"rotation/replaces": oldUID}})

	_, err := rotation.Rotate(t.Context(), s.admin(), uid, s, rotation.Policy{})

	require.EqualError(t, err, `rotation: the key was created to replace the key "`+oldUID+`": rotate that one; nothing was changed`)
	assert.Len(t, s.server.Keys(), 2)
}

func TestKeysOfAStoreThatFailsAreLimited(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		store func(*scene) *failingStore
		limit int // keys at any time
	}{
		"not stored":                {limit: 3, store: func(s *scene) *failingStore { return &failingStore{Store: s} }},
		"stored":                    {limit: 3, store: func(s *scene) *failingStore { return &failingStore{Store: s, saves: true} }},
		"not loaded":                {limit: 3, store: func(s *scene) *failingStore { return &failingStore{Store: s, saves: true, loadErr: errKilled} }},
		"empty and not stored":      {limit: 12, store: func(s *scene) *failingStore { s.stored = palette.Secret{}; return &failingStore{Store: s} }},
		"stored but not readable":   {limit: 12, store: func(s *scene) *failingStore { return &failingStore{Store: s, saves: true, writeOnly: true} }},
		"not stored, not readable ": {limit: 12, store: func(s *scene) *failingStore { return &failingStore{Store: s, writeOnly: true} }},
	} {
		for _, overlap := range []time.Duration{0, time.Hour} {
			t.Run(name+", overlap "+overlap.String(), func(t *testing.T) {
				t.Parallel()
				s := newScene(t)
				store := tt.store(s)
				s.hook = func() { assert.LessOrEqual(t, len(s.server.Keys()), tt.limit) }
				policy := rotation.Policy{Overlap: overlap}
				for range 10 {
					_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, store, policy)
					require.ErrorIs(t, err, errKilled)
					require.NotNil(t, s.key(oldUID))
				}
				store.works = true

				_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, store, policy)

				require.NoError(t, err)
				s.requireClean(overlap)
			})
		}
	}
}

// failingStore fails until works is set.
type failingStore struct {
	rotation.Store

	works     bool
	saves     bool // Save stores the key all the same
	loadErr   error
	writeOnly bool
}

func (f *failingStore) Load(ctx context.Context) (palette.Secret, error) {
	switch {
	case f.writeOnly:
		return palette.Secret{}, errors.ErrUnsupported
	case !f.works && f.loadErr != nil:
		return palette.Secret{}, f.loadErr
	}
	return f.Store.Load(ctx)
}

func (f *failingStore) Save(ctx context.Context, key palette.Secret) error {
	if !f.works && !f.saves {
		return errKilled
	}
	if err := f.Store.Save(ctx, key); err != nil || f.works {
		return err
	}
	return errKilled
}

func TestKeysThatSomebodyElseDeletesAreNoError(t *testing.T) {
	t.Parallel()
	for _, overlap := range []time.Duration{0, time.Hour} {
		t.Run(overlap.String(), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.stored = palette.Secret{}
			replaces := map[string]string{"rotation/replaces": oldUID}
			s.add(palettetest.Key{UID: "first", Annotations: replaces, CreatedAt: time.Now().Add(-2 * time.Hour)})
			s.add(palettetest.Key{UID: "second", Annotations: replaces, CreatedAt: time.Now().Add(-time.Hour)})
			s.hook = func() {
				switch s.steps {
				case 2: // get, list
					s.remove("first")
				case 6: // load, delete, create, get
					s.remove("second")
					s.remove(oldUID)
				}
			}

			result, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{Overlap: overlap, Validity: 30 * day})

			require.NoError(t, err)
			assert.Equal(t, rotation.Result{Rotated: true, OldUID: oldUID, NewUID: result.NewUID}, result)
			s.requireClean(0)
		})
	}
}

func TestStoreThatReturnsAnotherKeyIsAnError(t *testing.T) {
	t.Parallel()
	s := newScene(t)

	_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, forgetful{}, rotation.Policy{})

	require.ErrorContains(t, err, "the store returned another key")
	assert.NotNil(t, s.key(oldUID))
	assert.Len(t, s.server.Keys(), 2)
}

type forgetful struct{}

func (forgetful) Load(context.Context) (palette.Secret, error) {
	return palette.NewSecret("other"), nil
}
func (forgetful) Save(context.Context, palette.Secret) error { return nil }

func TestOwnerNeedsNoPermissionToReadKeys(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.change = func(req *http.Request, rec *httptest.ResponseRecorder) {
		if req.Header.Get("ApiKey") != s.server.APIKey {
			replaceResponse(rec, 403, `{"code":"OperationForbidden","message":"Operation 'apiKey.get' is forbidden"}`)
		}
	}

	_, err := s.rotate(s.admin(), rotation.Policy{})

	require.NoError(t, err)
	s.requireClean(0)
}

func TestStoreIsTestedAlsoIfTheOwnerMustNotReadKeys(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.add(palettetest.Key{Annotations: map[string]string{"rotation/replaces": oldUID}})
	s.change = func(req *http.Request, rec *httptest.ResponseRecorder) {
		if req.Header.Get("ApiKey") != s.server.APIKey {
			replaceResponse(rec, 403, `{"code":"OperationForbidden"}`)
		}
	}
	s.start(fault{step: 5}) // get, list, load, get, save

	_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{})

	require.ErrorContains(t, err, "test the store: killed; no key was created")
}

func TestKeyThatSomebodyDeletesMeanwhileIsRetired(t *testing.T) {
	t.Parallel()
	for _, overlap := range []time.Duration{0, time.Hour} {
		t.Run(overlap.String(), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.change = func(req *http.Request, rec *httptest.ResponseRecorder) {
				if req.Header.Get("ApiKey") != s.server.APIKey {
					replaceResponse(rec, 403, `{"code":"OperationForbidden"}`)
				}
			}
			s.hook = func() {
				if s.steps == 7 { // get, list, create, get, save, load, get
					s.remove(oldUID)
				}
			}

			result, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{Overlap: overlap})

			require.NoError(t, err)
			assert.Zero(t, result.OldExpiry)
		})
	}
}

// Palette can respond to a credential that it does not know with 404.
func TestOwnKeyThatWasDeletedIsNotMistakenForTheOldOne(t *testing.T) {
	t.Parallel()
	for _, overlap := range []time.Duration{0, time.Hour} {
		t.Run(overlap.String(), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.change = func(_ *http.Request, rec *httptest.ResponseRecorder) {
				if rec.Code == http.StatusUnauthorized {
					replaceResponse(rec, 404, `{"code":"ResourceNotFound","message":"not found"}`)
				}
			}
			policy := rotation.Policy{Overlap: overlap}
			s.start(fault{step: 7, after: true, kill: true}) // list, get, list, create, get, save, load
			_, err := s.rotate(s.admin(), policy)
			require.ErrorIs(t, err, errKilled)
			s.start(fault{})

			_, err = s.rotate(s.own(), policy) // the stored key, which is deleted before the old one

			require.NoError(t, err)
			s.requireClean(overlap)
		})
	}
}

func TestLostResponseToTheDeletionOfTheOwnKey(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.server.Inject(palettetest.Fault{Method: http.MethodDelete, Status: http.StatusBadGateway, After: true})
	own, err := palette.NewClient(palette.WithAPIKey(s.stored.Reveal()), palette.WithBaseURL(s.server.URL),
		palette.WithMaxRetries(1), palette.WithBackoff(0, 0))
	require.NoError(t, err)

	result, err := s.rotate(own, rotation.Policy{})

	require.NoError(t, err)
	assert.True(t, result.Rotated)
	assert.Nil(t, s.key(oldUID))
	assert.True(t, s.works(s.stored.Reveal()))
}

func replaceResponse(rec *httptest.ResponseRecorder, status int, body string) {
	*rec = *httptest.NewRecorder()
	rec.Header().Set("Content-Type", "application/json")
	rec.WriteHeader(status)
	rec.Body = bytes.NewBufferString(body)
}

func TestKeyThatIsNotProvedIsDeleted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Request, *httptest.ResponseRecorder){
		"unauthorized": func(_ *http.Request, rec *httptest.ResponseRecorder) {
			replaceResponse(rec, 401, `{"code":"UnAuthorizedAccess"}`)
		},
		"not found": func(_ *http.Request, rec *httptest.ResponseRecorder) {
			replaceResponse(rec, 404, `{"code":"ResourceNotFound"}`)
		},
		"without the annotation": func(_ *http.Request, rec *httptest.ResponseRecorder) {
			rec.Body = bytes.NewBuffer(bytes.ReplaceAll(rec.Body.Bytes(), []byte("rotation/replaces"), []byte("other")))
		},
		"another owner": func(_ *http.Request, rec *httptest.ResponseRecorder) {
			rec.Body = bytes.NewBuffer(bytes.ReplaceAll(rec.Body.Bytes(), []byte(anna), []byte(mallory)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			stored := s.stored
			s.change = func(req *http.Request, rec *httptest.ResponseRecorder) {
				if req.Method == http.MethodGet && req.Header.Get("ApiKey") != s.server.APIKey {
					change(req, rec)
				}
			}

			_, err := s.rotate(s.admin(), rotation.Policy{})

			require.ErrorContains(t, err, "; the new key (uid ")
			require.ErrorContains(t, err, ") was not stored and is deleted now or by the next run")
			assert.Equal(t, stored, s.stored)
			assert.Len(t, s.server.Keys(), 1)
		})
	}
}

func TestKeyThatIsNotProvedIsDeletedAfterTheContextEnds(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.change = func(req *http.Request, _ *httptest.ResponseRecorder) {
		if req.Method == http.MethodPost {
			cancel()
		}
		if deadline, ok := req.Context().Deadline(); req.Method == http.MethodDelete {
			assert.True(t, ok)
			assert.WithinDuration(t, time.Now().Add(30*time.Second), deadline, 10*time.Second)
		}
	}
	client, err := palette.NewClient(palette.WithAPIKey(s.server.APIKey), palette.WithBaseURL(s.server.URL),
		palette.WithHTTPClient(&http.Client{Transport: s}), palette.WithTimeout(time.Hour))
	require.NoError(t, err)

	_, err = rotation.Rotate(ctx, client, oldUID, s, rotation.Policy{})

	require.ErrorIs(t, err, context.Canceled)
	assert.Len(t, s.server.Keys(), 1)
}

func TestExpiredReplacedKeysAreDeleted(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	add := func(uid, owner string, expired time.Duration, annotations map[string]string) {
		s.add(palettetest.Key{UID: uid, UserUID: owner, Name: "any", Expiry: time.Now().Add(-expired), Annotations: annotations})
	}
	replaced := func(uid string) map[string]string { return map[string]string{"rotation/replacedBy": uid + " new"} }
	add("long-expired", anna, 2*time.Hour, replaced("long-expired"))
	add("just-expired", anna, 30*time.Minute, replaced("just-expired"))
	add("not-replaced", anna, 2*time.Hour, nil)
	add("copied", anna, 2*time.Hour, replaced("long-expired"))
	add("of-another-user", mallory, 2*time.Hour, replaced("of-another-user"))

	result, err := s.rotate(s.admin(), rotation.Policy{})

	require.NoError(t, err)
	var left []string
	for _, key := range s.server.Keys() {
		left = append(left, key.UID)
	}
	assert.Equal(t, []string{"just-expired", "not-replaced", "copied", "of-another-user", result.NewUID}, left)
}

func TestExpiredKeyThatCannotBeDeletedDoesNotStopTheRotation(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.add(palettetest.Key{UID: "stuck", Expiry: time.Now().Add(-day), Annotations: map[string]string{"rotation/replacedBy": "stuck new"}})
	s.server.Inject(palettetest.Fault{Method: http.MethodDelete, Path: "/v1/apiKeys/stuck", Status: 500, Body: `{"code":"DeletionResourceInUseError"}`})

	result, err := s.rotate(s.admin(), rotation.Policy{})

	require.NoError(t, err)
	assert.True(t, result.Rotated)
}

func TestErrorsSayWhatIsTrue(t *testing.T) {
	t.Parallel()
	const works = "; the old key is unchanged"
	for name, tt := range map[string]struct {
		fault      fault
		start, end string
	}{
		"get":           {fault{step: 1}, "get the old key: palette: apiKeys.get: ", "; nothing was changed"},
		"list":          {fault{step: 2}, "list the keys: palette: apiKeys.list: ", "; nothing was changed"},
		"create":        {fault{step: 3}, "create the new key: palette: ", "; if it exists, it was not stored and will be retired by the next run" + works},
		"prove":         {fault{step: 4}, "prove the new key: palette: ", "; the new key (uid NEW) was not stored and is deleted now or by the next run" + works},
		"prove, killed": {fault{step: 4, kill: true}, "prove the new key: palette: ", "; the new key (uid NEW) was not stored and is deleted now or by the next run" + works},
		"save":          {fault{step: 5}, "save the new key: killed", "; the new key (uid NEW) works, may be stored and will be retired by the next run" + works},
		"load":          {fault{step: 6}, "save the new key: killed", "; the new key (uid NEW) works, may be stored and will be retired by the next run" + works},
		"retire": {
			fault{step: 8},
			"retire the key (uid " + oldUID + "): palette: apiKeys.delete: ",
			"; the new key (uid NEW) works and is stored; run again to retire the old key",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.start(tt.fault)

			result, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{})

			require.ErrorIs(t, err, errKilled)
			assert.Zero(t, result)
			text := err.Error()
			for uid := range s.values {
				if uid != oldUID {
					text = strings.ReplaceAll(text, uid, "NEW")
				}
			}
			assert.True(t, strings.HasPrefix(text, "rotation: "+tt.start), text)
			assert.True(t, strings.HasSuffix(text, tt.end), text)
		})
	}
}

func TestErrorsOfTheSecondRunSayWhatIsTrue(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	leftover := s.add(palettetest.Key{Annotations: map[string]string{"rotation/replaces": oldUID}})
	for name, step := range map[string]int{"load": 3, "save": 5, "load again": 6} {
		s.start(fault{step: step})

		_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{})

		require.EqualError(t, err, "rotation: test the store: killed; no key was created; the old key is unchanged", name)
	}
	s.start(fault{step: 10}) // get, list, load, get, save, load, create, get, save, load: the store is tested first

	_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{})

	require.ErrorContains(t, err, "save the new key: killed")
	assert.NotNil(t, s.key(leftover))
}

// For example, Load prints a line of a file of variables, and Save writes this line.
type prefixStore struct{ *scene }

func (s prefixStore) Load(ctx context.Context) (palette.Secret, error) {
	stored, err := s.scene.Load(ctx)
	return palette.NewSecret("KEY=" + stored.Reveal()), err
}

func TestWhatIsNoKeyIsNotSavedAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for range 3 {
		_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, prefixStore{s}, rotation.Policy{})

		require.ErrorContains(t, err, "the store returned another key than the one that was saved")
	}
}

func TestErrorOfTheKeyLimitSaysWhatARotationNeeds(t *testing.T) {
	t.Parallel()
	for status, limit := range map[int]bool{400: true, 401: false, 403: true, 409: true, 500: false} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.server.Inject(palettetest.Fault{Method: http.MethodPost, Status: status})

			_, err := s.rotate(s.admin(), rotation.Policy{})

			require.ErrorContains(t, err, "create the new key: ")
			assert.Equal(t, limit, strings.Contains(err.Error(), "; a rotation needs room for one more key"))
		})
	}
}

func TestErrorOfTheKeyLimitNamesTheKeysInTheWay(t *testing.T) {
	t.Parallel()
	s := newScene(t, palettetest.WithKeyLimit(2))
	s.add(palettetest.Key{UID: "leftover", Annotations: map[string]string{"rotation/replaces": oldUID}})

	_, err := s.rotate(s.admin(), rotation.Policy{})

	require.ErrorIs(t, err, palette.ErrBadRequest)
	require.ErrorContains(t, err, "; a rotation needs room for one more key; "+
		"keys of interrupted runs: [leftover (user "+anna+")]; the old key is unchanged")
}

func TestAnUnknownKeyIsNotFound(t *testing.T) {
	t.Parallel()
	s := newScene(t)

	_, err := rotation.Rotate(t.Context(), s.admin(), "unknown", s, rotation.Policy{})

	require.ErrorIs(t, err, palette.ErrNotFound)
}

func TestInvalidArgumentsChangeNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		uid    string
		store  rotation.Store
		policy rotation.Policy
	}{
		"no uid":                   {"", forgetful{}, rotation.Policy{}},
		"no store":                 {oldUID, nil, rotation.Policy{}},
		"negative validity":        {oldUID, forgetful{}, rotation.Policy{Validity: -1}},
		"negative overlap":         {oldUID, forgetful{}, rotation.Policy{Overlap: -1}},
		"negative renewal":         {oldUID, forgetful{}, rotation.Policy{RenewBefore: -1}},
		"renewed again at once":    {oldUID, forgetful{}, rotation.Policy{Validity: day, RenewBefore: day}},
		"renewed again, old key's": {oldUID, forgetful{}, rotation.Policy{RenewBefore: 31 * day}},
		"no lifetime":              {"invalid", forgetful{}, rotation.Policy{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			now := time.Now()
			s.add(palettetest.Key{UID: "invalid", CreatedAt: now, Expiry: now})
			before := s.server.Keys()

			_, err := rotation.Rotate(t.Context(), s.admin(), tt.uid, tt.store, tt.policy)

			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			assert.True(t, strings.HasPrefix(err.Error(), "rotation: "))
			assert.True(t, strings.HasSuffix(err.Error(), "; nothing was changed"))
			assert.Equal(t, before, s.server.Keys())
		})
	}
}

func TestKeyWithoutCreationTimeNeedsAValidity(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.change = func(_ *http.Request, rec *httptest.ResponseRecorder) {
		rec.Body = bytes.NewBuffer(bytes.ReplaceAll(rec.Body.Bytes(), []byte("creationTimestamp"), []byte("other")))
	}

	_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{})
	result, validityErr := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{Validity: day})

	require.ErrorIs(t, err, palette.ErrInvalidArgument)
	require.NoError(t, validityErr)
	assert.True(t, result.Rotated)
}

func TestKeyWithoutOwnerIsNotRotated(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.change = func(req *http.Request, rec *httptest.ResponseRecorder) {
		rec.Body = bytes.NewBuffer(bytes.ReplaceAll(rec.Body.Bytes(), []byte(anna), nil))
	}

	_, err := rotation.Rotate(t.Context(), s.admin(), oldUID, s, rotation.Policy{})

	require.EqualError(t, err, `rotation: the key has no owner; nothing was changed`)
	assert.Equal(t, 2, s.steps, "get and list")
}
