package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/programtest"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

const day = 24 * time.Hour

func newServer(t *testing.T, opts ...palettetest.Option) *palettetest.Server {
	t.Helper()
	opts = append(opts, palettetest.WithUser(palettetest.User{UID: "anna", FirstName: "Anna", LastName: "Lund"}))
	server := palettetest.NewServer(opts...)
	t.Cleanup(server.Close)
	return server
}

func environment(server *palettetest.Server) []string {
	return []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + server.APIKey}
}

// fill adds one key of each kind. The half units keep what is printed the same
// however long the test takes.
func fill(server *palettetest.Server) {
	now := time.Now()
	for _, key := range []palettetest.Key{
		{UID: "07", Name: "far", Active: true, Expiry: now.Add(400*day + day/2)},
		{UID: "02", Name: "forever", Active: true, UserUID: "anna"},
		{UID: "04", Name: "ci", Active: true, Expiry: now.Add(90*time.Minute + 30*time.Second)},
		{UID: "03", Name: "expired", Active: true, UserUID: "anna", Expiry: now.Add(-3*day - day/2)},
		{UID: "06", Name: "revoked", Expiry: now.Add(100*day + day/2), UserUID: "nobody-knows"},
		{UID: "01", Name: "Zürich 東京", Expiry: time.Time{}},
		{UID: "05", Name: "soon", Active: true, Expiry: now.Add(29*time.Hour + 30*time.Minute)},
	} {
		server.AddKey(key)
	}
}

func TestTheTableIsSortedByExpiryAndMarked(t *testing.T) {
	t.Parallel()
	server := newServer(t, palettetest.WithPageSize(2))
	fill(server)
	got := programtest.Run(t, environment(server), "-within", "24h")
	assert.Equal(t, 1, got.Code)
	assert.Empty(t, got.Stderr)
	assert.Equal(t, strings.TrimPrefix(`
NAME       UID  OWNER         ACTIVE  EXPIRES IN  MARK
Zürich 東京  01   Tenant Admin  no      never       no-expiry, inactive
forever    02   Anna Lund     yes     never       no-expiry
expired    03   Anna Lund     yes     3d ago      expired
ci         04   Tenant Admin  yes     90m         expires-soon
soon       05   Tenant Admin  yes     29h         -
revoked    06   nobody-knows  no      100d        inactive
far        07   Tenant Admin  yes     400d        -
`, "\n"), got.Stdout)
}

func TestMachinesGetJSON(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	fill(server)
	got := programtest.Run(t, environment(server), "-json")
	assert.Equal(t, 1, got.Code)
	assert.Empty(t, got.Stderr)
	var found []map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.Stdout), &found))
	require.Len(t, found, 7)
	assert.Equal(t, map[string]any{
		"name": "forever", "uid": "02", "owner": "anna", "ownerName": "Anna Lund",
		"active": true, "expiry": nil, "marks": []any{"no-expiry"},
	}, found[1])

	marks, books := map[string]any{}, map[string]time.Time{}
	for _, key := range server.Keys() {
		books[key.UID] = key.Expiry
	}
	for _, f := range found {
		uid := f["uid"].(string)
		marks[uid] = f["marks"]
		if text, ok := f["expiry"].(string); ok {
			assert.True(t, strings.HasSuffix(text, "Z"), "UTC")
			expiry, err := time.Parse(time.RFC3339, text)
			require.NoError(t, err)
			assert.WithinDuration(t, books[uid], expiry, 0)
		}
	}
	assert.Equal(t, map[string]any{
		"01": []any{"no-expiry", "inactive"}, "02": []any{"no-expiry"}, "03": []any{"expired"}, "04": []any{"expires-soon"},
		"05": []any{"expires-soon"}, "06": []any{"inactive"}, "07": []any{},
	}, marks)
}

func TestWithNothingToMarkTheExitCodeIs0(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	got := programtest.Run(t, environment(server), "-json")
	assert.Zero(t, got.Code)
	assert.Equal(t, "[]\n", got.Stdout)

	server.AddKey(palettetest.Key{Name: "fine", Active: true, Expiry: time.Now().Add(2 * time.Hour)})
	assert.Zero(t, programtest.Run(t, environment(server), "-within", "1h").Code)
	assert.Equal(t, 1, programtest.Run(t, environment(server), "-within", "3h").Code)
	assert.Zero(t, programtest.Run(t, environment(server), "-within", "0s").Code)
}

func TestNoNameControlsTheTerminal(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	const (
		csi      = "\x1b[2J\x1b]0;gone\a"
		c1       = "\u009b31m"
		override = "abc\u202etxt.exe"
	)
	for _, name := range []string{csi, c1, override, "two\nlines", "tab\tand \x7f", " ", "\U000e0041tag"} {
		server.AddKey(palettetest.Key{Name: name, Active: true, UserUID: name})
	}
	for _, args := range [][]string{nil, {"-json"}} {
		got := programtest.Run(t, environment(server), args...)
		assert.Equal(t, 1, got.Code)
		for _, r := range strings.ReplaceAll(got.Stdout, "\n", "") {
			assert.True(t, r >= ' ' && r <= '~', "%q in %q", r, got.Stdout)
		}
		assert.Contains(t, got.Stdout, `\u202e`)
		if args == nil {
			assert.Contains(t, got.Stdout, `"two\nlines"`)
			assert.Equal(t, 8, strings.Count(got.Stdout, "\n"))
			continue
		}
		var found []finding
		require.NoError(t, json.Unmarshal([]byte(got.Stdout), &found))
		var names []string
		for _, f := range found {
			names = append(names, f.Name)
		}
		assert.Subset(t, names, []string{csi, c1, override, "\U000e0041tag"}, "machines get the names as they are")
	}
}

func TestAFaultThatPassesIsNotSeen(t *testing.T) {
	t.Parallel()
	server := newServer(t, palettetest.WithPageSize(3))
	fill(server)
	server.Inject(palettetest.Fault{Status: http.StatusServiceUnavailable})
	server.Inject(palettetest.Fault{Skip: 1, Cut: palettetest.CutReply})
	got := programtest.Run(t, environment(server))
	assert.Equal(t, 1, got.Code)
	assert.Equal(t, 8, strings.Count(got.Stdout, "\n"))
}

func TestHalfAnAuditIsNotPrinted(t *testing.T) {
	t.Parallel()
	server := newServer(t, palettetest.WithPageSize(3))
	fill(server)
	server.Inject(palettetest.Fault{Skip: 1, Status: http.StatusInternalServerError, Body: `{"code":"Boom","message":"no \u001b[2J"}`})
	got := programtest.Run(t, environment(server))
	assertFailed(t, got, "Boom")
	assert.NotContains(t, got.Stderr, "\x1b")

	assertFailed(t, programtest.Run(t, []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=wrong"}), "401")
	assertFailed(t, programtest.Run(t, []string{"PALETTE_HOST=" + server.URL}), "no credential")
}

func assertFailed(t *testing.T, got programtest.Result, want string) {
	t.Helper()
	assert.Equal(t, 2, got.Code)
	assert.Empty(t, got.Stdout)
	assert.Contains(t, got.Stderr, want)
	assert.Equal(t, 1, strings.Count(got.Stderr, "\n"), got.Stderr)
}

func TestAnAuditThatNobodyCanReadIsAFailure(t *testing.T) {
	t.Parallel()
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { _ = full.Close() })
	server := newServer(t)
	for _, args := range [][]string{nil, {"-json"}} {
		program, finish := programtest.Start(t, environment(server), args...)
		program.Stdout = full
		require.NoError(t, program.Start())
		assertFailed(t, finish(), "no space left")
	}
}

func TestFlagsThatMakeNoSenseSendNothing(t *testing.T) {
	t.Parallel()
	server := newServer(t)
	for _, args := range [][]string{{"-within", "-1s"}, {"-within", "30d"}, {"-nonsense"}, {"stray"}} {
		got := programtest.Run(t, environment(server), args...)
		assert.Equal(t, 2, got.Code, args)
		assert.NotEmpty(t, got.Stderr, args)
	}
	assert.Zero(t, programtest.Run(t, nil, "-h").Code)
	assert.Empty(t, server.Requests())
}

func TestWithoutCredentialOneKeyOfEachKindIsShown(t *testing.T) {
	t.Parallel()
	got := programtest.Run(t, nil)
	assert.Equal(t, 1, got.Code)
	assert.Contains(t, got.Stderr, "nothing leaves this machine")
	for _, mark := range []string{"no-expiry", "expired", "expires-soon", "inactive", "-\n"} {
		assert.Contains(t, got.Stdout, mark)
	}
}

func TestCtrlCEndsTheProgramCleanly(t *testing.T) {
	t.Parallel()
	arrived := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	program, finish := programtest.Start(t, []string{"PALETTE_HOST=" + silent.URL, "PALETTE_API_KEY=key"})
	require.NoError(t, program.Start())
	<-arrived
	require.NoError(t, program.Process.Signal(os.Interrupt))
	assertFailed(t, finish(), "apiKeys.list")
}
