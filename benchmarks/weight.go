package main

import (
	"context"
	"debug/buildinfo"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// weightOf is what a program that creates one key weighs.
type weightOf struct {
	modules []string      // linked, beside the standard library and the program's own
	bytes   int64         // built with -trimpath
	cold    time.Duration // to build with an empty build cache; 0 if not measured
}

// weight compares the same program on the SDK and on net/http.
type weight struct{ sdk, netHTTP weightOf }

func weigh(cold bool) (w weight, err error) {
	if w.netHTTP, err = weighProgram("nethttp", cold); err != nil {
		return w, err
	}
	w.sdk, err = weighProgram("sdk", cold)
	return w, err
}

// weighProgram builds the program in weight/name into a temporary directory. The
// go command finds it from anywhere within this module.
func weighProgram(name string, cold bool) (weightOf, error) {
	dir, err := os.MkdirTemp("", "palette-weight-")
	if err != nil {
		return weightOf{}, err
	}
	defer os.RemoveAll(dir)
	binary := filepath.Join(dir, name+".exe")
	build := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-buildvcs=false", "-o", binary,
		"github.com/seed-804bd3b7/palette-apikeys-go/benchmarks/weight/"+name)
	if cold {
		build.Env = append(os.Environ(), "GOCACHE="+filepath.Join(dir, "cache"))
	}
	start := time.Now()
	if output, err := build.CombinedOutput(); err != nil {
		return weightOf{}, fmt.Errorf("go build of weight/%s: %w\n%s", name, err, output)
	}
	took := time.Since(start)
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return weightOf{}, err
	}
	stat, err := os.Stat(binary)
	if err != nil {
		return weightOf{}, err
	}
	w := weightOf{bytes: stat.Size()}
	for _, module := range info.Deps {
		w.modules = append(w.modules, module.Path)
	}
	if cold {
		w.cold = took
	}
	return w, nil
}

func printWeight(out io.Writer, w weight) {
	fmt.Fprint(out, "\n## Weight of a program that creates one key\n\n"+
		"| program | MiB | × nethttp | cold build | modules linked beside its own |\n|---|--:|--:|--:|---|\n")
	for _, row := range []struct {
		name string
		of   weightOf
	}{{netHTTP, w.netHTTP}, {sdk, w.sdk}} {
		cold := "not measured"
		if row.of.cold > 0 {
			cold = row.of.cold.Round(100 * time.Millisecond).String()
		}
		fmt.Fprintf(out, "| %s | %.1f | %.2f | %s | %d: %s |\n", row.name, float64(row.of.bytes)/(1<<20),
			float64(row.of.bytes)/float64(w.netHTTP.bytes), cold, len(row.of.modules), strings.Join(row.of.modules, ", "))
	}
}
