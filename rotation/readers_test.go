package rotation_test

import (
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// Programs read the key from the file while it is rotated again and again.
func TestReadersOfTheFileNeverFail(t *testing.T) {
	t.Parallel()
	const readers, rotations = 8, 12
	for _, overlap := range []time.Duration{time.Hour, 0} {
		t.Run("overlap "+overlap.String(), func(t *testing.T) {
			t.Parallel()
			server := palettetest.NewServer(palettetest.WithKeyLimit(0))
			t.Cleanup(server.Close)
			_, value := server.AddKey(palettetest.Key{Name: "ci", Active: true})
			path := filepath.Join(t.TempDir(), "key")
			store := rotation.FileStore(path)
			require.NoError(t, store.Save(t.Context(), palette.NewSecret(value)))
			client, err := palette.NewClient(palette.WithAPIKeyFile(path), palette.WithBaseURL(server.URL), palette.WithoutRateLimit())
			require.NoError(t, err)

			var wg sync.WaitGroup
			rotated := make([]chan *sync.WaitGroup, readers) // a reader reports to it after its next call
			for i := range rotated {
				rotated[i] = make(chan *sync.WaitGroup, 1)
				wg.Go(func() { read(t, client, rotated[i]) })
			}
			for range rotations {
				_, err := rotation.Rotate(t.Context(), client, rotation.Key{Name: "ci"}, store, rotation.Policy{Overlap: overlap})
				if !assert.NoError(t, err) {
					break
				}
				var calls sync.WaitGroup // no call lasts longer than two rotations
				calls.Add(readers)
				for _, ch := range rotated {
					ch <- &calls
				}
				calls.Wait()
			}
			for _, ch := range rotated {
				close(ch)
			}
			wg.Wait()
		})
	}
}

// read calls Palette until rotated is closed.
func read(t *testing.T, client *palette.Client, rotated <-chan *sync.WaitGroup) {
	for {
		var report *sync.WaitGroup
		select {
		case next, ok := <-rotated:
			if !ok {
				return
			}
			report = next
		default:
		}
		_, err := client.APIKeys.List(t.Context())
		assert.NoError(t, err)
		if report != nil {
			report.Done()
		}
	}
}
