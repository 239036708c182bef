// Package cleanup deletes expired API keys. Its test shows how to test code that uses the
// SDK.
package cleanup

import (
	"context"
	"fmt"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// DeleteExpired deletes the keys that have expired. It returns the number of deleted keys.
func DeleteExpired(ctx context.Context, client *palette.Client) (int, error) {
	keys, err := client.APIKeys.List(ctx)
	if err != nil {
		return 0, fmt.Errorf("clean up: %w", err)
	}
	deleted := 0
	for _, key := range keys {
		if !key.Expired(time.Now()) {
			continue
		}
		if err := client.APIKeys.Delete(ctx, key.Metadata.UID); err != nil {
			return deleted, fmt.Errorf("clean up: %w", err)
		}
		deleted++
	}
	return deleted, nil
}
