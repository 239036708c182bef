package palette_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// A program creates a key, reads the list, and revokes and deletes the key.
func Example() {
	server := palettetest.NewServer()
	defer server.Close()
	client := server.Client() // of a fake Palette; a program calls NewClient(WithEnv())
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	created, err := client.APIKeys.Create(ctx, palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMetaInput{Name: "ci"},
		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().AddDate(0, 0, 30)},
	})
	if err != nil {
		log.Fatal(err)
	}
	keys, err := client.APIKeys.List(ctx)
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		fmt.Println(key.Metadata.Name, "active:", key.Status.IsActive)
	}
	if err := client.APIKeys.Revoke(ctx, created.UID); err != nil {
		log.Fatal(err)
	}
	fmt.Println("delete:", client.APIKeys.Delete(ctx, created.UID))
	// Output:
	// ci active: true
	// delete: <nil>
}

// NewClient reports all invalid options at once and sends no request.
func ExampleNewClient() {
	client, err := palette.NewClient(
		palette.WithAPIKey("…"),
		palette.WithBaseURL("palette.example.com"),
		palette.WithTimeout(10*time.Second), // for each attempt
		palette.WithMaxRetries(5),
		palette.WithUserAgent("my-tool/1.4"),
	)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.BaseURL())

	_, err = palette.NewClient(palette.WithBaseURL("http://palette.example.com"))
	fmt.Println(errors.Is(err, palette.ErrInvalidArgument))
	// Output:
	// https://palette.example.com
	// true
}

// Use errors.AsType for the details of an error response, and errors.Is for its class.
func ExampleAPIError() {
	server := palettetest.NewServer()
	defer server.Close()
	client := server.Client()
	server.Inject(palettetest.Fault{
		Method: http.MethodGet, Status: http.StatusForbidden,
		Body: `{"code":"OperationForbidden","message":"Operation 'apiKey.list' is forbidden"}`,
	})

	_, err := client.APIKeys.List(context.Background())
	if apiErr, ok := errors.AsType[*palette.APIError](err); ok {
		fmt.Println(apiErr.Op, apiErr.StatusCode, apiErr.Code)
		fmt.Println(apiErr.Message)
	}
	fmt.Println(errors.Is(err, palette.ErrForbidden))
	// Output:
	// apiKeys.list 403 OperationForbidden
	// Operation 'apiKey.list' is forbidden
	// true
}

// The client reads the file before each attempt, so that it keeps working when the key
// is replaced.
func ExampleWithAPIKeyFile() {
	server := palettetest.NewServer()
	defer server.Close()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "palette.key")
	store := func(name string) (uid string) {
		uid, value := server.AddKey(palettetest.Key{Name: name, Active: true})
		if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
			log.Fatal(err)
		}
		return uid
	}
	ctx, old := context.Background(), store("old")
	client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKeyFile(file))
	if err != nil {
		log.Fatal(err)
	}

	store("new")
	fmt.Println("delete the old key:", client.APIKeys.Delete(ctx, old))
	keys, err := client.APIKeys.List(ctx)
	fmt.Println(len(keys), "key, error:", err)
	// Output:
	// delete the old key: <nil>
	// 1 key, error: <nil>
}

// A wrapper sees every request, but not the credential.
func ExampleWithTransportWrapper() {
	server := palettetest.NewServer()
	defer server.Close()
	client, err := palette.NewClient(
		palette.WithBaseURL(server.URL),
		palette.WithAPIKey(server.APIKey),
		palette.WithTransportWrapper(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(req *http.Request) (*http.Response, error) {
				resp, err := next.RoundTrip(req)
				if err == nil {
					fmt.Printf("%s %s %d, credential: %q\n", req.Method, req.URL.Path, resp.StatusCode, req.Header.Get("ApiKey"))
				}
				return resp, err
			})
		}),
	)
	if err != nil {
		log.Fatal(err)
	}

	keys, err := client.APIKeys.List(context.Background())
	fmt.Println(len(keys), "keys, error:", err)
	// Output:
	// GET /v1/apiKeys 200, credential: ""
	// 0 keys, error: <nil>
}

// roundTripper is an http.RoundTripper from a function.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func ExampleSecret() {
	secret := palette.NewSecret("value of a key")

	fmt.Println(secret)
	fmt.Printf("%#v\n", struct{ APIKey palette.Secret }{secret})
	_, err := json.Marshal(secret)
	fmt.Println(errors.Is(err, palette.ErrSecretNotEncoded))
	fmt.Println(secret == palette.NewSecret("value of a key"))
	fmt.Println(secret.Reveal()) // only here
	// Output:
	// [REDACTED]
	// struct { APIKey palette.Secret }{APIKey:[REDACTED]}
	// true
	// true
	// value of a key
}

func ExampleAPIKeysService_Create() {
	server := palettetest.NewServer()
	defer server.Close()
	client := server.Client()

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
	server := palettetest.NewServer()
	defer server.Close()
	client := server.Client()
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
	server := palettetest.NewServer()
	defer server.Close()
	client := server.Client()
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

// The response of a create is lost after the key was created. Its value cannot be
// recovered. The unique name lets the program find and delete that key, and no other.
func ExampleAPIKeysService_Create_outcomeUnknown() {
	server := palettetest.NewServer()
	defer server.Close()
	client := server.Client()
	server.Inject(palettetest.Fault{Method: http.MethodPost, Status: http.StatusBadGateway, After: true})
	ctx := context.Background()
	req := palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "ci-" + rand.Text()}}

	created, err := client.APIKeys.Create(ctx, req)
	if errors.Is(err, palette.ErrOutcomeUnknown) {
		keys, findErr := client.APIKeys.FindByName(ctx, req.Metadata.Name)
		if findErr != nil {
			log.Fatal(findErr)
		}
		for _, key := range keys {
			if err := client.APIKeys.Delete(ctx, key.Metadata.UID); err != nil {
				log.Fatal(err)
			}
			fmt.Println("deleted the key of the first create")
		}
		req.Metadata.Name = "ci-" + rand.Text() // the first create may still take effect
		created, err = client.APIKeys.Create(ctx, req)
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("created:", created.APIKey, "of", len(server.Keys()))
	// Output:
	// deleted the key of the first create
	// created: [REDACTED] of 1
}

// Several keys can have the same name.
func ExampleAPIKeysService_FindByName() {
	server := palettetest.NewServer()
	defer server.Close()
	client := server.Client()
	server.AddKey(palettetest.Key{Name: "ci", Active: true})
	server.AddKey(palettetest.Key{Name: "ci"})
	server.AddKey(palettetest.Key{Name: "ci-2", Active: true})

	keys, err := client.APIKeys.FindByName(context.Background(), "ci")
	if err != nil {
		log.Fatal(err)
	}
	for _, key := range keys {
		fmt.Println(key.Metadata.Name, "active:", key.Status.IsActive)
	}
	// Output:
	// ci active: true
	// ci active: false
}
