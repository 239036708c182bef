package rotation_test

import (
	"iter"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// Whatever step of a run fails or is the last one, and whatever step of the run after
// that, the stored key works, which scene checks after every step, and a third run
// finishes.
func TestStoredKeyWorksWhateverStepFails(t *testing.T) {
	t.Parallel()
	tests := map[string]crashTest{
		"administrator":        {client: (*scene).admin, twice: true},
		"own key":              {client: (*scene).own, twice: true},
		"own key, read again":  {client: (*scene).reading},
		"empty store":          {client: (*scene).admin, twice: true, prepare: func(s *scene) { s.stored = palette.Secret{} }},
		"expired, empty store": {client: (*scene).admin, prepare: func(s *scene) { s.stored = palette.Secret{}; s.expireOld() }},
	}
	for name, c := range tests {
		for _, overlap := range []time.Duration{0, time.Hour} {
			t.Run(name+", overlap "+overlap.String(), func(t *testing.T) {
				t.Parallel()
				c := c
				c.policy = rotation.Policy{Validity: 90 * day, RenewBefore: day, Overlap: overlap}
				single, double := 0, 0
				for first := range faults(c.steps(t)) {
					c.finish(c.run(newScene(t), first))
					single++
					if !first.kill || !c.twice {
						continue
					}
					for second := range faults(c.steps(t, first)) {
						if second.kill {
							c.finish(c.run(newScene(t), first, second))
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
	prepare func(*scene)
	client  func(*scene) *palette.Client
	policy  rotation.Policy
	twice   bool // kill two runs
}

// run prepares a scene and runs the program once with each fault.
func (c crashTest) run(s *scene, faults ...fault) *scene {
	if c.prepare != nil {
		c.prepare(s)
	}
	for _, f := range faults {
		s.start(f)
		_, err := s.rotate(c.client(s), c.policy)
		if err == nil {
			assert.Falsef(s.t, f.kill && s.steps > f.step, "a killed run succeeded (%v)", f)
			continue
		}
		for uid, value := range s.values {
			assert.NotContains(s.t, err.Error(), value, uid)
		}
	}
	return s
}

// finish runs the program without a fault.
func (c crashTest) finish(s *scene) {
	s.start(fault{})
	_, err := s.rotate(c.client(s), c.policy)
	require.NoError(s.t, err)
	s.requireClean(c.policy.Overlap)
}

// steps returns the number of steps of a run after the given faults.
func (c crashTest) steps(t *testing.T, earlier ...fault) int {
	return c.run(newScene(t), append(earlier, fault{})...).steps
}

// faults returns the faults of a run with the given number of steps.
func faults(steps int) iter.Seq[fault] {
	return func(yield func(fault) bool) {
		for step := range steps {
			for _, f := range []fault{{kill: true}, {kill: true, after: true}, {}, {after: true}} {
				f.step = step + 1
				if !yield(f) {
					return
				}
			}
		}
	}
}

// expireOld replaces the old key by one that has expired.
func (s *scene) expireOld() {
	s.remove(oldUID)
	s.add(palettetest.Key{UID: oldUID, Expiry: time.Now().Add(-time.Minute)})
}
