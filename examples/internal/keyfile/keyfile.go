// Package keyfile keeps one secret in a file and replaces it in one step: at any
// moment the file holds the old secret or the new one, whole.
package keyfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Read returns the secret in the file at path, without white space around it,
// and "" if there is no file.
func Read(path string) (string, error) {
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return strings.TrimSpace(string(content)), err
}

// Pending is an empty file, readable by its owner alone, that can take the place
// of another. A nil Pending can be discarded.
type Pending struct {
	path string
	file *os.File
}

// Prepare makes the Pending for path, in the same directory, and so finds out
// whether it can be written before there is a secret to lose. It removes what
// runs that were killed left there.
func Prepare(path string) (*Pending, error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target // the link is to stay
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	dir := filepath.Dir(path)
	prefix := "." + strings.ReplaceAll(filepath.Base(path), "*", "_") + ".new-" // CreateTemp replaces a *
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) {
			if err := os.Remove(filepath.Join(dir, entry.Name())); err != nil {
				return nil, err
			}
		}
	}
	file, err := os.CreateTemp(dir, prefix+"*") // mode 0600
	if err != nil {
		return nil, err
	}
	return &Pending{path, file}, nil
}

// Commit writes secret, without a newline, and puts the file in its place. It
// reports whether that is done: with an error, it may not outlive a power cut.
func (p *Pending) Commit(secret string) (done bool, err error) {
	_, err = p.file.WriteString(secret)
	err = errors.Join(err, p.file.Sync(), p.file.Close())
	if err != nil {
		return false, err
	}
	if err := os.Rename(p.file.Name(), p.path); err != nil {
		return false, err
	}
	return true, syncDir(filepath.Dir(p.path))
}

// Discard removes the file unless it is in its place already.
func (p *Pending) Discard() {
	if p != nil {
		_ = p.file.Close()
		_ = os.Remove(p.file.Name())
	}
}

// syncDir makes a rename outlive a power cut. Windows has no such call.
func syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
