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

// Only root can give a file to somebody else.
func TestFileStoreKeepsTheOwner(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	require.NoError(t, os.WriteFile(path, []byte("old"), 0o640))
	uid, gid := os.Geteuid(), os.Getegid()
	if uid == 0 {
		uid, gid = 1234, 5678
		require.NoError(t, os.Chown(path, uid, gid))
	}

	require.NoError(t, saveFile(t, path, "value"))

	info, err := os.Stat(path)
	require.NoError(t, err)
	stat := info.Sys().(*syscall.Stat_t)
	assert.Equal(t, []int{uid, gid}, []int{int(stat.Uid), int(stat.Gid)})
	requireFile(t, path, "value\n", 0o640)
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
