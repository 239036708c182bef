// Create creates an API key and prints its value. It prints nothing else on standard
// output. Without a credential in the environment, it uses an in-memory Palette.
//
//	KEY=$(go run ./examples/create)
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func main() {
	log.SetFlags(0)
	client, err := newClient()
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	created, err := client.APIKeys.Create(ctx, palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMetaInput{Name: "example"},
		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().Add(24 * time.Hour)},
	})
	switch {
	case errors.Is(err, palette.ErrOutcomeUnknown):
		log.Fatal("look for a key with the name example before you try again: ", err)
	case err != nil:
		log.Fatal(err)
	}
	log.Printf("created the key %s, which works for 24 hours", created.UID)
	fmt.Println(created.APIKey.Reveal()) // Palette does not return the value again
}

// newClient returns a client that is configured by the environment or, without a
// credential, one that uses an in-memory Palette.
func newClient() (*palette.Client, error) {
	for _, name := range []string{"PALETTE_API_KEY", "SPECTROCLOUD_APIKEY", "PALETTE_API_KEY_FILE", "PALETTE_AUTH_TOKEN"} {
		if os.Getenv(name) != "" {
			return palette.NewClient(palette.WithEnv())
		}
	}
	log.Print("PALETTE_API_KEY is not set: using an in-memory Palette")
	server := palettetest.NewServer()
	return palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey(server.APIKey))
}
