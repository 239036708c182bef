package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/keyfile"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/printable"
)

// How far an earlier run came: what it wrote down, and how this one reads it.

// The annotations of a successor; the comment on the package says what they mean.
const (
	annotationRotates = "rotatesUid"
	annotationStore   = "rotationStore"
	storeCommand      = "command"
)

// look finds the old key and what earlier runs have made to replace it.
func (r *rotation) look(ctx context.Context) error {
	keys, err := r.list(ctx)
	if err != nil {
		return err
	}
	exists := map[string]bool{}
	for _, key := range keys {
		exists[key.Metadata.UID] = true
	}
	r.old, r.successors = nil, nil
	for _, key := range keys {
		switch {
		case r.uid != "" && key.Metadata.UID != r.uid, r.uid == "" && key.Metadata.Name != r.name:
		case r.uid == "" && exists[key.Metadata.Annotations[annotationRotates]]: // of a rotation that is not finished
		case r.old != nil:
			return fmt.Errorf("keys %s and %s have the same name: choose with -uid", r.old.Metadata.UID, key.Metadata.UID)
		default:
			r.old = &key
		}
	}
	if r.old == nil && r.uid == "" {
		return fmt.Errorf("there is no key with the name %s", printable.Text(r.name))
	}
	if r.old != nil {
		r.uid = r.old.Metadata.UID
	}
	for _, key := range keys {
		if key.Metadata.Annotations[annotationRotates] == r.uid {
			r.successors = append(r.successors, key)
		}
	}
	return nil
}

// list lists all keys, with the key in the file if the credential does not work:
// an earlier run may have revoked it.
func (r *rotation) list(ctx context.Context) ([]palette.APIKey, error) {
	keys, err := r.client.APIKeys.List(ctx)
	if !errors.Is(err, palette.ErrUnauthorized) || r.out == "" {
		return keys, err
	}
	value, _ := keyfile.Read(r.out)
	client, newErr := r.palette.ClientWithKey(value)
	if newErr != nil {
		return nil, err
	}
	keys, listErr := client.APIKeys.List(ctx)
	if listErr != nil {
		return nil, err
	}
	r.say("The credential does not work any more; going on with the key in %s.", r.out)
	r.client, r.fresh = client, client
	return keys, nil
}

// resume takes up the successor that an earlier run has stored. Whose key is in
// the file is told by its hash: it may still be the old one.
func (r *rotation) resume(ctx context.Context) error {
	value, store := "", storeCommand
	if r.out != "" {
		var err error
		if value, err = keyfile.Read(r.out); err != nil {
			return err
		}
		store = hash(value)
	}
	for _, key := range r.successors {
		if key.Metadata.Annotations[annotationStore] == store && key.Status.IsActive && !key.Expired(time.Now()) {
			r.next = key.Metadata.UID
		}
	}
	switch {
	case r.next == "" && r.old == nil && len(r.successors) == 0:
		return fmt.Errorf("there is no key with the uid %s", printable.Text(r.uid))
	case r.next == "" && r.old == nil:
		return fmt.Errorf("key %s is gone, and its successor %s is not stored here: rotate that one", r.uid, r.successors[0].Metadata.UID)
	case r.next == "":
		return nil
	}
	r.say("An earlier run has stored the successor, %s.", r.next)
	if value == "" {
		return nil
	}
	_, err := r.prove(ctx, value)
	return err
}

// mark says on the successor where its value is.
func (r *rotation) mark(ctx context.Context, key *palette.APIKey, store string) error {
	req := key.UpdateRequest()
	if req.Metadata.Annotations[annotationRotates] != r.uid {
		return fmt.Errorf("the server has not kept the annotation %s of %s", annotationRotates, r.next)
	}
	req.Metadata.Annotations[annotationStore] = store
	return r.client.APIKeys.Update(ctx, r.next, req)
}

// hash tells one key from another. Keys are random and long: it gives nothing away.
func hash(value string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(value))) }
