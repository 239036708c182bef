package palette_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// connect is what the examples below have in common: a client of srv.
func connect(srv *palettetest.Server, opts ...palette.Option) *palette.Client {
	client, err := palette.NewClient(append(opts, palette.WithBaseURL(srv.URL))...)
	if err != nil {
		panic(err)
	}
	return client
}

// count says how many keys a client sees.
func count(client *palette.Client) {
	keys, err := client.APIKeys.List(context.Background())
	fmt.Println(len(keys), err)
}

func ExampleAPIKeysService_Get() {
	srv := palettetest.NewServer()
	defer srv.Close()
	uid, _ := srv.AddKey(palettetest.Key{Name: "ci", Active: true})

	key, err := connect(srv, palette.WithAPIKey(srv.APIKey)).APIKeys.Get(context.Background(), uid)
	if err != nil {
		panic(err)
	}
	fmt.Println(key.Metadata.Name, key.Status.IsActive, key.Expired(time.Now()))
	// Output: ci true false
}

func ExampleAPIKeysService_Delete() {
	srv := palettetest.NewServer()
	defer srv.Close()
	uid, _ := srv.AddKey(palettetest.Key{Name: "ci", Active: true})
	keys := connect(srv, palette.WithAPIKey(srv.APIKey)).APIKeys

	fmt.Println(keys.Delete(context.Background(), uid))
	fmt.Println(errors.Is(keys.Delete(context.Background(), uid), palette.ErrNotFound))
	// Output:
	// <nil>
	// true
}

// A revoked key gets 401 until it is reactivated.
func ExampleAPIKeysService_Revoke() {
	srv := palettetest.NewServer()
	defer srv.Close()
	uid, value := srv.AddKey(palettetest.Key{Name: "ci", Active: true})
	admin, ci := connect(srv, palette.WithAPIKey(srv.APIKey)), connect(srv, palette.WithAPIKey(value))
	ctx := context.Background()

	fmt.Println(admin.APIKeys.Revoke(ctx, uid))
	_, err := ci.APIKeys.List(ctx)
	fmt.Println(errors.Is(err, palette.ErrUnauthorized))
	// Output:
	// <nil>
	// true
}

func ExampleAPIKeysService_Reactivate() {
	srv := palettetest.NewServer()
	defer srv.Close()
	uid, value := srv.AddKey(palettetest.Key{Name: "ci"}) // revoked
	fmt.Println(connect(srv, palette.WithAPIKey(srv.APIKey)).APIKeys.Reactivate(context.Background(), uid))
	count(connect(srv, palette.WithAPIKey(value)))
	// Output:
	// <nil>
	// 1 <nil>
}

func ExampleAPIKeysService_Deactivate() {
	srv := palettetest.NewServer()
	defer srv.Close()
	uid, _ := srv.AddKey(palettetest.Key{Name: "ci", Active: true})
	fmt.Println(connect(srv, palette.WithAPIKey(srv.APIKey)).APIKeys.Deactivate(context.Background(), uid))
	fmt.Println(srv.Keys()[0].Active)
	// Output:
	// <nil>
	// false
}

func ExampleAPIKeysService_Activate() {
	srv := palettetest.NewServer()
	defer srv.Close()
	uid, _ := srv.AddKey(palettetest.Key{Name: "ci"})
	fmt.Println(connect(srv, palette.WithAPIKey(srv.APIKey)).APIKeys.Activate(context.Background(), uid))
	fmt.Println(srv.Keys()[0].Active)
	// Output:
	// <nil>
	// true
}

// Update replaces: the key is read, changed and written as a whole.
func ExampleAPIKeysService_Update() {
	srv := palettetest.NewServer()
	defer srv.Close()
	uid, _ := srv.AddKey(palettetest.Key{Name: "ci", Active: true})
	keys := connect(srv, palette.WithAPIKey(srv.APIKey)).APIKeys
	ctx := context.Background()

	key, err := keys.Get(ctx, uid)
	if err != nil {
		panic(err)
	}
	change := key.UpdateRequest()
	change.Metadata.Name = "nightly"
	fmt.Println(keys.Update(ctx, uid, change), srv.Keys()[0].Name)
	// Output: <nil> nightly
}

func ExampleNewClient() {
	_, err := palette.NewClient(palette.WithAPIKey("read from a file\n"))
	fmt.Println(errors.Is(err, palette.ErrInvalidArgument))
	fmt.Println(err)
	// Output:
	// true
	// palette: NewClient: WithAPIKey: the credential holds white space: trim the newline of a file, and leave "Bearer" out
}

func ExampleWithAPIKey() {
	srv := palettetest.NewServer()
	defer srv.Close()
	count(connect(srv, palette.WithAPIKey(srv.APIKey)))
	// Output: 0 <nil>
}

// A token of the login API makes the first key.
func ExampleWithAuthToken() {
	srv := palettetest.NewServer()
	defer srv.Close()
	count(connect(srv, palette.WithAuthToken(srv.AuthToken())))
	// Output: 0 <nil>
}

func ExampleWithEnv() {
	srv := palettetest.NewServer()
	defer srv.Close()
	for name, value := range map[string]string{"PALETTE_API_KEY": srv.APIKey, "PALETTE_HOST": srv.URL} {
		_ = os.Setenv(name, value)
		defer func() { _ = os.Unsetenv(name) }()
	}
	client, err := palette.NewClient(palette.WithEnv())
	if err != nil {
		panic(err)
	}
	count(client)
	// Output: 0 <nil>
}

// A path of the base URL is kept: requests go to /palette/v1/apiKeys.
func ExampleWithBaseURL() {
	srv := palettetest.NewServer(palettetest.WithPathPrefix("/palette"))
	defer srv.Close()
	client, err := palette.NewClient(palette.WithAPIKey(srv.APIKey), palette.WithBaseURL(srv.URL))
	if err != nil {
		panic(err)
	}
	count(client)
	// Output: 0 <nil>
}

func ExampleWithInsecureHTTP() {
	_, err := palette.NewClient(palette.WithAPIKey("key"), palette.WithBaseURL("http://palette.example"))
	fmt.Println(err != nil)
	_, err = palette.NewClient(palette.WithAPIKey("key"), palette.WithBaseURL("http://palette.example"), palette.WithInsecureHTTP())
	fmt.Println(err)
	// Output:
	// true
	// <nil>
}

func ExampleWithRootCAs() {
	srv := palettetest.NewServer(palettetest.WithTLS())
	defer srv.Close()
	count(connect(srv, palette.WithAPIKey(srv.APIKey), palette.WithRootCAs(srv.CertPool())))
	// Output: 0 <nil>
}

// For a test installation whose certificate nobody signed.
func ExampleWithInsecureSkipVerify() {
	srv := palettetest.NewServer(palettetest.WithTLS())
	defer srv.Close()
	count(connect(srv, palette.WithAPIKey(srv.APIKey), palette.WithInsecureSkipVerify()))
	// Output: 0 <nil>
}

func ExampleWithTimeout() {
	srv := palettetest.NewServer()
	defer srv.Close()
	srv.Inject(palettetest.Fault{Delay: time.Hour})
	client := connect(srv, palette.WithAPIKey(srv.APIKey), palette.WithTimeout(10*time.Millisecond), palette.WithRetry(palette.RetryPolicy{}))
	_, err := client.APIKeys.List(context.Background())
	fmt.Println(errors.Is(err, context.DeadlineExceeded))
	// Output: true
}

func ExampleWithRetry() {
	srv := palettetest.NewServer()
	defer srv.Close()
	srv.Inject(palettetest.Fault{Status: http.StatusServiceUnavailable, Times: 2})
	count(connect(srv, palette.WithAPIKey(srv.APIKey),
		palette.WithRetry(palette.RetryPolicy{MaxRetries: 5, MinWait: time.Millisecond, MaxWait: time.Second})))
	fmt.Println(len(srv.Requests()))
	// Output:
	// 0 <nil>
	// 3
}

// What Palette documents for this resource.
func ExampleWithRateLimit() {
	srv := palettetest.NewServer(palettetest.WithRateLimit(10, 50))
	defer srv.Close()
	count(connect(srv, palette.WithAPIKey(srv.APIKey), palette.WithRateLimit(10, 50)))
	// Output: 0 <nil>
}

func ExampleWithUserAgent() {
	srv := palettetest.NewServer()
	defer srv.Close()
	count(connect(srv, palette.WithAPIKey(srv.APIKey), palette.WithUserAgent("my-tool/1.4")))
	fmt.Println(srv.Requests()[0].Header.Get("User-Agent")[:len("my-tool/1.4")])
	// Output:
	// 0 <nil>
	// my-tool/1.4
}
