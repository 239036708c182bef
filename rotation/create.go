package rotation

import (
	"context"
	"errors"
	"fmt"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// create creates a key like the current one and proves that it works.
func (r *run) create(ctx context.Context) (palette.Secret, error) {
	req := r.newRequest()
	created, err := r.client.APIKeys.Create(ctx, req)
	if err != nil {
		hint := ""
		switch {
		case errors.Is(err, palette.ErrOutcomeUnknown):
			hint = "; if it exists, nobody has its value, and a later run deletes it"
		case errors.Is(err, palette.ErrBadRequest), errors.Is(err, palette.ErrForbidden), errors.Is(err, palette.ErrConflict): // perhaps a limit
			hint = "; a rotation needs room for one more key"
		}
		return palette.Secret{}, fmt.Errorf("create the new key: %w%s", err, hint)
	}
	r.newUID = created.UID
	if r.fresh, err = r.client.WithAPIKey(created.APIKey.Reveal()); err == nil {
		err = r.prove(ctx, created.APIKey, req)
	}
	if err != nil {
		return palette.Secret{}, r.discard(ctx, fmt.Errorf("prove the new key: %w", err))
	}
	return created.APIKey, nil
}

func (r *run) newRequest() palette.CreateAPIKeyRequest {
	meta := r.current.UpdateRequest().Metadata
	meta.Annotations = unmarked(meta.Annotations)
	meta.Annotations[annotationRoot] = rootOf(r.current)
	if r.seen {
		meta.Annotations[annotationReplaces] = r.current.Metadata.UID
	}
	req := palette.CreateAPIKeyRequest{Metadata: meta, Spec: palette.APIKeyCreateSpec{UserUID: ownerOf(r.current)}}
	if r.lifetime > 0 {
		req.Spec.Expiry = time.Now().Add(r.lifetime).UTC().Truncate(time.Millisecond)
	}
	return req
}

// prove sets the fingerprint of the new key, lets the key read itself, and checks that the
// server has kept what was sent. A key that is new may be unknown for a while.
func (r *run) prove(ctx context.Context, value palette.Secret, sent palette.CreateAPIKeyRequest) error {
	var key *palette.APIKey
	get := func() (err error) {
		key, err = r.client.APIKeys.Get(ctx, r.newUID)
		return err
	}
	if err := poll(ctx, patienceWithKey, isUnknownKey, get); err != nil {
		return err
	}
	r.keys = append(r.keys, *key)
	update := key.UpdateRequest()
	update.Metadata.Annotations[annotationFingerprint] = fingerprint(r.newUID, value)
	if err := r.client.APIKeys.Update(ctx, r.newUID, update); err != nil {
		return err
	}
	err := poll(ctx, patienceWithKey, isUnknownKey, func() error {
		_, err := r.fresh.APIKeys.Get(ctx, r.newUID)
		return err
	})
	if err != nil && !errors.Is(err, palette.ErrForbidden) { // its owner may not read keys: it works as well
		return err
	}
	if err := get(); err != nil {
		return err
	}
	r.replace(r.newUID, *key)
	sent.Metadata.Annotations[annotationFingerprint] = fingerprint(r.newUID, value)
	return checkNewKey(*key, sent)
}

// checkNewKey compares what a rotation depends on with what was sent.
func checkNewKey(key palette.APIKey, sent palette.CreateAPIKeyRequest) error {
	for name, value := range sent.Metadata.Annotations {
		if key.Metadata.Annotations[name] != value {
			return fmt.Errorf("the server did not keep the annotation %q", name)
		}
	}
	switch difference := key.Spec.Expiry.Sub(sent.Spec.Expiry).Abs(); {
	case !key.Status.IsActive:
		return errors.New("the new key is inactive")
	case ownerOf(key) != sent.Spec.UserUID:
		return errors.New("the server did not keep the owner")
	case difference >= time.Second:
		return errors.New("the server did not keep the expiry")
	}
	return nil
}

// discard deletes the new key, whose value nobody has. It returns err with what became of the key.
func (r *run) discard(ctx context.Context, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	deleteErr := r.do(func(service *palette.APIKeysService) error { return service.Delete(ctx, r.newUID) })
	if deleteErr != nil {
		return fmt.Errorf("%w; the new key %s was not saved and could not be deleted; nobody has its value, and a later run deletes it", err, r.newUID)
	}
	r.replace(r.newUID)
	return fmt.Errorf("%w; the new key was deleted", err)
}

// save saves the new key and loads it to compare, unless the current key is no longer there.
func (r *run) save(ctx context.Context, value palette.Secret) error {
	current, err := r.client.APIKeys.Get(ctx, r.current.Metadata.UID)
	switch {
	case err != nil:
		return r.discard(ctx, fmt.Errorf("get the key that is to be replaced once more: %w", err))
	case !current.Status.IsActive:
		return r.discard(ctx, fmt.Errorf("the key %s was revoked during the run", r.current.Metadata.UID))
	case isRetired(*current) && !isRetired(r.current):
		return r.discard(ctx, fmt.Errorf("another run has replaced the key %s", r.current.Metadata.UID))
	}
	if err := r.store.Save(ctx, value); err != nil {
		return fmt.Errorf("save the new key: %w", err)
	}
	var loaded palette.Secret
	lags := func(err error) bool {
		return errors.Is(err, errOtherKey) && loaded == r.stored && (r.seen || loaded.IsZero())
	}
	err = poll(ctx, patienceWithLoad, lags, func() (err error) {
		if loaded, err = r.store.Load(ctx); err == nil && loaded != value {
			err = errOtherKey
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("load the new key to compare: %w", err)
	}
	return nil
}

var (
	errOtherKey = errors.New("the store holds another key than the one that was saved")
	errInactive = errors.New("the key was revoked during the run") // it is not touched: an update could activate it
)
