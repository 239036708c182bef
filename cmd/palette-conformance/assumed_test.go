package main

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// assumptions are the words before a mark "(assumed)", and the row that tests what they say.
// A mark can also name its rows: "(assumed: C6)".
var assumptions = []struct{ words, row string }{
	{"need not be unique", "C6"},
	{"can have the same name", "C6"},
	{"the key is the caller's", "C7"},
	{"is the uid of the key", "C2"},
	{"keeps the old one", "U4"},
	{"it is false", "S2"},
	{"is from Palette's manual;", ""}, // the legend in the package documentation
}

var (
	mark     = regexp.MustCompile(`\(assumed([^)]*)\)`)
	rowNames = regexp.MustCompile(`\b[A-Z][0-9]+\b`)
)

// comments returns the comments of the Go sources of this repository, each on one line.
func comments(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	root := os.DirFS("../..")
	require.NoError(t, fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go") {
			return err
		}
		source, err := fs.ReadFile(root, name)
		var words []string
		for line := range strings.Lines(string(source)) {
			if _, comment, ok := strings.Cut(line, "//"); ok {
				words = append(words, strings.Fields(comment)...)
			}
		}
		found[name] = strings.Join(words, " ")
		return err
	}))
	return found
}

func TestEachAssumptionHasARow(t *testing.T) {
	t.Parallel()
	ids := append(idsOf(slices.Concat(rows, lastRows)), "")
	marks := 0
	for file, text := range comments(t) {
		for _, place := range mark.FindAllStringSubmatchIndex(text, -1) {
			marks++
			sentence, named := text[max(0, place[0]-120):place[1]], rowNames.FindAllString(text[place[2]:place[3]], -1)
			for _, a := range assumptions {
				if strings.Contains(sentence, a.words) {
					named = append(named, a.row)
				}
			}
			assert.NotEmpty(t, named, "%s: no row tests %q: name it in the mark, such as (assumed: C6), or add its words to this table", file, sentence)
			for _, id := range named {
				assert.Contains(t, ids, id, "%s: %q", file, sentence)
			}
		}
	}
	require.Greater(t, marks, 30)
}

func TestEachRowIsDocumentedByTheFake(t *testing.T) {
	t.Parallel()
	var documented []string
	for file, text := range comments(t) {
		if path.Dir(file) == "palettetest" {
			documented = append(documented, rowNames.FindAllString(text, -1)...)
		}
	}
	for _, r := range slices.Concat(rows, lastRows) {
		assert.Contains(t, documented, r.id)
	}
}
