package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Policy says when a key is replaced and what happens to the old one.
type Policy struct {
	Validity    time.Duration // lifetime of the new key; 0: the lifetime that the old key was created with
	Overlap     time.Duration // how long the old key keeps working; 0: it is deleted at once
	RenewBefore time.Duration // rotate only if the key expires within this time; 0: always. Must be less than the new key's lifetime.
}

// Result is the result of Rotate. OldExpiry is zero if the old key was deleted or never expires.
type Result struct {
	Rotated        bool
	OldUID, NewUID string
	OldExpiry      time.Time
}

// Rotate replaces the key with the given uid and saves the new key in store. If the key is
// not due, or was replaced before, Rotated is false. In the second case, NewUID is the key
// that replaced it. If an earlier run was interrupted, the key is always due.
//
// If there is no key with this uid, the error is [palette.ErrNotFound]. If store is nil or
// the policy is invalid, it is [palette.ErrInvalidArgument]. With an error, the Result is
// zero; the text says which keys work.
func Rotate(ctx context.Context, client *palette.Client, uid string, store Store, policy Policy) (Result, error) {
	r := run{client: client, store: store, policy: policy}
	if err := r.look(ctx, uid); err != nil {
		return Result{}, fmt.Errorf("rotation: %w; nothing was changed", err)
	}
	newUID := replacedBy(r.old)
	isDue := policy.RenewBefore == 0 || r.old.Expired(time.Now().Add(policy.RenewBefore))
	if newUID != "" || !isDue && len(r.leftovers) == 0 { // the store may hold a leftover that expires earlier
		return Result{OldUID: uid, NewUID: newUID, OldExpiry: r.old.Spec.Expiry}, nil
	}
	if err := r.replace(ctx); err != nil {
		return Result{}, fmt.Errorf("rotation: %w; the old key is unchanged", err)
	}
	result := Result{Rotated: true, OldUID: uid, NewUID: r.newUID}
	for _, key := range append(r.leftovers, r.old) { // the old key last: until then, the rotation is unfinished
		expiry, err := r.retire(ctx, client, key.Metadata.UID)
		if errors.Is(err, palette.ErrUnauthorized) || errors.Is(err, palette.ErrNotFound) {
			expiry, err = r.retire(ctx, r.fresh, key.Metadata.UID) // perhaps the client's own key was retired
		}
		if err != nil && !errors.Is(err, palette.ErrNotFound) {
			return Result{}, fmt.Errorf("rotation: retire the key (uid %s): %w; the new key (uid %s) works and is stored; run again to retire the old key",
				key.Metadata.UID, err, r.newUID)
		}
		result.OldExpiry = expiry
	}
	return result, nil
}

type run struct {
	client    *palette.Client
	store     Store
	policy    Policy
	old       palette.APIKey
	leftovers []palette.APIKey // the new keys of interrupted runs; the store may hold one
	expired   []palette.APIKey // keys that were replaced and expired more than an hour ago
	request   palette.CreateAPIKeyRequest
	newUID    string
	fresh     *palette.Client // uses the new key
}

// look reads the keys and checks the arguments.
func (r *run) look(ctx context.Context, uid string) error {
	if p := r.policy; r.store == nil || p.Validity < 0 || p.Overlap < 0 || p.RenewBefore < 0 {
		return fmt.Errorf("the store is nil or a duration is negative: %w", palette.ErrInvalidArgument)
	}
	old, err := r.client.APIKeys.Get(ctx, uid)
	if err != nil {
		return fmt.Errorf("get the old key: %w", err)
	}
	keys, err := r.client.APIKeys.List(ctx)
	if err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	if old.Spec.User.UID == "" {
		return errors.New("the key has no owner")
	}
	if isLeftover(*old, keys...) {
		return fmt.Errorf("the key was created to replace the key %q: rotate that one", old.Metadata.Annotations[annotationReplaces])
	}
	r.old = *old
	for _, key := range keys {
		switch {
		case isLeftover(key, *old):
			r.leftovers = append(r.leftovers, key)
		case key.Spec.User.UID == old.Spec.User.UID && replacedBy(key) != "" && key.Expired(time.Now().Add(-time.Hour)):
			r.expired = append(r.expired, key)
		}
	}
	return r.setRequest()
}

// setRequest prepares a key like the old one, without the server's annotations.
func (r *run) setRequest() error {
	meta, lifetime := r.old.UpdateRequest().Metadata, r.policy.Validity
	for _, name := range []string{"ownerUid", "permissions", "scope", "scopeVisibility", "tenantUid", annotationReplacedBy} {
		delete(meta.Annotations, name)
	}
	meta.Annotations[annotationReplaces] = r.old.Metadata.UID
	r.request = palette.CreateAPIKeyRequest{Metadata: meta, Spec: palette.APIKeyCreateSpec{UserUID: r.old.Spec.User.UID}}
	switch created := r.old.Metadata.CreationTimestamp; {
	case lifetime == 0 && r.old.Spec.Expiry.IsZero():
		return nil
	case lifetime == 0 && !created.IsZero():
		lifetime = r.old.Spec.Expiry.Sub(created)
	}
	if lifetime <= r.policy.RenewBefore && replacedBy(r.old) == "" {
		return fmt.Errorf("the new key's lifetime of %v is not more than RenewBefore; set Validity: %w", lifetime, palette.ErrInvalidArgument)
	}
	r.request.Spec.Expiry = time.Now().Add(lifetime)
	return nil
}

// replace creates the new key, proves that it works and saves it.
func (r *run) replace(ctx context.Context) error {
	for _, key := range r.expired {
		_ = r.client.APIKeys.Delete(ctx, key.Metadata.UID) // if this fails, the next rotation does it
	}
	if len(r.leftovers) > 0 { // a store that does not work must not get one more key
		if err := r.testStore(ctx); err != nil {
			return fmt.Errorf("test the store: %w; no key was created", err)
		}
	}
	created, err := r.client.APIKeys.Create(ctx, r.request)
	switch {
	case errors.Is(err, palette.ErrOutcomeUnknown):
		return fmt.Errorf("create the new key: %w; if it exists, it was not stored and will be retired by the next run", err)
	case errors.Is(err, palette.ErrBadRequest), errors.Is(err, palette.ErrForbidden), errors.Is(err, palette.ErrConflict): // perhaps a limit
		return fmt.Errorf("create the new key: %w; a rotation needs room for one more key; keys of interrupted runs: [%s]", err, describe(r.leftovers))
	case err != nil:
		return fmt.Errorf("create the new key: %w", err)
	}
	r.newUID = created.UID
	if err := r.prove(ctx, created.APIKey); err != nil {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
		defer cancel()
		_ = r.client.APIKeys.Delete(ctx, r.newUID) // nobody has its value
		return fmt.Errorf("prove the new key: %w; the new key (uid %s) was not stored and is deleted now or by the next run", err, r.newUID)
	}
	if err := r.save(ctx, created.APIKey); err != nil {
		return fmt.Errorf("save the new key: %w; the new key (uid %s) works, may be stored and will be retired by the next run", err, r.newUID)
	}
	return nil
}

// testStore saves the stored key once more. If it does not work, testStore does nothing: the
// key may have expired, or Load may have returned something else than the key.
func (r *run) testStore(ctx context.Context) error {
	stored, err := r.store.Load(ctx)
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	client, err := r.client.WithAPIKey(stored.Reveal())
	if err == nil {
		_, err = client.APIKeys.Get(ctx, r.old.Metadata.UID)
	}
	switch {
	case err == nil, errors.Is(err, palette.ErrForbidden):
		return r.save(ctx, stored)
	case errors.Is(err, palette.ErrUnauthorized), errors.Is(err, palette.ErrNotFound), errors.Is(err, palette.ErrInvalidArgument):
		return nil
	}
	return err
}

// prove lets the new key read itself. If its owner must not read keys, it works as well.
func (r *run) prove(ctx context.Context, value palette.Secret) (err error) {
	if r.fresh, err = r.client.WithAPIKey(value.Reveal()); err != nil {
		return err
	}
	key, err := r.fresh.APIKeys.Get(ctx, r.newUID)
	if errors.Is(err, palette.ErrForbidden) {
		return nil
	}
	if err == nil && !isLeftover(*key, r.old) {
		return errors.New("the server did not keep the owner or the annotation " + annotationReplaces)
	}
	return err
}

// save saves a key and loads it to compare.
func (r *run) save(ctx context.Context, key palette.Secret) error {
	if err := r.store.Save(ctx, key); err != nil {
		return err
	}
	stored, err := r.store.Load(ctx)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err == nil && stored != key:
		return errors.New("the store returned another key than the one that was saved")
	}
	return err
}

// retire ends a key and returns its expiry, zero if it was deleted.
func (r *run) retire(ctx context.Context, client *palette.Client, uid string) (time.Time, error) {
	key, err := client.APIKeys.Get(ctx, uid)
	if err != nil {
		return time.Time{}, err
	}
	expiry, err := r.end(ctx, client, key)
	if errors.Is(err, palette.ErrNotFound) { // somebody else has deleted it
		return time.Time{}, nil
	}
	return expiry, err
}

// end deletes a key, or lets it expire after the overlap.
func (r *run) end(ctx context.Context, client *palette.Client, key *palette.APIKey) (time.Time, error) {
	uid, now := key.Metadata.UID, time.Now()
	if r.policy.Overlap == 0 || key.Expired(now) {
		return time.Time{}, client.APIKeys.Delete(ctx, uid)
	}
	req := key.UpdateRequest()
	if end := now.Add(r.policy.Overlap).UTC().Truncate(time.Millisecond); req.Spec.Expiry.IsZero() || end.Before(req.Spec.Expiry) {
		req.Spec.Expiry = end
	}
	req.Metadata.Annotations[annotationReplacedBy] = uid + " " + r.newUID
	return req.Spec.Expiry, client.APIKeys.Update(ctx, uid, req)
}

// Everybody can write annotations on their own keys: compare the owners.
const (
	annotationReplaces   = "rotation/replaces"   // of a new key: the uid of the old key
	annotationReplacedBy = "rotation/replacedBy" // of an old key: its own uid, so that copies do not count, and the uid of the new key
)

// replacedBy returns the uid of the key that replaced key, or "".
func replacedBy(key palette.APIKey) string {
	uid, newUID, _ := strings.Cut(key.Metadata.Annotations[annotationReplacedBy], " ")
	if uid != key.Metadata.UID {
		return ""
	}
	return newUID
}

// isLeftover reports whether key is the new key of an unfinished rotation of one of olds.
func isLeftover(key palette.APIKey, olds ...palette.APIKey) bool {
	return replacedBy(key) == "" && slices.ContainsFunc(olds, func(old palette.APIKey) bool {
		return old.Spec.User.UID != "" && old.Spec.User.UID == key.Spec.User.UID && key.Metadata.UID != old.Metadata.UID &&
			key.Metadata.Annotations[annotationReplaces] == old.Metadata.UID && replacedBy(old) == ""
	})
}
