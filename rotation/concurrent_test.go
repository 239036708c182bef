package rotation_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Two runs rotate the same key at once. Whatever the order of their steps, the stored key
// works, which scene checks after every step, and the next run succeeds.
func TestTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	const seed = 20261129
	for name, prepare := range map[string]func(*scene){
		"first rotation": func(*scene) {},
		"later rotation": func(s *scene) { s.requireRotated(s.admin(), days(90, 0)) },
	} {
		for _, overlap := range []time.Duration{0, time.Hour} {
			t.Run(fmt.Sprintf("%s, overlap %v, seed %d", name, overlap, seed), func(t *testing.T) {
				t.Parallel()
				bothSucceeded := 0
				for i := range uint64(150) {
					inScene(t, func(s *scene) {
						prepare(s)
						random := rand.New(rand.NewPCG(seed, i))
						succeeded := s.runAtOnce(random, func(client *palette.Client) bool {
							_, err := s.rotate(client, days(90, overlap))
							return err == nil
						})
						if succeeded == 2 {
							bothSucceeded++
						}
						s.wait(time.Minute)
						_, err := s.rotate(s.admin(), days(90, overlap))
						require.NoError(s.t, err, "interleaving %d of seed %d", i, seed)
						s.wait(3 * time.Hour)
						_, err = s.rotate(s.admin(), days(90, overlap))
						require.NoError(s.t, err, "interleaving %d of seed %d", i, seed)
						assert.LessOrEqual(s.t, len(s.live()), 4)
					})
				}
				t.Logf("both runs succeeded in %d of 150", bothSucceeded)
			})
		}
	}
}

// runAtOnce runs the function twice at once, its steps in a random order, and returns how
// many runs succeeded.
func (s *scene) runAtOnce(random *rand.Rand, rotate func(*palette.Client) bool) int {
	alone := s.turn
	defer func() { s.turn = alone }()
	turns := make(chan chan struct{}, 2) // of the runs that are before a step
	s.turn = func() {
		turn := make(chan struct{})
		turns <- turn
		<-turn
	}
	var succeeded, ended atomic.Int32
	clients := []*palette.Client{s.admin(), s.own(), s.reading()}
	for range 2 {
		client := clients[random.IntN(len(clients))]
		go func() {
			defer ended.Add(1)
			if rotate(client) {
				succeeded.Add(1)
			}
		}()
		synctest.Wait()
	}
	for synctest.Wait(); ended.Load() < 2; synctest.Wait() {
		if len(turns) == 2 && random.IntN(2) == 0 {
			turns <- <-turns // the other run first
		}
		if len(turns) > 0 {
			close(<-turns)
		}
		<-time.After(10 * time.Millisecond)
	}
	return int(succeeded.Load())
}
