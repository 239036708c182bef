// List prints the API keys that expire within 30 days. It requires a credential in the
// environment.
//
//	PALETTE_API_KEY=… go run ./examples/list
package main

import (
	"context"
	"fmt"
	"log"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

func main() {
	log.SetFlags(0)
	client, err := palette.NewClient(palette.WithEnv()) // PALETTE_API_KEY, PALETTE_HOST
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	soon := time.Now().AddDate(0, 0, 30)
	for key, err := range client.APIKeys.All(ctx) {
		if err != nil {
			log.Fatal(err)
		}
		if key.Expired(soon) {
			// %q, because a name can contain control characters.
			fmt.Printf("%s %s %q\n", key.Spec.Expiry.UTC().Format(time.DateOnly), key.Metadata.UID, key.Metadata.Name)
		}
	}
}
