// List prints the name of each archive and the mode, time and name of the files in it.
package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	for _, path := range os.Args[1:] {
		fmt.Println(filepath.Base(path))
		list := listTar
		if filepath.Ext(path) == ".zip" {
			list = listZip
		}
		if err := list(path); err != nil {
			log.Fatal("list: ", path, ": ", err)
		}
	}
}

func listTar(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	plain, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		print(header.FileInfo())
	}
}

func listZip(path string) error {
	r, err := zip.OpenReader(path)
	if err != nil {
		return err
	}
	defer r.Close()
	for _, f := range r.File {
		print(f.FileInfo())
	}
	return nil
}

func print(info fs.FileInfo) {
	fmt.Println(" ", info.Mode(), info.ModTime().UTC().Format("2006-01-02"), info.Name())
}
