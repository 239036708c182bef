package rotation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Store keeps the key in use: a file, a secret manager. Each key needs a store of its own.
// The errors of a store must not contain keys.
type Store interface {
	// Load returns the stored key. It returns the zero Secret only if there is none.
	Load(ctx context.Context) (palette.Secret, error)
	// Save stores the key. It returns nil only if the key survives a crash. If it returns an
	// error, the key may be stored or not, now or later.
	Save(ctx context.Context, key palette.Secret) error
}

// FileStore returns a store that keeps the key in a file, for [palette.WithAPIKeyFile].
// Save replaces the file atomically, follows symbolic links and keeps the mode. On Unix, it
// also keeps the owner, and the group if the mode gives it permissions; if it cannot, it
// returns an error. A new file has the mode 0600.
func FileStore(path string) Store { return fileStore{path} }

type fileStore struct{ path string }

func (s fileStore) Load(context.Context) (palette.Secret, error) {
	content, err := os.ReadFile(s.path)
	if errors.Is(err, os.ErrNotExist) {
		return palette.Secret{}, nil
	}
	return palette.NewSecret(strings.TrimSpace(string(content))), err
}

func (s fileStore) Save(_ context.Context, key palette.Secret) error {
	path, old, err := s.target()
	if err != nil {
		return err
	}
	// No random name: a killed run leaves at most one such file.
	temp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".rotation")
	_ = os.Remove(temp)
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(key.Reveal() + "\n")
	if old != nil {
		err = errors.Join(err, copyOwner(file, old), file.Chmod(old.Mode().Perm()))
	}
	if err = errors.Join(err, file.Sync(), file.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil || runtime.GOOS == "windows" { // has no fsync for folders
		return errors.Join(err, os.RemoveAll(temp))
	}
	folder, err := os.Open(filepath.Dir(path))
	return errors.Join(err, folder.Sync(), folder.Close())
}

// target returns the path of the file to replace and, if the file exists, its info.
func (s fileStore) target() (string, os.FileInfo, error) {
	if _, err := os.Lstat(s.path); errors.Is(err, os.ErrNotExist) {
		return s.path, nil, nil
	}
	path, err := filepath.EvalSymlinks(s.path)
	if err != nil {
		return "", nil, err
	}
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New(path + " is not a regular file")
	}
	return path, info, err
}
