package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// look lists the keys, loads the store and finds the current key.
func (r *run) look(ctx context.Context, which Key) error {
	if r.client == nil || r.store == nil || (which.Name == "") == (which.UID == "") {
		return fmt.Errorf("a client, a store, and either the name or the uid of the key are required: %w", palette.ErrInvalidArgument)
	}
	keys, err := r.client.APIKeys.List(ctx)
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	if r.stored, err = r.store.Load(ctx); err != nil {
		return fmt.Errorf("load the stored key: %w", err)
	}
	lineage, err := findLineage(keys, which, r.stored)
	if err != nil {
		return err
	}
	for _, key := range keys {
		isOther := lineageOf(key) != lineage && hasValue(key, r.stored)
		r.foreign = r.foreign || isOther
		if isOther && ownerOf(key) == lineage.owner {
			return fmt.Errorf("the store holds the key %s of another rotation: each key needs a store of its own", key.Metadata.UID)
		}
	}
	r.keys = lineage.members(keys)
	if err := r.findCurrent(); err != nil {
		return err
	}
	switch uid := r.current.Metadata.UID; {
	case lineage.owner == "":
		return fmt.Errorf("the server did not say who owns the key %s", uid)
	case r.keys[0].Metadata.CreationTimestamp.IsZero():
		return fmt.Errorf("the server did not say when the key %s was created", r.keys[0].Metadata.UID)
	case !r.current.Status.IsActive:
		return fmt.Errorf("the key %s is inactive, and a rotation does not undo that somebody revoked it: "+
			"reactivate it, or delete it and put another key into the store", uid)
	}
	return nil
}

// findCurrent finds the key that has the stored value. If there is none, the current key is
// the oldest that may be in use: newer ones may come from runs that could not save them.
func (r *run) findCurrent() error {
	now := time.Now()
	for i, matches := range []func(palette.APIKey) bool{
		func(key palette.APIKey) bool { return hasValue(key, r.stored) },
		func(key palette.APIKey) bool { return isSaved(key) && !isRetired(key) && !key.Expired(now) },
		func(key palette.APIKey) bool { return isSaved(key) && works(key, now) },
		isSaved,
	} {
		if at := slices.IndexFunc(r.keys, matches); at >= 0 {
			r.current, r.seen = r.keys[at], i == 0
			return nil
		}
	}
	return fmt.Errorf("no such key: %w", palette.ErrNotFound)
}

// assess checks the policy and completes what is known about the store.
func (r *run) assess(ctx context.Context) (err error) {
	if err := r.setLifetime(); err != nil {
		return err
	}
	if !r.seen && !r.foreign && !r.stored.IsZero() && isFirst(r.current) && !hasFingerprint(r.current) {
		if r.seen, err = r.authenticates(ctx, r.stored); err != nil {
			return fmt.Errorf("test the stored key: %w", err)
		}
	}
	// The first key is retired or deleted only after the store held a newer one.
	wasRotated := !slices.ContainsFunc(r.keys, func(key palette.APIKey) bool { return isFirst(key) && !isRetired(key) })
	r.reverted = r.seen && isRetired(r.current) || !r.seen && wasRotated
	r.result = Result{OldUID: r.current.Metadata.UID, NewUID: r.current.Metadata.UID, OldExpiry: r.current.Spec.Expiry}
	return nil
}

// setLifetime sets the lifetime of the new key; 0 means that it does not expire.
func (r *run) setLifetime() error {
	p := r.policy
	if p.Validity < 0 || p.Overlap < 0 || p.RenewBefore < 0 {
		return fmt.Errorf("a duration of the policy is negative: %w", palette.ErrInvalidArgument)
	}
	r.lifetime = p.Validity
	for _, key := range r.keys {
		switch {
		case p.Validity > 0:
		case key.Spec.Expiry.IsZero():
			r.lifetime = 0
			return nil
		default:
			r.lifetime = max(r.lifetime, lifetimeOf(key))
		}
	}
	if r.lifetime <= max(p.RenewBefore, p.Overlap) {
		return fmt.Errorf("the lifetime of the new key, %v, is not more than RenewBefore and Overlap; set Validity: %w", r.lifetime, palette.ErrInvalidArgument)
	}
	return nil
}

// authenticates reports whether value works as a credential.
func (r *run) authenticates(ctx context.Context, value palette.Secret) (bool, error) {
	client, err := r.client.WithAPIKey(value.Reveal())
	if err == nil {
		_, err = client.APIKeys.Get(ctx, r.current.Metadata.UID)
	}
	switch {
	case err == nil, errors.Is(err, palette.ErrForbidden):
		return true, nil
	case errors.Is(err, palette.ErrUnauthorized), errors.Is(err, palette.ErrNotFound), errors.Is(err, palette.ErrInvalidArgument):
		return false, nil
	}
	return false, err
}

// split returns the keys that are older and those that are newer than the current one.
func (r *run) split() (older, newer []palette.APIKey) {
	at := indexOf(r.keys, r.current.Metadata.UID)
	return r.keys[:at], r.keys[at+1:]
}

// isDue reports whether the run creates a key.
func (r *run) isDue() bool {
	renewBefore := r.policy.RenewBefore
	switch {
	case !r.seen, isRetired(r.current):
		return true
	case renewBefore == 0 && r.problem == nil:
		return !r.result.Rotated
	case renewBefore == 0: // each new key would be one more that cannot be ended
		renewBefore = lifetimeOf(r.current) / 2
	}
	return r.current.Expired(time.Now().Add(renewBefore))
}
