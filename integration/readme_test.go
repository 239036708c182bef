package integration

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// documents are the files whose Go blocks and shell lines are tested here. Those of
// docs/kubernetes.md have tests of their own.
var documents = []string{
	"README.md", "CONTRIBUTING.md", "SECURITY.md", "benchmarks/README.md", "docs/comparison.md", "docs/troubleshooting.md",
}

// readmeScope declares what a block of statements can use.
const readmeScope = "ctx context.Context, client *palette.Client, uid string"

// readmeImports are the packages that a block without imports can use.
var readmeImports = map[string]string{
	"context": "context", "errors": "errors", "exec": "os/exec", "fmt": "fmt", "http": "net/http", "io": "io",
	"log": "log", "os": "os", "slog": "log/slog", "strings": "strings", "testing": "testing", "time": "time", "url": "net/url",
	"otelhttp":    "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
	"palette":     "github.com/seed-804bd3b7/palette-apikeys-go",
	"palettetest": "github.com/seed-804bd3b7/palette-apikeys-go/palettetest",
	"rotation":    "github.com/seed-804bd3b7/palette-apikeys-go/rotation",
}

// block is a block of code in a document.
type block struct {
	document string
	line     int // of its first line
	code     string
}

// blocks returns the blocks of a language in all documents.
func blocks(t *testing.T, language string) []block {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^```" + language + "\n(.*?)^```$")
	found := []block{}
	for _, document := range documents {
		data, err := os.ReadFile("../" + document)
		require.NoError(t, err)
		text := string(data)
		for _, at := range fence.FindAllStringSubmatchIndex(text, -1) {
			found = append(found, block{document, 1 + strings.Count(text[:at[2]], "\n"), text[at[2]:at[3]]})
		}
	}
	require.NotEmpty(t, found)
	return found
}

// A Go block is a program, the declarations of a file, or statements inside a function
// with readmeScope that returns an error.
func TestGoBlocksCompile(t *testing.T) {
	t.Parallel()
	packages := []string{}
	overlay := map[string]string{} // from a path that does not exist to the file to compile
	for i, block := range blocks(t, "go") {
		file := filepath.Join(t.TempDir(), "block.go")
		require.NoError(t, os.WriteFile(file, []byte(blockSource(t, block)), 0o600))
		packages = append(packages, fmt.Sprintf("./block_%d", i))
		path, err := filepath.Abs(filepath.Join(packages[i], "block.go"))
		require.NoError(t, err)
		overlay[path] = file
	}
	config, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	overlayFile := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, config, 0o600))

	args := append([]string{"build", "-overlay", overlayFile, "-o", os.DevNull}, packages...)
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()

	require.NoError(t, err, "%s", out)
}

// blockSource returns a Go file for a block. Errors of the compiler name the line of the document.
func blockSource(t *testing.T, b block) string {
	t.Helper()
	code := fmt.Sprintf("//line %s:%d\n%s", b.document, b.line, b.code)
	if strings.Contains("\n"+b.code, "\npackage ") {
		return code
	}
	const header = "package readme\n"
	if _, err := parser.ParseFile(token.NewFileSet(), "", header+b.code, 0); err != nil {
		code = fmt.Sprintf("func _(%s) error {\n{\n%s}\nreturn nil\n}\n", readmeScope, code)
	}
	file, err := parser.ParseFile(token.NewFileSet(), b.document, header+code, 0)
	require.NoError(t, err)
	imports := map[string]bool{}
	for _, name := range file.Unresolved {
		if path := readmeImports[name.Name]; path != "" && len(file.Imports) == 0 {
			imports[fmt.Sprintf("import %s %q\n", name.Name, path)] = true
		}
	}
	for spec := range imports {
		code = spec + code
	}
	return header + code
}
