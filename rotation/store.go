package rotation

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Store keeps the key in use: a file, a secret manager. Its errors must not contain keys.
type Store interface {
	// Load returns the stored key, and the zero Secret only if there is none. A store
	// that cannot be read returns [errors.ErrUnsupported]; Rotate then does not check
	// what it holds, and runs that fail to save leave one more key each.
	Load(ctx context.Context) (palette.Secret, error)
	// Save stores the key. It returns nil only if the key survives a crash. After an
	// error, the key may or may not be stored.
	Save(ctx context.Context, key palette.Secret) error
}

// FileStore returns a store that keeps the key in a file, for [palette.WithAPIKeyFile].
// Save replaces the file atomically and follows symbolic links. The file keeps its owner
// and mode; a new file has the mode 0600.
func FileStore(path string) Store { return fileStore{path} }

type fileStore struct{ path string }

func (s fileStore) Load(context.Context) (palette.Secret, error) {
	content, err := os.ReadFile(s.path)
	if errors.Is(err, fs.ErrNotExist) {
		return palette.Secret{}, nil
	}
	return palette.NewSecret(strings.TrimSpace(string(content))), err
}

func (s fileStore) Save(_ context.Context, key palette.Secret) error {
	path := followLinks(s.path)
	folder, name := filepath.Split(path)
	temp := folder + "." + name + ".new" // no random name: a killed run leaves at most one such file
	_ = os.Remove(temp)
	err := write(temp, key.Reveal()+"\n", path)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		_ = os.Remove(temp)
		return err
	}
	if runtime.GOOS == "windows" { // has no fsync for folders
		return nil
	}
	opened, err := os.Open(folder + ".")
	if err != nil {
		return err
	}
	return errors.Join(opened.Sync(), opened.Close())
}

// followLinks returns the file that path leads to, which need not exist. It does not
// clean paths, which is wrong for ".." after a link.
func followLinks(path string) string {
	for range 40 {
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			folder, _ := filepath.Split(path)
			target = folder + target
		}
		path = target
	}
	return path
}

// write creates a file, with the mode and the owner of the file like if that exists.
func write(path, content, like string) error {
	old, err := os.Stat(like)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && !old.Mode().IsRegular() {
		return errors.New(like + " is not a regular file")
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(content)
	if old != nil {
		err = errors.Join(err, copyMode(file, old))
	}
	return errors.Join(err, file.Sync(), file.Close())
}

// copyMode copies the owner, so that a program can read its key after root has replaced
// it, and the mode. Only Unix has the two fields.
func copyMode(file *os.File, old fs.FileInfo) error {
	stat := reflect.Indirect(reflect.ValueOf(old.Sys()))
	if uid, gid := stat.FieldByName("Uid"), stat.FieldByName("Gid"); uid.CanUint() && gid.CanUint() {
		if err := file.Chown(int(uid.Uint()), int(gid.Uint())); err != nil { //nolint:gosec // the ids have 32 bits
			return err
		}
	}
	return file.Chmod(old.Mode().Perm())
}
