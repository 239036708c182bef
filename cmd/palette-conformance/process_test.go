package main

import (
	"bytes"
	"cmp"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// TestMain runs the program instead of the tests if a test has started this process for it.
func TestMain(m *testing.M) {
	if os.Getenv("RUN_PALETTE_CONFORMANCE") != "" {
		main()
	}
	os.Exit(m.Run())
}

// start starts the program as a process, with the fake's variables.
func (f *tenant) start(t *testing.T, args ...string) (cmd *exec.Cmd, output *bytes.Buffer) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = []string{"RUN_PALETTE_CONFORMANCE=1", "PALETTE_HOST=" + f.URL, "PALETTE_API_KEY=" + f.credential}
	output = new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = output, output
	require.NoError(t, cmd.Start())
	return cmd, output
}

func TestSignals(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no signals between processes")
	}
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, os.Kill} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			f := newTenant(t)
			cmd, output := f.start(t, "-yes")
			require.Eventually(t, func() bool { return len(f.Keys()) > len(f.foreign) }, time.Minute, time.Millisecond)

			require.NoError(t, cmd.Process.Signal(signal))
			_ = cmd.Wait()

			if signal == os.Kill {
				require.Greater(t, len(f.Keys()), len(f.foreign), "it had no time to clean up")
				sweep, swept := f.start(t, "-yes", "-sweep")
				require.NoError(t, sweep.Wait(), swept)
				require.Regexp(t, `This deletes [1-3] keys that earlier runs have left\.`, swept.String())
			} else {
				assert.Equal(t, codeInterrupted, cmd.ProcessState.ExitCode(), output)
				assert.Contains(t, output.String(), "No key is left.\npalette-conformance: interrupted\n")
			}
			f.requireForeignKeysOnly()
		})
	}
}

func TestItAsksBeforeItStarts(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		terminal bool
		input    string
		code     int
		want     string
	}{
		"yes":         {true, "yes\n", 0, "No key is left.\n"},
		"no":          {true, "no\n", 1, "palette-conformance: nothing was changed\n"},
		"end":         {true, "", 2, "palette-conformance: nothing was changed: standard input is not a terminal, use -yes\n"},
		"no terminal": {false, "yes\n", 2, "palette-conformance: nothing was changed: standard input is not a terminal, use -yes\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTenant(t)
			reader, writer, err := os.Pipe()
			require.NoError(t, err)
			t.Cleanup(func() { _ = reader.Close() })
			_, err = writer.WriteString(tt.input)
			require.NoError(t, err)
			require.NoError(t, writer.Close())
			f.stdin, f.terminal = reader, tt.terminal
			bubble(t, f, func(t *testing.T) {
				got := f.run(t.Context())

				assert.Equal(t, tt.code, got.code, got.stderr)
				assert.Equal(t, tt.terminal, strings.Contains(got.stderr, "Type yes to start: "))
				assert.True(t, strings.HasSuffix(got.stderr, tt.want), got.stderr)
				f.requireForeignKeysOnly()
			})
		})
	}
}

func TestAnnouncement(t *testing.T) {
	t.Parallel()
	f := newTenant(t)
	bubble(t, f, func(t *testing.T) {
		compare, sweep := f.run(t.Context(), "-rate-limit"), f.run(t.Context(), "-sweep")

		first := "Palette: " + f.URL + `, tenant "palettetest", user "5f0c1f9e8d3b2a4c6e7f1a2b". Its clock differs by 0s.` + "\n"
		assert.Regexp(t, "^"+regexp.QuoteMeta(first)+`This creates some 15 keys, at most 3 at a time, named palette-conformance-[0-9a-f]{16}-…, and deletes them:
some 60 entries in the audit log\. It takes half a minute, longer if changes need time\.
The user has 6 keys; the default limit is 20\.
For some seconds, Palette will reject the requests of everybody behind your address\.
palette-conformance: nothing was changed`, compare.stderr)
		assert.Regexp(t, "^"+regexp.QuoteMeta(first+"This deletes 0 keys that earlier runs have left. Do not do it during a run.\n"), sweep.stderr)
	})
}

func TestUsageAndConfiguration(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args       []string
		credential string
		code       int
		want       string
	}{
		"help":               {[]string{"-help"}, "", 0, "  -rate-limit\n    \ttest row R1: rate limit, which rejects requests of everybody behind"},
		"unknown flag":       {[]string{"-no"}, "", 2, "palette-conformance: flag provided but not defined: -no\n"},
		"argument":           {[]string{"x"}, "", 2, "palette-conformance: unexpected argument \"x\": see -help\n"},
		"invalid credential": {[]string{"-yes"}, "a b", 2, "palette-conformance: palette: NewClient: invalid argument: "},
		"unknown credential": {[]string{"-yes"}, "unknown", 1, "palette-conformance: palette: apiKeys.list: 401 UnAuthorizedAccess"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTenant(t)
			f.credential = cmp.Or(tt.credential, f.credential)
			bubble(t, f, func(t *testing.T) {
				got := f.run(t.Context(), tt.args...)

				assert.Equal(t, tt.code, got.code)
				assert.Contains(t, got.stderr, tt.want)
				assert.Empty(t, got.stdout)
			})
		})
	}
}

func TestNoCredential(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-yes")
	cmd.Env = []string{"RUN_PALETTE_CONFORMANCE=1"}

	output, err := cmd.CombinedOutput()

	require.Error(t, err)
	assert.Equal(t, codeUsage, cmd.ProcessState.ExitCode())
	assert.Contains(t, string(output), "PALETTE_API_KEY")
}

func TestOtherClock(t *testing.T) {
	t.Parallel()
	for _, offset := range []time.Duration{-3 * time.Hour, 3 * time.Hour} {
		t.Run(offset.String(), func(t *testing.T) {
			t.Parallel()
			clock := func() time.Time { return time.Now().Add(offset) }
			f := newTenant(t, palettetest.WithClock(clock))
			f.after = func(_ int, _ *http.Request, resp *http.Response) (*http.Response, error) {
				resp.Header.Set("Date", clock().UTC().Format(http.TimeFormat))
				return resp, nil
			}
			bubble(t, f, func(t *testing.T) {
				got := f.run(t.Context(), "-yes", "-slow")

				assert.Equal(t, 0, got.code, got.stdout)
				assert.Contains(t, got.stderr, "Its clock differs by "+offset.String())
			})
		})
	}
}
