package main

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// newAudit returns a server with one key for each finding, and one without.
func newAudit(t *testing.T) *palettetest.Server {
	t.Helper()
	server := palettetest.Start(t)
	far := time.Date(2098, 1, 31, 12, 0, 0, 0, time.UTC)
	server.AddKey(palettetest.Key{UID: "f", Name: "fine", UserUID: alice, Active: true, Expiry: far})
	soon := time.Now().Add(13 * 24 * time.Hour)
	past := time.Date(2020, 1, 31, 12, 0, 0, 0, time.UTC)
	server.AddKey(palettetest.Key{UID: "s", Name: "soon", UserUID: alice, Active: true, Expiry: soon})
	server.AddKey(palettetest.Key{UID: "e", Name: "ended", UserUID: alice, Active: true, Expiry: past})
	server.AddKey(palettetest.Key{UID: "n", Name: "never", UserUID: alice, Active: true})
	server.AddKey(palettetest.Key{UID: "r", Name: "revoked", UserUID: bob, Expiry: far})
	return server
}

// findings returns the findings of an audit by uid.
func findings(t *testing.T, server *palettetest.Server, args ...string) map[string][]string {
	t.Helper()
	got := runTool(t, environment(server), append([]string{"audit", "-json"}, args...)...)
	var doc struct {
		Items []struct {
			Findings []string `json:"findings"`
			Metadata struct {
				UID string `json:"uid"`
			} `json:"metadata"`
		} `json:"items"`
	}
	require.NoError(t, json.Unmarshal([]byte(got.stdout), &doc))
	all := map[string][]string{}
	for _, item := range doc.Items {
		all[item.Metadata.UID] = item.Findings
	}
	want := 0
	if len(all) > 0 {
		want = 3
	}
	assert.Equal(t, want, got.code)
	assert.Empty(t, got.stderr)
	return all
}

func TestAuditFindings(t *testing.T) {
	t.Parallel()
	server := newAudit(t)
	owners := writeFile(t, "# staff\n\n"+alice+" Alice A\n")
	for name, tt := range map[string]struct {
		args []string
		want map[string][]string
	}{
		"default": {nil, map[string][]string{
			"s": {"expiring"}, "e": {"expired"}, "n": {"noexpiry"}, "r": {"inactive"},
		}},
		"within": {[]string{"-within", "12d"}, map[string][]string{
			"e": {"expired"}, "n": {"noexpiry"}, "r": {"inactive"},
		}},
		"owners": {[]string{"-owners", owners, "-ignore", "noexpiry,expired"}, map[string][]string{
			"s": {"expiring"}, "r": {"inactive", "unlisted"},
		}},
		"ignore": {[]string{"-ignore", "expiring,expired,noexpiry,inactive"}, map[string][]string{}},
		"ignored inactive keys": {[]string{"-ignore", "inactive", "-within", "36500d"}, map[string][]string{
			"f": {"expiring"}, "s": {"expiring"}, "e": {"expired"}, "n": {"noexpiry"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			assert.Equal(t, tt.want, findings(t, server, tt.args...))
		})
	}
}

func TestAuditTable(t *testing.T) {
	t.Parallel()
	server := newAudit(t)

	got := runTool(t, environment(server), "audit", "-ignore", "expiring")

	assert.Equal(t, 3, got.code)
	assert.Equal(t, "3 of 5 keys have findings\n", got.stderr)
	assert.Equal(t, `NAME     UID  ACTIVE  EXPIRES                                 OWNER                     FINDINGS
never    n    yes     never                                   `+alice+`  noexpiry
ended    e    yes     2020-01-31T12:00:00Z (expired)          `+alice+`  expired
revoked  r    no      2098-01-31T12:00:00Z (25999 days left)  `+bob+`  inactive
`, regexp.MustCompile(`\d+ days`).ReplaceAllString(got.stdout, "25999 days"))
}

func TestAuditMetrics(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.AddKey(palettetest.Key{UID: "n", Name: "never", UserUID: alice, Active: true})
	server.AddKey(palettetest.Key{UID: "r", Name: "revoked", UserUID: bob, Expiry: time.Date(2098, 1, 31, 12, 0, 0, 0, time.UTC)})

	got := runTool(t, environment(server), "audit", "-prometheus")

	assert.Equal(t, result{code: 3, stdout: `# HELP palette_api_key_expiration_timestamp_seconds When the API key expires; +Inf if never.
# TYPE palette_api_key_expiration_timestamp_seconds gauge
palette_api_key_expiration_timestamp_seconds{uid="n",name="never",owner="` + alice + `"} +Inf
palette_api_key_expiration_timestamp_seconds{uid="r",name="revoked",owner="` + bob + `"} 4042008000
# HELP palette_api_key_active 1 if the API key is active, 0 if it is not.
# TYPE palette_api_key_active gauge
palette_api_key_active{uid="n",name="never",owner="` + alice + `"} 1
palette_api_key_active{uid="r",name="revoked",owner="` + bob + `"} 0
`}, got)
}

var (
	commentLine = regexp.MustCompile(`^# (HELP|TYPE) ([a-z_]+) (.+)$`)
	sampleLine  = regexp.MustCompile(`^([a-z_]+)\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)+)\} (\S+)$`)
	labelPair   = regexp.MustCompile(`([a-z]+)="((?:[^"\\]|\\.)*)"(?:,|$)`)
)

// parseMetrics reads the text format of Prometheus strictly. It returns the values by
// metric, uid and name.
func parseMetrics(t *testing.T, text string) map[[3]string]float64 {
	t.Helper()
	require.True(t, utf8.ValidString(text))
	require.True(t, strings.HasSuffix(text, "\n"))
	samples, current, seen := map[[3]string]float64{}, "", map[string]bool{}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		if comment := commentLine.FindStringSubmatch(line); comment != nil {
			require.False(t, seen[comment[1]+comment[2]], "once for each metric: %q", line)
			seen[comment[1]+comment[2]], current = true, comment[2]
			continue
		}
		sample := sampleLine.FindStringSubmatch(line)
		require.NotNil(t, sample, "%q", line)
		require.Equal(t, current, sample[1], "the samples of a metric stand together")
		require.True(t, seen["HELP"+current] && seen["TYPE"+current])
		labels := map[string]string{}
		for _, pair := range labelPair.FindAllStringSubmatch(sample[2], -1) {
			require.NotContains(t, labels, pair[1])
			labels[pair[1]] = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n").Replace(pair[2])
		}
		require.Len(t, labels, 3)
		id := [3]string{sample[1], labels["uid"], labels["name"]}
		require.NotContains(t, samples, id)
		value, err := strconv.ParseFloat(sample[3], 64)
		require.NoError(t, err)
		samples[id] = value
	}
	return samples
}

func TestMetricsOfHostileNames(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	names := map[string]string{ // and how the label shows them
		`"`: `"`, `\`: `\`, `\n`: `\n`, `a\"} 1`: `a\"} 1`, "a\nb": "a\nb", "\n# TYPE x gauge\n": "\n# TYPE x gauge\n", `x",uid="y`: `x",uid="y`,
		"\x1b[2J": `\u001b[2J`, "\r": `\u000d`, "\u009b": `\u009b`, "\u2028": `\u2028`, "\u202e": `\u202e`, "\U000e0001": `\udb40\udc01`, "\ufffd": "\ufffd",
		"{}": "{}", "ключ": "ключ", " ": " ", `\"`: `\"`, `\\"`: `\\"`, "\x00": `\u0000`, "\x7f": `\u007f`,
	}
	want := map[[3]string]float64{}
	for name, label := range names {
		uid, _ := server.AddKey(palettetest.Key{Name: name, Active: true})
		want[[3]string{"palette_api_key_active", uid, label}] = 1
		want[[3]string{"palette_api_key_expiration_timestamp_seconds", uid, label}] = math.Inf(1)
	}

	got := runTool(t, environment(server), "audit", "-prometheus")

	assert.Equal(t, want, parseMetrics(t, got.stdout))
}

func TestAuditWritesMetricsAndTheTableInOneRun(t *testing.T) {
	t.Parallel()
	server := newAudit(t)
	file := filepath.Join(t.TempDir(), "keys.prom")

	got := runTool(t, environment(server), "audit", "-prometheus", "-out", file)
	table := runTool(t, environment(server), "audit")
	document := runTool(t, environment(server), "audit", "-json", "-out", file+"2")

	assert.Equal(t, table, got)
	assert.Equal(t, table.stdout, document.stdout)
	assert.Equal(t, runTool(t, environment(server), "audit", "-prometheus").stdout, readFile(t, file))
	assert.Equal(t, runTool(t, environment(server), "audit", "-json").stdout, readFile(t, file+"2"))
	info, err := os.Stat(file)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&0o004, "the collector has another user")
}

func TestAuditReplacesItsFile(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	server := newAudit(t)
	folder := t.TempDir()
	file, link := filepath.Join(folder, "keys.prom"), filepath.Join(folder, "link")
	require.NoError(t, os.WriteFile(file, []byte("old"), 0o600))
	require.NoError(t, os.Chmod(file, 0o640))
	require.NoError(t, os.Symlink(file, link))
	reader, err := os.Open(file)
	require.NoError(t, err)
	t.Cleanup(func() { _ = reader.Close() })

	got := runTool(t, environment(server), "audit", "-prometheus", "-out", link)
	old, err := io.ReadAll(reader)
	require.NoError(t, err)
	entries, err := os.ReadDir(folder)
	require.NoError(t, err)

	assert.Equal(t, 3, got.code)
	assert.Equal(t, "old", string(old), "who reads it meanwhile sees all of the old content")
	assert.Contains(t, readFile(t, file), "# HELP")
	assert.Len(t, entries, 2, "nothing is left behind")
	info, err := os.Lstat(file)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o640), info.Mode())
}

func TestAuditWritesADeviceAsItIs(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	server := newAudit(t)
	cmd := newTool(t, environment(server), "audit", "-json", "-out", "/dev/stderr")

	got := finish(t, cmd)
	full := runTool(t, environment(server), "audit", "-json", "-out", openFullDevice(t).Name())

	assert.Contains(t, got.stderr, `"findings"`)
	assert.Equal(t, 1, full.code)
	assert.Contains(t, full.stderr, "no space left on device")
}

// A script with "set -e" ends there, and the old metrics stay.
func TestFailedAuditKeepsTheFile(t *testing.T) {
	t.Parallel()
	server := newAudit(t)
	server.Inject(palettetest.Fault{Method: http.MethodGet, Status: http.StatusInternalServerError})
	file := writeFile(t, "old")

	got := runTool(t, environment(server), "audit", "-prometheus", "-out", file)

	assert.Equal(t, 1, got.code)
	assert.Empty(t, got.stdout)
	assert.Equal(t, "old", readFile(t, file))
}

func TestAuditKnowsWhatARotationHasReplaced(t *testing.T) {
	t.Parallel()
	server, file, env := newRotation(t)
	rotated := runTool(t, env, "rotate", "-name", "ci", "-valid-for", "90d", "-overlap", "1h", "-out", file)
	require.Zero(t, rotated.code, rotated.stderr)
	marks := server.Keys()[0].Annotations
	server.AddKey(palettetest.Key{
		UID: "rogue", Name: "rogue", UserUID: bob, Active: true, Expiry: time.Now().Add(time.Hour), Annotations: marks,
	})
	staff := writeFile(t, alice)

	assert.Equal(t, map[string][]string{"rogue": {"expiring"}}, findings(t, server), "anybody can write the mark")
	assert.Equal(t, []string{"unlisted"}, findings(t, server, "-owners", staff)["old"])
	metrics := runTool(t, env, "audit", "-prometheus")
	assert.NotContains(t, metrics.stdout, `uid="old"`)
	assert.Contains(t, metrics.stdout, `uid="rogue"`)
}

func TestAuditWithoutKeys(t *testing.T) {
	t.Parallel()
	env := startServe(t)

	table, document, list := runTool(t, env, "audit"), runTool(t, env, "audit", "-json"), runTool(t, env, "list", "-json")

	assert.Equal(t, result{}, table, "cron would send a mail")
	assert.Equal(t, result{stdout: "{\n  \"items\": []\n}\n"}, document)
	assert.Equal(t, document, list)
}
