package main

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

var allFlags = []string{"-yes", "-slow", "-no-expiry", "-tenant-owner", "-rate-limit"}

func idsOf(rows []row) (ids []string) {
	for _, r := range rows {
		ids = append(ids, r.id)
	}
	return ids
}

func TestFakeIsVerified(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		credential string
		opts       []palettetest.Option
	}{
		"administrator": {},
		"user":          {credential: userKey},
		"path prefix":   {opts: []palettetest.Option{palettetest.WithPathPrefix("/gate way/palette")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newTenant(t, append(tt.opts, palettetest.WithRateLimit(10, 50))...)
			if tt.credential != "" {
				f.credential = tt.credential
			}
			bubble(t, f, func(t *testing.T) {
				got := f.run(t.Context(), allFlags...)

				assert.Equal(t, idsOf(slices.Concat(rows, lastRows)), got.rowsOf(verified), got.stdout)
				assert.Equal(t, 0, got.code, got.stderr)
				assert.Contains(t, got.stderr, "No key is left.")
				f.requireForeignKeysOnly()
			})
		})
	}
}

func TestRunWithoutFlagsTakesLessThanAMinuteAtHalfTheRate(t *testing.T) {
	t.Parallel()
	f := newTenant(t, palettetest.WithRateLimit(5, 25), palettetest.WithRateLimitStyle(palettetest.RateLimitTraefik))
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes")

		assert.Equal(t, 0, got.code, got.stderr)
		assert.Equal(t, []string{"C8", "C12", "U6", "R1"}, got.rowsOf(notTested), got.stdout)
		for _, r := range slices.Concat(rows, lastRows) {
			assert.Equal(t, r.flag != "", strings.Contains(got.line(r.id), "-"+r.flag+" tests it | not tested"), r.id)
		}
		assert.Less(t, got.took, 50*time.Second)
	})
}

// contradictions are the options of the fake that change an answer, and the rows that they
// concern.
var contradictions = []struct {
	name string
	opt  palettetest.Option
	rows []string
}{
	{"WithoutUsersInfo", palettetest.WithoutUsersInfo(), []string{"W1"}},
	{"WithNumericNotFound", palettetest.WithNumericNotFound(), []string{"E1", "D2"}},
	{"WithRepeatedCredential", palettetest.WithRepeatedCredential(), []string{"E2", "D1"}},
	{"WithCreateStatus", palettetest.WithCreateStatus(200), []string{"C1"}},
	{"WithUIDOfUser", palettetest.WithUIDOfUser(), []string{"C2"}},
	{"WithLongValues", palettetest.WithLongValues(), []string{"C3"}},
	{"WithKeyDelay", palettetest.WithKeyDelay(time.Hour), []string{"C4"}},
	{"WithListDelay", palettetest.WithListDelay(time.Hour), []string{"C5"}},
	{"WithUniqueNames", palettetest.WithUniqueNames(), []string{"C6"}},
	{"WithTenantAsOwner", palettetest.WithTenantAsOwner(), []string{"C7"}},
	{"WithStrictUserUID", palettetest.WithStrictUserUID(), []string{"C8"}},
	{"WithoutSlashAnnotations", palettetest.WithoutSlashAnnotations(), []string{"C9"}},
	{"WithExpiryInSeconds", palettetest.WithExpiryInSeconds(), []string{"C10"}},
	{"WithPastExpiry", palettetest.WithPastExpiry(), []string{"C11"}},
	{"WithDefaultExpiry", palettetest.WithDefaultExpiry(24 * time.Hour), []string{"C12"}},
	{"WithFixedLabels", palettetest.WithFixedLabels(), []string{"U1"}},
	{"WithMergedUpdates", palettetest.WithMergedUpdates(), []string{"U2"}},
	{"WithErasedAnnotations", palettetest.WithErasedAnnotations(), []string{"U3"}},
	{"WithClearedExpiry", palettetest.WithClearedExpiry(), []string{"U4"}},
	{"WithActivatingUpdates", palettetest.WithActivatingUpdates(), []string{"U5"}},
	{"WithExpiredKeysAccepted", palettetest.WithExpiredKeysAccepted(), []string{"U6"}},
	{"WithIgnoredExpiry", palettetest.WithIgnoredExpiry(), []string{"U6", "U7"}},
	{"WithIgnoredPatch", palettetest.WithIgnoredPatch(), []string{"S1"}},
	{"WithNullStatus", palettetest.WithNullStatus(), []string{"S2"}},
	{"WithRevokedKeysAccepted", palettetest.WithRevokedKeysAccepted(), []string{"S3"}},
	{"WithFinalRevocation", palettetest.WithFinalRevocation(), []string{"S1", "S4"}},
	{"WithLenientBodies", palettetest.WithLenientBodies(), []string{"E3"}},
	{"WithPageSize(1)", palettetest.WithPageSize(1), []string{"L1"}},
	{"WithPageSize(50)", palettetest.WithPageSize(50), []string{"L1"}},
	{"WithDeletedKeysAccepted", palettetest.WithDeletedKeysAccepted(), []string{"D1"}},
	{"WithRepeatedDelete", palettetest.WithRepeatedDelete(), []string{"D2"}},
	{"WithRateLimit, small", palettetest.WithRateLimit(10, 30), []string{"R1"}},
	{"WithRateLimit, large", palettetest.WithRateLimit(10, 70), []string{"R1"}},
	{"WithRateLimitStyle", palettetest.WithRateLimitStyle(palettetest.RateLimitNginx), []string{"R1"}},
}

func TestEachOptionContradictsItsRows(t *testing.T) {
	t.Parallel()
	for _, tt := range contradictions {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newTenant(t, palettetest.WithRateLimit(10, 50), tt.opt)
			bubble(t, f, func(t *testing.T) {
				got := f.run(t.Context(), allFlags...)

				assert.ElementsMatch(t, tt.rows, got.rowsOf(contradicted), got.stdout)
				assert.Empty(t, got.rowsOf(unstable), got.stdout)
				assert.Equal(t, 3, got.code, got.stderr)
				f.requireForeignKeysOnly()
			})
		})
	}
}

func TestEachRowIsContradictedByAnOption(t *testing.T) {
	t.Parallel()
	covered := map[string]bool{}
	for _, c := range contradictions {
		for _, id := range c.rows {
			covered[id] = true
		}
	}
	for _, r := range slices.Concat(rows, lastRows) {
		require.True(t, covered[r.id], "no option contradicts "+r.id)
	}
	require.Len(t, covered, len(rows)+len(lastRows), fmt.Sprint(covered))
}

func TestKeyThatDoesNotWorkYetIsNotTakenForARevokedOne(t *testing.T) {
	t.Parallel()
	f := newTenant(t, palettetest.WithKeyDelay(20*time.Second), palettetest.WithRevokedKeysAccepted())
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes")

		assert.Equal(t, []string{"S3"}, got.rowsOf(contradicted), got.stdout)
		assert.Contains(t, got.line("C4"), "| works after 20 s | verified |")
	})
}

func TestReadsThatLagContradictNothing(t *testing.T) {
	t.Parallel()
	type cached struct {
		at   time.Time
		body string
	}
	f := newTenant(t)
	cache := map[string]cached{}
	isRead := func(req *http.Request) bool {
		return req.Method == http.MethodGet && strings.HasPrefix(req.URL.Path, "/v1/apiKeys/")
	}
	f.before = func(_ int, req *http.Request) (*http.Response, error) {
		if c, ok := cache[req.URL.Path]; ok && isRead(req) && time.Since(c.at) < 5*time.Second {
			return respond(http.StatusOK, c.body), nil
		}
		return nil, nil
	}
	f.after = func(_ int, req *http.Request, resp *http.Response) (*http.Response, error) {
		if isRead(req) && resp.StatusCode == http.StatusOK {
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			cache[req.URL.Path] = cached{time.Now(), string(body)}
			return respond(http.StatusOK, string(body)), nil
		}
		return resp, nil
	}
	bubble(t, f, func(t *testing.T) {
		got := f.run(t.Context(), "-yes")

		assert.Equal(t, 0, got.code, got.stderr)
		assert.Len(t, got.rowsOf(verified), len(rows)-3, got.stdout)
		f.requireForeignKeysOnly()
	})
}
