package integration

import (
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

func newTracedClient(opts ...palette.Option) (*palette.Client, error) {
	return palette.NewClient(append(opts, palette.WithTransportWrapper(
		func(rt http.RoundTripper) http.RoundTripper { return otelhttp.NewTransport(rt) },
	))...)
}
