package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Key says which key to rotate: by its name, or by its uid.
type Key struct {
	Name    string
	UserUID string // the owner; required if several users have keys of that name

	// UID is the uid of any key of the lineage. If the store holds a key of the lineage, or
	// UserUID is set, the uid of the first key can be used even after that key was deleted.
	UID string
}

// Policy says when a key is replaced and what happens to the old one.
type Policy struct {
	// Validity is the lifetime of the new key. If it is 0, the new key has the longest
	// lifetime of a key of the lineage. It must be more than RenewBefore and Overlap.
	Validity time.Duration

	// Overlap is how long the old key keeps working. If it is 0, the old key is deleted at
	// once.
	Overlap time.Duration

	// RenewBefore makes Rotate replace the key only if it expires within this time, or if
	// the store does not hold it. If it is 0, Rotate always replaces the key.
	RenewBefore time.Duration
}

// Result is the result of Rotate.
type Result struct {
	Rotated   bool      // the store holds a new key, saved by this run or by an interrupted one that it finished
	OldUID    string    // the key that was replaced; if Rotated is false, the key in the store
	NewUID    string    // the key that the store holds now
	OldExpiry time.Time // when the old key ends; zero if it was deleted or never expires
}

// ErrReverted reports that the store did not hold the key that the last rotation saved, but
// an older or an unknown one, or none. The rotation succeeded and has repaired the store.
// Find out what changes the store: the next time, the stored key may no longer work.
var ErrReverted = errors.New("the store had been changed since the last rotation")

const (
	minimumOverlap   = 8 * 24 * time.Hour // of keys that a late Save may still bring into the store: more than a week, until the next run mends that
	abandonedAfter   = time.Hour          // a key that was not saved until then belongs to no run at work
	deletedAfter     = 3 * time.Hour      // since the expiry: more than clocks differ
	offeredFor       = 2 * time.Hour      // how long a store that failed can delay a Save
	maxOffered       = 5                  // keys that are younger than offeredFor
	keptOffered      = 2                  // keys that are older
	patienceWithKey  = 90 * time.Second   // until a new key works
	patienceWithLoad = 30 * time.Second   // until a saved key can be loaded
	pollInterval     = time.Second
)

// Rotate creates a new key and replaces the key in the store by it, if that is due. The
// package documentation describes how.
//
// If Rotate returns an error, call it again: it resumes. Until then the stored key works as
// before, unless somebody revoked it. The error lists the keys of the lineage that work. If
// Result.Rotated is true, the rotation succeeded nevertheless: the error is [ErrReverted],
// or says which older keys could not be retired.
//
// If there is no such key, the error is [palette.ErrNotFound]. If an argument is invalid, it
// is [palette.ErrInvalidArgument].
func Rotate(ctx context.Context, client *palette.Client, key Key, store Store, policy Policy) (Result, error) {
	r := &run{client: client, store: store, policy: policy}
	if err := r.rotate(ctx, key); err != nil {
		r.result = Result{}
		r.note(err)
	}
	if r.problem != nil {
		return r.result, fmt.Errorf("rotation: %w%s", r.problem, r.describeKeys())
	}
	return r.result, nil
}

// Find returns the key that Rotate would replace: the one that the store holds. If the store
// holds none of the lineage, it is the one that the store should hold.
func Find(ctx context.Context, client *palette.Client, key Key, store Store) (palette.APIKey, error) {
	r := &run{client: client, store: store}
	if err := r.look(ctx, key); err != nil {
		return palette.APIKey{}, fmt.Errorf("rotation: %w", err)
	}
	return r.current, nil
}

type run struct {
	client *palette.Client
	store  Store
	policy Policy

	keys     []palette.APIKey // of the lineage, the oldest first
	stored   palette.Secret   // what the store held at the start
	current  palette.APIKey   // the key that the store held or, if it held none of the lineage, should hold
	seen     bool             // the store held it
	foreign  bool             // the store held a key of another lineage
	reverted bool             // the store held another key once

	lifetime time.Duration   // of the new key
	newUID   string          // of the new key
	fresh    *palette.Client // uses the key that is in the store now
	result   Result
	problem  error // what does not stop the run: older keys that could not be ended
}

// rotate is the protocol.
func (r *run) rotate(ctx context.Context, which Key) error {
	// Step 1: look what the store holds.
	if err := r.look(ctx, which); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	if err := r.assess(ctx); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	// Step 2: finish an interrupted run, and rotate if that is due.
	r.finish(ctx)
	if !r.isDue() {
		return nil
	}
	// Step 3: clean, and do not add to what cannot be cleaned.
	r.clean(ctx)
	if err := r.checkRoom(); err != nil {
		return err
	}
	// Step 4: create a key that works.
	value, err := r.create(ctx)
	if err != nil {
		return err
	}
	// Step 5: save it.
	if err := r.save(ctx, value); err != nil {
		return err
	}
	// Step 6: retire the keys that it replaces.
	return r.retireReplaced(ctx)
}

// do calls f with the client or, if the client's own key has ended on the way, with the new
// key. Palette may respond to a key that it does not know with 404.
func (r *run) do(f func(*palette.APIKeysService) error) error {
	err := f(r.client.APIKeys)
	if r.fresh == nil || !isUnknownKey(err) {
		return err
	}
	if freshErr := f(r.fresh.APIKeys); !errors.Is(freshErr, palette.ErrForbidden) {
		return freshErr
	}
	return err
}

// isUnknownKey reports whether the server does not know a key, perhaps the client's.
func isUnknownKey(err error) bool {
	return errors.Is(err, palette.ErrUnauthorized) || errors.Is(err, palette.ErrNotFound)
}

// poll calls f again as long as retry reports true for its error, and patience lasts.
func poll(ctx context.Context, patience time.Duration, retry func(error) bool, f func() error) error {
	for deadline := time.Now().Add(patience); ; {
		err := f()
		if err == nil || !retry(err) || time.Now().After(deadline) {
			return err
		}
		if ctxErr := sleep(ctx, pollInterval); ctxErr != nil {
			return fmt.Errorf("%w (%w)", err, ctxErr)
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// now returns the time, which is not before the creation of the newest key, by the server's clock.
func (r *run) now() time.Time {
	now, newest := time.Now(), r.keys[len(r.keys)-1].Metadata.CreationTimestamp
	if newest.After(now) {
		return newest
	}
	return now
}

// replace replaces a key in r.keys, or removes it.
func (r *run) replace(uid string, with ...palette.APIKey) {
	if at := indexOf(r.keys, uid); at >= 0 {
		r.keys = slices.Replace(r.keys, at, at+1, with...)
	}
}

func indexOf(keys []palette.APIKey, uid string) int {
	return slices.IndexFunc(keys, func(key palette.APIKey) bool { return key.Metadata.UID == uid })
}

func lifetimeOf(key palette.APIKey) time.Duration {
	return key.Spec.Expiry.Sub(key.Metadata.CreationTimestamp)
}
