package main

import (
	"encoding/json"
	"net/http"
	"regexp"
	"testing"
	"time"

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
	server.AddKey(palettetest.Key{
		UID: "r", Name: "re\"vo\\ked\n\x1b", UserUID: bob, Expiry: time.Date(2098, 1, 31, 12, 0, 0, 0, time.UTC),
	})

	got := runTool(t, environment(server), "audit", "-prometheus")

	assert.Equal(t, result{code: 3, stdout: `# HELP palette_api_key_expiration_timestamp_seconds When the API key expires; +Inf if never.
# TYPE palette_api_key_expiration_timestamp_seconds gauge
palette_api_key_expiration_timestamp_seconds{uid="n",name="never",owner="` + alice + `"} +Inf
palette_api_key_expiration_timestamp_seconds{uid="r",name="re\"vo\\ked\n\\u001b",owner="` + bob + `"} 4042008000
# HELP palette_api_key_active 1 if the API key is active, 0 if it is not.
# TYPE palette_api_key_active gauge
palette_api_key_active{uid="n",name="never",owner="` + alice + `"} 1
palette_api_key_active{uid="r",name="re\"vo\\ked\n\\u001b",owner="` + bob + `"} 0
`}, got)
}

func TestAuditWithoutKeys(t *testing.T) {
	t.Parallel()
	env := startServe(t)

	table, document, list := runTool(t, env, "audit"), runTool(t, env, "audit", "-json"), runTool(t, env, "list", "-json")

	assert.Equal(t, 0, table.code)
	assert.Equal(t, result{stdout: "{\n  \"items\": []\n}\n"}, document)
	assert.Equal(t, document, list)
}

func TestFailedAuditPrintsNothing(t *testing.T) {
	t.Parallel()
	server := newAudit(t)
	server.Inject(palettetest.Fault{Method: http.MethodGet, Status: http.StatusInternalServerError})

	got := runTool(t, environment(server), "audit", "-prometheus")

	assert.Equal(t, 1, got.code)
	assert.Empty(t, got.stdout)
}
