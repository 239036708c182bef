package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// checkedElsewhere are the shell lines that TestShellLines does not run, by how they start,
// and what runs them.
var checkedElsewhere = map[string]string{
	"go get github.com/":                       ".ci/check-release",
	"go install github.com/":                   ".ci/check-release",
	"sha256sum --check":                        ".ci/check-release",
	"tar -xzf palette-keys_":                   ".ci/check-release",
	"go run ./examples/create":                 ".ci/run",
	"go test ./...":                            ".ci/run",
	"(cd integration && go test ./...)":        ".ci/run",
	".ci/run":                                  "itself",
	"for i in $(seq 20); do go test -run '^$'": ".ci/run, which runs each benchmark once",
	"go run golang.org/x/perf/cmd/benchstat":   "nothing: it reads the result of many minutes",
	"gh attestation verify":                    "nothing: it needs a release on GitHub",
	"docker run --rm":                          "nothing: it needs a published image",
}

// Every shell line of the documents runs without an error, against a fake server.
func TestShellLines(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	bin := t.TempDir()
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, "../cmd/palette-keys").CombinedOutput()
	require.NoError(t, err, "%s", out)
	// A test suite in another language: it needs the variables that serve sets.
	npm := "#!/bin/sh\n[ -n \"$PALETTE_HOST\" ] && [ -n \"$PALETTE_API_KEY\" ]\n"
	require.NoError(t, os.WriteFile(filepath.Join(bin, "npm"), []byte(npm), 0o700))
	unused := map[string]bool{}
	for start := range checkedElsewhere {
		unused[start] = true
	}

	for _, block := range blocks(t, "sh") {
		for line := range strings.Lines(strings.ReplaceAll(block.code, "\\\n", "")) {
			line = strings.TrimSpace(line)
			if start := elsewhere(line); start != "" || line == "" {
				delete(unused, start)
				continue
			}
			t.Run(block.document+": "+line, func(t *testing.T) {
				t.Parallel()
				runLine(t, bin, line)
			})
		}
	}

	assert.Empty(t, unused, "no document has a line that starts so")
}

// elsewhere returns the entry of checkedElsewhere for a line, "" if there is none.
func elsewhere(line string) string {
	for start := range checkedElsewhere {
		if strings.HasPrefix(line, start) {
			return start
		}
	}
	return ""
}

// runLine runs a shell line in an empty folder, with the programs in the folder bin. KEY_UID
// is a key of the server.
func runLine(t *testing.T, bin, line string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil && strings.Contains(line, "curl ") {
		t.Skip("curl is not installed")
	}
	server := palettetest.Start(t)
	uid, _ := server.AddKey(palettetest.Key{Name: "ci", Active: true, Expiry: time.Now().AddDate(0, 0, 90)})
	cmd := exec.CommandContext(t.Context(), "sh", "-c", strings.ReplaceAll(line, "curl ", "curl --silent --show-error --fail "))
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"), "PALETTE_HOST="+server.URL, "PALETTE_API_KEY="+server.APIKey, "KEY_UID="+uid)

	out, err := cmd.CombinedOutput()

	require.NoError(t, err, "%s", out)
}
