package main

import (
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestCommandsRequireACredential(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"create", "-name", "ci"},
		{"list"},
		{"get", "a"},
		{"update", "a", "-name", "b"},
		{"revoke", "a"},
		{"reactivate", "a"},
		{"delete", "a"},
		{"audit"},
		{"rotate", "-name", "ci", "-out", "x"},
		{"offboard", "a", "-yes"},
	} {
		t.Run(args[0], func(t *testing.T) {
			t.Parallel()

			got := runTool(t, []string{"PALETTE_HOST=127.0.0.1:1"}, args...)

			assert.Equal(t, 2, got.code)
			assert.Empty(t, got.stdout)
			assert.Equal(t, "palette-keys: no credential: set one of the variables "+
				"PALETTE_API_KEY, SPECTROCLOUD_APIKEY, PALETTE_AUTH_TOKEN, PALETTE_API_KEY_FILE\n", got.stderr)
		})
	}
}

func TestUsageErrorsSayWhatIsMissing(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	for line, want := range map[string]string{
		"nonsense":     `unknown command "nonsense"`,
		"list extra":   `unexpected argument "extra"`,
		"list -out x":  "flag provided but not defined: -out",
		"get":          "get: a UID is required: see palette-keys help get",
		"get a b":      `unexpected argument "b"`,
		"get a@b":      `"a@b" is not a uid`,
		"revoke":       "a UID is required",
		"delete a b/c": `"b/c" is not a uid`,
		"update":       "a UID, and -name, -description or -expires are required",
		"update a":     "-name, -description or -expires are required",

		"update a -name=":           "-name is empty",
		"update a -expires 0":       "not a duration such as 30d, nor a time in the future",
		"create":                    "create: -name is required: see palette-keys help create",
		"create ci":                 `create: -name is required: use -name "ci"`,
		"create -name":              "flag needs an argument: -name",
		"create -name ci extra":     `unexpected argument "extra"`,
		"create -name ci -out=":     "no key was created: open : ",
		"create -name ci -user a@b": `"a@b" is not a uid`,
		"create -name ci -expires 2020-01-01T00:00:00Z": "nor a time in the future",
		"create -name ci -out /no/such/folder/file":     "no key was created",

		"audit -json -prometheus":                   "-json and -prometheus cannot be combined",
		"audit -within -1h":                         "not a duration such as 30d or 12h",
		"audit -ignore nonsense":                    `"nonsense" is not one of expiring, expired, noexpiry, inactive, unlisted`,
		"audit -owners /no/such/file":               "/no/such/file",
		"audit -owners main.go":                     "is not a uid",
		"audit -out=":                               "-out is empty",
		"audit -out x":                              "-out requires -json or -prometheus",
		"rotate -out x":                             "a UID or -name is required",
		"rotate a -name ci -out x":                  "either a UID or -name",
		"rotate a -user u -out x":                   "-user requires -name",
		"rotate a":                                  "one of -out, -kubernetes-secret, and -load with -- COMMAND is required",
		"rotate a -out x -- cat":                    "one of -out, -kubernetes-secret, and -load with -- COMMAND is required",
		"rotate a -load cat -out x":                 "one of -out, -kubernetes-secret, and -load with -- COMMAND is required",
		"rotate a -kubernetes-secret UPPER":         `"UPPER" is not a Secret: use [NAMESPACE/]NAME[:KEY]`,
		"rotate a -kubernetes-secret y":             "this works only in a pod",
		"create -name ci -kubernetes-secret a/b/c":  `"a/b/c" is not a Secret`,
		"create -name ci -kubernetes-secret=":       `"" is not a Secret`,
		"rotate a -kubernetes-secret=":              `"" is not a Secret`,
		"rotate a -load cat":                        "-- COMMAND, which saves the key, is required",
		"rotate a -load cat --":                     "-- COMMAND, which saves the key, is required",
		"rotate a -- cat":                           "-load is required",
		"rotate a -out=":                            "it must be a file",
		"rotate a -out x -valid-for 7d -overlap 8d": "-valid-for must be more than -renew-before and -overlap",
		"rotate a -out -":                           "it must be a file",
		"rotate a -load x -- no-such":               `"no-such": executable file not found`,
		"rotate a -out x -overlap 1y":               "not a duration",
		"offboard":                                  "a UID is required",
		"serve -rate-limit 10":                      "two positive numbers such as 10/50",
		"serve -rate-limit 0/1":                     "two positive numbers",
		"serve -key-limit -1":                       `invalid value "-1" for flag -key-limit: invalid syntax`,
		"serve -host palette":                       "-host requires -tls",
		"serve -addr 0.0.0.0:0":                     "not a loopback address",
		"serve -user a -user a":                     "is empty or not unique",
		"serve -key-file main.go":                   `must start with "palettetest+"`,
		"serve -key-file /no/such":                  "/no/such",
		"serve --":                                  "a command is required after --",
		"serve -- no-such":                          `"no-such": executable file not found`,
		"version extra":                             "unexpected argument",
		"help nonsense":                             `unknown command "nonsense"`,
		"help create extra":                         "unexpected argument",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()

			got := runTool(t, environment(server), strings.Fields(line)...)

			assert.Equal(t, 2, got.code)
			assert.Empty(t, got.stdout)
			assert.Contains(t, got.stderr, want)
			assert.NotContains(t, got.stderr, "goroutine")
		})
	}
	t.Cleanup(func() { assert.Empty(t, server.Requests()) })
}

func TestEveryCommandHasItsOwnFlags(t *testing.T) {
	t.Parallel()
	for _, c := range commands {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var described, declared []string
			for line := range strings.Lines(manual(c.name)) {
				if flag, ok := strings.CutPrefix(line, "    -"); ok {
					described = append(described, strings.Fields(flag)[0])
				}
			}
			flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
			c.command.declare(flags)
			flags.VisitAll(func(f *flag.Flag) { declared = append(declared, f.Name) })
			_, synopsis, _ := strings.Cut(manual(c.name), "SYNOPSIS\n    palette-keys "+c.name)
			synopsis, _, _ = strings.Cut(synopsis, "\n\n")

			got, alias := runTool(t, nil, "help", c.name), runTool(t, nil, c.name, "-h")

			assert.Equal(t, got, alias)
			assert.Zero(t, got.code)
			assert.Contains(t, got.stdout, "NAME\n    palette-keys "+c.name+" - ")
			assert.ElementsMatch(t, declared, described)
			for _, name := range declared {
				assert.Regexp(t, `[ \[(]-`+name+`[] \n]`, synopsis)
			}
			assert.Contains(t, manual("palette-keys"), "\n    "+c.name+" ")
		})
	}
}

func TestHelpDescribesEveryExitCodeAndKind(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "main.go", nil, 0)
	require.NoError(t, err)
	var codes []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "code") {
			for _, value := range spec.Values {
				codes = append(codes, value.(*ast.BasicLit).Value)
			}
		}
		return true
	})
	_, section, _ := strings.Cut(manual("palette-keys"), "EXIT CODES\n    0    success\n")
	section, _, _ = strings.Cut(section, "\n\n")
	var described []string
	for line := range strings.Lines(section) {
		described = append(described, strings.Fields(line)[0])
	}

	assert.Equal(t, []string{"1", "2", "3", "130"}, codes)
	assert.Equal(t, codes, described)
	for _, kind := range kinds {
		assert.Regexp(t, `[ ,]`+kind.name+`[ ,]`, manual("palette-keys"))
	}
}

// examples returns the examples of a page of the manual. The lines of an example are
// indented deeper than its first.
func examples(page string) (all []string) {
	_, section, _ := strings.Cut(page, "EXAMPLES\n")
	for line := range strings.Lines(section) {
		if strings.HasPrefix(line, "     ") {
			all[len(all)-1] += line
		} else if strings.TrimSpace(line) != "" {
			all = append(all, line)
		}
	}
	return all
}

// standIns are the programs of the examples that a system need not have.
var standIns = map[string]string{
	"npm": `test -n "$PALETTE_API_KEY"`,
	"vault": `case "$*" in
"kv get -field=key secret/ci") cat vault.store ;;
"kv put secret/ci key=-") cat >vault.store ;;
*) exit 1 ;;
esac`,
}

func TestExamplesOfTheManual(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	for _, name := range []string{"jq", "curl"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skip("the examples use " + name)
		}
	}
	bin := t.TempDir()
	require.NoError(t, os.Symlink(binary, filepath.Join(bin, "palette-keys")))
	for name, script := range standIns {
		require.NoError(t, os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+script+"\n"), 0o700))
	}
	const user = "5f0c1f9e8d3b2a4c6e7f1a2c"
	setup := `set -eu
palette-keys create -name ci -expires 60d > saved.key
palette-keys create -name web -expires 60d -user ` + user + ` > /dev/null
UID_OF_KEY=$(palette-keys list -json | jq -r '.items[0].metadata.uid')
cp saved.key vault.store
echo "` + palettetest.AdminUID + ` the administrator" > staff.txt
echo "` + user + ` a user" >> staff.txt
`
	changes := strings.NewReplacer(
		"66e844c44bab2337f20c7471", `"$UID_OF_KEY"`,
		"-addr 0.0.0.0:8443", "-addr 127.0.0.1:0", // no test listens for others
		"-key-file admin.key", "-key-file admin.key -- true", // would not end
	)
	for _, c := range commands {
		for _, example := range examples(manual(c.name)) {
			t.Run(strings.TrimSpace(example), func(t *testing.T) {
				t.Parallel()
				script := setup
				if c.name == "rotate" {
					script += "cp saved.key ci.key\n"
				}
				cmd := newTool(t, nil, "serve", "-user", user, "--", "sh", "-c", script+changes.Replace(example))
				cmd.Env = []string{"PATH=" + bin + string(os.PathListSeparator) + os.Getenv("PATH")}
				cmd.Dir = t.TempDir()
				if strings.Contains(example, "-kubernetes-secret") {
					pod := newCluster(t)
					pod.SetValue(t, "apiKey", "")
					cmd.Dir, cmd.Env = pod.folder, append(cmd.Env, "KUBERNETES_SERVICE_HOST="+pod.Host, "KUBERNETES_SERVICE_PORT="+pod.Port)
				}

				got := finish(t, cmd)

				assert.Zero(t, got.code, got.stdout+got.stderr)
				assert.NotContains(t, got.stderr, "palette-keys: ")
			})
		}
	}
}

func TestOverview(t *testing.T) {
	t.Parallel()

	help, none := runTool(t, nil, "help"), runTool(t, nil)

	assert.Equal(t, help, runTool(t, nil, "--help"))
	assert.Equal(t, help, runTool(t, nil, "-h"))
	assert.Zero(t, help.code)
	assert.Contains(t, help.stdout, "PALETTE_API_KEY_FILE")
	assert.Equal(t, result{stderr: help.stdout, code: 2}, none)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)

	printed := runTool(t, nil, "version")
	runTool(t, environment(server), "list")

	assert.Equal(t, "palette-keys "+version.Version+"\n", printed.stdout)
	assert.Equal(t, printed, runTool(t, nil, "--version"))
	assert.Equal(t, "palette-keys/"+version.Version+" palette-apikeys-go/"+version.Version, server.Requests()[0].Header.Get("User-Agent"))
}

func TestErrorsAreJSON(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.Inject(palettetest.Fault{
		Method: http.MethodGet, Status: http.StatusForbidden, Body: `{"code":"OperationForbidden","message":"no","ref":"r1"}`,
	})

	failure := runTool(t, environment(server), "list", "-json")
	configuration := runTool(t, append(environment(server), "PALETTE_AUTH_TOKEN=t"), "list", "-json")
	usage := runTool(t, nil, "create", "-nonsense", "--json")
	program := runTool(t, nil, "serve", "--", "/no/such/program", "-json")

	assert.Equal(t, 1, failure.code)
	host := strings.TrimPrefix(server.URL, "http://")
	assert.JSONEq(t, `{"kind":"forbidden","code":"OperationForbidden","status":403,"ref":"r1","message":
		"palette: apiKeys.list: 403 OperationForbidden: no (host `+host+`, ref r1, 1 attempt)"}`, failure.stderr)
	assert.Equal(t, 2, configuration.code)
	assert.Contains(t, configuration.stderr, `"message": "palette: NewClient: invalid argument: credential: more than one`)
	assert.Equal(t, 2, usage.code)
	assert.JSONEq(t, `{"kind":"usage","message":"create: flag provided but not defined: -nonsense: see palette-keys help create"}`, usage.stderr)
	assert.Contains(t, program.stderr, "palette-keys: serve: ", "the flag is the program's")
}

func TestJSONFlagIsReadAsTheOtherFlags(t *testing.T) {
	t.Parallel()
	env := environment(palettetest.Start(t))
	for _, tt := range []struct {
		args []string
		json bool
	}{
		{[]string{"get", "missing", "-json=true"}, true},
		{[]string{"get", "-json=1", "missing"}, true},
		{[]string{"get", "missing", "-json=false"}, false},
		{[]string{"create", "-json", "-expires", "soon"}, true},
		{[]string{"create", "-expires", "soon", "-json"}, true},
		{[]string{"create", "-description", "-json"}, false},
	} {
		t.Run(strings.Join(tt.args, " "), func(t *testing.T) {
			t.Parallel()

			got := runTool(t, env, tt.args...)

			assert.NotZero(t, got.code)
			assert.Equal(t, tt.json, json.Valid([]byte(got.stderr)), got.stderr)
		})
	}
}

func TestErrorsInJSONHaveAKind(t *testing.T) {
	t.Parallel()
	for kind, fault := range map[string]palettetest.Fault{
		"outcome_unknown":     {Status: 502, After: true},
		"unauthorized":        {Status: 401, Body: `{"code":"UnAuthorizedAccess"}`},
		"forbidden":           {Status: 403, Body: `{"code":"OperationForbidden"}`},
		"not_found":           {Status: 404, Body: `{"code":"ResourceNotFound"}`},
		"conflict":            {Status: 409, Body: `{}`},
		"bad_request":         {Status: 400, Body: `{}`},
		"rate_limited":        {Status: 429, RetryAfter: "3600"},
		"redirect":            {Status: 302},
		"unexpected_response": {Status: 404, Body: "no route", ContentType: "text/plain"},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			server := palettetest.Start(t)
			server.Inject(fault)

			got := runTool(t, environment(server), "create", "-name", "ci", "-json")

			assert.Equal(t, 1, got.code)
			assert.Contains(t, got.stderr, `"kind": "`+kind+`"`)
		})
	}
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		server := palettetest.Start(t)
		server.Inject(palettetest.Fault{Status: 500, Body: `{"code":"DeletionResourceInUseError"}`})

		got := runTool(t, environment(server), "list", "-json")

		assert.Contains(t, got.stderr, `"kind": "server"`)
	})
	t.Run("network", func(t *testing.T) {
		t.Parallel()
		server := palettetest.Start(t, palettetest.WithTLS()) // of a CA that the tool does not know

		got := runTool(t, environment(server), "create", "-name", "ci", "-json")

		assert.Equal(t, 1, got.code)
		assert.Contains(t, got.stderr, `"kind": "network"`)
	})
}
