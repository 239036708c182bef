package rotation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// The annotations of a key that take part in a rotation. Anybody can write them on their own
// keys, so they have an effect only on other keys of the same owner. People copy annotations
// to new keys, so two of them begin with the key's own uid: on a copy they do not count.
const (
	annotationRoot        = "rotation/root"        // the uid of the first key of the lineage
	annotationReplaces    = "rotation/replaces"    // the uid of the key that was in the store when this one was created
	annotationFingerprint = "rotation/fingerprint" // the own uid and a hash of the value; set before the value is given to a store
	annotationRetired     = "rotation/retired"     // the own uid and the time when the key ends
)

// fingerprint returns the value of annotationFingerprint. Eight bytes of the hash of a random
// key only confirm a value that somebody already has.
func fingerprint(uid string, value palette.Secret) string {
	sum := sha256.Sum256([]byte(value.Reveal()))
	return uid + " " + hex.EncodeToString(sum[:8])
}

// hasValue reports whether value is the value of key, according to its fingerprint.
func hasValue(key palette.APIKey, value palette.Secret) bool {
	return !value.IsZero() && key.Metadata.Annotations[annotationFingerprint] == fingerprint(key.Metadata.UID, value)
}

func hasFingerprint(key palette.APIKey) bool {
	return strings.HasPrefix(key.Metadata.Annotations[annotationFingerprint], key.Metadata.UID+" ")
}

// rootOf returns the uid of the first key of the lineage of key.
func rootOf(key palette.APIKey) string {
	annotations := key.Metadata.Annotations
	isCopy := annotations[annotationFingerprint] != "" && !hasFingerprint(key)
	if annotations[annotationRoot] == "" || isCopy {
		return key.Metadata.UID
	}
	return annotations[annotationRoot]
}

func isFirst(key palette.APIKey) bool { return rootOf(key) == key.Metadata.UID }

// isSaved reports whether the value of key may have been given to a store. If not, nobody has it.
func isSaved(key palette.APIKey) bool { return isFirst(key) || hasFingerprint(key) }

func retiredMark(uid string, end time.Time) string {
	return uid + " " + end.UTC().Format(time.RFC3339Nano)
}

// isRetired reports whether a rotation has ended key. If somebody has extended its expiry
// since then, it counts as not retired.
func isRetired(key palette.APIKey) bool {
	uid, text, _ := strings.Cut(key.Metadata.Annotations[annotationRetired], " ")
	end, err := time.Parse(time.RFC3339, text)
	return err == nil && uid == key.Metadata.UID && !key.Spec.Expiry.IsZero() && !key.Spec.Expiry.After(end)
}

// works reports whether key can authenticate.
func works(key palette.APIKey, now time.Time) bool { return key.Status.IsActive && !key.Expired(now) }

func ownerOf(key palette.APIKey) string { return key.Spec.User.UID }

// lineage is a key and all keys of the same owner that rotations made from it.
type lineage struct{ owner, root string }

func lineageOf(key palette.APIKey) lineage { return lineage{ownerOf(key), rootOf(key)} }

// members returns the keys of the lineage, the oldest first.
func (l lineage) members(keys []palette.APIKey) []palette.APIKey {
	var members []palette.APIKey
	for _, key := range keys {
		if lineageOf(key) == l {
			members = append(members, key)
		}
	}
	slices.SortStableFunc(members, func(a, b palette.APIKey) int {
		return a.Metadata.CreationTimestamp.Compare(b.Metadata.CreationTimestamp)
	})
	return members
}

func (l lineage) holds(keys []palette.APIKey, stored palette.Secret) bool {
	return slices.ContainsFunc(keys, func(key palette.APIKey) bool { return lineageOf(key) == l && hasValue(key, stored) })
}

// Replaced reports whether a rotation has replaced key, so that its end needs no attention:
// it is marked as retired, and a newer, active key of its lineage and owner among keys
// expires later. The mark alone proves nothing, because anybody can write it on their keys.
func Replaced(key palette.APIKey, keys []palette.APIKey) bool {
	return isRetired(key) && slices.ContainsFunc(keys, func(other palette.APIKey) bool {
		return ownerOf(key) != "" && lineageOf(other) == lineageOf(key) && other.Status.IsActive &&
			other.Metadata.CreationTimestamp.After(key.Metadata.CreationTimestamp) &&
			(other.Spec.Expiry.IsZero() || other.Spec.Expiry.After(key.Spec.Expiry))
	})
}

// findLineage returns the lineage that which names.
func findLineage(keys []palette.APIKey, which Key, stored palette.Secret) (lineage, error) {
	var found []lineage
	for _, key := range keys {
		isNamed := which.UID == "" && key.Metadata.Name == which.Name
		isDescendant := which.UID != "" && rootOf(key) == which.UID
		switch l := lineageOf(key); {
		case which.UserUID != "" && ownerOf(key) != which.UserUID:
		case which.UID != "" && key.Metadata.UID == which.UID:
			return l, nil
		case (isNamed || isDescendant) && !slices.Contains(found, l):
			found = append(found, l)
		}
	}
	if which.UID != "" && which.UserUID == "" { // the first key was deleted, and anybody can name it as the root
		found = slices.DeleteFunc(found, func(l lineage) bool { return !l.holds(keys, stored) })
	}
	return choose(found, keys, which, stored)
}

// choose chooses the lineage whose key is stored, or the only one that has a key that works.
func choose(found []lineage, keys []palette.APIKey, which Key, stored palette.Secret) (lineage, error) {
	for _, l := range found {
		if l.owner != found[0].owner {
			return l, fmt.Errorf("several users have such keys, set UserUID: %s", which.list(keys))
		}
	}
	isLive := func(l lineage) bool {
		return slices.ContainsFunc(l.members(keys), func(key palette.APIKey) bool { return works(key, time.Now()) && !isRetired(key) })
	}
	for _, matches := range []func(lineage) bool{func(l lineage) bool { return l.holds(keys, stored) }, isLive} {
		if slices.ContainsFunc(found, matches) {
			found = slices.DeleteFunc(found, func(l lineage) bool { return !matches(l) })
		}
	}
	switch len(found) {
	case 0:
		return lineage{}, fmt.Errorf("no such key: %w", palette.ErrNotFound)
	case 1:
		return found[0], nil
	}
	return lineage{}, fmt.Errorf("several keys have this name, set UID: %s", which.list(keys))
}

// list lists the uids and the owners of the keys that which names.
func (which Key) list(keys []palette.APIKey) string {
	var texts []string
	for _, key := range keys {
		if key.Metadata.Name == which.Name || rootOf(key) == which.UID {
			texts = append(texts, fmt.Sprintf("%s (user %s)", key.Metadata.UID, ownerOf(key)))
		}
	}
	return strings.Join(texts, ", ")
}

// unmarked returns annotations without those that the server or a rotation adds.
func unmarked(annotations map[string]string) map[string]string {
	kept := maps.Clone(annotations)
	for _, name := range []string{"ownerUid", "permissions", "scope", "scopeVisibility", "tenantUid",
		annotationRoot, annotationReplaces, annotationFingerprint, annotationRetired} {
		delete(kept, name)
	}
	return kept
}
