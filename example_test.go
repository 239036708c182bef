package palette_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// A program makes one client and shares it. Here it talks to the server in
// memory that palettetest starts; WithEnv would make it talk to a real Palette.
func Example() {
	srv := palettetest.NewServer()
	defer srv.Close()

	client, err := palette.NewClient(
		palette.WithBaseURL(srv.URL),
		palette.WithAPIKey(srv.APIKey),
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	created, err := client.APIKeys.Create(ctx, palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMeta{Name: "ci"},
		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().Add(30 * 24 * time.Hour)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := client.APIKeys.Revoke(ctx, created.UID); err != nil {
		fmt.Println(err)
		return
	}
	key, err := client.APIKeys.Get(ctx, created.UID)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(key.Metadata.Name, "active:", key.Status.IsActive)
	// Output:
	// ci active: false
}

// The reply to a create is the only place where a key ever shows. It prints as
// [REDACTED]: Reveal is for the moment of storing it.
func ExampleAPIKeysService_Create() {
	srv := palettetest.NewServer()
	defer srv.Close()
	client, err := palette.NewClient(palette.WithBaseURL(srv.URL), palette.WithAPIKey(srv.APIKey))
	if err != nil {
		fmt.Println(err)
		return
	}

	created, err := client.APIKeys.Create(context.Background(), palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMeta{
			Name:        "ci",
			Annotations: map[string]string{"description": "nightly builds"},
			Labels:      map[string]string{"team": "builds"},
		},
		Spec: palette.APIKeyCreateSpec{Expiry: time.Now().Add(30 * 24 * time.Hour)},
	})
	switch {
	case errors.Is(err, palette.ErrOutcomeUnknown):
		fmt.Println("the key may exist: look for its name before trying again:", err)
		return
	case err != nil:
		fmt.Println(err)
		return
	}

	store := func(uid, value string) { fmt.Println("stored:", uid != "", value != "") }
	store(created.UID, created.APIKey.Reveal())
	fmt.Println("printed:", created.APIKey)
	// Output:
	// stored: true true
	// printed: [REDACTED]
}

// List returns every key that the credential may see, from all pages.
func ExampleAPIKeysService_List() {
	srv := palettetest.NewServer()
	defer srv.Close()
	srv.AddKey(palettetest.Key{Name: "ci", Active: true, Expiry: time.Now().Add(time.Hour)})
	srv.AddKey(palettetest.Key{Name: "forgotten", Active: true, Expiry: time.Now().Add(-time.Hour)})
	srv.AddKey(palettetest.Key{Name: "leaked", Active: false})
	client, err := palette.NewClient(palette.WithBaseURL(srv.URL), palette.WithAPIKey(srv.APIKey))
	if err != nil {
		fmt.Println(err)
		return
	}

	keys, err := client.APIKeys.List(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range keys {
		switch {
		case !key.Status.IsActive:
			fmt.Println(key.Metadata.Name, "is revoked")
		case key.Expired(time.Now()):
			fmt.Println(key.Metadata.Name, "has expired")
		default:
			fmt.Println(key.Metadata.Name, "works")
		}
	}
	// Output:
	// ci works
	// forgotten has expired
	// leaked is revoked
}

// All fetches a page when it is needed, so that a loop that stops early asks for
// less.
func ExampleAPIKeysService_All() {
	srv := palettetest.NewServer(palettetest.WithPageSize(2))
	defer srv.Close()
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		srv.AddKey(palettetest.Key{Name: name, Active: true})
	}
	client, err := palette.NewClient(palette.WithBaseURL(srv.URL), palette.WithAPIKey(srv.APIKey))
	if err != nil {
		fmt.Println(err)
		return
	}

	for key, err := range client.APIKeys.All(context.Background()) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(key.Metadata.Name)
		if key.Metadata.Name == "c" {
			break
		}
	}
	fmt.Println(len(srv.Requests()), "pages")
	// Output:
	// a
	// b
	// c
	// 2 pages
}

// Names need not be unique, so that there may be several of them.
func ExampleAPIKeysService_FindByName() {
	srv := palettetest.NewServer()
	defer srv.Close()
	srv.AddKey(palettetest.Key{Name: "ci", Active: true})
	srv.AddKey(palettetest.Key{Name: "ci", Active: false})
	srv.AddKey(palettetest.Key{Name: "lab", Active: true})
	client, err := palette.NewClient(palette.WithBaseURL(srv.URL), palette.WithAPIKey(srv.APIKey))
	if err != nil {
		fmt.Println(err)
		return
	}

	keys, err := client.APIKeys.FindByName(context.Background(), "ci")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, key := range keys {
		fmt.Println(key.Metadata.Name, "active:", key.Status.IsActive)
	}
	// Output:
	// ci active: true
	// ci active: false
}

// An update replaces: read the key, change what should change, write it back.
func ExampleAPIKey_UpdateRequest() {
	srv := palettetest.NewServer()
	defer srv.Close()
	uid, _ := srv.AddKey(palettetest.Key{
		Name: "ci", Active: true,
		Expiry: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC),
		Labels: map[string]string{"team": "builds"},
	})
	client, err := palette.NewClient(palette.WithBaseURL(srv.URL), palette.WithAPIKey(srv.APIKey))
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	key, err := client.APIKeys.Get(ctx, uid)
	if err != nil {
		fmt.Println(err)
		return
	}
	req := key.UpdateRequest()
	req.Spec.Expiry = req.Spec.Expiry.AddDate(1, 0, 0)
	if err := client.APIKeys.Update(ctx, uid, req); err != nil {
		fmt.Println(err)
		return
	}

	key, err = client.APIKeys.Get(ctx, uid)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(key.Metadata.Name, key.Metadata.Labels["team"], key.Spec.Expiry.Format(time.DateOnly))
	// Output:
	// ci builds 2091-01-01
}

// errors.Is tells the kind of a failure, errors.As what the server said.
func ExampleAPIError() {
	srv := palettetest.NewServer()
	defer srv.Close()
	client, err := palette.NewClient(palette.WithBaseURL(srv.URL), palette.WithAPIKey(srv.APIKey))
	if err != nil {
		fmt.Println(err)
		return
	}

	err = client.APIKeys.Delete(context.Background(), "66e844c44bab2337f20c7471")
	if errors.Is(err, palette.ErrNotFound) {
		fmt.Println("it is gone already")
	}
	var apiErr *palette.APIError
	if errors.As(err, &apiErr) {
		fmt.Println(apiErr.Op, apiErr.StatusCode, apiErr.Code)
	}
	// Output:
	// it is gone already
	// apiKeys.delete 404 ResourceNotFound
}

// The key is asked for at every attempt: a client with such a function survives
// the rotation of its own key.
func ExampleWithAPIKeyFunc() {
	srv := palettetest.NewServer()
	defer srv.Close()
	oldUID, oldValue := srv.AddKey(palettetest.Key{Name: "mine", Active: true})
	_, newValue := srv.AddKey(palettetest.Key{Name: "mine, rotated", Active: true})

	stored := palette.NewSecret(oldValue) // stands for a file or a vault
	client, err := palette.NewClient(
		palette.WithBaseURL(srv.URL),
		palette.WithAPIKeyFunc(func(context.Context) (string, error) { return stored.Reveal(), nil }),
	)
	if err != nil {
		fmt.Println(err)
		return
	}

	ctx := context.Background()
	stored = palette.NewSecret(newValue)
	if err := client.APIKeys.Revoke(ctx, oldUID); err != nil {
		fmt.Println(err)
		return
	}
	_, err = client.APIKeys.List(ctx)
	fmt.Println("still in:", err == nil)
	// Output:
	// still in: true
}

// The transport of an http.Client is where proxies, TLS settings, tracing and
// metrics go. Requests pass through it with the credential in their header.
func ExampleWithHTTPClient() {
	srv := palettetest.NewServer()
	defer srv.Close()

	counted := &countingTransport{next: http.DefaultTransport}
	client, err := palette.NewClient(
		palette.WithBaseURL(srv.URL),
		palette.WithAPIKey(srv.APIKey),
		palette.WithHTTPClient(&http.Client{Transport: counted}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.APIKeys.List(context.Background()); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(counted.requests, "request")
	// Output:
	// 1 request
}

// countingTransport counts requests. It is not for concurrent use.
type countingTransport struct {
	next     http.RoundTripper
	requests int
}

func (t *countingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	t.requests++
	return t.next.RoundTrip(req)
}

// A Debug record tells of each attempt and a Warn record of each repeat.
func ExampleWithLogger() {
	srv := palettetest.NewServer()
	defer srv.Close()
	srv.Inject(palettetest.Fault{Status: http.StatusServiceUnavailable})

	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == "duration" { // they differ from run to run
				return slog.Attr{}
			}
			return a
		},
	}))
	client, err := palette.NewClient(
		palette.WithBaseURL(srv.URL),
		palette.WithAPIKey(srv.APIKey),
		palette.WithLogger(logger),
		palette.WithRetry(palette.RetryPolicy{MaxRetries: 1, MinWait: time.Millisecond, MaxWait: time.Millisecond}),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := client.APIKeys.List(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// level=DEBUG msg="palette request" op=apiKeys.list method=GET path=/v1/apiKeys status=503 attempt=1
	// level=WARN msg="palette request is sent again" op=apiKeys.list method=GET path=/v1/apiKeys wait=1ms reason="status 503"
	// level=DEBUG msg="palette request" op=apiKeys.list method=GET path=/v1/apiKeys status=200 attempt=2
}

// A Secret cannot slip out: not by printing or logging, nor into a file.
func ExampleSecret() {
	secret := palette.NewSecret("s3cr3t")

	fmt.Printf("%v %+v %s\n", secret, []palette.Secret{secret}, secret)
	_, err := json.Marshal(map[string]palette.Secret{"key": secret})
	fmt.Println(errors.Is(err, palette.ErrSecretNotEncoded))
	fmt.Println(secret.Reveal())
	// Output:
	// [REDACTED] [[REDACTED]] [REDACTED]
	// true
	// s3cr3t
}
