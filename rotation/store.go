package rotation

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Store keeps the key in use, for example in a file or a secret manager. Each key needs a
// store of its own. The errors of a store must not contain keys.
type Store interface {
	// Load returns the stored key. It returns the zero Secret only if there is none.
	Load(ctx context.Context) (palette.Secret, error)
	// Save stores the key. It returns nil only if the stored key survives a crash. If it
	// returns an error, the key may be stored or not, now or later.
	Save(ctx context.Context, key palette.Secret) error
}

// FileStore returns a store that keeps the key in a file, for [palette.WithAPIKeyFile].
//
// Save replaces the file atomically and follows symbolic links. A new file has the mode 0600;
// otherwise Save keeps the mode and, on Unix, the owner, and the group if the mode gives it
// permissions. It does not keep access control lists and labels. It cannot replace a single
// file that is mounted into a container: mount the folder. On Windows, it cannot replace a
// file that a program has open.
//
// Load and Save return an error if the file holds something other than a key, so that a
// wrong path does no harm, and if the folder is not writable. On systems with flock(2), they
// create and lock the file .NAME.lock in the same folder.
func FileStore(path string) Store { return fileStore{path} }

type fileStore struct{ path string }

// keyFile is the locked file of a FileStore.
type keyFile struct {
	path string      // without symbolic links
	info os.FileInfo // nil if the file does not exist
	key  palette.Secret
	lock *os.File
}

func (s fileStore) Load(ctx context.Context) (palette.Secret, error) {
	file, err := s.open(ctx)
	if err != nil {
		return palette.Secret{}, err
	}
	return file.key, file.lock.Close()
}

func (s fileStore) Save(ctx context.Context, key palette.Secret) error {
	file, err := s.open(ctx)
	if err != nil {
		return err
	}
	return errors.Join(file.replace(key), file.lock.Close())
}

// open checks all that Save needs, because a wrong path must not cost a key, and locks the file.
func (s fileStore) open(ctx context.Context) (file keyFile, err error) {
	file.path = s.path
	if _, err := os.Lstat(s.path); err == nil {
		if file.path, err = filepath.EvalSymlinks(s.path); err != nil {
			return file, err
		}
		if file.info, err = os.Stat(file.path); err != nil {
			return file, err
		}
	}
	folder, name := filepath.Split(file.path)
	if name == "" || file.info != nil && !file.info.Mode().IsRegular() {
		return file, fmt.Errorf("%q is not a regular file", file.path)
	}
	if file.lock, err = lock(ctx, folder+"."+name+".lock"); err != nil {
		return file, err
	}
	if file.key, err = readKey(file.path); err != nil {
		return file, errors.Join(err, file.lock.Close())
	}
	return file, nil
}

// lock opens a file and locks it, until it is closed.
func lock(ctx context.Context, path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	for err == nil && !tryLock(file) {
		if err = sleep(ctx, 50*time.Millisecond); err != nil {
			err = errors.Join(fmt.Errorf("wait for the lock %s: %w", path, err), file.Close())
		}
	}
	return file, err
}

// readKey returns the key in a file, and the zero Secret if the file is missing or empty.
func readKey(path string) (palette.Secret, error) {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return palette.Secret{}, err
	}
	text := strings.TrimSpace(string(content))
	// NewClient checks the form of a key and sends nothing. For localhost, it allows keys of palettetest.
	if _, err := palette.NewClient(palette.WithAPIKey(text), palette.WithBaseURL("localhost")); text != "" && err != nil {
		return palette.Secret{}, fmt.Errorf("%s holds something else than an API key, and is not replaced", path)
	}
	return palette.NewSecret(text), nil
}

func (f *keyFile) replace(key palette.Secret) error {
	// No random name: a killed run leaves at most one such file.
	folder, name := filepath.Split(f.path)
	temp := folder + "." + name + ".new"
	_ = os.Remove(temp)
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(key.Reveal() + "\n")
	if f.info != nil {
		err = errors.Join(err, copyOwner(file, f.info), file.Chmod(f.info.Mode().Perm()))
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(temp, f.path)
	}
	if err != nil {
		return errors.Join(err, os.RemoveAll(temp))
	}
	return syncFolder(folder)
}

// syncFolder makes a rename survive a crash. Windows has no such call.
func syncFolder(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	folder, err := os.Open(filepath.Clean(path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
