package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// finish retires what an interrupted run left after it had saved the current key.
func (r *run) finish(ctx context.Context) {
	if !r.seen || isRetired(r.current) || !works(r.current, time.Now()) {
		return
	}
	older := r.older()
	if len(older) == 0 {
		return
	}
	r.fresh, _ = r.client.WithAPIKey(r.stored.Reveal()) // valid: it has the fingerprint of a key
	old, replaced := older[0], r.current.Metadata.Annotations[annotationReplaces]
	if at := indexOf(older, replaced); at >= 0 {
		old = older[at]
	}
	expiry, err := r.retireAll(ctx, old, old.Metadata.UID == replaced)
	r.note(err)
	r.result = Result{Rotated: true, OldUID: old.Metadata.UID, NewUID: r.current.Metadata.UID, OldExpiry: expiry}
}

// older returns the keys that are older than the current one and that no run has retired.
func (r *run) older() []palette.APIKey {
	now := time.Now()
	older, _ := r.split()
	return slices.DeleteFunc(slices.Clone(older), func(key palette.APIKey) bool {
		return !isSaved(key) || isRetired(key) || !works(key, now)
	})
}

// retireReplaced retires the current key, which was just replaced, and those that are older.
func (r *run) retireReplaced(ctx context.Context) error {
	uid := r.current.Metadata.UID
	expiry, err := r.retireAll(ctx, r.current, r.seen)
	if errors.Is(err, errInactive) { // a rotation does not undo that
		err = r.do(func(service *palette.APIKeysService) error { return service.Revoke(ctx, r.newUID) })
		if err != nil {
			return fmt.Errorf("the key %s was revoked during the run; revoke the new key %s, which the store holds: %w", uid, r.newUID, err)
		}
		return fmt.Errorf("the key %s was revoked during the run, and therefore the new key %s, which the store holds, as well", uid, r.newUID)
	}
	r.note(err)
	if r.reverted {
		r.note(ErrReverted)
	}
	r.result = Result{Rotated: true, OldUID: uid, NewUID: r.newUID, OldExpiry: expiry}
	return nil
}

// retireAll retires old, which the store held before, and all keys that are older than the
// current one. It returns when old ends. A key that was not seen in the store can still come
// to light there, and may be in use elsewhere if the store is a wrong one.
func (r *run) retireAll(ctx context.Context, old palette.APIKey, wasStored bool) (time.Time, error) {
	for _, key := range r.older() {
		if key.Metadata.UID != old.Metadata.UID {
			if _, err := r.retire(ctx, key, max(minimumOverlap, r.policy.Overlap)); !errors.Is(err, errInactive) {
				r.note(err)
			}
		}
	}
	if wasStored {
		return r.retire(ctx, old, r.policy.Overlap)
	}
	return r.retire(ctx, old, max(minimumOverlap, r.policy.Overlap))
}

// retire ends a key after the overlap, and returns when; the zero time means that it is deleted.
func (r *run) retire(ctx context.Context, listed palette.APIKey, overlap time.Duration) (time.Time, error) {
	uid, expiry := listed.Metadata.UID, time.Time{}
	err := r.do(func(service *palette.APIKeysService) error {
		key, err := service.Get(ctx, uid)
		switch {
		case err != nil:
		case !key.Status.IsActive:
			err = errInactive
		case key.Expired(r.now().Add(-deletedAfter)):
			err = service.Delete(ctx, uid)
		case key.Expired(r.now()):
			expiry = key.Spec.Expiry
		case overlap > 0:
			expiry, err = r.shorten(ctx, service, key, overlap)
		default:
			if err = service.Delete(ctx, uid); errors.Is(err, palette.ErrForbidden) {
				expiry, err = r.shorten(ctx, service, key, time.Minute)
			}
		}
		return err
	})
	switch {
	case err == nil && !expiry.IsZero():
		return expiry, nil
	case err == nil, errors.Is(err, palette.ErrNotFound):
		r.replace(uid)
		return time.Time{}, nil
	}
	return listed.Spec.Expiry, fmt.Errorf("retire the key %s: %w", uid, err)
}

// shorten lets a key expire after the overlap, and marks it as retired.
func (r *run) shorten(ctx context.Context, service *palette.APIKeysService, key *palette.APIKey, overlap time.Duration) (time.Time, error) {
	uid, end := key.Metadata.UID, r.now().Add(overlap).UTC().Truncate(time.Millisecond)
	if key.Expired(end) {
		end = key.Spec.Expiry
	}
	req := key.UpdateRequest()
	req.Spec.Expiry = end
	req.Metadata.Annotations[annotationRetired] = retiredMark(uid, end)
	if err := service.Update(ctx, uid, req); err != nil {
		return end, err
	}
	key, err := service.Get(ctx, uid)
	if err != nil {
		return end, err
	}
	r.replace(uid, *key)
	switch {
	case !key.Status.IsActive:
		err = errInactive
	case !isRetired(*key):
		err = errors.New("the server did not keep the new expiry or the annotation " + annotationRetired)
	}
	return key.Spec.Expiry, err
}
