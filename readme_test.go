package palette_test

import (
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every ```go block of README.md compiles:
//
//   - A block with a package clause is a whole program.
//   - A block of declarations is a file without its package clause.
//   - Any other block is the inside of a function that has the values of
//     readmeScope and may return an error.
//   - Where a block has no import, it may use the packages of readmeImports.
//   - A block that imports a module which go.mod does not have stands, word for
//     word but for the indent, in a file of consumer/, which is a module of its own.

const readmeScope = "ctx context.Context, client *palette.Client, uid string"

var readmeImports = map[string]string{
	"context":     "context",
	"errors":      "errors",
	"fmt":         "fmt",
	"http":        "net/http",
	"log":         "log",
	"os":          "os",
	"palette":     "github.com/seed-804bd3b7/palette-apikeys-go",
	"palettetest": "github.com/seed-804bd3b7/palette-apikeys-go/palettetest",
	"slog":        "log/slog",
	"time":        "time",
}

func TestReadmeCompiles(t *testing.T) {
	t.Parallel()
	root, err := os.Getwd()
	require.NoError(t, err)
	readme := filepath.Join(root, "README.md")
	blocks := goBlocks(t, readme)
	require.NotEmpty(t, blocks, "README.md has no block of Go")

	modules := requiredModules(t)
	overlay := map[string]string{} // what is not there to what is compiled instead
	for i, block := range blocks {
		source := block.source(t, readme)
		if foreign := foreignImports(t, source, modules); len(foreign) > 0 {
			requireInConsumer(t, block, foreign)
			continue
		}
		file := filepath.Join(t.TempDir(), "block.go")
		require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
		overlay[filepath.Join(root, "internal", "readmeblock", strconv.Itoa(i), "block.go")] = file
	}

	config, err := json.Marshal(map[string]any{"Replace": overlay})
	require.NoError(t, err)
	overlayFile := filepath.Join(t.TempDir(), "overlay.json")
	require.NoError(t, os.WriteFile(overlayFile, config, 0o600))
	args := []string{"build", "-o", os.DevNull, "-overlay=" + overlayFile}
	for file := range overlay {
		args = append(args, "./internal/readmeblock/"+filepath.Base(filepath.Dir(file)))
	}
	out, err := exec.CommandContext(t.Context(), "go", args...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.NoDirExists(t, filepath.Join(root, "internal", "readmeblock"))
}

// readmeBlock is a fenced block.
type readmeBlock struct {
	line int // of its first line of code
	text string
}

func goBlocks(t *testing.T, readme string) []readmeBlock {
	t.Helper()
	raw, err := os.ReadFile(readme)
	require.NoError(t, err, "there must be a README.md, whose Go this test compiles")
	var blocks []readmeBlock
	var open *readmeBlock
	for i, line := range strings.Split(string(raw), "\n") {
		switch fence := strings.TrimSpace(line); {
		case open == nil && (fence == "```go" || strings.HasPrefix(fence, "```go ")):
			open = &readmeBlock{line: i + 2}
		case open != nil && fence == "```":
			blocks = append(blocks, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	require.Nil(t, open, "the last block of README.md has no end")
	return blocks
}

var packageClause = regexp.MustCompile(`(?m)^package \w+$`)

// source makes the block a file, in which the compiler counts README's lines.
func (b readmeBlock) source(t *testing.T, readme string) string {
	t.Helper()
	code := fmt.Sprintf("//line %s:%d\n%s", readme, b.line, b.text)
	if packageClause.MatchString(b.text) {
		return code
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "", "package block\n"+b.text, parser.SkipObjectResolution); err != nil {
		code = fmt.Sprintf("func _(%s) error {\nif true {\n%s}\nreturn nil\n}\n", readmeScope, code)
	}
	if strings.Contains(b.text, "import ") {
		return "package block\n" + code
	}
	return "package block\n" + neededImports(t, b, "package block\n"+code) + code
}

// neededImports imports what code uses of readmeImports.
func neededImports(t *testing.T, b readmeBlock, code string) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", code, parser.SkipObjectResolution)
	require.NoError(t, err, "the block at line %d", b.line)
	used := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if of, ok := selector.X.(*ast.Ident); ok {
				used[of.Name] = true
			}
		}
		return true
	})
	var imports strings.Builder
	for name, path := range readmeImports {
		if used[name] {
			fmt.Fprintf(&imports, "import %s %q\n", name, path)
		}
	}
	return imports.String()
}

// requiredModules lists this module and those that its go.mod requires.
func requiredModules(t *testing.T) []string {
	t.Helper()
	raw, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	modules := []string{}
	for _, match := range regexp.MustCompile(`(?m)^(?:module |require |\t)(\S+\.\S+/\S+)`).FindAllStringSubmatch(string(raw), -1) {
		modules = append(modules, match[1])
	}
	require.Contains(t, modules, readmeImports["palette"])
	return modules
}

// foreignImports lists what source imports from elsewhere than the standard
// library and modules.
func foreignImports(t *testing.T, source string, modules []string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.ImportsOnly)
	require.NoError(t, err)
	var foreign []string
	for _, spec := range file.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		require.NoError(t, err)
		host, _, _ := strings.Cut(path, "/")
		known := slices.ContainsFunc(modules, func(module string) bool {
			return path == module || strings.HasPrefix(path, module+"/")
		})
		if strings.Contains(host, ".") && !known {
			foreign = append(foreign, path)
		}
	}
	return foreign
}

func requireInConsumer(t *testing.T, b readmeBlock, foreign []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("consumer", "*.go"))
	require.NoError(t, err)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains("\n"+unindented(string(raw)), "\n"+unindented(b.text)) {
			return
		}
	}
	assert.Fail(t, "a block of README.md that nothing compiles",
		"the block at line %d imports %s: it must stand word for word in a Go file of consumer/", b.line, strings.Join(foreign, ", "))
}

func unindented(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], " \t")
	}
	return strings.Join(lines, "\n")
}
