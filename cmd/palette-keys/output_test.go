package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestARetryThatTakesASecondIsShown(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		retryAfter string
		args       []string
		want       string
	}{
		"a second": {"1", []string{"list"}, `^retrying request op=apiKeys\.list .*wait=1\.?\d*s .*503.*\n$`},
		"JSON":     {"1", []string{"list", "-json"}, `^\{\n  "kind": "note",\n  "message": "retrying request op=apiKeys\.list `},
		"shorter":  {"", []string{"list"}, `^$`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := palettetest.Start(t)
			server.Inject(palettetest.Fault{Status: 503, Body: `{"code":"Unavailable"}`, RetryAfter: tt.retryAfter})

			got := runTool(t, environment(server), tt.args...)

			assert.Zero(t, got.code)
			assert.Regexp(t, tt.want, got.stderr)
		})
	}
}
