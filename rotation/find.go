package rotation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Find returns the key with the given name that is to be rotated next. It ignores keys
// that were replaced and keys that an unfinished rotation left, and prefers active keys
// to inactive and expired ones.
//
// userUID is the owner of the key. If it is empty and several users have keys of that
// name, Find returns an error, because everybody can create keys of any name. If there is
// no key, the error is [palette.ErrNotFound]. If there are several, the error lists them.
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
			return palette.APIKey{}, fmt.Errorf("rotation: several users have keys with the name %q: %s",
				name, describe(named))
		}
		if replacedBy(key) != "" || isUnfinished(key, keys) {
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

// The annotations of a new key, the uid of the old one, and of an old key, its own uid (so
// that copies do not count) and that of the new one. They count among the keys of one
// owner only, because everybody can write annotations on their own keys.
const (
	annotationReplaces   = "rotation/replaces"
	annotationReplacedBy = "rotation/replacedBy"
)

// replacedBy returns the uid of the key that replaced key, or "".
func replacedBy(key palette.APIKey) string {
	uid, newUID, _ := strings.Cut(key.Metadata.Annotations[annotationReplacedBy], " ")
	if uid != key.Metadata.UID {
		return ""
	}
	return newUID
}

// isLeftover reports whether key was created to replace old and was not replaced itself.
func isLeftover(key, old palette.APIKey) bool {
	return sameOwner(key, old) && key.Metadata.UID != old.Metadata.UID &&
		key.Metadata.Annotations[annotationReplaces] == old.Metadata.UID && replacedBy(key) == ""
}

// isUnfinished reports whether key is a leftover of a rotation that is not finished.
func isUnfinished(key palette.APIKey, keys []palette.APIKey) bool {
	return slices.ContainsFunc(keys, func(old palette.APIKey) bool {
		return isLeftover(key, old) && replacedBy(old) == ""
	})
}

func sameOwner(a, b palette.APIKey) bool {
	return a.Spec.User.UID != "" && a.Spec.User.UID == b.Spec.User.UID
}
