// Command nethttp creates a key and prints its uid, on net/http and encoding/json.
// It is built, not run: its size is compared with that of the same program on the SDK.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

type metadata struct {
	Name string `json:"name"`
}

type spec struct {
	Expiry time.Time `json:"expiry"`
}

type request struct {
	Metadata metadata `json:"metadata"`
	Spec     spec     `json:"spec"`
}

func main() {
	uid, err := create(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(uid)
}

func create(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	body, err := json.Marshal(request{metadata{"ci"}, spec{time.Now().Add(24 * time.Hour).UTC()}})
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://api.spectrocloud.com/v1/apiKeys", bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	req.Header.Set("ApiKey", os.Getenv("PALETTE_API_KEY"))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusCreated {
		return "", fmt.Errorf("status %d", resp.StatusCode)
	}
	var created struct {
		UID string `json:"uid"`
	}
	err = json.Unmarshal(reply, &created)
	return created.UID, err
}
