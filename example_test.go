package palette_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// startPalette returns a client of an in-memory Palette. A program uses NewClient(WithEnv()).
func startPalette() (*palette.Client, *palettetest.Server) {
	server := palettetest.NewServer()
	client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey(server.APIKey))
	if err != nil {
		log.Fatal(err)
	}
	return client, server
}

func ExampleAPIKeysService_Create() {
	client, server := startPalette()
	defer server.Close()

	created, err := client.APIKeys.Create(context.Background(), palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMetaInput{
			Name:        "ci",
			Annotations: map[string]string{palette.AnnotationDescription: "builds"},
		},
		Spec: palette.APIKeyCreateSpec{Expiry: time.Now().AddDate(0, 0, 30)},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(created.APIKey)                             // a Secret does not show its value
	fmt.Println(len(created.APIKey.Reveal()), "characters") // store it now: Palette does not return it again
	// Output:
	// [REDACTED]
	// 44 characters
}

func ExampleAPIKeysService_All() {
	client, server := startPalette()
	defer server.Close()
	server.AddKey(palettetest.Key{Name: "old", Active: true, Expiry: time.Now().AddDate(0, 0, -1)})
	server.AddKey(palettetest.Key{Name: "new", Active: true, Expiry: time.Now().AddDate(0, 0, 30)})

	for key, err := range client.APIKeys.All(context.Background()) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(key.Metadata.Name, key.Expired(time.Now()))
	}
	// Output:
	// old true
	// new false
}

func ExampleAPIKeysService_Update() {
	client, server := startPalette()
	defer server.Close()
	uid, _ := server.AddKey(palettetest.Key{Name: "ci", Active: true, Labels: map[string]string{"team": "build"}})

	key, err := client.APIKeys.Get(context.Background(), uid)
	if err != nil {
		log.Fatal(err)
	}
	req := key.UpdateRequest() // everything, because an update replaces everything
	req.Metadata.Annotations[palette.AnnotationDescription] = "nightly builds"
	if err := client.APIKeys.Update(context.Background(), uid, req); err != nil {
		log.Fatal(err)
	}

	key, err = client.APIKeys.Get(context.Background(), uid)
	fmt.Println(key.Metadata.Description(), key.Metadata.Labels, err)
	// Output: nightly builds map[team:build] <nil>
}

// The response of a create is lost after the work was done. The name of the key is unique,
// so that FindByName finds no key that somebody uses.
func ExampleAPIKeysService_FindByName() {
	client, server := startPalette()
	defer server.Close()
	server.Inject(palettetest.Fault{Method: http.MethodPost, Status: http.StatusBadGateway, After: true})
	ctx, name := context.Background(), "ci-"+rand.Text()

	_, err := client.APIKeys.Create(ctx, palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: name}})
	if errors.Is(err, palette.ErrOutcomeUnknown) {
		keys, err := client.APIKeys.FindByName(ctx, name)
		if err != nil {
			log.Fatal(err)
		}
		for _, key := range keys { // its value is lost
			fmt.Println("deleting the key:", client.APIKeys.Delete(ctx, key.Metadata.UID))
		}
	}
	// Output: deleting the key: <nil>
}
