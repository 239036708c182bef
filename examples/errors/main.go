// Errors shows the classes of errors and what to do about them. It uses the fake server.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// advice returns what to do about an error.
func advice(err error) string {
	switch {
	case errors.Is(err, palette.ErrOutcomeUnknown): // first, because it can be of another class as well
		return "look for the key with FindByName before you create another"
	case errors.Is(err, palette.ErrInvalidArgument):
		return "correct the argument or option; no request was sent"
	case errors.Is(err, palette.ErrUnauthorized):
		return "check the credential and the host"
	case errors.Is(err, palette.ErrForbidden):
		return "use the credential of a user with the permission"
	case errors.Is(err, palette.ErrNotFound):
		return "the key does not exist"
	case errors.Is(err, palette.ErrBadRequest), errors.Is(err, palette.ErrConflict):
		return "correct the request"
	case errors.Is(err, palette.ErrRateLimited), errors.Is(err, palette.ErrServer):
		return "try again later; see Code and RetryAfter of the APIError"
	case errors.Is(err, palette.ErrRedirect), errors.Is(err, palette.ErrUnexpectedResponse):
		return "check the base URL: it is not Palette that responds"
	}
	return "check the network, or use a longer timeout"
}

func main() {
	ctx, server := context.Background(), palettetest.NewServer()
	client, err := palette.NewClient(palette.WithBaseURL(server.URL),
		palette.WithAPIKey(server.APIKey), palette.WithMaxRetries(0))
	if err != nil {
		log.Fatal(err)
	}
	stranger, err := client.WithAPIKey("no-such-key")
	if err != nil {
		log.Fatal(err)
	}
	_, invalid := client.APIKeys.Get(ctx, "../users")
	_, notFound := client.APIKeys.Get(ctx, "66e844c44bab2337f20c7471")
	_, unauthorized := stranger.APIKeys.List(ctx)
	server.Inject(palettetest.Fault{Status: 429})
	_, limited := client.APIKeys.List(ctx)
	server.Inject(palettetest.Fault{Method: "POST", Cut: palettetest.CutAfter}) // the response is lost
	_, unknown := client.APIKeys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci"}})
	for _, err := range []error{invalid, notFound, unauthorized, limited, unknown} {
		fmt.Printf("%v\n\t→ %s\n", err, advice(err))
	}
}
