package palette_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// tokenSource authenticates with an email address and a password, and reuses the token
// for 10 of the 15 minutes for which it is valid.
type tokenSource struct {
	baseURL              string
	email, org, password string

	mu      sync.Mutex
	token   string
	renewAt time.Time
}

// Token returns a valid token. It is safe for concurrent use.
func (s *tokenSource) Token(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.renewAt) {
		return s.token, nil
	}
	token, err := s.authenticate(ctx)
	if err != nil {
		return "", fmt.Errorf("authenticate: %w", err)
	}
	s.token, s.renewAt = token, time.Now().Add(10*time.Minute)
	return token, nil
}

// authenticate requests a new token.
func (s *tokenSource) authenticate(ctx context.Context) (string, error) {
	body, err := json.Marshal(map[string]string{"emailId": s.email, "org": s.org, "password": s.password})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.baseURL+"/v1/auth/authenticate", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("Content-Type", "application/json")
	// A redirect would send the password to another host.
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", errors.New(resp.Status)
	}
	var result struct {
		Authorization string `json:"Authorization"`
	}
	err = json.NewDecoder(resp.Body).Decode(&result)
	return result.Authorization, err
}

// The client authenticates with an email address and a password. It calls Token before
// each attempt; the token is requested once.
func ExampleWithAuthTokenFunc() {
	server := palettetest.NewServer()
	defer server.Close()
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/auth/authenticate" {
			server.ServeHTTP(w, r)
			return
		}
		fmt.Println("authenticate")
		fmt.Fprintf(w, `{"Authorization":%q,"isMfa":false}`, server.AuthToken())
	}))
	defer front.Close()

	source := &tokenSource{baseURL: front.URL, email: "ci@example.com", org: "example", password: "…"}
	client, err := palette.NewClient(palette.WithBaseURL(front.URL), palette.WithAuthTokenFunc(source.Token))
	if err != nil {
		log.Fatal(err)
	}
	for range 3 {
		keys, err := client.APIKeys.List(context.Background())
		fmt.Println(len(keys), "keys, error:", err)
	}
	// Output:
	// authenticate
	// 0 keys, error: <nil>
	// 0 keys, error: <nil>
	// 0 keys, error: <nil>
}
