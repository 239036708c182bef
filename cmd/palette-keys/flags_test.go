package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestFlagsStandBeforeOrAfterArguments(t *testing.T) {
	t.Parallel()
	server := palettetest.Start(t)
	server.AddKey(palettetest.Key{UID: "a"})
	server.AddKey(palettetest.Key{UID: "-b"})

	before := runTool(t, environment(server), "get", "-json", "a")
	after := runTool(t, environment(server), "get", "a", "--json")
	dashed := runTool(t, environment(server), "get", "-json", "--", "-b")

	assert.Contains(t, before.stdout, `"uid": "a"`)
	assert.Equal(t, before, after)
	assert.Contains(t, dashed.stdout, `"uid": "-b"`)
}

func TestDurations(t *testing.T) {
	t.Parallel()
	const invalid = -1
	for text, want := range map[string]time.Duration{
		"0": 0, "0d": 0, "90s": 90 * time.Second, "720h": 720 * time.Hour, "30d": 720 * time.Hour,
		"1d12h": 36 * time.Hour, "65535d": 65535 * 24 * time.Hour,
		"": invalid, "d": invalid, "30": invalid, "-1h": invalid, "-1d": invalid, "1d-2h": invalid, "1d-48h": invalid,
		"1.5d": invalid, "1d2d": invalid, "1y": invalid, "65536d": invalid, "1dx": invalid, "99999999h": invalid,
	} {
		t.Run(text, func(t *testing.T) {
			t.Parallel()

			got, err := parseDuration(text)
			if err != nil {
				got = invalid
			}

			assert.Equal(t, want, got)
		})
	}
}
