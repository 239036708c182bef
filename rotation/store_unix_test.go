//go:build unix

package rotation_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A program reads its key under its own user, also after root has rotated it.
func TestFileStoreKeepsTheOwner(t *testing.T) {
	t.Parallel()
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		uid, gid = 1234, 5678 // only root can give files away
	}
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o600))
	require.NoError(t, os.Chown(path, uid, gid))

	err := saveFile(t, path, "value")

	require.NoError(t, err)
	info, err := os.Stat(path)
	require.NoError(t, err)
	stat, ok := info.Sys().(*syscall.Stat_t)
	require.True(t, ok)
	assert.Equal(t, []uint32{uint32(uid), uint32(gid)}, []uint32{stat.Uid, stat.Gid})
}

// A device, for example, must not be replaced by a file.
func TestFileStoreReplacesOnlyRegularFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "pipe")
	require.NoError(t, syscall.Mkfifo(path, 0o600))

	err := saveFile(t, path, "value")

	require.EqualError(t, err, path+" is not a regular file")
	info, err := os.Lstat(path)
	require.NoError(t, err)
	assert.Equal(t, os.ModeNamedPipe, info.Mode().Type())
}
