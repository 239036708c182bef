package rotation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Key says which key to rotate: by its name, or by its uid.
type Key struct {
	Name    string
	UserUID string // the owner; required if several users have keys of that name
	UID     string // of any key of the lineage; of its first key even after that was deleted
}

// Policy says when a key is replaced and what happens to the old one.
type Policy struct {
	Validity    time.Duration // lifetime of the new key; 0: the longest that a key of the lineage has. Must be more than RenewBefore and Overlap.
	Overlap     time.Duration // how long the old key keeps working; 0: it is deleted at once
	RenewBefore time.Duration // rotate only if the key expires within this time; 0: always
}

// Result is the result of Rotate.
type Result struct {
	Rotated   bool      // the store holds a new key; also if this run only finished an interrupted one
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
	patienceWithList = 10 * time.Second   // until a new key is listed
	pollInterval     = time.Second
)

// Rotate creates a new key and replaces the key in the store by it, if that is due. The
// package documentation describes how.
//
// If Rotate returns an error, call it again: it resumes. Until then the stored key works as
// before, unless somebody revoked it. The error lists the keys of the lineage. If
// Result.Rotated is true, the rotation succeeded all the same: the error is [ErrReverted],
// or says which older keys could not be ended.
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

// note adds an error to r.problem.
func (r *run) note(err error) {
	if r.problem != nil && err != nil {
		err = fmt.Errorf("%w; %w", r.problem, err)
	}
	r.problem = cmp.Or(err, r.problem)
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
	return r.finishRun(ctx)
}

// look lists the keys, loads the store and finds the current key.
func (r *run) look(ctx context.Context, which Key) error {
	if r.client == nil || r.store == nil || (which.Name == "") == (which.UID == "") {
		return fmt.Errorf("a client, a store, and either the name or the uid of the key are required: %w", palette.ErrInvalidArgument)
	}
	err := r.list(ctx, which)
	if err == nil && !r.seen && !r.stored.IsZero() && slices.ContainsFunc(r.keys, hasFingerprint) {
		// Perhaps another run has just saved a key that the list does not show yet.
		if err = sleep(ctx, patienceWithList); err == nil {
			err = r.list(ctx, which)
		}
	}
	if err == nil && !r.current.Status.IsActive {
		err = fmt.Errorf("the key %s is inactive, and a rotation does not undo that somebody revoked it: "+
			"reactivate it, or delete it and put another key into the store", r.current.Metadata.UID)
	}
	return err
}

func (r *run) list(ctx context.Context, which Key) error {
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
	if lineage.owner == "" {
		return errors.New("the key has no owner")
	}
	for _, key := range keys {
		isOther := lineageOf(key) != lineage && hasValue(key, r.stored)
		r.foreign = r.foreign || isOther
		if isOther && ownerOf(key) == lineage.owner {
			return fmt.Errorf("the store holds the key %s of another rotation: each key needs a store of its own", key.Metadata.UID)
		}
	}
	r.keys = lineage.members(keys)
	if r.keys[0].Metadata.CreationTimestamp.IsZero() {
		return fmt.Errorf("the server did not say when the key %s was created", r.keys[0].Metadata.UID)
	}
	return r.findCurrent()
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
	if at := slices.IndexFunc(older, func(key palette.APIKey) bool { return key.Metadata.UID == replaced }); at >= 0 {
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

// split returns the keys that are older and those that are newer than the current one.
func (r *run) split() (older, newer []palette.APIKey) {
	at := slices.IndexFunc(r.keys, func(key palette.APIKey) bool { return key.Metadata.UID == r.current.Metadata.UID })
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

// finishRun retires the current key, which was just replaced, and those that are older.
func (r *run) finishRun(ctx context.Context) error {
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
	if at := slices.IndexFunc(r.keys, func(key palette.APIKey) bool { return key.Metadata.UID == uid }); at >= 0 {
		r.keys = slices.Replace(r.keys, at, at+1, with...)
	}
}

func lifetimeOf(key palette.APIKey) time.Duration {
	return key.Spec.Expiry.Sub(key.Metadata.CreationTimestamp)
}

// describeKeys lists the keys that work, for errors.
func (r *run) describeKeys() string {
	var texts []string
	for _, key := range r.keys {
		if !works(key, time.Now()) {
			continue
		}
		end := "without expiry"
		if !key.Spec.Expiry.IsZero() {
			end = "until " + key.Spec.Expiry.Format(time.RFC3339)
		}
		texts = append(texts, fmt.Sprintf("%s (%s, %s)", key.Metadata.UID, r.roleOf(key), end))
	}
	if len(texts) == 0 {
		return ""
	}
	return "; keys that work: " + strings.Join(texts, ", ") + "; do not delete any by hand: later runs do"
}

// roleOf says who may have the value of a key.
func (r *run) roleOf(key palette.APIKey) string {
	uid, inStore := key.Metadata.UID, r.current.Metadata.UID
	if r.result.Rotated {
		inStore = r.result.NewUID
	}
	switch {
	case !isSaved(key):
		return "harmless: nobody has its value"
	case uid == inStore && (r.seen || r.result.Rotated):
		return "stored"
	case isRetired(key):
		return "retired"
	case key.Metadata.CreationTimestamp.After(r.current.Metadata.CreationTimestamp):
		return "may be stored"
	}
	return "may be in use"
}
