package rotation_test

import (
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// Whatever step of a run fails or is the last one, and whatever step of the run after
// that, the stored key works, which scene checks after every step, and a third run
// finishes.
func TestStoredKeyWorksWhateverStepFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		client func(*scene) *palette.Client
		twice  bool // kill two runs
	}{
		"administrator":       {(*scene).admin, true},
		"own key":             {(*scene).own, true},
		"own key, read again": {(*scene).reading, false}, // differs only while a run goes on
	} {
		for _, overlap := range []time.Duration{0, time.Hour} {
			t.Run(name+", overlap "+overlap.String(), func(t *testing.T) {
				t.Parallel()
				c := crashTest{tt.client, rotation.Policy{Validity: 90 * day, RenewBefore: day, Overlap: overlap}}
				single, double := 0, 0
				for first := range faults(c.steps(t)) {
					c.run(t, first)
					single++
					if !first.kill || !tt.twice {
						continue
					}
					for second := range faults(c.steps(t, first)) {
						if second.kill {
							c.run(t, first, second)
							double++
						}
					}
				}
				t.Logf("%d single faults, %d pairs of kills", single, double)
			})
		}
	}
}

type crashTest struct {
	client func(*scene) *palette.Client
	policy rotation.Policy
}

// run runs the program once with each fault, and then until it has finished.
func (c crashTest) run(t *testing.T, faults ...fault) {
	inScene(t, func(s *scene) {
		for _, f := range faults {
			c.fail(s, f)
			s.wait(time.Minute)
		}
		s.start(fault{})
		_, err := s.rotate(c.client(s), c.policy)
		require.NoError(t, err, faults)
		s.wait(time.Minute)
		_, err = s.rotate(c.client(s), c.policy)
		require.NoError(t, err, faults)
		s.requireClean(8 * day)
		assert.NotEqual(t, oldUID, s.storedUID())
		if old := s.key(oldUID); old != nil {
			assert.NotZero(t, c.policy.Overlap, "the old key is deleted")
			assert.False(t, old.Expiry.After(time.Now().Add(c.policy.Overlap)))
		}
	})
}

func (c crashTest) fail(s *scene, f fault) {
	s.start(f)
	_, err := s.rotate(c.client(s), c.policy)
	if err == nil {
		assert.Falsef(s.t, f.kill && s.steps > f.step, "a killed run succeeded (%v)", f)
		return
	}
	for uid, value := range s.values {
		assert.NotContains(s.t, err.Error(), value, uid)
	}
}

// steps returns the number of steps of a run after the given faults.
func (c crashTest) steps(t *testing.T, earlier ...fault) (steps int) {
	inScene(t, func(s *scene) {
		for _, f := range append(earlier, fault{}) {
			c.fail(s, f)
		}
		steps = s.steps
	})
	return steps
}

// faults returns the faults of a run with the given number of steps.
func faults(steps int) iter.Seq[fault] {
	return func(yield func(fault) bool) {
		for step := range steps {
			// To be killed after a step is to be killed before the next one.
			for _, f := range []fault{{kill: true, after: true}, {}, {after: true}} {
				f.step = step + 1
				if !yield(f) {
					return
				}
			}
		}
	}
}
