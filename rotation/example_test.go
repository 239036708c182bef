package rotation_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// A scheduled program that keeps a key in a file.
func Example() {
	ctx := context.Background()
	server := palettetest.NewServer() // instead of Palette
	defer server.Close()
	server.AddKey(palettetest.Key{Name: "ci", Active: true, Expiry: time.Now().Add(24 * time.Hour), CreatedAt: time.Now().AddDate(0, 0, -89)})
	folder, err := os.MkdirTemp("", "rotation")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)

	client, err := palette.NewClient(palette.WithAPIKey(server.APIKey), palette.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	store := rotation.FileStore(filepath.Join(folder, "ci.key"))
	policy := rotation.Policy{RenewBefore: 7 * 24 * time.Hour, Overlap: time.Hour}
	for range 2 { // today and tomorrow
		result, err := rotation.Rotate(ctx, client, rotation.Key{Name: "ci"}, store, policy)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("rotated:", result.Rotated)
	}
	// Output:
	// rotated: true
	// rotated: false
}
