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

// readmeScope declares what a block of statements can use.
const readmeScope = "ctx context.Context, client *palette.Client, uid string"

// readmeImports are the packages that a block without imports can use.
var readmeImports = map[string]string{
	"context": "context", "errors": "errors", "exec": "os/exec", "fmt": "fmt", "http": "net/http", "io": "io",
	"log": "log", "os": "os", "slog": "log/slog", "strings": "strings", "testing": "testing", "time": "time",
	"palette":     "github.com/seed-804bd3b7/palette-apikeys-go",
	"palettetest": "github.com/seed-804bd3b7/palette-apikeys-go/palettetest",
	"rotation":    "github.com/seed-804bd3b7/palette-apikeys-go/rotation",
}

var goBlock = regexp.MustCompile("(?ms)^```go\n(.*?)^```$")

// A Go block of a page is a program, the declarations of a file, or statements inside a
// function with readmeScope that returns an error.
func TestReadmeCompiles(t *testing.T) {
	t.Parallel()
	for _, page := range []string{"README.md", "docs/kubernetes.md"} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			requireCompiles(t, page)
		})
	}
}

func requireCompiles(t *testing.T, page string) {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", page))
	require.NoError(t, err)
	text := string(content)
	packages := []string{}
	overlay := map[string]string{} // from a path that does not exist to the file to compile
	for _, at := range goBlock.FindAllStringSubmatchIndex(text, -1) {
		block := text[at[2]:at[3]]
		line := 1 + strings.Count(text[:at[2]], "\n")
		file := filepath.Join(t.TempDir(), "block.go")
		require.NoError(t, os.WriteFile(file, []byte(blockSource(t, page, line, block)), 0o600))
		packages = append(packages, fmt.Sprintf("./readme_line_%d", line))
		path, err := filepath.Abs(filepath.Join(packages[len(packages)-1], "block.go"))
		require.NoError(t, err)
		overlay[path] = file
	}
	require.NotEmpty(t, packages)
	config, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	overlayFile := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, config, 0o600))

	args := append([]string{"build", "-overlay", overlayFile, "-o", os.DevNull}, packages...)
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()

	require.NoError(t, err, "%s", out)
}

// blockSource returns a Go file for a block. Errors of the compiler name the line of the page.
func blockSource(t *testing.T, page string, line int, block string) string {
	t.Helper()
	code := fmt.Sprintf("//line %s:%d\n%s", page, line, block)
	if strings.Contains("\n"+block, "\npackage ") {
		return code
	}
	const header = "package readme\n"
	if _, err := parser.ParseFile(token.NewFileSet(), "", header+block, 0); err != nil {
		code = fmt.Sprintf("func _(%s) error {\n{\n%s}\nreturn nil\n}\n", readmeScope, code)
	}
	file, err := parser.ParseFile(token.NewFileSet(), page, header+code, 0)
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
