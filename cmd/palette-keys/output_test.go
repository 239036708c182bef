package main

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestARetryThatTakesASecondIsShown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"text": {[]string{"list"}, `^retrying request op=apiKeys\.list .*wait=1\.?\d*s .*503.*\n$`},
		"JSON": {[]string{"list", "-json"}, `^\{\n  "kind": "note",\n  "message": "retrying request op=apiKeys\.list `},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := palettetest.Start(t)
			server.Inject(palettetest.Fault{Status: 503, Body: `{"code":"Unavailable"}`, RetryAfter: "1"})

			got := runTool(t, environment(server), tt.args...)

			assert.Zero(t, got.code)
			assert.Regexp(t, tt.want, got.stderr)
		})
	}
}

func TestAShortRetryIsNotShown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		attempt, wait time.Duration
		shown         bool
	}{
		"short":          {100 * time.Millisecond, 300 * time.Millisecond, false},
		"a long attempt": {30 * time.Second, 500 * time.Millisecond, true},
		"a long wait":    {0, time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var notes []string
			logger := slog.New(&retryNotices{Handler: slog.DiscardHandler, note: func(text string) { notes = append(notes, text) }})

			logger.Debug("palette: request", "attempt", 1, "duration", tt.attempt)
			logger.Warn("palette: retrying request", "wait", tt.wait)

			assert.Equal(t, tt.shown, len(notes) == 1)
		})
	}
}
