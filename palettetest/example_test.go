package palettetest_test

import (
	"context"
	"fmt"
	"net/http"

	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func ExampleNewServer() {
	srv := palettetest.NewServer()
	defer srv.Close()

	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, srv.URL+"/v1/apiKeys", nil)
	if err != nil {
		panic(err)
	}
	req.Header.Set("ApiKey", srv.APIKey)
	res, err := new(http.Client).Do(req)
	if err != nil {
		panic(err)
	}
	defer res.Body.Close()
	fmt.Println(res.Status)
	// Output: 200 OK
}
