package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/programtest"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestMain(m *testing.M) { programtest.Main(m, main) }

const (
	gone  = "66e844c44bab2337f20c7471"
	stays = "0123456789abcdef01234567"
)

// newServer has n keys of a user who is gone, and one of a user who stays.
func newServer(t *testing.T, n int, opts ...palettetest.Option) *palettetest.Server {
	t.Helper()
	server := palettetest.NewServer(append(opts, palettetest.WithUser(palettetest.User{UID: stays}))...)
	t.Cleanup(server.Close)
	server.AddKey(palettetest.Key{Name: "of-somebody-else", UserUID: stays, Active: true})
	for i := range n {
		server.AddKey(palettetest.Key{
			UID: fmt.Sprintf("key-%03d", i), Name: fmt.Sprintf("job %03d", i), UserUID: gone,
			Active: true, Expiry: time.Now().Add(time.Hour),
		})
	}
	return server
}

// offboard runs the program at a rate at which tests end soon.
func offboard(t *testing.T, server *palettetest.Server, args ...string) programtest.Result {
	t.Helper()
	env := []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + server.APIKey}
	return programtest.Run(t, env, append([]string{"-user", gone, "-rate", "400"}, args...)...)
}

func left(server *palettetest.Server) (n int) {
	for _, key := range server.Keys() {
		if key.UserUID == gone {
			n++
		}
	}
	return n
}

func assertOthersAreUntouched(t *testing.T, server *palettetest.Server) {
	t.Helper()
	keys := server.Keys()
	require.NotEmpty(t, keys)
	assert.Equal(t, "of-somebody-else", keys[0].Name)
	assert.True(t, keys[0].Active)
}

func TestWithoutYesTheKeysAreShown(t *testing.T) {
	t.Parallel()
	server := newServer(t, 0)
	expiry := time.Date(2098, 1, 31, 12, 0, 0, 0, time.UTC)
	server.AddKey(palettetest.Key{UID: "a", Name: "ci", UserUID: gone, Active: true, Expiry: expiry})
	server.AddKey(palettetest.Key{UID: "b", Name: "\x1b[2J", UserUID: gone})
	got := offboard(t, server)
	assert.Equal(t, 1, got.Code)
	assert.Equal(t, strings.TrimPrefix(`
NAME       UID  ACTIVE  EXPIRY
ci         a    yes     2098-01-31T12:00:00Z
"\x1b[2J"  b    no      never
`, "\n"), got.Stdout)
	assert.Contains(t, got.Stderr, "-yes")
	assert.Len(t, server.Requests(), 1)

	server = newServer(t, 0)
	got = offboard(t, server)
	assert.Zero(t, got.Code)
	assert.Contains(t, got.Stdout, "no key of user "+gone)
}

func TestAllKeysAreRevokedBeforeTheFirstIsDeleted(t *testing.T) {
	t.Parallel()
	server := newServer(t, 30)
	server.AddKey(palettetest.Key{Name: "inactive", UserUID: gone})
	got := offboard(t, server, "-yes")
	require.Zero(t, got.Code, got.Stderr)
	assert.Equal(t, "Revoked 30 of 30, deleted 31 of 31.\n", got.Stdout)
	assert.Zero(t, left(server))
	assertOthersAreUntouched(t, server)

	var order []string
	for _, req := range server.Requests() {
		if len(order) == 0 || order[len(order)-1] != req.Method {
			order = append(order, req.Method)
		}
	}
	assert.Equal(t, []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodGet}, order)
	assert.Contains(t, got.Stderr, "revoked 3 of 30\n")
	assert.Contains(t, got.Stderr, "deleted 31 of 31\n")
	assert.NotContains(t, got.Stderr, "\r", "it is not a terminal")

	got = offboard(t, server, "-yes")
	assert.Zero(t, got.Code, "nothing to do is done")
}

// One reply in ten is broken, in a different way each time, while the server
// keeps to its rate limit.
func TestTwoHundredKeysGoThroughABadConnection(t *testing.T) {
	t.Parallel()
	server := newServer(t, 200, palettetest.WithRateLimit(400, 50))
	broken := []palettetest.Fault{
		{Status: http.StatusServiceUnavailable},
		{Cut: palettetest.CutAfter},
		{Status: http.StatusTooManyRequests},
		{Cut: palettetest.CutBefore},
		{Cut: palettetest.CutReply},
		{Status: http.StatusBadGateway, ContentType: "text/html", Body: "<h1>sorry</h1>"},
		{Status: http.StatusInternalServerError, Body: `{"code":"Boom"}`, Method: http.MethodDelete}, // not asked again
	}
	for i := range 60 {
		fault := broken[i%len(broken)]
		fault.Skip = 9 * (i + 1) // the ones that an earlier fault strikes do not count
		server.Inject(fault)
	}
	got := offboard(t, server, "-yes")
	assertHonest(t, server, got)
	assert.Greater(t, len(server.Requests()), 400+30)
	if got.Code != 0 {
		assert.Contains(t, got.Stderr, "500 Boom")
		got = offboard(t, server, "-yes")
		assertHonest(t, server, got)
	}
	assert.Zero(t, got.Code, got.Stderr)
	assert.Zero(t, left(server))
	assertOthersAreUntouched(t, server)
}

// assertHonest compares what the program says with the server's books.
func assertHonest(t *testing.T, server *palettetest.Server, got programtest.Result) {
	t.Helper()
	n := left(server)
	assert.Equal(t, n > 0, got.Code == 1, got.Stderr)
	assert.Equal(t, n, strings.Count(got.Stderr, "offboard: left: "), got.Stderr)
}

func TestOneFailureDoesNotStopTheOthersAndASecondRunFinishes(t *testing.T) {
	t.Parallel()
	server := newServer(t, 20)
	boom := palettetest.Fault{Status: http.StatusInternalServerError, Body: `{"code":"Boom"}`}
	boom.Method, boom.Path = http.MethodPut, "/v1/apiKeys/key-003/state"
	server.Inject(boom)
	boom.Method, boom.Path = http.MethodDelete, "/v1/apiKeys/key-005"
	server.Inject(boom)
	boom.Path = "/v1/apiKeys/key-007"
	server.Inject(boom)

	got := offboard(t, server, "-yes")
	assert.Equal(t, 1, got.Code)
	assert.Equal(t, "Revoked 19 of 20, deleted 18 of 20.\n", got.Stdout)
	assert.Contains(t, got.Stderr, "offboard: left: job 005 (key-005): palette: apiKeys.delete: 500 Boom")
	assert.Contains(t, got.Stderr, "offboard: left: job 007 (key-007)")
	assert.Contains(t, got.Stderr, "offboard: keys left: 2; run again\n")
	assertHonest(t, server, got)
	for _, key := range server.Keys()[1:] {
		assert.False(t, key.Active, "what is left is revoked at least")
	}

	got = offboard(t, server, "-yes")
	assert.Zero(t, got.Code, got.Stderr)
	assert.Equal(t, "Revoked 0 of 0, deleted 2 of 2.\n", got.Stdout)
	assert.Zero(t, left(server))
}

func TestAKeyMadeInTheMeantimeIsNoticed(t *testing.T) {
	t.Parallel()
	server := newServer(t, 3)
	var once atomic.Bool
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodDelete && once.CompareAndSwap(false, true) {
			server.AddKey(palettetest.Key{Name: "late", UserUID: gone, Active: true})
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	env := []string{"PALETTE_HOST=" + front.URL, "PALETTE_API_KEY=" + server.APIKey}
	got := programtest.Run(t, env, "-user", gone, "-yes")
	assert.Equal(t, 1, got.Code)
	assert.Contains(t, got.Stderr, "left: late")
	assert.Contains(t, got.Stderr, "made in the meantime")
}

func TestAKeyThatTakesItsOwnAccessAwayEndsTheRun(t *testing.T) {
	t.Parallel()
	server := newServer(t, 40)
	_, own := server.AddKey(palettetest.Key{Name: "own", UserUID: gone, Active: true})
	env := []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + own}
	got := programtest.Run(t, env, "-user", gone, "-yes", "-rate", "200")
	assert.Equal(t, 1, got.Code)
	assert.Contains(t, got.Stderr, "keys left, as far as known: ")
	assert.Contains(t, got.Stderr, "401")
	assert.Less(t, len(server.Requests()), 70, "what must fail is not tried")
	assert.Positive(t, left(server))
}

func TestTheRateIsKept(t *testing.T) {
	t.Parallel()
	server := newServer(t, 30)
	start := time.Now()
	got := offboard(t, server, "-yes", "-rate", "25")
	require.Zero(t, got.Code, got.Stderr)
	require.Len(t, server.Requests(), 62)
	assert.Greater(t, time.Since(start), 400*time.Millisecond, "50 requests at once, and 12 more at 25 a second")
}

func TestCtrlCSaysWhatIsLeft(t *testing.T) {
	t.Parallel()
	server := newServer(t, 20)
	arrived := make(chan struct{})
	var count atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := count.Add(1); r.Method == http.MethodDelete && n > 26 { // list, 20 to revoke, 5 to delete
			if n == 27 {
				close(arrived)
			}
			<-r.Context().Done()
			return
		}
		server.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	env := []string{"PALETTE_HOST=" + front.URL, "PALETTE_API_KEY=" + server.APIKey}
	program, finish := programtest.Start(t, env, "-user", gone, "-yes")
	require.NoError(t, program.Start())
	<-arrived
	require.NoError(t, program.Process.Signal(os.Interrupt))
	got := finish()
	assert.Equal(t, 1, got.Code)
	assert.Contains(t, got.Stdout, "Revoked 20 of 20, deleted ")
	assert.Contains(t, got.Stderr, "offboard: keys left, as far as known: ")
	assert.Equal(t, 15, left(server))
	assert.Zero(t, offboard(t, server, "-yes").Code)
	assert.Zero(t, left(server))
}

func TestAListThatCannotBeReadIsExitCode2(t *testing.T) {
	t.Parallel()
	server := newServer(t, 3)
	for name, test := range map[string]struct {
		env  []string
		want string
	}{
		"wrong key":          {[]string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=wrong"}, "401"},
		"host without a key": {[]string{"PALETTE_HOST=" + server.URL}, "no credential"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := programtest.Run(t, test.env, "-user", gone, "-yes")
			assert.Equal(t, 2, got.Code)
			assert.Empty(t, got.Stdout)
			assert.Contains(t, got.Stderr, test.want)
			assert.Equal(t, 1, strings.Count(got.Stderr, "\n"), got.Stderr)
		})
	}

	last := newServer(t, 3)
	last.Inject(palettetest.Fault{Method: http.MethodGet, Skip: 1, Status: http.StatusInternalServerError})
	got := offboard(t, last, "-yes")
	assert.Equal(t, 2, got.Code)
	assert.Contains(t, got.Stderr, "could not be checked")
}

func TestFlagsThatMakeNoSenseSendNothing(t *testing.T) {
	t.Parallel()
	server := newServer(t, 1)
	env := []string{"PALETTE_HOST=" + server.URL, "PALETTE_API_KEY=" + server.APIKey}
	for _, args := range [][]string{
		{},
		{"-yes"},
		{"-user", gone, "stray"},
		{"-nonsense"},
		{"-user", gone, "-rate", "0"},
		{"-user", gone, "-rate", "NaN"},
		{"-user", gone, "-rate", "+Inf"},
	} {
		got := programtest.Run(t, env, args...)
		assert.Equal(t, 2, got.Code, args)
		assert.NotEmpty(t, got.Stderr, args)
	}
	assert.Zero(t, programtest.Run(t, nil, "-h").Code)
	assert.Empty(t, server.Requests())
}

func TestWithoutCredentialNothingLeavesTheMachine(t *testing.T) {
	t.Parallel()
	got := programtest.Run(t, nil, "-user", gone, "-yes")
	assert.Zero(t, got.Code)
	assert.Contains(t, got.Stderr, "nothing leaves this machine")
	assert.Equal(t, "Revoked 9 of 9, deleted 12 of 12.\n", got.Stdout)
}

func TestOnATerminalOneLineChanges(t *testing.T) {
	t.Parallel()
	var screen bytes.Buffer
	p := progress{w: &screen, updating: true, what: "revoked", total: 3}
	for range 3 {
		p.step()
	}
	p.end()
	assert.Equal(t, "\rrevoked 1 of 3\rrevoked 2 of 3\rrevoked 3 of 3\n", screen.String())
}

func TestWhatATerminalIs(t *testing.T) {
	t.Parallel()
	assert.False(t, isTerminal(&bytes.Buffer{}))
	file, err := os.CreateTemp(t.TempDir(), "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = file.Close() })
	assert.False(t, isTerminal(file))
	if terminal, err := os.Open("/dev/ptmx"); err == nil {
		t.Cleanup(func() { _ = terminal.Close() })
		assert.True(t, isTerminal(terminal))
	}
}
