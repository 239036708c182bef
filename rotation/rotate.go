package rotation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Policy says when a key is replaced and what happens to the old one.
type Policy struct {
	Validity    time.Duration // lifetime of the new key; 0: the lifetime that the old key was created with
	Overlap     time.Duration // how long the old key keeps working; 0: it is deleted at once
	RenewBefore time.Duration // rotate only if the key expires within this time; 0: always. Less than the new lifetime.
}

// Result is the result of Rotate.
type Result struct {
	Rotated        bool
	OldUID, NewUID string
	OldExpiry      time.Time // until when the old key works; zero if it was deleted, or never expires
}

// Rotate replaces the key with the given uid and saves the new key in store. The package
// documentation describes the steps. If the key is not due, or was replaced before,
// Rotated is false. In the second case, NewUID is the key that replaced it.
//
// If there is no key with this uid, the error is [palette.ErrNotFound].
func Rotate(ctx context.Context, client *palette.Client, uid string, store Store, policy Policy) (Result, error) {
	r := run{client: client, store: store, policy: policy}
	if err := r.look(ctx, uid); err != nil {
		return Result{}, fmt.Errorf("rotation: %w; nothing was changed", err)
	}
	result := Result{OldUID: uid, NewUID: replacedBy(r.old), OldExpiry: r.old.Spec.Expiry}
	isDue := policy.RenewBefore == 0 || r.old.Expired(time.Now().Add(policy.RenewBefore))
	if result.NewUID != "" || !isDue && len(r.leftovers) == 0 { // the store may hold a leftover that expires earlier
		return result, nil
	}
	if err := r.replace(ctx); err != nil {
		return Result{}, fmt.Errorf("rotation: %w", err)
	}
	expiry, err := r.retireAll(ctx)
	if err != nil {
		return Result{}, fmt.Errorf("rotation: %w; the new key (uid %s) works and is stored; run again to retire the old key",
			err, r.newUID)
	}
	return Result{Rotated: true, OldUID: uid, NewUID: r.newUID, OldExpiry: expiry}, nil
}

// run is one call of Rotate.
type run struct {
	client    *palette.Client
	store     Store
	policy    Policy
	keys      []palette.APIKey // all that the client can see
	old       palette.APIKey
	leftovers []palette.APIKey // the new keys of interrupted runs; the store may hold one
	lifetime  time.Duration    // of the new key; 0: it does not expire
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
	if r.keys, err = r.client.APIKeys.List(ctx); err != nil {
		return fmt.Errorf("list the keys: %w", err)
	}
	r.old = *old
	newUID := replacedBy(r.old)
	for _, key := range r.keys {
		if isLeftover(key, r.old) {
			r.leftovers = append(r.leftovers, key)
		}
		if key.Metadata.UID == newUID && !sameOwner(key, r.old) {
			return errors.New("its annotations name the key of another user as the new key")
		}
	}
	switch {
	case r.old.Spec.User.UID == "":
		return errors.New("the server does not return the owner of the key")
	case newUID != "":
		return nil
	case isUnfinished(r.old, r.keys):
		return fmt.Errorf("the key belongs to an unfinished rotation: rotate the key %q",
			r.old.Metadata.Annotations[annotationReplaces])
	}
	return r.setLifetime()
}

// setLifetime determines the lifetime of the new key.
func (r *run) setLifetime() error {
	created, expiry := r.old.Metadata.CreationTimestamp, r.old.Spec.Expiry
	r.lifetime = r.policy.Validity
	if r.lifetime == 0 && !expiry.IsZero() {
		if created.IsZero() || !created.Before(expiry) {
			return fmt.Errorf("the lifetime of the old key is unknown, set Validity: %w", palette.ErrInvalidArgument)
		}
		r.lifetime = expiry.Sub(created)
	}
	if r.lifetime > 0 && r.policy.RenewBefore >= r.lifetime {
		return fmt.Errorf("RenewBefore is not less than the new lifetime of %v: %w", r.lifetime, palette.ErrInvalidArgument)
	}
	return nil
}

// replace creates the new key, proves that it works and saves it. The old key and the
// leftovers that may be stored stay as they are.
func (r *run) replace(ctx context.Context) error {
	r.deleteExpired(ctx)
	if err := r.testStore(ctx); err != nil {
		return fmt.Errorf("test the store: %w; %s; no key was created", err, r.oldKey())
	}
	created, err := r.client.APIKeys.Create(ctx, r.request())
	if err != nil {
		return fmt.Errorf("create the new key: %w; %s; %s", err, r.oldKey(), r.afterCreate(err))
	}
	r.newUID = created.UID
	if err := r.prove(ctx, created.APIKey); err != nil {
		return fmt.Errorf("prove the new key: %w; %s; the new key (uid %s) %s", err, r.oldKey(), r.newUID, r.deleteNew(ctx))
	}
	if err := r.save(ctx, created.APIKey); err != nil {
		return fmt.Errorf("save the new key: %w; %s; the new key (uid %s) works, may be stored, and will be retired by the next run",
			err, r.oldKey(), r.newUID)
	}
	return nil
}

// deleteExpired makes room for the new key. The next rotation retries what fails.
func (r *run) deleteExpired(ctx context.Context) {
	for _, key := range r.keys {
		if sameOwner(key, r.old) && replacedBy(key) != "" && key.Expired(time.Now().Add(-time.Hour)) {
			_ = r.client.APIKeys.Delete(ctx, key.Metadata.UID)
		}
	}
}

// testStore saves the stored key again after an interrupted run, so that a store that does
// not work gets no further key.
func (r *run) testStore(ctx context.Context) error {
	if len(r.leftovers) == 0 {
		return nil
	}
	stored, err := r.store.Load(ctx)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil
	case err != nil:
		return err
	case stored == palette.Secret{}:
		return r.deleteUnstored(ctx)
	}
	return r.save(ctx, stored)
}

// deleteUnstored deletes all leftovers but the newest, which a slow store may still save.
func (r *run) deleteUnstored(ctx context.Context) error {
	slices.SortStableFunc(r.leftovers, func(a, b palette.APIKey) int {
		return a.Metadata.CreationTimestamp.Compare(b.Metadata.CreationTimestamp)
	})
	for ; len(r.leftovers) > 1; r.leftovers = r.leftovers[1:] {
		err := r.client.APIKeys.Delete(ctx, r.leftovers[0].Metadata.UID)
		if err != nil && !errors.Is(err, palette.ErrNotFound) {
			return err
		}
	}
	return nil
}

// request returns the request for a key like the old one, without the annotations of the
// server and of earlier rotations.
func (r *run) request() palette.CreateAPIKeyRequest {
	meta := r.old.UpdateRequest().Metadata
	for _, name := range []string{"ownerUid", "permissions", "scope", "scopeVisibility", "tenantUid", annotationReplacedBy} {
		delete(meta.Annotations, name)
	}
	meta.Annotations[annotationReplaces] = r.old.Metadata.UID
	spec := palette.APIKeyCreateSpec{UserUID: r.old.Spec.User.UID}
	if r.lifetime > 0 {
		spec.Expiry = time.Now().Add(r.lifetime)
	}
	return palette.CreateAPIKeyRequest{Metadata: meta, Spec: spec}
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
		err = errors.New("the server did not keep the owner or the annotation " + annotationReplaces)
	}
	return err
}

// save saves a key and loads it to compare.
func (r *run) save(ctx context.Context, key palette.Secret) error {
	if err := r.store.Save(ctx, key); err != nil {
		return err
	}
	stored, err := r.store.Load(ctx)
	if err == nil && stored != key {
		return errors.New("the store returned another key than the one that was saved")
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	return err
}

// retireAll retires the leftovers, then the old key: until then, the rotation is
// unfinished. It returns the expiry of the old key.
func (r *run) retireAll(ctx context.Context) (expiry time.Time, err error) {
	for _, key := range append(r.leftovers, r.old) {
		if expiry, err = r.retire(ctx, key.Metadata.UID); err != nil {
			return expiry, fmt.Errorf("retire the key (uid %s): %w", key.Metadata.UID, err)
		}
	}
	return expiry, nil
}

// retire retires a key with the client. If the client's own key was one of those that were
// retired, to which Palette responds with 401 or 404, it uses the new key.
func (r *run) retire(ctx context.Context, uid string) (expiry time.Time, err error) {
	for _, client := range []*palette.Client{r.client, r.fresh} {
		expiry, err = r.retireWith(ctx, client, uid)
		if !errors.Is(err, palette.ErrUnauthorized) && !errors.Is(err, palette.ErrNotFound) {
			return expiry, err
		}
	}
	if errors.Is(err, palette.ErrNotFound) {
		err = nil
	}
	return time.Time{}, err
}

// retireWith deletes a key, or lets it expire after the overlap. It returns the expiry.
func (r *run) retireWith(ctx context.Context, client *palette.Client, uid string) (time.Time, error) {
	key, err := client.APIKeys.Get(ctx, uid)
	if err != nil {
		return time.Time{}, err
	}
	if r.policy.Overlap == 0 || key.Expired(time.Now()) {
		return time.Time{}, client.APIKeys.Delete(ctx, uid)
	}
	req := key.UpdateRequest()
	end := time.Now().Add(r.policy.Overlap).UTC().Truncate(time.Millisecond)
	if req.Spec.Expiry.IsZero() || end.Before(req.Spec.Expiry) {
		req.Spec.Expiry = end
	}
	req.Metadata.Annotations[annotationReplacedBy] = uid + " " + r.newUID
	return req.Spec.Expiry, client.APIKeys.Update(ctx, uid, req)
}

// The functions below describe what is true after an error.

func (r *run) oldKey() string {
	switch {
	case !r.old.Status.IsActive:
		return "the old key is inactive"
	case r.old.Expired(time.Now()):
		return "the old key has expired"
	}
	return "the old key still works"
}

func (r *run) afterCreate(err error) string {
	switch {
	case errors.Is(err, palette.ErrOutcomeUnknown):
		return "a new key may exist; it was not stored and will be retired by the next run"
	case errors.Is(err, palette.ErrBadRequest), errors.Is(err, palette.ErrConflict), errors.Is(err, palette.ErrForbidden):
		return "no key was created; a rotation needs room for one more key; keys of interrupted runs: [" +
			describe(r.leftovers) + "]"
	}
	return "no key was created"
}

// deleteNew deletes the new key, whose value nobody has.
func (r *run) deleteNew(ctx context.Context) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if r.client.APIKeys.Delete(ctx, r.newUID) != nil {
		return "was not stored and will be retired by the next run"
	}
	return "was deleted"
}
