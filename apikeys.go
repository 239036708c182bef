package palette

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"unicode/utf8"
)

const collectionPath = "/v1/apiKeys"

// APIKeysService has the operations on API keys. It is safe for concurrent use.
//
// Every method can return an [*APIError], [ErrUnexpectedResponse], an error of the context
// or the network and, if the context is nil, [ErrInvalidArgument]. If the error is not nil,
// the other result is nil.
type APIKeysService struct {
	client *Client
}

// Create creates an API key and returns its value and uid. Palette returns the value
// only once, and allows 20 keys per user by default (doc).
//
// If Metadata.Name is empty or white space, a text is not UTF-8, or the year of Spec.Expiry
// is not 1 to 9999 in UTC, the error is [ErrInvalidArgument].
//
// Create is not retried if the server may have processed the request. If the error is
// [ErrOutcomeUnknown], the key may exist, or the server may still create it. Its value
// cannot be recovered: look for the key with [APIKeysService.FindByName], delete it, and
// create another. Give each key a unique name, for example with a random suffix, so that
// you do not delete another key of that name: names need not be unique (assumed). Give it
// an expiry, too, which ends a key that the server creates after you have looked.
func (s *APIKeysService) Create(ctx context.Context, req CreateAPIKeyRequest) (*CreateAPIKeyResponse, error) {
	op := operation{
		name: "apiKeys.create", method: http.MethodPost, path: collectionPath,
		failed: createFailed,
	}
	if err := checkRequest(req.Metadata, req.Spec.Expiry, req.Spec.UserUID); err != nil {
		return nil, invalidArgument(op.name, err)
	}
	req.Spec.Expiry = normalize(req.Spec.Expiry)
	var created createResponse
	op.result = &created
	if err := s.send(ctx, op, req); err != nil {
		return nil, err
	}
	return &CreateAPIKeyResponse{APIKey: NewSecret(created.APIKey), UID: created.UID}, nil
}

// createFailed makes err an [ErrOutcomeUnknown] if the key may exist.
func createFailed(err error, p progress) error {
	if !p.maybeProcessed {
		return err
	}
	return withNote(err, "a key with this name may exist: use FindByName before creating another", ErrOutcomeUnknown)
}

// List returns all keys that the credential can see: for a tenant administrator, the
// keys of all users (doc). The result is not nil if the error is nil.
//
// If the server's list is incomplete, the error is [ErrUnexpectedResponse].
func (s *APIKeysService) List(ctx context.Context) ([]APIKey, error) {
	keys := []APIKey{}
	for page, err := range s.pages(ctx) {
		if err != nil {
			return nil, err
		}
		if len(keys) == 0 && page != nil {
			keys = page // no copy of a list with one page
			continue
		}
		keys = append(keys, page...)
	}
	return keys, nil
}

// All returns an iterator over the keys that List returns. It requests a page when the
// loop reaches it. If an error occurs, the iterator yields it with a zero key and ends.
func (s *APIKeysService) All(ctx context.Context) iter.Seq2[APIKey, error] {
	return func(yield func(APIKey, error) bool) {
		for page, err := range s.pages(ctx) {
			if err != nil {
				yield(APIKey{}, err)
				return
			}
			for _, key := range page {
				if !yield(key, nil) {
					return
				}
			}
		}
	}
}

// FindByName returns all keys with exactly the given name: names need not be unique
// (assumed). If there is none, it returns an empty slice. It reads the whole list, because
// the API has no such query (spec).
//
// If name is empty or not UTF-8, the error is [ErrInvalidArgument].
func (s *APIKeysService) FindByName(ctx context.Context, name string) ([]APIKey, error) {
	if name == "" || !utf8.ValidString(name) {
		return nil, invalidArgument("apiKeys.findByName", errors.New("name is empty or not UTF-8"))
	}
	keys := []APIKey{}
	for key, err := range s.All(ctx) {
		if err != nil {
			return nil, err
		}
		if key.Metadata.Name == name {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Get returns the key with the given uid, without its value.
//
// If the uid is invalid, the error is [ErrInvalidArgument]. If the key does not exist,
// the error is [ErrNotFound].
func (s *APIKeysService) Get(ctx context.Context, uid string) (*APIKey, error) {
	got := keyResponse{uid: uid}
	op := operation{
		name: "apiKeys.get", idempotent: true, method: http.MethodGet,
		result: &got,
	}
	if err := s.sendToKey(ctx, op, uid, "", nil); err != nil {
		return nil, err
	}
	return &got.key, nil
}

// Update replaces the name, the annotations, the labels and the expiry of a key. Start
// from [APIKey.UpdateRequest] to keep what should not change. If Expiry is zero, it is
// not sent, and Palette keeps the old one (assumed). The value and the user of a key
// cannot change (doc).
//
// The conditions for [ErrInvalidArgument] are those of [APIKeysService.Get] and
// [APIKeysService.Create]. If the key does not exist, the error is [ErrNotFound].
func (s *APIKeysService) Update(ctx context.Context, uid string, req UpdateAPIKeyRequest) error {
	op := operation{name: "apiKeys.update", idempotent: true, method: http.MethodPut}
	if err := checkRequest(req.Metadata, req.Spec.Expiry, ""); err != nil {
		return invalidArgument(op.name, err)
	}
	req.Spec.Expiry = normalize(req.Spec.Expiry)
	return s.sendToKey(ctx, op, uid, "", req)
}

// Delete deletes the key with the given uid.
//
// If the uid is invalid, the error is [ErrInvalidArgument]. If the key does not exist,
// the error is [ErrNotFound]. If Delete is retried after an attempt that the server may
// have processed, and the key does not exist, Delete returns nil.
func (s *APIKeysService) Delete(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.delete", idempotent: true, method: http.MethodDelete, failed: deleteFailed}
	return s.sendToKey(ctx, op, uid, "", nil)
}

// deleteFailed makes a 404 a success if an earlier attempt may have deleted the key.
func deleteFailed(err error, p progress) error {
	response := p.last.status == http.StatusNotFound // not an error of the credential's function
	if response && p.maybeProcessed && errors.Is(err, ErrNotFound) {
		return nil
	}
	return err
}

// Activate makes a deactivated key work again. Errors are those of [APIKeysService.Get].
func (s *APIKeysService) Activate(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.activate", idempotent: true, method: http.MethodPatch}
	return s.sendToKey(ctx, op, uid, "", stateRequest{IsActive: true})
}

// Deactivate makes a key stop working until Activate is called. Errors are those of
// [APIKeysService.Get].
func (s *APIKeysService) Deactivate(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.deactivate", idempotent: true, method: http.MethodPatch}
	return s.sendToKey(ctx, op, uid, "", stateRequest{IsActive: false})
}

// Revoke makes a key stop working until Reactivate is called. How this differs from
// Deactivate is not documented. Errors are those of [APIKeysService.Get].
func (s *APIKeysService) Revoke(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.revoke", idempotent: true, method: http.MethodPut}
	return s.sendToKey(ctx, op, uid, "/state", stateRequest{IsActive: false})
}

// Reactivate makes a revoked key work again, until it expires (doc). Errors are those
// of [APIKeysService.Get].
func (s *APIKeysService) Reactivate(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.reactivate", idempotent: true, method: http.MethodPut}
	return s.sendToKey(ctx, op, uid, "/state", stateRequest{IsActive: true})
}

// sendToKey sends an operation on one key.
func (s *APIKeysService) sendToKey(ctx context.Context, op operation, uid, subpath string, body any) error {
	if err := checkUID(uid); err != nil {
		return invalidArgument(op.name, err)
	}
	op.path = collectionPath + "/" + uid + subpath
	return s.send(ctx, op, body)
}

// send marshals body, if there is one, and executes op.
func (s *APIKeysService) send(ctx context.Context, op operation, body any) error {
	if body != nil {
		var err error
		if op.body, err = json.Marshal(body); err != nil {
			return invalidArgument(op.name, err)
		}
	}
	return s.client.call(ctx, op)
}

// pages iterates over the pages of the list.
func (s *APIKeysService) pages(ctx context.Context) iter.Seq2[[]APIKey, error] {
	return func(yield func([]APIKey, error) bool) {
		seen := map[string]bool{}
		total := 0
		for token := ""; ; {
			page := listResponse{seen: seen, before: total}
			op := operation{
				name: "apiKeys.list", idempotent: true, method: http.MethodGet, path: collectionPath,
				result: &page,
			}
			if token != "" {
				op.query = url.Values{"continue": {token}}
			}
			if err := s.send(ctx, op, nil); err != nil {
				yield(nil, err)
				return
			}
			token = page.ListMeta.Continue
			if !yield(page.Items, nil) || token == "" {
				return
			}
			seen[token] = true
			total += len(page.Items)
		}
	}
}

// stateRequest is the body of Activate, Deactivate, Revoke and Reactivate. It has no
// omitempty, which would not send false.
type stateRequest struct {
	IsActive bool `json:"isActive"`
}
