package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The test program stands in for kubectl, vault and gh: links with these names start it.
func TestMain(m *testing.M) {
	if name := filepath.Base(os.Args[0]); slices.Contains([]string{"kubectl", "vault", "gh"}, name) {
		if err := standIn(name + " " + strings.Join(os.Args[1:], " ")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// standIn runs a command line of a recipe. The file STAND_IN/value is the stored key, and
// STAND_IN/fault names a step and how it fails: at its "begin", in the "middle" of its
// output, or at its "end", when all is done.
func standIn(line string) error {
	folder := os.Getenv("STAND_IN")
	stored := filepath.Join(folder, "value")
	step, do := stepOf(line, stored)
	if do == nil {
		return fmt.Errorf("unknown command line: %s", line)
	}
	fault, err := os.ReadFile(filepath.Join(folder, "fault"))
	if err != nil {
		return err
	}
	failed := fmt.Errorf("%s fails", fault)
	if string(fault) == step+" begin" {
		return failed
	}
	input := []byte{}
	if step != "get" {
		if input, err = io.ReadAll(os.Stdin); err != nil {
			return err
		}
	}
	output, err := do(input)
	if err != nil {
		return err
	}
	if string(fault) == step+" middle" {
		_, _ = os.Stdout.WriteString(output[:len(output)/2])
		return failed
	}
	if _, err := os.Stdout.WriteString(output); err != nil {
		return err
	}
	if string(fault) == step+" end" {
		return failed
	}
	return nil
}

// stepOf returns the name of a command line's step, and what it does with its input.
func stepOf(line, stored string) (step string, do func(input []byte) (output string, err error)) {
	load := func([]byte) (string, error) {
		value, err := os.ReadFile(stored)
		return string(value), err
	}
	save := func(value []byte) (string, error) { return "saved\n", os.WriteFile(stored, value, 0o600) }
	getTemplate, isGet := strings.CutPrefix(line, "kubectl -n apps get secret palette -o go-template=")
	switch {
	case isGet:
		return "get", func([]byte) (string, error) { return kubectlGet(getTemplate, stored) }
	case line == "kubectl create secret generic palette --from-file=apiKey=/dev/stdin --dry-run=client -o json":
		return "create", func(value []byte) (string, error) {
			doc, err := json.Marshal(map[string]any{"kind": "Secret", "data": map[string][]byte{"apiKey": value}})
			return string(doc), err
		}
	case line == "kubectl -n apps patch secret palette --type=merge --patch-file=/dev/stdin":
		return "patch", func(patch []byte) (string, error) {
			var doc struct {
				Data map[string][]byte `json:"data"`
			}
			if err := json.Unmarshal(patch, &doc); err != nil {
				return "", err
			}
			return save(doc.Data["apiKey"])
		}
	case line == "kubectl -n apps create secret generic palette --from-file=apiKey=billing.key":
		return "create", func([]byte) (string, error) {
			value, err := os.ReadFile("billing.key")
			if err != nil {
				return "", err
			}
			return save(value)
		}
	case line == "vault kv get -mount=secret -field=apiKey palette":
		return "get", load
	case line == "vault kv patch -mount=secret palette apiKey=-", line == "gh secret set PALETTE_API_KEY":
		return "patch", save
	}
	return "", nil
}

// kubectlGet executes a template of kubectl, which has the function base64decode.
func kubectlGet(text, stored string) (string, error) {
	secret := map[string]any{}
	if value, err := os.ReadFile(stored); err == nil {
		secret["data"] = map[string]any{"apiKey": base64.StdEncoding.EncodeToString(value)}
	}
	decode := func(s string) (string, error) {
		value, err := base64.StdEncoding.DecodeString(s)
		return string(value), err
	}
	parsed, err := template.New("").Funcs(template.FuncMap{"base64decode": decode}).Parse(text)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	err = parsed.Execute(&out, secret)
	return out.String(), err
}

// recipe is a script of the page and where it can fail.
type recipe struct {
	script   string
	shell    []string
	programs []string // that it starts
	steps    []string
}

func recipes(t *testing.T) map[string]recipe {
	t.Helper()
	script := func(title string) string {
		_, section, found := strings.Cut(readPage(t), "\n### "+title+"\n")
		require.True(t, found)
		return blocksOf(section, "sh")[0]
	}
	steps := readManifests(t).workflow.Jobs["rotate"].Steps
	return map[string]recipe{
		"kubectl": {script("kubectl"), []string{"sh", "-c"}, []string{"kubectl", "sh"}, []string{"get", "create", "patch"}},
		"Vault":   {script("Vault"), []string{"sh", "-c"}, []string{"vault"}, []string{"get", "patch"}},
		"GitHub Actions": {
			steps[len(steps)-1].Run, []string{"bash", "-e", "-c"}, []string{"gh", "sh", "cat", "mv"}, []string{"patch"},
		},
	}
}

// place is where a recipe runs: a PATH, and the stored key.
type place struct {
	*cluster
	path, folder string
}

// newPlace returns a place whose PATH has palette-keys, the stand-ins and little else.
func newPlace(t *testing.T) *place {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the recipes are for sh")
	}
	tool, err := buildTool()
	require.NoError(t, err)
	self, err := os.Executable()
	require.NoError(t, err)
	p := &place{newCluster(t), t.TempDir(), t.TempDir()}
	programs := map[string]string{"palette-keys": tool, "kubectl": self, "vault": self, "gh": self}
	for _, name := range []string{"sh", "bash", "cat", "mv", "rm"} {
		programs[name], err = exec.LookPath(name)
		require.NoError(t, err)
	}
	for name, target := range programs {
		require.NoError(t, os.Symlink(target, filepath.Join(p.path, name)))
	}
	p.write(t, "fault", "")
	return p
}

func (p *place) write(t *testing.T, name, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(p.folder, name), []byte(content), 0o600))
}

// stored returns the stored key.
func (p *place) stored(t *testing.T) string {
	t.Helper()
	value, err := os.ReadFile(filepath.Join(p.folder, "value"))
	require.NoError(t, err)
	return strings.TrimSpace(string(value))
}

// run runs a script with a key as the credential of palette-keys.
func (p *place) run(t *testing.T, shell []string, script, key string) (output string, err error) {
	t.Helper()
	interpreter, err := exec.LookPath(shell[0])
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), interpreter, append(shell[1:], script)...)
	cmd.Dir = p.folder
	cmd.Env = []string{
		"PATH=" + p.path, "STAND_IN=" + p.folder, "PALETTE_HOST=" + p.palette.URL, "PALETTE_API_KEY=" + key,
		"STORED_KEY=" + key, "RUNNER_TEMP=" + t.TempDir(),
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// addStoredKey stores the key "billing", which is due. It is not the first of its lineage: a
// run after an interrupted first rotation would wait for keys to be listed.
func (p *place) addStoredKey(t *testing.T) (value string) {
	t.Helper()
	first := p.addKey(time.Now().AddDate(0, 0, 1))
	p.write(t, "value", first)
	output, err := p.run(t, []string{"sh", "-c"}, "palette-keys rotate -name=billing -valid-for=13d -overlap=8d -out=value", first)
	require.NoError(t, err, output)
	return p.stored(t)
}

// If a step of a recipe fails, the recipe fails, and the stored key and the old key work. The
// next run finishes.
func TestRecipesFailIfAStepFails(t *testing.T) {
	t.Parallel()
	for name, r := range recipes(t) {
		faults := []string{}
		for _, step := range r.steps {
			faults = append(faults, step+" begin", step+" middle", step+" end")
		}
		for _, program := range r.programs {
			faults = append(faults, "no "+program)
		}
		for _, fault := range faults {
			t.Run(name+", "+fault, func(t *testing.T) {
				t.Parallel()
				p := newPlace(t)
				old := p.addStoredKey(t)
				p.write(t, "fault", fault)
				program, missing := strings.CutPrefix(fault, "no ")
				if missing {
					require.NoError(t, os.Rename(filepath.Join(p.path, program), filepath.Join(p.path, "away")))
				}

				first, firstErr := p.run(t, r.shell, r.script, old)
				afterFirst := p.stored(t)
				p.requireWorks(t, old)
				p.requireWorks(t, afterFirst)
				p.write(t, "fault", "")
				if missing {
					require.NoError(t, os.Rename(filepath.Join(p.path, "away"), filepath.Join(p.path, program)))
				}
				second, secondErr := p.run(t, r.shell, r.script, afterFirst)

				require.Error(t, firstErr, first)
				require.NoError(t, secondErr, second)
				assert.NotEqual(t, old, p.stored(t))
				p.requireWorks(t, p.stored(t))
				p.requireWorks(t, old)
				assert.NotContains(t, first+second, old)
				assert.NotContains(t, first+second, p.stored(t))
			})
		}
	}
}

func TestRecipes(t *testing.T) {
	t.Parallel()
	for name, r := range recipes(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			old := p.addKey(time.Now().AddDate(0, 0, 13))
			p.write(t, "value", old)

			first, firstErr := p.run(t, r.shell, r.script, old)
			key := p.stored(t)
			second, secondErr := p.run(t, r.shell, r.script, key)

			require.NoError(t, firstErr, first)
			require.NoError(t, secondErr, second)
			assert.NotEqual(t, old, key)
			assert.Equal(t, key, p.stored(t))
			p.requireWorks(t, key)
			p.requireWorks(t, old)
			assert.Regexp(t, `(?m)^rotated: `, first)
			assert.Regexp(t, `(?m)^not due: `, second)
		})
	}
}

// An empty place is no error.
func TestKubectlRecipeFillsAnEmptySecret(t *testing.T) {
	t.Parallel()
	r := recipes(t)["kubectl"]
	p := newPlace(t)
	p.addKey(time.Now().AddDate(0, 0, 13))

	output, err := p.run(t, r.shell, r.script, p.palette.APIKey)

	require.NoError(t, err, output)
	p.requireWorks(t, p.stored(t))
}

// The first key of the page: if a step fails, the file has the key.
func TestFirstKeyIsNotLost(t *testing.T) {
	t.Parallel()
	script := blocksOf(readPage(t), "sh")[0]
	for _, fault := range []string{"", "create begin", "create end", "no kubectl", "no palette-keys", "no rm"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			p := newPlace(t)
			p.write(t, "fault", fault)
			if program, missing := strings.CutPrefix(fault, "no "); missing {
				require.NoError(t, os.Remove(filepath.Join(p.path, program)))
			}

			output, err := p.run(t, []string{"sh", "-c"}, script, p.palette.APIKey)

			if fault == "" {
				require.NoError(t, err, output)
				p.requireWorks(t, p.stored(t))
				assert.NoFileExists(t, filepath.Join(p.folder, "billing.key"))
				return
			}
			require.Error(t, err)
			if fault == "no palette-keys" {
				assert.Empty(t, p.palette.Keys())
				return
			}
			value, err := os.ReadFile(filepath.Join(p.folder, "billing.key"))
			require.NoError(t, err)
			p.requireWorks(t, strings.TrimSpace(string(value)))
		})
	}
}
