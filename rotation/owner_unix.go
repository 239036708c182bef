//go:build unix

package rotation

import (
	"os"
	"syscall"
)

// copyOwner gives file the owner of the file that it replaces, and the group if it has
// permissions, so that the same programs can read it.
func copyOwner(file *os.File, old os.FileInfo) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	is, want := info.Sys().(*syscall.Stat_t), old.Sys().(*syscall.Stat_t)
	groupMatters := old.Mode()&0o070 != 0
	if is.Uid == want.Uid && (is.Gid == want.Gid || !groupMatters) {
		return nil
	}
	return file.Chown(int(want.Uid), int(want.Gid))
}
