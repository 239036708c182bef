// Package jobkeys creates API keys for CI jobs. Its test shows how to test code that uses
// the SDK.
package jobkeys

import (
	"context"
	"fmt"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Lifetime is how long the key of a job works.
const Lifetime = time.Hour

// Renew deletes the keys of earlier runs of a job and creates one for the next run.
func Renew(ctx context.Context, client *palette.Client, job string) (palette.Secret, error) {
	old, err := client.APIKeys.FindByName(ctx, job)
	if err != nil {
		return palette.Secret{}, fmt.Errorf("job %s: %w", job, err)
	}
	for _, key := range old {
		if err := client.APIKeys.Delete(ctx, key.Metadata.UID); err != nil {
			return palette.Secret{}, fmt.Errorf("job %s: %w", job, err)
		}
	}
	created, err := client.APIKeys.Create(ctx, palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMetaInput{Name: job},
		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().Add(Lifetime)},
	})
	if err != nil {
		return palette.Secret{}, fmt.Errorf("job %s: %w", job, err)
	}
	return created.APIKey, nil
}
