//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package rotation_test

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// ownerOf returns the user and the group of a file.
func ownerOf(t *testing.T, path string) [2]int {
	t.Helper()
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	return [2]int{int(stat.Uid), int(stat.Gid)}
}

// Only root can give a file to another user. For others, this tests their own files.
func TestFileStoreKeepsTheOwner(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		mode     os.FileMode
		uid, gid int
		own      bool // the group of the new file is that of the program
	}{
		"user and group":            {0o640, 1234, 5678, false},
		"user":                      {0o600, 1234, 5678, false},
		"group":                     {0o640, 0, 5678, false},
		"group without permissions": {0o600, 0, 5678, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
			want := ownerOf(t, path)
			if os.Geteuid() == 0 {
				require.NoError(t, os.Chown(path, tt.uid, tt.gid))
				if !tt.own {
					want = [2]int{tt.uid, tt.gid}
				}
			}
			require.NoError(t, os.Chmod(path, tt.mode))

			require.NoError(t, saveFile(t, path, "value"))

			assert.Equal(t, want, ownerOf(t, path))
			requireFile(t, path, "value\n", tt.mode)
		})
	}
}

// A device, for example, must not be replaced by a file.
func TestFileStoreReplacesOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))

	err := saveFile(t, path, "value")

	require.EqualError(t, err, `"`+path+`" is not a regular file`)
	info, err := os.Lstat(path)
	require.NoError(t, err)
	assert.Equal(t, os.ModeNamedPipe, info.Mode().Type())
}

func TestFileStoreWaitsForTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	other, err := os.OpenFile(filepath.Join(filepath.Dir(path), ".key.lock"), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, syscall.Flock(int(other.Fd()), syscall.LOCK_EX))
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		<-time.After(200 * time.Millisecond)
		cancel(nil)
	}()

	_, loadErr := rotation.FileStore(path).Load(ctx)
	saveErr := rotation.FileStore(path).Save(ctx, palette.NewSecret("value"))
	_, statErr := os.Stat(path)
	saved := make(chan error)
	go func() { saved <- saveFile(t, path, "value") }()
	require.NoError(t, other.Close())

	require.ErrorIs(t, loadErr, context.Canceled)
	require.ErrorContains(t, loadErr, "wait for the lock ")
	require.ErrorIs(t, saveErr, context.Canceled)
	require.ErrorIs(t, statErr, os.ErrNotExist)
	require.NoError(t, <-saved)
	requireFile(t, path, "value\n", 0o600)
}

func TestFileStoreNeedsAFolderInWhichItCanWrite(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root can write in every folder")
	}
	folder := t.TempDir()
	require.NoError(t, os.Chmod(folder, 0o500))
	t.Cleanup(func() { _ = os.Chmod(folder, 0o700) })

	_, err := rotation.FileStore(filepath.Join(folder, "key")).Load(t.Context())

	require.ErrorIs(t, err, os.ErrPermission)
}
