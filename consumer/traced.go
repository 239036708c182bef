// Package consumer uses the SDK as a service elsewhere would: imported by its
// path, from a module of its own.
package consumer

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

func newTracedClient() (*palette.Client, error) {
	base := http.DefaultTransport.(*http.Transport).Clone()
	base.MaxConnsPerHost, base.MaxIdleConnsPerHost = 64, 64 // as without WithHTTPClient
	return palette.NewClient(
		palette.WithEnv(),
		palette.WithHTTPClient(&http.Client{Transport: otelhttp.NewTransport(base)}),
	)
}
