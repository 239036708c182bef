package rotation_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

func TestStoreThatFailsCostsAFewKeys(t *testing.T) {
	t.Parallel()
	for name, fails := range map[string]func(*scene){
		"nothing is saved":       func(s *scene) { s.save = func(palette.Secret) error { return errKilled } },
		"nothing is saved, lies": func(s *scene) { s.save = func(palette.Secret) error { return nil } },
		"saved all the same": func(s *scene) {
			s.save = func(key palette.Secret) error {
				s.stored = key
				return errKilled
			}
		},
		"loads quotes": func(s *scene) {
			s.load = func() (palette.Secret, error) { return palette.NewSecret(`"` + s.stored.Reveal() + `"`), nil }
		},
		"cannot be loaded": func(s *scene) { s.load = func() (palette.Secret, error) { return palette.Secret{}, errKilled } },
		"is empty": func(s *scene) {
			s.stored = palette.Secret{}
			s.save = func(palette.Secret) error { return errKilled }
		},
	} {
		for interval, every := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": day} {
			t.Run(name+", every "+interval, func(t *testing.T) {
				t.Parallel()
				inScene(t, func(s *scene) {
					s.remove(oldUID)
					s.stored = palette.NewSecret(s.values[s.add(palettetest.Key{UID: "first"})])
					s.hook = func() { assert.LessOrEqual(t, len(s.live()), 8) }
					fails(s)
					for range 24 {
						_, _ = s.rotate(s.admin(), days(90, 0))
						s.wait(every)
					}
					s.load, s.save = nil, nil
					s.wait(2 * time.Hour)

					_, err := s.rotate(s.admin(), days(90, 0))

					require.NoError(t, err)
					require.True(t, s.works(s.stored.Reveal()))
					s.wait(time.Hour)
					_, err = s.rotate(s.admin(), days(90, 0))
					require.NoError(t, err)
					s.requireClean(8 * day)
				})
			})
		}
	}
}

// A run is killed, or gives up, before its Save takes effect.
func TestSaveThatTakesEffectLate(t *testing.T) {
	t.Parallel()
	for name, late := range map[string]time.Duration{"3 seconds": 3 * time.Second, "30 minutes": 30 * time.Minute} {
		for interval, every := range map[string]time.Duration{"10 minutes": 10 * time.Minute, "hour": time.Hour, "week": 7 * day} {
			for which, isLate := range map[string]func(i int) bool{
				"all":       func(int) bool { return true },
				"first":     func(i int) bool { return i == 0 },
				"every 2nd": func(i int) bool { return i%2 == 0 },
			} {
				t.Run(which+" by "+name+", every "+interval, func(t *testing.T) {
					t.Parallel()
					eachOverlap(t, func(s *scene, overlap time.Duration) {
						saves := 0
						s.save = func(key palette.Secret) error {
							saves++
							if !isLate(saves - 1) {
								s.stored = key
								return nil
							}
							s.later(late, func() { s.stored = key })
							return errKilled
						}
						for range 12 {
							_, _ = s.rotate(s.admin(), days(90, overlap))
							s.wait(every)
						}
						s.save = nil
						s.wait(2 * time.Hour)
						_, err := s.rotate(s.admin(), days(90, overlap))
						if !errors.Is(err, rotation.ErrReverted) {
							require.NoError(t, err)
						}
					})
				})
			}
		}
	}
}

func TestCreateFailsAfterALateSave(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		s.save = func(key palette.Secret) error {
			s.later(30*time.Minute, func() { s.stored = key })
			return errKilled
		}
		_, err := s.rotate(s.admin(), days(90, overlap))
		require.ErrorIs(s.t, err, errKilled)
		s.save = nil
		s.server.Inject(palettetest.Fault{Method: http.MethodPost, Status: 400})

		_, err = s.rotate(s.admin(), days(90, overlap))

		require.ErrorIs(s.t, err, palette.ErrBadRequest)
		s.wait(7 * day)
		s.requireFinished(days(90, overlap))
	})
}

// requireFinished requires that the next run finishes what an interrupted one left, or rotates.
func (s *scene) requireFinished(policy rotation.Policy) {
	s.t.Helper()
	result, err := s.rotate(s.admin(), policy)
	require.NoError(s.t, err)
	require.True(s.t, result.Rotated)
	require.Equal(s.t, s.storedUID(), result.NewUID)
	s.requireClean(8 * day)
}

// lag makes the store return what it held some time ago, where the stored key must work too.
func (s *scene) lag(d time.Duration) {
	shown := s.stored
	s.save = func(key palette.Secret) error {
		s.stored = key
		s.later(d, func() { shown = key })
		return nil
	}
	s.load = func() (palette.Secret, error) { return shown, nil }
	s.hook = func() { require.True(s.t, s.works(shown.Reveal()), "the key that the store shows") }
}

func TestStoreThatShowsASaveAnHourLater(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		s.lag(time.Hour)
		rotated := 0
		for range 100 {
			result, _ := s.rotate(s.admin(), days(90, overlap))
			if result.Rotated {
				rotated++
			}
			assert.LessOrEqual(s.t, len(s.live()), 20)
			s.hook()
			s.wait(10 * time.Minute)
		}
		assert.NotZero(s.t, rotated)
		s.load = nil
		s.wait(9 * day)
		s.requireFinished(days(90, overlap))
	})
}

func TestStoreWhoseReadsLagFiveSeconds(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		s.lag(5 * time.Second)
		for range 5 {
			s.requireRotated(s.own(), days(90, overlap))
			s.wait(time.Hour)
		}
		s.requireClean(overlap)
	})
}

func TestNewKeyThatDoesNotWorkAtOnce(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		for range 5 {
			s.requireRotated(s.own(), days(90, overlap))
			s.wait(time.Minute)
		}
		s.requireClean(overlap)
	}, palettetest.WithKeyDelay(5*time.Second))
}

func TestNewKeyThatNeverWorksIsDeleted(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.wait(time.Minute)
		start := time.Now()

		_, err := s.rotate(s.admin(), days(90, 0))

		require.ErrorIs(t, err, palette.ErrUnauthorized)
		require.ErrorContains(t, err, "prove the new key: ")
		assert.WithinDuration(t, start.Add(90*time.Second), time.Now(), 10*time.Second)
		assert.Len(t, s.server.Keys(), 1)
		assert.Equal(t, oldUID, s.storedUID())
	}, palettetest.WithKeyDelay(24*time.Hour))
}

func TestListThatLagsFiveSeconds(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{0, 2 * time.Second, 10 * time.Second, time.Hour} {
		t.Run(pause.String(), func(t *testing.T) {
			t.Parallel()
			eachOverlap(t, func(s *scene, overlap time.Duration) {
				for range 10 {
					_, err := s.rotate(s.own(), days(90, overlap))
					if pause > 5*time.Second {
						require.NoError(s.t, err)
					}
					s.wait(pause)
				}
				s.wait(time.Hour)
				s.requireFinished(days(90, overlap))
			}, palettetest.WithListDelay(5*time.Second))
		})
	}
}

func TestServerThatIgnoresTheExpiryOfAnUpdate(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		result, err := s.rotate(s.admin(), days(90, overlap))

		assert.True(s.t, result.Rotated)
		assert.Equal(s.t, s.storedUID(), result.NewUID)
		if overlap == 0 {
			require.NoError(s.t, err)
			return
		}
		require.ErrorContains(s.t, err, "retire the key "+oldUID+": the server did not keep the new expiry")
		assert.True(s.t, result.OldExpiry.Equal(s.key(oldUID).Expiry))
		for range 5 {
			s.wait(time.Hour)
			_, err = s.rotate(s.admin(), days(90, overlap))
			require.Error(s.t, err, "as long as the old key works")
			assert.Len(s.t, s.live(), 2)
		}
	}, palettetest.WithIgnoredExpiry())
}

func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{15 * time.Minute, -15 * time.Minute, 2 * time.Hour, -2 * time.Hour} {
		for _, overlap := range []time.Duration{0, 10 * time.Minute, 3 * time.Hour} {
			t.Run("server "+skew.String()+", overlap "+overlap.String(), func(t *testing.T) {
				t.Parallel()
				inScene(t, func(s *scene) {
					s.skew = skew
					s.requireStoredKeyWorks()
					for i := range 10 {
						if i%3 == 1 {
							s.start(fault{step: 12, kill: true})
							_, _ = s.rotate(s.admin(), days(90, overlap))
							s.start(fault{})
							s.wait(time.Hour)
						}
						_, err := s.rotate(s.admin(), days(90, overlap))
						if overlap == 0 || overlap > skew {
							require.NoError(s.t, err)
						}
						s.wait(time.Hour)
					}
				})
			})
		}
	}
}

// The client's clock is two hours behind.
func TestOverlapCountsByTheClockOfTheServer(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.skew = 2 * time.Hour

		result, err := s.rotate(s.admin(), days(90, 10*time.Minute))

		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(s.skew+10*time.Minute), result.OldExpiry, time.Second)
		s.wait(9 * time.Minute)
		assert.True(t, s.works(s.values[oldUID]))
	})
}

// The client's clock is two hours ahead: to it, the key has expired an hour ago.
func TestKeyThatStillWorksIsNotDeletedBecauseOfTheClock(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.skew = -2 * time.Hour
		s.requireRotated(s.admin(), days(90, 3*time.Hour))
		s.wait(4 * time.Hour)
		require.True(t, s.works(s.values[oldUID]))

		_, err := s.rotate(s.admin(), days(90, 3*time.Hour))

		require.NoError(t, err)
		require.True(t, s.works(s.values[oldUID]))
	})
}

// withoutDelete makes the server reject the deletion of keys.
func (s *scene) withoutDelete() {
	s.server.Inject(palettetest.Fault{
		Method: http.MethodDelete, Times: -1, Status: 403,
		Body: `{"code":"ResOperationForbidden","message":"Operation 'apiKey.delete' is forbidden"}`,
	})
}

func TestRoleWithoutDeleteLetsTheOldKeyExpire(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.withoutDelete()

		result, err := s.rotate(s.own(), days(90, 0))

		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(time.Minute), result.OldExpiry, time.Second)
		s.wait(time.Minute)
		assert.False(t, s.works(s.values[oldUID]))
	})
}

func TestRoleWithoutDeleteFor200Days(t *testing.T) {
	t.Parallel()
	for _, policy := range []rotation.Policy{
		{Validity: 90 * day},
		{Validity: 90 * day, Overlap: time.Hour},
		{Validity: 90 * day, RenewBefore: 7 * day},
		{Validity: 30 * day, RenewBefore: 7 * day, Overlap: time.Hour},
		{Validity: 30 * day},
	} {
		t.Run(policy.RenewBefore.String()+" "+policy.Overlap.String()+" "+policy.Validity.String(), func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				s.withoutDelete()
				for range 200 {
					_, err := s.rotate(s.own(), policy)
					if err != nil {
						require.ErrorIs(t, err, palette.ErrForbidden)
					}
					s.wait(day)
				}
				assert.LessOrEqual(t, len(s.live()), 2)
				assert.LessOrEqual(t, len(s.server.Keys()), 20)
			})
		})
	}
}

func TestUIDOfTheFirstKeyFor200Days(t *testing.T) {
	t.Parallel()
	for _, policy := range []rotation.Policy{
		{Validity: 30 * day}, {Validity: 30 * day, Overlap: time.Hour}, {Validity: 90 * day, RenewBefore: 7 * day},
	} {
		t.Run(policy.RenewBefore.String()+" "+policy.Overlap.String(), func(t *testing.T) {
			t.Parallel()
			inScene(t, func(s *scene) {
				key := rotation.Key{UID: oldUID}
				for range 200 {
					_, err := rotation.Rotate(s.t.Context(), s.own(), key, s, policy)
					require.NoError(t, err)
					s.wait(day)
				}
				require.Nil(t, s.key(oldUID))

				for name, lost := range map[string]string{"empty": "", "garbage": "garbage"} {
					stored := s.stored
					s.stored = palette.Secret{}
					s.load = func() (palette.Secret, error) { return palette.NewSecret(lost), nil }
					_, err := rotation.Rotate(s.t.Context(), s.admin(), key, s, policy)
					require.ErrorIs(t, err, palette.ErrNotFound, name)
					s.stored, s.load = stored, nil
				}
				s.stored = palette.Secret{}
				key.UserUID = anna
				result, err := rotation.Rotate(s.t.Context(), s.admin(), key, s, policy)
				require.ErrorIs(t, err, rotation.ErrReverted)
				assert.Equal(t, s.storedUID(), result.NewUID)
				s.requireStoredKeyWorks()
			})
		})
	}
}

func TestEmptyStoreAtAWrongPath(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		for range 3 {
			s.requireRotated(s.own(), days(90, 0))
			s.wait(day)
		}
		right := s.stored
		s.hook = func() { require.True(t, s.works(right.Reveal())) }
		s.stored = palette.Secret{}

		_, err := s.rotate(s.admin(), days(90, 0))

		require.ErrorIs(t, err, rotation.ErrReverted)
		assert.NotEqual(t, right, s.stored)
		for range 7 {
			s.wait(day)
			s.requireRotatedOrFinished(days(90, 0))
		}
	})
}

func (s *scene) requireRotatedOrFinished(policy rotation.Policy) {
	s.t.Helper()
	_, err := s.rotate(s.admin(), policy)
	require.NoError(s.t, err)
}

func TestEmptyStoreOfAFirstKey(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.stored = palette.Secret{}
		uid := s.add(palettetest.Key{Name: "new"})

		result, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{UID: uid}, s, days(90, 0))

		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(8*day), result.OldExpiry, time.Minute, "somebody may use it")
		assert.True(t, s.works(s.values[uid]))
	})
}

func TestGarbageInTheStoreOfAFirstKey(t *testing.T) {
	t.Parallel()
	for _, garbage := range []string{"garbage", "two words", `"quoted"`} {
		t.Run(garbage, func(t *testing.T) {
			t.Parallel()
			eachOverlap(t, func(s *scene, overlap time.Duration) {
				first := s.add(palettetest.Key{Name: "first"})
				s.load = func() (palette.Secret, error) { return palette.NewSecret(garbage), nil }
				s.hook = func() { require.True(t, s.works(s.values[first])) }
				for range 30 {
					_, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{UID: first}, s, days(90, overlap))
					require.Error(s.t, err)
					s.wait(time.Hour)
				}
				s.load = nil
				s.wait(2 * time.Hour)
				result, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{UID: first}, s, days(90, overlap))
				require.NoError(s.t, err)
				assert.Equal(s.t, s.storedUID(), result.NewUID)
				s.wait(7 * day)
			})
		})
	}
}

func TestStoreThatIsPutBackAfterEachRun(t *testing.T) {
	t.Parallel()
	for interval, every := range map[string]time.Duration{"hour": time.Hour, "day": day, "week": 7 * day} {
		t.Run("every "+interval, func(t *testing.T) {
			t.Parallel()
			eachOverlap(t, func(s *scene, overlap time.Duration) {
				first := s.stored
				for i := range 12 {
					result, err := s.rotate(s.admin(), days(90, overlap))

					require.Equal(s.t, i > 0, errors.Is(err, rotation.ErrReverted), err)
					require.True(s.t, result.Rotated)
					require.True(s.t, s.works(s.stored.Reveal()), "after run %d", i)
					s.stored = palette.Secret{} // it may be a key that does not work
					s.wait(every)
					s.stored = palette.Secret{}
					s.load = func() (palette.Secret, error) {
						if s.stored.IsZero() {
							return first, nil
						}
						return s.stored, nil
					}
				}
			})
		})
	}
}

// The key expired before it was replaced, so that it has no mark.
func TestStoreThatIsPutBackToAnExpiredKey(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		s.requireRotated(s.admin(), days(1, overlap))
		expired := s.stored
		s.mayDie = true
		s.wait(2 * day)
		s.requireRotated(s.admin(), days(90, overlap))
		for range 5 {
			s.stored = expired

			_, err := s.rotate(s.admin(), days(90, overlap))

			require.ErrorIs(s.t, err, rotation.ErrReverted)
			assert.True(s.t, s.works(s.stored.Reveal()))
			s.wait(day)
		}
	})
}

// Programs have read the keys that were stored between two runs, and use them for the overlap.
func TestKeysThatSomethingReplacedInTheStoreWorkForTheOverlap(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		policy := days(90, 5*day)
		s.requireRotated(s.admin(), policy)
		restored := s.stored
		s.requireRotated(s.admin(), policy)
		var used []palette.Secret
		for range 4 {
			used = append(used, s.stored)
			s.wait(day)
			s.stored = restored

			_, err := s.rotate(s.admin(), policy)

			require.ErrorIs(t, err, rotation.ErrReverted)
			for i, key := range used {
				assert.True(t, s.works(key.Reveal()), "key %d of %d", i+1, len(used))
			}
		}
	})
}

func TestStoreOfAnotherUserCostsNoKey(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.requireRotated(s.admin(), days(90, 0))
		uid := s.add(palettetest.Key{Name: "other", UserUID: mallory})

		result, err := rotation.Rotate(s.t.Context(), s.admin(), rotation.Key{UID: uid}, s, days(90, 0))

		require.NoError(t, err)
		assert.WithinDuration(t, time.Now().Add(8*day), result.OldExpiry, time.Minute, "the store did not hold the key")
		assert.True(t, s.works(s.values[uid]))
	})
}

// Somebody extends the life of an expired key after the list was read.
func TestKeyThatChangesBeforeItIsDeletedIsKept(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.add(palettetest.Key{UID: "expired", Annotations: saved("expired", oldUID), Expiry: time.Now().Add(-day)})
		s.at(2, func() {
			status := s.do(http.MethodPut, "expired", s.server.APIKey,
				`{"metadata":{"name":"ci","annotations":{"rotation/root":"`+oldUID+`","rotation/fingerprint":"expired 0123456789abcdef"}},"spec":{"expiry":"2000-01-02T00:00:00Z"}}`)
			require.Equal(t, http.StatusNoContent, status)
		})

		s.requireRotated(s.admin(), days(90, 0))

		assert.NotNil(t, s.key("expired"))
	})
}

func TestKilledRunsDoNotReachTheLimit(t *testing.T) {
	t.Parallel()
	for _, validity := range []int{1, 90} {
		for interval, every := range map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": day} {
			t.Run("every "+interval, func(t *testing.T) {
				t.Parallel()
				inScene(t, func(s *scene) {
					s.stored = palette.Secret{}
					s.add(palettetest.Key{UID: "first", Name: "killed"})
					s.stored = palette.NewSecret(s.values["first"])
					key := rotation.Key{Name: "killed"}
					s.hook = func() { assert.LessOrEqual(t, len(s.server.Keys()), 20) }
					for i := range 40 {
						s.start(fault{step: 3 + i%9, after: true, kill: true})
						_, err := rotation.Rotate(s.t.Context(), s.admin(), key, s, days(validity, 0))
						require.Error(t, err)
						if validity == 1 && every == day {
							s.stored = palette.Secret{}
						}
						s.wait(every)
					}
					s.start(fault{})
					s.wait(2 * time.Hour)

					_, err := rotation.Rotate(s.t.Context(), s.admin(), key, s, days(validity, 0))

					require.NoError(t, err)
					s.requireStoredKeyWorks()
				})
			})
		}
	}
}

// at returns a function that does something after a given step of a run.
func (s *scene) at(step int, do func()) {
	s.hook = func() {
		if s.steps == step {
			do()
		}
	}
}

func TestKeyThatIsRevokedDuringTheRun(t *testing.T) {
	t.Parallel()
	for name, client := range map[string]func(*scene) *palette.Client{"administrator": (*scene).admin, "own key": (*scene).own} {
		for step := range 11 { // list, load, test, create, get, update, prove, get, get the old one, save, load
			t.Run(fmt.Sprintf("%s, step %d", name, step+1), func(t *testing.T) {
				t.Parallel()
				eachOverlap(t, func(s *scene, overlap time.Duration) {
					s.mayDie = true
					s.at(step+1, func() { s.revoke(oldUID) })

					result, err := s.rotate(client(s), days(90, overlap))

					require.Error(s.t, err)
					assert.Zero(s.t, result)
					if step < 8 {
						assert.Equal(s.t, oldUID, s.storedUID(), "nothing is saved after the revocation")
					}
					assert.Empty(s.t, s.live())
					assert.True(s.t, strings.Contains(err.Error(), "revoked") || errors.Is(err, palette.ErrUnauthorized), err)
				})
			})
		}
	}
}

func TestRevokedKeyIsNotRotated(t *testing.T) {
	t.Parallel()
	inScene(t, func(s *scene) {
		s.requireRotated(s.admin(), days(90, 0))
		uid := s.storedUID()
		s.revoke(uid)
		before := s.server.Keys()
		stored := s.stored
		s.stored = palette.Secret{}
		for name, load := range map[string]palette.Secret{"stored": stored, "empty": {}, "garbage": palette.NewSecret("garbage")} {
			s.load = func() (palette.Secret, error) { return load, nil }

			_, err := s.rotate(s.admin(), days(90, 0))

			require.ErrorContains(t, err, "the key "+uid+" is inactive", name)
			assert.Equal(t, before, s.server.Keys())
		}
	})
}

func TestCopyOfAMemberIsNotTouched(t *testing.T) {
	t.Parallel()
	eachOverlap(t, func(s *scene, overlap time.Duration) {
		s.requireRotated(s.own(), days(90, overlap))
		s.requireRotated(s.own(), days(90, overlap))
		var copies []*palettetest.Key
		for _, key := range s.server.Keys() {
			uid := s.add(palettetest.Key{Annotations: key.Annotations, Labels: key.Labels, Expiry: key.Expiry, CreatedAt: time.Now()})
			copies = append(copies, s.key(uid))
		}
		for range 5 {
			s.wait(30 * time.Minute)
			_, err := s.rotate(s.own(), days(90, overlap))
			require.NoError(s.t, err)
		}
		for _, before := range copies {
			assert.Equal(s.t, before, s.key(before.UID))
		}
		assert.True(s.t, slices.ContainsFunc(copies, func(key *palettetest.Key) bool { return s.works(s.values[key.UID]) }))
	})
}
