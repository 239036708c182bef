package rotation_test

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

func saveFile(t *testing.T, path, key string) error {
	t.Helper()
	return rotation.FileStore(path).Save(t.Context(), palette.NewSecret(key))
}

func requireFile(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, content, string(got))
	info, err := os.Lstat(path)
	require.NoError(t, err)
	require.Equal(t, mode, info.Mode())
}

// requireNames requires that a folder holds these files and no others.
func requireNames(t *testing.T, folder string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	require.Equal(t, want, got)
}

func TestFileStoreLoadsWhatItSaved(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	store := rotation.FileStore(filepath.Join(folder, "key"))

	none, noneErr := store.Load(t.Context())
	saveErr := store.Save(t.Context(), palette.NewSecret("value"))
	saved, loadErr := store.Load(t.Context())

	require.NoError(t, noneErr)
	require.NoError(t, saveErr)
	require.NoError(t, loadErr)
	assert.Equal(t, palette.Secret{}, none)
	assert.Equal(t, palette.NewSecret("value"), saved)
	requireFile(t, filepath.Join(folder, "key"), "value\n", 0o600)
	requireNames(t, folder, ".key.lock", "key")
}

func TestFileStoreTrimsWhiteSpace(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	for content, want := range map[string]string{"value": "value", " value\r\n\n": "value", "": "", "\n": ""} {
		require.NoError(t, os.WriteFile(path, []byte(content), 0o600))

		key, err := rotation.FileStore(path).Load(t.Context())

		require.NoError(t, err)
		assert.Equal(t, palette.NewSecret(want), key)
	}
}

func TestFileStoreKeepsTheMode(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o400, 0o600, 0o640, 0o644} {
		path := filepath.Join(t.TempDir(), "key")
		require.NoError(t, os.WriteFile(path, []byte("something+longer+than+the+key\n"), 0o600))
		require.NoError(t, os.Chmod(path, mode))

		err := saveFile(t, path, "value")

		require.NoError(t, err)
		requireFile(t, path, "value\n", mode)
	}
}

func TestFileStoreFollowsLinks(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	for _, folder := range []string{"a", "b/c", "b/target"} {
		require.NoError(t, os.MkdirAll(filepath.Join(root, folder), 0o700))
	}
	require.NoError(t, os.Symlink(filepath.Join(root, "b", "c"), filepath.Join(root, "a", "linked")))
	link := filepath.Join(root, "a", "linked", "key") // is b/c/key
	require.NoError(t, os.Symlink(filepath.Join("..", "target", "second"), link))
	require.NoError(t, os.Symlink(filepath.Join(root, "b", "target", "key"), filepath.Join(root, "b", "target", "second")))
	require.NoError(t, os.WriteFile(filepath.Join(root, "b", "target", "key"), []byte("old"), 0o640))
	require.NoError(t, os.Chmod(filepath.Join(root, "b", "target", "key"), 0o640))

	err := saveFile(t, link, "value")

	require.NoError(t, err)
	requireFile(t, filepath.Join(root, "b", "target", "key"), "value\n", 0o640)
	requireNames(t, filepath.Join(root, "b", "c"), "key")
	requireNames(t, filepath.Join(root, "b", "target"), ".key.lock", "key", "second")
	info, err := os.Lstat(link)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
}

func TestFileStoreReplacesWhatAKilledRunLeft(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, ".key.new"), []byte("left"), 0o644))

	err := saveFile(t, filepath.Join(folder, "key"), "value")

	require.NoError(t, err)
	requireFile(t, filepath.Join(folder, "key"), "value\n", 0o600)
	requireNames(t, folder, ".key.lock", "key")
}

func TestFileStoreErrorsLeaveEverythingAsItWas(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "file"), []byte("old\n"), 0o600))
	require.NoError(t, os.Mkdir(filepath.Join(folder, "folder"), 0o700))
	require.NoError(t, os.Symlink("loop", filepath.Join(folder, "loop")))
	require.NoError(t, os.Symlink("missing", filepath.Join(folder, "broken")))
	for _, name := range []string{"folder", "loop", "broken", "missing/key", "file/key"} {
		err := saveFile(t, filepath.Join(folder, name), "value")

		require.Error(t, err, name)
		require.NotContains(t, err.Error(), "value", name)
		requireNames(t, folder, "broken", "file", "folder", "loop")
		requireNames(t, filepath.Join(folder, "folder"))
		requireFile(t, filepath.Join(folder, "file"), "old\n", 0o600)
	}
	require.Error(t, saveFile(t, "", "value"))
	assert.NoFileExists(t, "...new", "the temporary file")

}

// Load checks all that Save needs, so that a rotation with a wrong path creates no key.
func TestFileStoreLoadFailsWhereSaveWould(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(folder, "folder"), 0o700))
	require.NoError(t, os.Symlink("missing", filepath.Join(folder, "broken")))
	for name, content := range map[string]string{
		"config.yaml": "key: value\nother: value\n", "sentence": "not a key", "control": "a\x00b", "token": "eyJhbGciOiJIUzI1NiJ9.e30.c2ln",
	} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600))
	}
	for name, want := range map[string]string{
		"folder": "is not a regular file", "folder/": "is not a regular file", "broken": "no such file", "missing/key": "no such file",
		"config.yaml": "holds something else than an API key", "sentence": "holds something else", "control": "holds something else", "token": "holds something else",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			store := rotation.FileStore(folder + "/" + name)

			_, loadErr := store.Load(t.Context())
			saveErr := store.Save(t.Context(), palette.NewSecret("value"))

			require.ErrorContains(t, loadErr, want)
			require.EqualError(t, saveErr, loadErr.Error())
		})
	}
	t.Cleanup(func() {
		content, err := os.ReadFile(filepath.Join(folder, "config.yaml"))
		assert.NoError(t, err)
		assert.Equal(t, "key: value\nother: value\n", string(content))
	})
}

func TestFileStoreReadersSeeAWholeKey(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, saveFile(t, path, "first"))
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				content, err := os.ReadFile(path)
				assert.NoError(t, err)
				assert.Contains(t, []string{"first\n", "second+longer\n"}, string(content))
			}
		})
	}

	for range 50 {
		require.NoError(t, saveFile(t, path, "second+longer"))
		require.NoError(t, saveFile(t, path, "first"))
	}

	close(stop)
	wg.Wait()
}
