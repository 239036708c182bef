package palettetest

import (
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Client returns a client of the server, which uses the administrator's credential and
// trusts the server's certificate. So that tests do not wait, it has no rate limiter, and
// its retries wait for milliseconds. It honors a Retry-After header of at most a second; a
// longer one ends the call. Without a rate limiter, a 429 is retried three times, not
// twelve. opts come after these options, so that they win.
//
// For the client of a user or a created key, use [palette.WithAPIKey] or
// [palette.Client.WithAPIKey].
//
// If an option is invalid, the test that called [Start] fails; with [NewServer], Client
// panics with the error.
func (s *Server) Client(opts ...palette.Option) *palette.Client {
	defaults := []palette.Option{
		palette.WithBaseURL(s.URL),
		palette.WithAPIKey(s.APIKey),
		palette.WithoutRateLimit(),
		palette.WithBackoff(time.Millisecond, time.Second),
	}
	if pool := s.CertPool(); pool != nil {
		defaults = append(defaults, palette.WithRootCAs(pool))
	}
	client, err := palette.NewClient(append(defaults, opts...)...)
	switch {
	case err == nil:
		return client
	case s.t != nil:
		s.t.Helper()
		s.t.Fatal(err)
	}
	panic(err)
}
