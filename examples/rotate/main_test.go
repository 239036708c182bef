package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
	anna   = "0123456789abcdef01234567"
	oldUID = "66e844c44bab2337f20c7471"
)

// scene is a key of Anna's that is to be replaced, and the place of the new one.
type scene struct {
	server   *palettetest.Server
	old      string // the value of the key
	dir, out string
}

func newScene(t *testing.T, opts ...palettetest.Option) *scene {
	t.Helper()
	opts = append(opts, palettetest.WithUser(palettetest.User{UID: anna, FirstName: "Anna"}))
	s := &scene{server: palettetest.NewServer(opts...), dir: t.TempDir()}
	t.Cleanup(s.server.Close)
	_, s.old = s.server.AddKey(palettetest.Key{
		UID: oldUID, Name: "ci", UserUID: anna, Active: true, Expiry: time.Now().Add(time.Hour),
		Annotations: map[string]string{"description": "builds", annotationRotates: "long-gone", annotationStore: "sha256:0"},
		Labels:      map[string]string{"team": "x"},
	})
	s.out = filepath.Join(s.dir, "ci.key")
	return s
}

func (s *scene) environment(key string) []string {
	return []string{"PALETTE_HOST=" + s.server.URL, "PALETTE_API_KEY=" + key}
}

// rotate runs the program as an administrator.
func (s *scene) rotate(t *testing.T, args ...string) programtest.Result {
	t.Helper()
	return programtest.Run(t, s.environment(s.server.APIKey), args...)
}

func (s *scene) stored(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile(s.out)
	if !errors.Is(err, os.ErrNotExist) {
		require.NoError(t, err)
	}
	return string(content)
}

// letsIn reports whether value authenticates.
func (s *scene) letsIn(t *testing.T, value string) bool {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/v1/apiKeys", nil)
	require.NoError(t, err)
	req.Header.Set("ApiKey", value)
	rec := httptest.NewRecorder()
	s.server.ServeHTTP(rec, req)
	return value != "" && rec.Code == http.StatusOK
}

// key returns the key with a uid, if it is there.
func (s *scene) key(uid string) (found palettetest.Key, ok bool) {
	for _, key := range s.server.Keys() {
		if key.UID == uid {
			return key, true
		}
	}
	return found, false
}

func (s *scene) successors() (all []palettetest.Key) {
	for _, key := range s.server.Keys() {
		if key.Annotations[annotationRotates] == oldUID {
			all = append(all, key)
		}
	}
	return all
}

// assertDone asserts that one successor has taken the place of the old key.
func (s *scene) assertDone(t *testing.T) {
	t.Helper()
	if old, ok := s.key(oldUID); ok {
		assert.False(t, old.Active)
	}
	assert.False(t, s.letsIn(t, s.old))
	assert.True(t, s.letsIn(t, s.stored(t)), "the key in the file works")
	require.Len(t, s.successors(), 1)
	assert.True(t, s.successors()[0].Active)
	assert.Equal(t, anna, s.successors()[0].UserUID)
	s.assertOnlyTheFile(t)
}

// assertUntouched asserts that the old key is the only one and works.
func (s *scene) assertUntouched(t *testing.T) {
	t.Helper()
	assert.True(t, s.letsIn(t, s.old))
	assert.Empty(t, s.successors())
}

func (s *scene) assertOnlyTheFile(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(s.dir)
	require.NoError(t, err)
	for _, entry := range entries {
		assert.Equal(t, "ci.key", entry.Name())
	}
}

// creates is how many creates were sent.
func (s *scene) creates() (n int) {
	for _, req := range s.server.Requests() {
		if req.Method == http.MethodPost {
			n++
		}
	}
	return n
}

// lookPath finds a program for the one under test, which runs without PATH.
func lookPath(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skip(err)
	}
	return path
}

func TestTheSuccessorIsLikeTheOldKeyAndInTheFile(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	got := s.rotate(t, "-uid", oldUID, "-out", s.out, "-expires", "2h")
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
	_, ok := s.key(oldUID)
	assert.False(t, ok, "the old key is deleted")

	next := s.successors()[0]
	assert.Equal(t, "ci", next.Name)
	assert.Equal(t, map[string]string{"team": "x"}, next.Labels)
	assert.Equal(t, map[string]string{
		"description": "builds", annotationRotates: oldUID, annotationStore: hash(s.stored(t)),
		// PUT replaces: what the server added went back to it
		"ownerUid": anna, "scope": "tenant", "scopeVisibility": "20",
		"tenantUid": next.Annotations["tenantUid"], "permissions": next.Annotations["permissions"],
	}, next.Annotations)
	assert.WithinRange(t, next.Expiry, time.Now().Add(time.Hour), time.Now().Add(2*time.Hour))
	for _, req := range s.server.Requests() {
		if req.Method == http.MethodPost {
			assert.NotContains(t, string(req.Body), "ownerUid")
			assert.NotContains(t, string(req.Body), "sha256:0")
		}
	}

	assert.Len(t, s.stored(t), 44, "without a newline")
	assert.NotContains(t, got.Stdout+got.Stderr, s.stored(t))
	if runtime.GOOS != "windows" {
		info, err := os.Stat(s.out)
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o600), info.Mode())
	}
}

func TestAFileIsReplacedAndALinkStays(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	elsewhere := t.TempDir()
	target := filepath.Join(elsewhere, "target")
	require.NoError(t, os.WriteFile(target, []byte("something long that was there before, and is not to shine through\n"), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(elsewhere, ".target.new-123"), []byte("of a run that was killed"), 0o600))
	require.NoError(t, os.Symlink(target, s.out))
	got := s.rotate(t, "-name", "ci", "-out", s.out)
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
	info, err := os.Lstat(s.out)
	require.NoError(t, err)
	assert.NotZero(t, info.Mode()&os.ModeSymlink)
	info, err = os.Stat(target)
	require.NoError(t, err)
	assert.Equal(t, os.FileMode(0o600), info.Mode())
	entries, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	assert.Len(t, entries, 1)
}

func TestACommandGetsTheKeyOnStandardInput(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	got := s.rotate(t, "-uid", oldUID, "--", lookPath(t, "tee"), s.out)
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
	assert.Equal(t, s.stored(t), got.Stdout, "what the command prints is passed on")
	assert.NotContains(t, got.Stderr, s.stored(t))
}

func TestTheKeyItRunsWithIsReplaced(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	require.NoError(t, os.WriteFile(s.out, []byte(s.old), 0o600))
	got := programtest.Run(t, s.environment(s.old), "-uid", oldUID, "-out", s.out)
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
	_, ok := s.key(oldUID)
	assert.False(t, ok)

	value := s.stored(t)
	again := programtest.Run(t, s.environment(s.old), "-uid", oldUID, "-out", s.out)
	require.Zero(t, again.Code, again.Stderr)
	assert.Contains(t, again.Stderr, "does not work any more")
	assert.Contains(t, again.Stderr, "Done")
	s.assertDone(t)
	assert.Equal(t, value, s.stored(t), "done is done")
}

func TestByNameEveryRunRotatesAgain(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	var before string
	for range 3 {
		got := s.rotate(t, "-name", "ci", "-out", s.out)
		require.Zero(t, got.Code, got.Stderr)
		require.Len(t, s.server.Keys(), 1)
		assert.NotEqual(t, before, s.stored(t))
		before = s.stored(t)
		assert.True(t, s.letsIn(t, before))
	}
}

func TestAfterTheGraceTheNextRunDeletesTheOldKey(t *testing.T) {
	t.Parallel()
	s := newScene(t, palettetest.WithClock(func() time.Time { return time.Now().Add(-2 * time.Hour) }))
	for _, grace := range []string{"24h", "3h"} {
		got := s.rotate(t, "-name", "ci", "-out", s.out, "-grace", grace)
		require.Zero(t, got.Code, got.Stderr)
		s.assertDone(t)
		_, ok := s.key(oldUID)
		assert.True(t, ok, "kept")
		assert.Contains(t, got.Stderr, "run again after")
	}
	got := s.rotate(t, "-name", "ci", "-out", s.out, "-grace", "1h") // the server's clock revoked it two hours ago
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
	_, ok := s.key(oldUID)
	assert.False(t, ok)
	assert.Equal(t, 1, s.creates())
}

func TestAKeyThatIsRevokedAlreadyGetsASuccessor(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	uid, _ := s.server.AddKey(palettetest.Key{Name: "revoked", UserUID: anna})
	got := s.rotate(t, "-name", "revoked", "-out", s.out)
	require.Zero(t, got.Code, got.Stderr)
	assert.True(t, s.letsIn(t, s.stored(t)))
	_, ok := s.key(uid)
	assert.False(t, ok)
}

func TestALostReplyToTheCreateLeavesNoKeyBehind(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]palettetest.Fault{
		"no reply":          {Cut: palettetest.CutAfter},
		"half a reply":      {Cut: palettetest.CutReply},
		"not done at all":   {Cut: palettetest.CutBefore},
		"a gateway's error": {Status: http.StatusGatewayTimeout, ContentType: "text/html", Body: "<h1>sorry</h1>"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			fault.Method = http.MethodPost
			s.server.Inject(fault)
			got := s.rotate(t, "-uid", oldUID, "-out", s.out)
			require.Zero(t, got.Code, got.Stderr)
			s.assertDone(t)
		})
	}
}

func TestWhenTheOutcomeStaysUnknownTheNextRunCleansUp(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.server.Inject(palettetest.Fault{Method: http.MethodPost, Cut: palettetest.CutAfter, Times: 3})
	got := s.rotate(t, "-uid", oldUID, "-out", s.out)
	assert.Equal(t, 1, got.Code)
	assert.Contains(t, got.Stderr, "key "+oldUID+" still works")
	assert.Contains(t, got.Stderr, "a successor may have been made")
	assert.True(t, s.letsIn(t, s.old))

	got = s.rotate(t, "-uid", oldUID, "-out", s.out)
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
}

func TestTheLimitOfKeysIsNamed(t *testing.T) {
	t.Parallel()
	s := newScene(t, palettetest.WithKeyLimit(2))
	uid, _ := s.server.AddKey(palettetest.Key{Name: "other", UserUID: anna, Active: true})
	got := s.rotate(t, "-uid", oldUID, "-out", s.out)
	assert.Equal(t, 1, got.Code)
	assert.Contains(t, got.Stderr, "ResourceLimitExceeded")
	assert.Contains(t, got.Stderr, "key "+oldUID+" still works")
	assert.Contains(t, got.Stderr, "delete one first")
	assertOneLine(t, got)
	s.assertUntouched(t)
	_, ok := s.key(uid)
	assert.True(t, ok)
}

func TestAtTheLimitOfKeysALeftoverMakesRoom(t *testing.T) {
	t.Parallel()
	s := newScene(t, palettetest.WithKeyLimit(2))
	s.server.Inject(palettetest.Fault{Method: http.MethodPost, Cut: palettetest.CutAfter})
	got := s.rotate(t, "-uid", oldUID, "-out", s.out)
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
}

func TestACommandThatFailsLeavesTheOldKey(t *testing.T) {
	t.Parallel()
	for name, command := range map[string][]string{
		"exit code":   {lookPath(t, "false")},
		"not a name":  {filepath.Join(t.TempDir(), "nothing")},
		"not to read": {lookPath(t, "sh"), "-c", "exec <&-; exit 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			got := s.rotate(t, append([]string{"-uid", oldUID, "--"}, command...)...)
			assert.Equal(t, 1, got.Code)
			assert.Contains(t, got.Stderr, "key "+oldUID+" still works")
			s.assertUntouched(t)
		})
	}

	s := newScene(t)
	s.server.Inject(palettetest.Fault{Method: http.MethodDelete, Status: http.StatusInternalServerError})
	got := s.rotate(t, "-uid", oldUID, "--", lookPath(t, "false"))
	assert.Equal(t, 1, got.Code)
	require.Len(t, s.successors(), 1)
	assert.Contains(t, got.Stderr, "successor "+s.successors()[0].UID+" exists and is not stored")
	assert.True(t, s.letsIn(t, s.old))

	got = s.rotate(t, "-uid", oldUID, "--", lookPath(t, "tee"), s.out)
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
}

func TestAPlaceThatCannotBeWrittenIsFoundBeforeAKeyIsMade(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	file := filepath.Join(s.dir, "ci.key")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	locked := filepath.Join(t.TempDir(), "locked")
	require.NoError(t, os.Mkdir(locked, 0o500))
	places := map[string]string{
		"no directory": filepath.Join(s.dir, "nothing", "ci.key"),
		"below a file": filepath.Join(file, "ci.key"),
		"a directory":  s.dir,
		"a device":     os.DevNull,
		"a locked one": filepath.Join(locked, "ci.key"),
	}
	if os.Geteuid() == 0 {
		delete(places, "a locked one") // it is not, for root
	}
	for name, place := range places {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := s.rotate(t, "-uid", oldUID, "-out", place)
			assert.Equal(t, 1, got.Code)
			assertOneLine(t, got)
			assert.Contains(t, got.Stderr, "this run has changed nothing: key "+oldUID+" still works")
			assert.Zero(t, s.creates())
		})
	}
}

func TestWhateverFailsOneKeyWorksAndTheNextRunFinishes(t *testing.T) {
	t.Parallel()
	boom := func(method, path string) palettetest.Fault {
		return palettetest.Fault{Method: method, Path: path, Status: http.StatusInternalServerError, Body: `{"code":"Boom"}`}
	}
	one, refused := "/v1/apiKeys/{uid}", boom(http.MethodGet, "/v1/apiKeys/{uid}")
	refused.Status = http.StatusUnauthorized
	for name, test := range map[string]struct {
		fault palettetest.Fault
		says  string
	}{
		"list":   {boom(http.MethodGet, "/v1/apiKeys"), "changed nothing"},
		"proof":  {refused, "was deleted again"},
		"mark":   {boom(http.MethodPut, one), "was deleted again"},
		"revoke": {boom(http.MethodPut, one+"/state"), "may be revoked already"},
		"delete": {boom(http.MethodDelete, one), "to delete what is left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			require.NoError(t, os.WriteFile(s.out, []byte(s.old), 0o600))
			s.server.Inject(test.fault)
			got := s.rotate(t, "-uid", oldUID, "-out", s.out)
			assert.Equal(t, 1, got.Code)
			assert.Contains(t, lastLine(got), test.says)
			assert.True(t, s.letsIn(t, s.stored(t)), "what is in the file works")
			if stored := s.stored(t) != s.old; !stored {
				s.assertUntouched(t)
			}

			got = s.rotate(t, "-uid", oldUID, "-out", s.out)
			require.Zero(t, got.Code, got.Stderr)
			s.assertDone(t)
		})
	}
}

// A user whose role allows nothing but keys of one's own, and not to read them,
// is known to the server all the same.
func TestToBeLetInIsTheProof(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, fault := range []palettetest.Fault{
		{Method: http.MethodGet, Path: "/v1/apiKeys/{uid}"},
		{Method: http.MethodPut, Path: "/v1/apiKeys/{uid}/state"},
		{Method: http.MethodDelete},
	} {
		fault.Status, fault.Body = http.StatusForbidden, `{"code":"OperationForbidden"}`
		s.server.Inject(fault)
	}
	got := s.rotate(t, "-uid", oldUID, "-out", s.out)
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
}

// Killed at any request, before or after the server did its work, the program
// leaves a key that works, and the next run finishes.
func TestKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	tee := lookPath(t, "tee")
	for _, mode := range []string{"file", "command"} {
		for _, self := range []bool{false, true} {
			for _, done := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/self=%t/done=%t", mode, self, done), func(t *testing.T) {
					t.Parallel()
					n := 1
					for ; killedAndResumed(t, n, mode, tee, self, done); n++ {
					}
					assert.Equal(t, 7, n, "list, create, proof, mark, revoke and delete were each killed once")
				})
			}
		}
	}
}

// killedAndResumed reports false when there is no n-th request to be killed at.
func killedAndResumed(t *testing.T, n int, mode, tee string, self, done bool) bool {
	t.Helper()
	s := newScene(t)
	require.NoError(t, os.WriteFile(s.out, []byte(s.old), 0o600))
	key, args := s.server.APIKey, []string{"-uid", oldUID, "-out", s.out}
	if self {
		key = s.old
	}
	if mode == "command" {
		args = []string{"-uid", oldUID, "--", tee, s.out}
	}
	killed := killAt(t, s, n, done, key, args)
	require.True(t, s.letsIn(t, s.old) || s.letsIn(t, s.stored(t)), "killed at request %d", n)

	got := programtest.Run(t, s.environment(key), args...)
	if mode == "command" && self && got.Code != 0 { // as documented: the next run needs the new key
		assert.False(t, s.letsIn(t, s.old))
		got = programtest.Run(t, s.environment(s.stored(t)), args...)
	}
	require.Zero(t, got.Code, "killed at request %d: %s", n, got.Stderr)
	s.assertDone(t)
	assert.Len(t, s.server.Keys(), 1, "killed at request %d: %s", n, got.Stderr)
	if mode == "file" && n > 4 {
		assert.Equal(t, 1, s.creates(), "what was stored is not made again")
	}
	return killed
}

// killAt kills the program at its n-th request, which the server has carried out
// by then or never will. It reports false when the program had an end before.
func killAt(t *testing.T, s *scene, n int, done bool, key string, args []string) (killed bool) {
	t.Helper()
	reached := make(chan struct{})
	var count atomic.Int64
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if count.Add(1) != int64(n) {
			s.server.ServeHTTP(w, r)
			return
		}
		if done {
			s.server.ServeHTTP(httptest.NewRecorder(), r)
		} else {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		close(reached)
		<-r.Context().Done()
	}))
	defer front.Close()
	program, finish := programtest.Start(t, []string{"PALETTE_HOST=" + front.URL, "PALETTE_API_KEY=" + key}, args...)
	require.NoError(t, program.Start())
	ended := make(chan programtest.Result, 1)
	go func() { ended <- finish() }()
	select {
	case <-reached:
		require.NoError(t, program.Process.Kill())
		<-ended
		return true
	case got := <-ended:
		require.Zero(t, got.Code, got.Stderr)
		return false
	}
}

func TestCtrlCSaysWhatExists(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	arrived := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.server.ServeHTTP(w, r)
		if r.Method == http.MethodPost {
			close(arrived)
			<-r.Context().Done()
		}
	}))
	t.Cleanup(front.Close)
	program, finish := programtest.Start(t, []string{"PALETTE_HOST=" + front.URL, "PALETTE_API_KEY=" + s.server.APIKey}, "-uid", oldUID, "-out", s.out)
	require.NoError(t, program.Start())
	<-arrived
	require.NoError(t, program.Process.Signal(os.Interrupt))
	got := finish()
	assert.Equal(t, 1, got.Code)
	assertOneLine(t, got)
	assert.Contains(t, got.Stderr, "still works; a successor may have been made")
	s.assertOnlyTheFile(t)

	got = s.rotate(t, "-uid", oldUID, "-out", s.out)
	require.Zero(t, got.Code, got.Stderr)
	s.assertDone(t)
}

func TestCtrlCWhileTheCommandRunsDeletesTheSuccessor(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	program, finish := programtest.Start(t, s.environment(s.server.APIKey),
		"-uid", oldUID, "--", lookPath(t, "sh"), "-c", "echo started; exec "+lookPath(t, "sleep")+" 600")
	output, stdout := io.Pipe()
	program.Stdout = stdout
	require.NoError(t, program.Start())
	_, err := output.Read(make([]byte, 1))
	require.NoError(t, err)
	go func() { _, _ = io.Copy(io.Discard, output) }()
	require.NoError(t, program.Process.Signal(os.Interrupt))
	got := finish()
	assert.Equal(t, 1, got.Code)
	assert.Contains(t, lastLine(got), "key "+oldUID+" still works; the successor ")
	assert.Contains(t, lastLine(got), "was deleted again")
	s.assertUntouched(t)
}

func TestAKeyThatCannotBeMeantIsAnError(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.server.AddKey(palettetest.Key{UID: "b", Name: "twice", Active: true})
	s.server.AddKey(palettetest.Key{UID: "a", Name: "twice", Active: true})
	s.server.AddKey(palettetest.Key{UID: "c", Name: "next", Active: true, Annotations: map[string]string{annotationRotates: "gone"}})
	for want, args := range map[string][]string{
		`no key with the name "\x1b[2J"`: {"-name", "\x1b[2J"},
		"no key with the uid nothing":    {"-uid", "nothing"},
		"b and a have the same name":     {"-name", "twice"},
		"c is not stored here":           {"-uid", "gone"},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			got := s.rotate(t, append(args, "-out", s.out)...)
			assert.Equal(t, 1, got.Code)
			assert.Contains(t, got.Stderr, want)
			assertOneLine(t, got)
			assert.Zero(t, s.creates())
		})
	}
	got := programtest.Run(t, s.environment("wrong"), "-uid", oldUID, "-out", s.out)
	assert.Equal(t, 1, got.Code)
	assert.Contains(t, got.Stderr, "401")
	assertOneLine(t, got)
}

func TestFlagsThatMakeNoSenseSendNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, args := range [][]string{
		{},
		{"-uid", "u"},
		{"-out", s.out},
		{"-uid", "u", "-name", "n", "-out", s.out},
		{"-uid", "u", "-out", s.out, "--", "cat"},
		{"-uid", "u", "-out", s.out, "-expires", "0s"},
		{"-uid", "u", "-out", s.out, "-grace", "-1s"},
		{"-nonsense"},
	} {
		got := s.rotate(t, args...)
		assert.Equal(t, 2, got.Code, args)
		assert.NotEmpty(t, got.Stderr, args)
	}
	assert.Zero(t, programtest.Run(t, nil, "-h").Code)
	assert.Empty(t, s.server.Requests())
}

func TestWithoutCredentialNothingLeavesTheMachine(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "demo.key")
	got := programtest.Run(t, nil, "-name", "ci", "-out", out)
	require.Zero(t, got.Code, got.Stderr)
	assert.Contains(t, got.Stderr, "nothing leaves this machine")
	assert.FileExists(t, out)
}

func lastLine(got programtest.Result) string {
	lines := strings.Split(strings.TrimSpace(got.Stderr), "\n")
	return lines[len(lines)-1]
}

func assertOneLine(t *testing.T, got programtest.Result) {
	t.Helper()
	assert.Equal(t, 1, strings.Count(got.Stderr, "\n"), got.Stderr)
}
