// Pack writes an archive for each platform and the checksums of all: pack BUILD OUT. BUILD
// has a folder of programs for each platform. Owners, modes, times and the order of files
// are fixed, which the options of tar and zip differ in between systems.
package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
)

// modified is the time of all files in the archives, the earliest that zip can express.
var modified = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

type file struct {
	name string
	mode int64
	data []byte
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: pack BUILD OUT")
	}
	if err := pack(os.Args[1], os.Args[2]); err != nil {
		log.Fatal("pack: ", err)
	}
}

func pack(build, out string) error {
	platforms, err := os.ReadDir(build) // sorted
	if err != nil {
		return err
	}
	var checksums bytes.Buffer
	for _, platform := range platforms {
		files, err := readFiles(filepath.Join(build, platform.Name()))
		if err != nil {
			return err
		}
		name := "palette-keys_" + version.Version + "_" + platform.Name()
		var archive []byte
		if strings.HasPrefix(platform.Name(), "windows") {
			name += ".zip"
			archive, err = zipped(files)
		} else {
			name += ".tar.gz"
			archive, err = tarred(files)
		}
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(out, name), archive, 0o644); err != nil {
			return err
		}
		fmt.Fprintf(&checksums, "%x  %s\n", sha256.Sum256(archive), name)
	}
	return os.WriteFile(filepath.Join(out, "checksums.txt"), checksums.Bytes(), 0o644)
}

// readFiles returns the files of an archive: the license, the readme and the programs.
func readFiles(dir string) ([]file, error) {
	programs, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	files := []file{{name: "LICENSE", mode: 0o644}, {name: "README.md", mode: 0o644}}
	paths := []string{"LICENSE", "README.md"}
	for _, program := range programs {
		files = append(files, file{name: program.Name(), mode: 0o755})
		paths = append(paths, filepath.Join(dir, program.Name()))
	}
	for i := range files {
		if files[i].data, err = os.ReadFile(paths[i]); err != nil {
			return nil, err
		}
	}
	return files, nil
}

func tarred(files []file) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(compressed)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Size: int64(len(f.data)), ModTime: modified, Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := w.Write(f.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	err = compressed.Close()
	return out.Bytes(), err
}

func zipped(files []file) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: modified}
		header.SetMode(os.FileMode(f.mode))
		entry, err := w.CreateHeader(header)
		if err != nil {
			return nil, err
		}
		if _, err := entry.Write(f.data); err != nil {
			return nil, err
		}
	}
	err := w.Close()
	return out.Bytes(), err
}
