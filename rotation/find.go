package rotation

import (
	"context"
	"fmt"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Find returns the key with the given name that is to be rotated next. It ignores keys that
// were replaced or that an unfinished rotation left, and prefers active keys to inactive and
// expired ones. If no key remains, the error is [palette.ErrNotFound]. If several keys remain,
// it returns an error. If userUID, the owner, is empty, it also returns one if several users
// have keys with that name, because everybody can create keys of any name.
func Find(ctx context.Context, client *palette.Client, name, userUID string) (palette.APIKey, error) {
	keys, err := client.APIKeys.List(ctx)
	if err != nil {
		return palette.APIKey{}, fmt.Errorf("rotation: list the keys: %w", err)
	}
	var named, found, live []palette.APIKey
	for _, key := range keys {
		if key.Metadata.Name != name || userUID != "" && key.Spec.User.UID != userUID {
			continue
		}
		named = append(named, key)
		if key.Spec.User.UID != named[0].Spec.User.UID {
			return palette.APIKey{}, fmt.Errorf("rotation: several users have keys with the name %q: %s", name, describe(named))
		}
		if replacedBy(key) != "" || isLeftover(key, keys...) {
			continue
		}
		found = append(found, key)
		if key.Status.IsActive && !key.Expired(time.Now()) {
			live = append(live, key)
		}
	}
	if len(live) > 0 {
		found = live
	}
	switch len(found) {
	case 0:
		return palette.APIKey{}, fmt.Errorf("rotation: no key with the name %q: %w", name, palette.ErrNotFound)
	case 1:
		return found[0], nil
	}
	return palette.APIKey{}, fmt.Errorf("rotation: several keys have the name %q: %s", name, describe(found))
}

// describe lists the uids and the owners of keys.
func describe(keys []palette.APIKey) string {
	var texts []string
	for _, key := range keys {
		texts = append(texts, fmt.Sprintf("%s (user %s)", key.Metadata.UID, key.Spec.User.UID))
	}
	return strings.Join(texts, ", ")
}
