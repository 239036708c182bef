package palettetest_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// revokeExpired stands for automation of your own: it takes a client, so that
// a test can hand it one that talks to palettetest.
func revokeExpired(ctx context.Context, client *palette.Client, now time.Time) (revoked []string, err error) {
	for key, listErr := range client.APIKeys.All(ctx) {
		if listErr != nil {
			return revoked, errors.Join(err, listErr)
		}
		if !key.Expired(now) || !key.Status.IsActive {
			continue
		}
		if revokeErr := client.APIKeys.Revoke(ctx, key.Metadata.UID); revokeErr != nil {
			err = errors.Join(err, revokeErr) // and carry on with the others
			continue
		}
		revoked = append(revoked, key.Metadata.Name)
	}
	return revoked, err
}

// Test your automation: put the keys there that it is about, let something go
// wrong, and look at what is left.
func Example() {
	server := palettetest.NewServer(palettetest.WithPageSize(2))
	defer server.Close()
	now := time.Now()
	server.AddKey(palettetest.Key{Name: "good", Active: true, Expiry: now.Add(time.Hour)})
	server.AddKey(palettetest.Key{Name: "old", Active: true, Expiry: now.Add(-time.Hour)})
	stuck, _ := server.AddKey(palettetest.Key{Name: "stuck", Active: true, Expiry: now.Add(-time.Hour)})
	server.Inject(palettetest.Fault{
		Method: http.MethodPut, Path: "/v1/apiKeys/" + stuck + "/state",
		Status: http.StatusForbidden, Body: `{"code":"OperationForbidden","message":"not today"}`,
	})

	client, err := palette.NewClient(palette.WithBaseURL(server.URL), palette.WithAPIKey(server.APIKey))
	if err != nil {
		panic(err)
	}
	revoked, err := revokeExpired(context.Background(), client, now)
	fmt.Println("revoked:", revoked)
	fmt.Println("error:", err)
	for _, key := range server.Keys() {
		fmt.Println(key.Name, "active:", key.Active)
	}
	// Output:
	// revoked: [old]
	// error: palette: apiKeys.revoke: 403 OperationForbidden: not today (1 attempt)
	// good active: true
	// old active: false
	// stuck active: true
}

// Any HTTP client will do.
func ExampleNewServer() {
	server := palettetest.NewServer()
	defer server.Close()

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+"/v1/apiKeys", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("ApiKey", server.APIKey)
	resp, err := new(http.Client).Do(req)
	if err != nil {
		panic(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}
