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

// Store keeps the key in use: a file, a secret manager. Its errors must not contain keys.
type Store interface {
	// Load returns the stored key, and the zero Secret only if there is none. A store that
	// cannot be read returns [errors.ErrUnsupported]; Rotate then does not check it.
	Load(ctx context.Context) (palette.Secret, error)
	// Save stores the key. It returns nil only if the key survives a crash.
	Save(ctx context.Context, key palette.Secret) error
}

// FileStore returns a store that keeps the key in a file, for [palette.WithAPIKeyFile].
// Save replaces the file atomically, follows symbolic links and keeps the mode; a new file
// has the mode 0600. The file belongs to the user that runs the rotation.
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
	path, mode := s.path, os.FileMode(0o600)
	info, err := os.Stat(path)
	if err == nil {
		mode = info.Mode()
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if !mode.IsRegular() {
		return errors.New(path + " is not a regular file")
	}
	temp := path + ".new" // no random name: a killed run leaves at most one such file
	_ = os.Remove(temp)
	file, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(key.Reveal() + "\n")
	if err := errors.Join(err, file.Chmod(mode.Perm()), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil || runtime.GOOS == "windows" { // has no fsync for folders
		return errors.Join(err, os.RemoveAll(temp))
	}
	folder, err := os.Open(filepath.Dir(path))
	return errors.Join(err, folder.Sync(), folder.Close())
}
