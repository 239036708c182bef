package rotation_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// vault is a secret of HashiCorp Vault's key-value engine, version 2.
type vault struct{ url, token string }

type vaultSecret struct {
	Data struct {
		Key string `json:"key"`
	} `json:"data"`
}

func (v vault) Load(ctx context.Context) (palette.Secret, error) {
	var body struct{ Data vaultSecret }
	err := v.do(ctx, http.MethodGet, nil, &body)
	return palette.NewSecret(body.Data.Data.Key), err
}

func (v vault) Save(ctx context.Context, key palette.Secret) error {
	var secret vaultSecret
	secret.Data.Key = key.Reveal()
	body, err := json.Marshal(secret)
	if err != nil {
		return err
	}
	return v.do(ctx, http.MethodPost, bytes.NewReader(body), &struct{}{})
}

func (v vault) do(ctx context.Context, method string, body io.Reader, result any) error {
	req, err := http.NewRequestWithContext(ctx, method, v.url, body)
	if err != nil {
		return err
	}
	req.Header.Set("X-Vault-Token", v.token)
	resp, err := (&http.Client{}).Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	switch {
	case resp.StatusCode == http.StatusNotFound && method == http.MethodGet:
		return nil // nothing is stored
	case resp.StatusCode != http.StatusOK:
		return fmt.Errorf("vault: %s", resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(result)
}

// A store of one's own: HashiCorp Vault.
func ExampleStore() {
	ctx := context.Background()
	server := palettetest.NewServer() // instead of Palette
	defer server.Close()
	server.AddKey(palettetest.Key{Name: "ci", Active: true})
	fake := httptest.NewServer(newFakeVault())
	defer fake.Close()
	store := vault{url: fake.URL + "/v1/secret/data/ci", token: "token"}

	client, err := palette.NewClient(palette.WithAPIKey(server.APIKey), palette.WithBaseURL(server.URL))
	if err != nil {
		log.Fatal(err)
	}
	result, err := rotation.Rotate(ctx, client, rotation.Key{Name: "ci"}, store, rotation.Policy{})
	if err != nil {
		log.Fatal(err)
	}
	stored, err := store.Load(ctx)
	fmt.Println(result.Rotated, stored, err)
	// Output: true [REDACTED] <nil>
}

// newFakeVault returns a handler that keeps one secret.
func newFakeVault() http.Handler {
	var saved []byte
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Vault-Token") != "token":
			w.WriteHeader(http.StatusForbidden)
		case r.Method == http.MethodPost:
			saved, _ = io.ReadAll(r.Body)
			_, _ = io.WriteString(w, `{"data":{"version":1}}`)
		case saved == nil:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = fmt.Fprintf(w, `{"data":%s}`, saved)
		}
	})
}
