package transport_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/transport"
)

// A dead connection must cost at most one attempt. The idle time is a third of the timeout,
// from 1 to 10 seconds; then the response to a ping has what is left of nine tenths of the
// timeout, at least half of the idle time and at most 5 seconds.
func TestPingsFitIntoAnAttempt(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	for _, tt := range []struct{ timeout, idle, response time.Duration }{
		{100 * ms, 1000 * ms, 500 * ms},
		{1500 * ms, 1000 * ms, 500 * ms},
		{2000 * ms, 1000 * ms, 800 * ms},
		{3000 * ms, 1000 * ms, 1700 * ms},
		{6000 * ms, 2000 * ms, 3400 * ms},
		{12_000 * ms, 4000 * ms, 5000 * ms},
		{30_000 * ms, 10_000 * ms, 5000 * ms},
		{300_000 * ms, 10_000 * ms, 5000 * ms},
	} {
		t.Run(tt.timeout.String(), func(t *testing.T) {
			t.Parallel()

			rt, own := transport.Default(tt.timeout, nil, false)

			require.True(t, own)
			config := rt.(*http.Transport).HTTP2
			assert.Equal(t, tt.idle, config.SendPingTimeout)
			assert.Equal(t, tt.response, config.PingTimeout)
		})
	}
}
