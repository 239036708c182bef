// Rotate replaces the API key with the given name and saves the new one in a file, if the
// key expires within 7 days. Run it every night. It requires a credential in the
// environment; if PALETTE_API_KEY_FILE names the same file, it rotates its own key.
//
//	PALETTE_API_KEY_FILE=ci.key go run ./examples/rotate ci ci.key
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("usage: rotate NAME FILE")
	}
	client, err := palette.NewClient(palette.WithEnv())
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	key, store := rotation.Key{Name: os.Args[1]}, rotation.FileStore(os.Args[2])
	result, err := rotation.Rotate(ctx, client, key, store, rotation.Policy{
		RenewBefore: 7 * 24 * time.Hour,
		Overlap:     time.Hour, // for programs that have read the old key
	})
	switch {
	case err != nil:
		log.Fatal(err) // it says which keys work; run the program again
	case result.Rotated:
		fmt.Printf("rotated: the file holds the key %s\n", result.NewUID)
	default:
		fmt.Println("not due")
	}
}
