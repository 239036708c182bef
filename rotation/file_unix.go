//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package rotation

import (
	"errors"
	"os"
	"syscall"
)

// tryLock locks a file until it is closed. It reports false if another program has locked
// it. File systems without locks count as locked.
func tryLock(file *os.File) bool {
	err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	return !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR)
}

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
