package palette_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLayoutOfContributing requires that CONTRIBUTING.md names every file of the library, and
// only functions and types that the file declares.
func TestLayoutOfContributing(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("CONTRIBUTING.md")
	require.NoError(t, err)
	rows := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z/]+\\.go)` \\|(.*)").FindAllStringSubmatch(string(content), -1) {
		rows[row[1]] = row[2]
	}
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	for _, pattern := range []string{"internal/*/*.go", "internal/*/*/*.go"} {
		internal, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, internal...)
	}

	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		row, ok := rows[file]
		assert.True(t, ok, "%s is not in the table", file)
		declared := declarations(t, file)
		for _, name := range regexp.MustCompile("`(\\w+)`").FindAllStringSubmatch(row, -1) {
			assert.Contains(t, declared, name[1], file)
		}
		delete(rows, file)
	}
	assert.Empty(t, rows, "files that do not exist")
}

// declarations returns the names of the functions, methods and types of a file.
func declarations(t *testing.T, file string) (names []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	require.NoError(t, err)
	ast.Inspect(parsed, func(node ast.Node) bool {
		switch node := node.(type) {
		case *ast.FuncDecl:
			names = append(names, node.Name.Name)
		case *ast.TypeSpec:
			names = append(names, node.Name.Name)
		}
		return true
	})
	return names
}
