package palettetest_test

import (
	"encoding/json"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// step is a command of the transcript in the package documentation, and what it
// is said to print.
type step struct{ command, want string }

// TestTheTranscript walks through the documented transcript: always with a
// reader of simple curl commands, and with curl itself where it is installed.
func TestTheTranscript(t *testing.T) {
	t.Parallel()
	steps := transcript(t)
	require.GreaterOrEqual(t, len(steps), 13)

	t.Run("read", func(t *testing.T) {
		t.Parallel()
		w := newWorld(t)
		walk(t, w, steps, func(command string, env map[string]string) string { return w.runCurlLine(command, env) })
	})
	t.Run("curl", func(t *testing.T) {
		t.Parallel()
		if _, err := exec.LookPath("curl"); err != nil {
			t.Log("curl is not installed; the commands were read instead")
			return
		}
		walk(t, newWorld(t), steps, func(command string, env map[string]string) string { return runShell(t, command, env) })
	})
}

// transcript takes the commands and their output out of doc.go.
func transcript(t *testing.T) []step {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments|parser.PackageClauseOnly)
	require.NoError(t, err)
	_, text, found := strings.Cut(file.Doc.Text(), "\t$ ")
	require.True(t, found, "there is no transcript")
	text = strings.ReplaceAll("\n\t$ "+text, "\\\n\t", "") // continued lines
	var steps []step
	for _, block := range strings.Split(text, "\n\t$ ")[1:] {
		command, output, _ := strings.Cut(block, "\n")
		steps = append(steps, step{command, output})
	}
	return steps
}

var placeholder = regexp.MustCompile(`<[a-z]+>`)

// walk runs the commands in order and learns what the placeholders stand for.
func walk(t *testing.T, w *world, steps []step, run func(command string, env map[string]string) string) {
	t.Helper()
	known := map[string]string{}
	env := map[string]string{"URL": w.URL, "KEY": w.APIKey}
	for _, s := range steps {
		command := placeholder.ReplaceAllStringFunc(s.command, func(name string) string { return known[name] })
		if assignments, ok := assignmentsIn(command); ok {
			maps.Copy(env, assignments)
			continue
		}
		got := run(command, env)
		wantBody, wantStatus := splitOutput(s.want)
		gotBody, gotStatus := splitOutput(got)
		require.Equal(t, wantStatus, gotStatus, "%s\n%s", s.command, got)
		if wantBody == "" {
			require.Empty(t, gotBody, s.command)
			continue
		}
		var want, have any
		require.NoError(t, json.Unmarshal([]byte(wantBody), &want), wantBody)
		require.NoError(t, json.Unmarshal([]byte(gotBody), &have), gotBody)
		assert.Equal(t, fill(want, have, known), have, s.command)
	}
}

// splitOutput separates the status, on the last line, from the body.
func splitOutput(output string) (body, status string) {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	last := len(lines) - 1
	return strings.TrimSpace(strings.Join(lines[:last], "")), strings.TrimSpace(lines[last])
}

// fill puts what was received in the place of placeholders: anything the first
// time, the same afterwards. A time or a reference differs every time.
func fill(want, have any, known map[string]string) any {
	switch want := want.(type) {
	case map[string]any:
		filled := map[string]any{}
		for name, value := range want {
			other, _ := have.(map[string]any)
			filled[name] = fill(value, other[name], known)
		}
		return filled
	case string:
		text, _ := have.(string)
		return placeholder.ReplaceAllStringFunc(want, func(name string) string {
			if known[name] == "" && want == name {
				known[name] = text
			}
			if name == "<time>" || name == "<ref>" {
				return text
			}
			return known[name]
		})
	default:
		return want
	}
}

var assignment = regexp.MustCompile(`^([A-Z_]+)='([^']*)' ?`)

// assignmentsIn reads a line of shell assignments, NAME='value' NAME='value'.
func assignmentsIn(line string) (map[string]string, bool) {
	found := map[string]string{}
	for line != "" {
		m := assignment.FindStringSubmatch(line)
		if m == nil {
			return nil, false
		}
		found[m[1]] = m[2]
		line = line[len(m[0]):]
	}
	return found, true
}

func runShell(t *testing.T, command string, env map[string]string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", command)
	cmd.Env = append(os.Environ(), "no_proxy=*")
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", command, out)
	return string(out)
}

// runCurlLine sends what a curl command with the options -s -w -X -H -d would,
// and prints what it would print with -w '%{http_code}\n'.
func (w *world) runCurlLine(line string, env map[string]string) string {
	w.t.Helper()
	words := shellWords(line, func(name string) string { return env[name] })
	require.Equal(w.t, "curl", words[0])
	method, target, body := "", "", ""
	var header []string
	for i := 1; i < len(words); i++ {
		option := words[i]
		if strings.HasPrefix(option, "-") && option != "-s" {
			i++
		}
		switch option {
		case "-s":
		case "-w":
			require.Equal(w.t, `%{http_code}\n`, words[i])
		case "-X":
			method = words[i]
		case "-d":
			body = words[i]
		case "-H":
			name, value, _ := strings.Cut(words[i], ": ")
			header = append(header, name, value)
		default:
			require.False(w.t, strings.HasPrefix(option, "-"), "an option this test does not know: %s", option)
			target = strings.TrimPrefix(option, w.URL)
		}
	}
	if method == "" {
		method = http.MethodGet
		if body != "" {
			method = http.MethodPost
		}
	}
	got := w.send("", method, target, body, header...)
	return fmt.Sprintf("%s%d\n", got.body, got.status)
}

// shellWords splits a line as a shell does: variables stand everywhere but in
// single quotes.
func shellWords(line string, lookup func(string) string) []string {
	words := []string{}
	pattern := regexp.MustCompile(`'([^']*)'|"([^"]*)"|(\S+)`)
	for _, m := range pattern.FindAllStringSubmatch(line, -1) {
		if m[1] != "" {
			words = append(words, m[1])
			continue
		}
		words = append(words, os.Expand(m[2]+m[3], lookup))
	}
	return words
}
