package rotation

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// clean deletes keys of the lineage that nobody can use.
func (r *run) clean(ctx context.Context) {
	for _, key := range r.disposable() {
		if err := r.dispose(ctx, key); err != nil {
			r.note(fmt.Errorf("delete the key %s: %w", key.Metadata.UID, err))
		}
	}
}

// disposable returns keys that were never saved, that have expired, or that were offered to a
// store that still holds the current key. The newest of those may still come to light there.
func (r *run) disposable() []palette.APIKey {
	now := r.now()
	older, newer := r.split()
	disposable := slices.DeleteFunc(slices.Concat(older, newer), func(key palette.APIKey) bool {
		isAbandoned := !isSaved(key) && now.Sub(key.Metadata.CreationTimestamp) > abandonedAfter
		return !isAbandoned && !key.Expired(now.Add(-deletedAfter))
	})
	keptFor := offeredFor
	if isRetired(r.current) { // perhaps they were stored until something put the current key back
		keptFor = max(keptFor, r.policy.Overlap)
	}
	offered := slices.DeleteFunc(slices.Clone(newer), func(key palette.APIKey) bool {
		return !isSaved(key) || isRetired(key) || !works(key, now) || now.Sub(key.Metadata.CreationTimestamp) <= keptFor
	})
	return append(disposable, offered[:max(0, len(offered)-keptOffered)]...)
}

// dispose deletes a key, unless it has changed since it was listed.
func (r *run) dispose(ctx context.Context, listed palette.APIKey) error {
	uid := listed.Metadata.UID
	key, err := r.client.APIKeys.Get(ctx, uid)
	if err == nil {
		if !key.Spec.Expiry.Equal(listed.Spec.Expiry) || !maps.Equal(key.Metadata.Annotations, listed.Metadata.Annotations) {
			return nil
		}
		err = r.client.APIKeys.Delete(ctx, uid)
	}
	if err != nil && !errors.Is(err, palette.ErrNotFound) {
		return err
	}
	r.replace(uid)
	return nil
}

// checkRoom returns an error if a new key would be one too many.
func (r *run) checkRoom() error {
	if r.problem != nil && !r.isDue() {
		return errors.New("no key was created, because older ones could not be ended")
	}
	_, newer := r.split()
	if len(newer) < maxOffered {
		return nil
	}
	next := newer[len(newer)-maxOffered].Metadata.CreationTimestamp.Add(offeredFor)
	if next.Before(r.now()) {
		return nil
	}
	return fmt.Errorf("no key was created, because %d were created in the last %v that did not get into the store; the next attempt is possible at %s",
		maxOffered, offeredFor, next.Format(time.RFC3339))
}
