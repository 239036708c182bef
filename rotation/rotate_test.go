package rotation_test

import (
	"bytes"
	"context"
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
	inScene(t, func(s *scene) {
		uid := s.add(palettetest.Key{
			Name:   "builds",
			Labels: map[string]string{"team": "x"},
			Annotations: map[string]string{
				"description": "nightly", "rotation/fingerprint": "copied x", "rotation/retired": "copied x", "rotation/replaces": "copied", "rotation/root": "copied",
			},
		})
		s.stored = palette.NewSecret(s.values[uid])

		result, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{Name: "builds"}, s, rotation.Policy{})

		require.NoError(t, err)
		key := s.key(result.NewUID)
		require.NotNil(t, key)
		assert.Equal(t, rotation.Result{Rotated: true, OldUID: uid, NewUID: key.UID}, result)
		assert.Equal(t, s.values[key.UID], s.stored.Reveal())
		assert.Equal(t, "builds", key.Name)
		assert.Equal(t, anna, key.UserUID)
		assert.Equal(t, map[string]string{"team": "x"}, key.Labels)
		assert.Equal(t, "nightly", key.Annotations["description"])
		assert.Equal(t, uid, key.Annotations["rotation/root"])
		assert.Equal(t, uid, key.Annotations["rotation/replaces"])
		assert.Regexp(t, "^"+key.UID+" [0-9a-f]{16}$", key.Annotations["rotation/fingerprint"])
		assert.NotContains(t, key.Annotations, "rotation/retired")
		assert.Nil(t, s.key(uid))
	})
}

// The body of the create request has no annotations of the server and no other markers.
func TestRequestForTheNewKey(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.requireRotated(s.admin(), rotation.Policy{Validity: 30 * day})

		for _, request := range s.server.Requests() {
			if request.Method == http.MethodPost {
				assert.JSONEq(t, `{
					"metadata":{"name":"ci","labels":{},"annotations":{"rotation/root":"`+oldUID+`","rotation/replaces":"`+oldUID+`"}},
					"spec":{"expiry":"2000-01-31T00:00:00.03Z","userUid":"`+anna+`"}}`, string(request.Body))
			}
		}
	})
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
			inScene(t, func(s *scene) {
				created := time.Now().Add(-30 * day)
				old := palettetest.Key{CreatedAt: created, Name: "other"}
				if tt.old != 0 {
					old.Expiry = created.Add(tt.old)
				}
				s.stored = palette.Secret{}
				uid := s.add(old)
				s.mayDie = true
				s.stored = palette.NewSecret(s.values[uid])

				result, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{UID: uid}, s, rotation.Policy{Validity: tt.validity})

				require.NoError(t, err)
				expiry := s.key(result.NewUID).Expiry
				if tt.want == 0 {
					assert.Zero(t, expiry)
					return
				}
				assert.WithinDuration(t, created.Add(30*day+tt.want), expiry, time.Second)
			})
		})
	}
}

// The overlap shortens the expiry of retired keys.
func TestLifetimeIsTheLongestOfTheLineage(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		for range 5 {
			s.requireRotated(s.admin(), rotation.Policy{Overlap: time.Hour})
			assert.WithinDuration(t, time.Now().Add(30*day+12*time.Hour), s.key(s.storedUID()).Expiry, time.Second)
			s.wait(12 * time.Hour)
		}
	})
}

func TestOverlapLimitsTheLifeOfTheOldKey(t *testing.T) {
	t.Parallel()
	const overlap = 10 * time.Hour
	for name, tt := range map[string]struct {
		expiry time.Duration // from now; 0: none
		want   time.Duration // 0: the old key is not changed
	}{
		"expires later":  {expiry: 12 * time.Hour, want: overlap},
		"expires before": {expiry: 5 * time.Hour, want: 5 * time.Hour},
		"never expires":  {want: overlap},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				key := palettetest.Key{Name: "old", Annotations: map[string]string{"description": "nightly"}, Labels: map[string]string{"team": "x"}}
				if tt.expiry != 0 {
					key.Expiry = time.Now().Add(tt.expiry)
				}
				start := time.Now()
				uid := s.add(key)
				s.stored = palette.NewSecret(s.values[uid])

				result, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{UID: uid}, s, days(90, overlap))

				require.NoError(t, err)
				old := s.key(uid)
				require.NotNil(t, old)
				assert.WithinDuration(t, start.Add(tt.want), old.Expiry, time.Second)
				assert.True(t, old.Expiry.Equal(result.OldExpiry))
				assert.Equal(t, uid+" "+old.Expiry.Format(time.RFC3339Nano), old.Annotations["rotation/retired"])
				assert.Equal(t, "nightly", old.Annotations["description"])
				assert.Equal(t, key.Labels, old.Labels)
				assert.Equal(t, "old", old.Name)
				assert.True(t, s.works(s.values[uid]))
			})
		})
	}
}

func TestExpiredKeyIsReplacedAndDeletedHoursLater(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		uid := s.add(palettetest.Key{Name: "expired", Expiry: time.Now().Add(-time.Minute)})
		s.stored = palette.Secret{}
		key := rotation.Key{UID: uid}

		result, err := rotation.Rotate(s.t.Context(), s.admin(), key, s, days(90, 0))

		require.NoError(t, err)
		assert.True(t, result.OldExpiry.Equal(s.key(uid).Expiry))
		s.wait(2 * time.Hour)
		_, err = rotation.Rotate(s.t.Context(), s.admin(), key, s, days(90, 0))
		require.NoError(t, err)
		assert.NotNil(t, s.key(uid), "the clocks may differ")
		s.wait(2 * time.Hour)
		_, err = rotation.Rotate(s.t.Context(), s.admin(), key, s, days(90, 0))
		require.NoError(t, err)
		assert.Nil(t, s.key(uid))
	})
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
		"expires in a moment": {expiry: time.Minute, renewBefore: 7 * day, want: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				key := palettetest.Key{Name: "due"}
				if tt.expiry != 0 {
					key.Expiry = time.Now().Add(tt.expiry).UTC().Truncate(time.Millisecond)
				}
				uid := s.add(key)
				s.stored = palette.NewSecret(s.values[uid])
				stored := s.stored

				result, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{Name: "due"}, s, rotation.Policy{Validity: 90 * day, RenewBefore: tt.renewBefore})

				require.NoError(t, err)
				assert.Equal(t, tt.want, result.Rotated)
				assert.Equal(t, tt.want, stored != s.stored)
				if !tt.want {
					assert.Equal(t, rotation.Result{OldUID: uid, NewUID: uid, OldExpiry: key.Expiry}, result)
					assert.Equal(t, 3, s.steps, "list, load, test the stored key")
				}
			})
		})
	}
}

func TestInterruptedRunIsFinishedInsteadOfRotatingAgain(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		s.start(fault{step: 11, after: true, kill: true}) // the load after the save
		_, err := s.rotate(s.admin(), days(90, overlap))
		require.ErrorIs(s.t, err, errKilled)
		s.start(fault{})
		stored := s.stored

		result, err := s.rotate(s.admin(), days(90, overlap))

		require.NoError(s.t, err)
		assert.Equal(s.t, stored, s.stored)
		want := rotation.Result{Rotated: true, OldUID: oldUID, NewUID: s.storedUID()}
		if old := s.key(oldUID); old != nil {
			want.OldExpiry = old.Expiry
		}
		assert.Equal(s.t, want, result)
		s.requireClean(overlap)
	})
}

// A key that is due is rotated, even if the run also had to finish another one.
func TestKeyThatIsDueIsRotatedAfterAnInterruptedRun(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.start(fault{step: 11, after: true, kill: true})
		_, err := s.rotate(s.admin(), days(1, 0))
		require.ErrorIs(t, err, errKilled)
		s.start(fault{})
		s.wait(23 * time.Hour)

		result, err := s.rotate(s.admin(), rotation.Policy{Validity: 90 * day, RenewBefore: 7 * day})

		require.NoError(t, err)
		assert.Equal(t, s.storedUID(), result.NewUID)
		assert.Len(t, s.server.Keys(), 1)
	})
}

// A late save, or somebody, brings back a key that was retired.
func TestRetiredKeyThatIsStoredAgainIsReplaced(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		s.requireRotated(s.admin(), days(90, overlap))
		first := s.stored
		s.requireRotated(s.admin(), days(90, time.Hour))
		s.stored = first
		policy := rotation.Policy{Validity: 90 * day, Overlap: overlap, RenewBefore: day}

		result, err := s.rotate(s.admin(), policy)

		require.ErrorIs(s.t, err, rotation.ErrReverted)
		assert.True(s.t, result.Rotated)
		assert.NotEqual(s.t, first, s.stored)
		s.wait(time.Hour)
		_, err = s.rotate(s.admin(), policy)
		require.NoError(s.t, err)
		s.requireClean(8 * day)
	})
}

func TestOwnerNeedsNoPermissionToReadKeys(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.change = func(req *http.Request, rec *httptest.ResponseRecorder) {
			if req.Header.Get("ApiKey") != s.server.APIKey {
				replaceResponse(rec, 403, `{"code":"OperationForbidden","message":"Operation 'apiKey.get' is forbidden"}`)
			}
		}

		s.requireRotated(s.admin(), days(90, 0))

		s.requireClean(0)
	})
}

// Palette can respond to a credential that it does not know with 404.
func TestOwnKeyThatWasDeletedIsNotMistakenForTheOldOne(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		s.change = func(_ *http.Request, rec *httptest.ResponseRecorder) {
			if rec.Code == http.StatusUnauthorized {
				replaceResponse(rec, 404, `{"code":"ResourceNotFound","message":"not found"}`)
			}
		}
		own := s.own()
		s.start(fault{step: 11, after: true, kill: true})
		_, err := s.rotate(own, days(90, overlap))
		require.ErrorIs(s.t, err, errKilled)
		s.start(fault{step: 12, after: true, kill: true}) // nothing happens: its first 11 steps are enough
		_, err = s.rotate(own, days(90, overlap))
		require.NoError(s.t, err)
		s.start(fault{})

		_, err = s.rotate(s.own(), days(90, overlap))

		require.NoError(s.t, err)
		s.requireClean(overlap)
	})
}

func TestLostResponseToTheDeletionOfTheOwnKey(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.server.Inject(palettetest.Fault{Method: http.MethodDelete, Status: http.StatusBadGateway, After: true})
		own, err := palette.NewClient(palette.WithAPIKey(s.stored.Reveal()), palette.WithBaseURL(s.server.URL),
			palette.WithHTTPClient(&http.Client{Transport: s}), palette.WithMaxRetries(1), palette.WithBackoff(0, 0))
		require.NoError(t, err)

		s.requireRotated(own, days(90, 0))

		assert.Nil(t, s.key(oldUID))
	})
}

func TestKeyThatIsNotProvedIsDeleted(t *testing.T) {
	t.Parallel()
	without := func(text, other string) func(*httptest.ResponseRecorder) {
		return func(rec *httptest.ResponseRecorder) {
			rec.Body = bytes.NewBuffer(bytes.ReplaceAll(rec.Body.Bytes(), []byte(text), []byte(other)))
		}
	}
	for name, change := range map[string]func(*httptest.ResponseRecorder){
		"unauthorized":                func(rec *httptest.ResponseRecorder) { replaceResponse(rec, 401, `{"code":"UnAuthorizedAccess"}`) },
		"not found":                   func(rec *httptest.ResponseRecorder) { replaceResponse(rec, 404, `{"code":"ResourceNotFound"}`) },
		"the server fails":            func(rec *httptest.ResponseRecorder) { replaceResponse(rec, 500, `{}`) },
		"without the annotation root": without("rotation/root", "other"),
		"without the fingerprint":     without("rotation/fingerprint", "other"),
		"another owner":               without(anna, mallory),
		"inactive":                    without(`"isActive":true`, ""),
		"another expiry":              without(`"expiry":"2000`, `"expiry":"2001`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				stored := s.stored
				s.change = func(req *http.Request, rec *httptest.ResponseRecorder) {
					if s.steps > 4 && req.Method == http.MethodGet && !strings.HasSuffix(req.URL.Path, oldUID) {
						change(rec)
					}
				}

				result, err := s.rotate(s.admin(), days(90, 0))

				require.ErrorContains(t, err, "prove the new key: ")
				require.ErrorContains(t, err, "; the new key was deleted")
				assert.Zero(t, result)
				assert.Equal(t, stored, s.stored)
				assert.Len(t, s.server.Keys(), 1)
			})
		})
	}
}

func TestKeyThatIsNotProvedIsDeletedAfterTheContextEnds(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		ctx, cancel := context.WithCancel(s.t.Context())
		s.change = func(req *http.Request, _ *httptest.ResponseRecorder) {
			if req.Method == http.MethodPost {
				cancel()
			}
			if deadline, ok := req.Context().Deadline(); req.Method == http.MethodDelete {
				assert.True(t, ok)
				assert.WithinDuration(t, time.Now().Add(30*time.Second), deadline, 10*time.Second)
			}
		}

		_, err := rotation.Rotate(ctx, s.admin(), rotation.Key{Name: "ci"}, s, days(90, 0))

		require.ErrorIs(t, err, context.Canceled)
		assert.Len(t, s.server.Keys(), 1)
	})
}

// The uid of the user in the response to a create request, for example.
func TestNewKeyWithAnotherUIDIsDeletedByALaterRun(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.change = func(req *http.Request, rec *httptest.ResponseRecorder) {
			if req.Method == http.MethodPost {
				replaceResponse(rec, 201, `{"apiKey":"value","uid":"`+anna+`"}`)
			}
		}
		_, err := s.rotate(s.admin(), days(90, 0))
		require.ErrorContains(t, err, "the new key "+anna+" was not saved and could not be deleted; nobody has its value, and a later run deletes it")
		require.Len(t, s.server.Keys(), 2)
		s.change = nil
		s.wait(2 * time.Hour)

		s.requireRotated(s.admin(), days(90, 0))

		assert.Len(t, s.server.Keys(), 1)
	})
}

func TestKeyThatCannotBeDeletedDoesNotStopARotationThatIsDue(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.add(palettetest.Key{UID: "stuck", Annotations: root(oldUID)})
		s.server.Inject(palettetest.Fault{Method: http.MethodDelete, Path: "/v1/apiKeys/stuck", Times: -1, Status: 500, Body: `{"code":"DeletionResourceInUseError"}`})

		result, err := s.rotate(s.admin(), rotation.Policy{Validity: 90 * day, RenewBefore: day})

		require.ErrorContains(t, err, "delete the key stuck: palette: apiKeys.delete: 500")
		assert.True(t, result.Rotated)
		assert.Nil(t, s.key(oldUID))
	})
}

func TestErrorsSayWhichKeysWork(t *testing.T) {
	t.Parallel()
	const (
		old      = oldUID + " (stored, until 2000-01-01T12:00:00Z)"
		older    = oldUID + " (may be in use, until 2000-01-01T12:00:00Z)"
		harmless = "NEW (harmless: nobody has its value, until 2000-03-31T00:00:00Z)"
		offered  = "NEW (may be stored, until 2000-03-31T00:00:00Z)"
		end      = "; do not delete any by hand: later runs do"
	)
	for name, tt := range map[string]struct {
		fault      fault
		start, end string
	}{
		"test":          {fault{step: 3}, "test the stored key: palette: apiKeys.get: ", "; nothing was changed; keys that work: " + older + end},
		"create":        {fault{step: 4}, "create the new key: palette: ", "; if it exists, nobody has its value, and a later run deletes it; keys that work: " + old + end},
		"prove":         {fault{step: 7}, "prove the new key: palette: ", "; the new key was deleted; keys that work: " + old + end},
		"prove, killed": {fault{step: 7, kill: true}, "prove the new key: palette: ", "nobody has its value, and a later run deletes it; keys that work: " + old + ", " + harmless + end},
		"get":           {fault{step: 9}, "get the key that is to be replaced once more: ", "; the new key was deleted; keys that work: " + old + end},
		"save":          {fault{step: 10}, "save the new key: killed", "; keys that work: " + old + ", " + offered + end},
		"load":          {fault{step: 11}, "load the new key to compare: killed", "; keys that work: " + old + ", " + offered + end},
		"retire":        {fault{step: 13}, "retire the key " + oldUID + ": palette: apiKeys.delete: ", "; keys that work: " + older + ", NEW (stored, until 2000-03-31T00:00:00Z)" + end},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				s.start(tt.fault)

				result, err := s.rotate(s.admin(), days(90, 0))

				require.ErrorIs(t, err, errKilled)
				assert.Equal(t, name == "retire", result.Rotated)
				text := err.Error()
				for uid := range s.values {
					if uid != oldUID {
						text = strings.ReplaceAll(text, uid, "NEW")
					}
				}
				assert.True(t, strings.HasPrefix(text, "rotation: "+tt.start), text)
				assert.True(t, strings.HasSuffix(text, tt.end), text)
			})
		})
	}
}

func TestErrorOfAStoreThatKeepsFailingSaysWhenTheNextAttemptIs(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.save = func(palette.Secret) error { return errKilled }
		for range 5 {
			_, err := s.rotate(s.admin(), days(90, 0))
			require.ErrorIs(t, err, errKilled)
			s.wait(time.Minute)
		}

		_, err := s.rotate(s.admin(), days(90, 0))

		require.ErrorContains(t, err, "rotation: no key was created, because 5 were created in the last 2h0m0s that did not get into the store; "+
			"the next attempt is possible at 2000-01-01T02:00:00Z; keys that work: ")
		assert.Len(t, s.live(), 6)
		s.wait(2*time.Hour - 6*time.Minute)
		_, err = s.rotate(s.admin(), days(90, 0))
		require.ErrorIs(t, err, errKilled)
	})
}

func TestErrorOfTheKeyLimitSaysWhatARotationNeeds(t *testing.T) {
	t.Parallel()
	for status, limit := range map[int]bool{400: true, 401: false, 403: true, 409: true, 500: false} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				s.server.Inject(palettetest.Fault{Method: http.MethodPost, Status: status})

				_, err := s.rotate(s.admin(), days(90, 0))

				require.ErrorContains(t, err, "create the new key: ")
				assert.Equal(t, limit, strings.Contains(err.Error(), "; a rotation needs room for one more key"))
			})
		})
	}
}

func TestInvalidArgumentsChangeNothing(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		noStore, noClient bool
		key               rotation.Key
		policy            rotation.Policy
	}{
		"no key":                   {key: rotation.Key{UserUID: anna}},
		"two keys":                 {key: rotation.Key{UID: oldUID, Name: "ci"}},
		"no store":                 {noStore: true},
		"no client":                {noClient: true},
		"negative validity":        {policy: rotation.Policy{Validity: -1}},
		"negative overlap":         {policy: rotation.Policy{Overlap: -1}},
		"negative renewal":         {policy: rotation.Policy{RenewBefore: -1}},
		"renewed again at once":    {policy: rotation.Policy{Validity: day, RenewBefore: day}},
		"renewed again, old key's": {policy: rotation.Policy{RenewBefore: 31 * day}},
		"overlap of a lifetime":    {policy: rotation.Policy{Validity: day, Overlap: day}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				before := s.server.Keys()
				client, store := s.admin(), rotation.Store(s)
				if tt.noClient {
					client = nil
				}
				if tt.noStore {
					store = nil
				}
				if tt.key == (rotation.Key{}) {
					tt.key.UID = oldUID
				}

				_, err := rotation.Rotate(s.t.Context(), client, tt.key, store, tt.policy)

				require.ErrorIs(t, err, palette.ErrInvalidArgument)
				assert.True(t, strings.HasPrefix(err.Error(), "rotation: "))
				assert.Contains(t, err.Error(), "; nothing was changed")
				assert.Equal(t, before, s.server.Keys())
			})
		})
	}
}
