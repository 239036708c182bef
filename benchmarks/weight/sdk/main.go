// Command sdk creates a key and prints its uid, on the SDK. It is built, not run:
// its size is compared with that of the same program on net/http.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

func main() {
	client, err := palette.NewClient(palette.WithAPIKey(os.Getenv("PALETTE_API_KEY")))
	if err != nil {
		log.Fatal(err)
	}
	created, err := client.APIKeys.Create(context.Background(), palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMeta{Name: "ci"},
		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().Add(24 * time.Hour)},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(created.UID)
}
