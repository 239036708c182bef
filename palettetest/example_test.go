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

// revokeExpired is the code under test.
func revokeExpired(ctx context.Context, client *palette.Client) error {
	keys, err := client.APIKeys.List(ctx)
	for _, key := range keys {
		if key.Expired(time.Now()) {
			err = errors.Join(err, client.APIKeys.Revoke(ctx, key.Metadata.UID))
		}
	}
	return err
}

// A test stores keys, injects a fault, runs the code under test, and checks the keys. It
// would use Start instead of NewServer.
func Example() {
	server := palettetest.NewServer()
	defer server.Close()
	expired := time.Now().Add(-time.Hour)
	server.AddKey(palettetest.Key{Name: "current", Active: true})
	server.AddKey(palettetest.Key{Name: "old", Active: true, Expiry: expired})
	uid, _ := server.AddKey(palettetest.Key{Name: "protected", Active: true, Expiry: expired})
	server.Inject(palettetest.Fault{
		Method: http.MethodPut, Path: "/v1/apiKeys/" + uid + "/state",
		Status: http.StatusForbidden, Code: "OperationForbidden",
	})

	err := revokeExpired(context.Background(), server.Client())

	fmt.Println("forbidden:", errors.Is(err, palette.ErrForbidden))
	for _, key := range server.Keys() {
		fmt.Println(key.Name, key.Active)
	}
	// Output:
	// forbidden: true
	// current true
	// old false
	// protected true
}
