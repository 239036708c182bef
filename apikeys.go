package palette

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"
)

const collectionPath = "/v1/apiKeys"

// APIKeysService holds the operations on API keys. It is reached as
// [Client.APIKeys] and is safe for concurrent use.
//
// Every method may return, beside what it documents itself, an [*APIError] that
// is [ErrBadRequest], [ErrUnauthorized], [ErrForbidden], [ErrNotFound],
// [ErrConflict], [ErrRateLimited], [ErrServer], [ErrRedirect] or, for other 4xx, none
// of them; an error that is [ErrUnexpectedResponse]; the context's error; or what the
// network says. Results are nil then.
type APIKeysService struct {
	client *Client
}

// Create makes a key and returns it: this reply is the only place where its
// value ever shows. Metadata.Name is required, else [ErrInvalidArgument]; all else is
// left to the server to refuse.
//
// Create is not repeated once the server may have seen it. An error that is
// [ErrOutcomeUnknown] leaves open whether a key was made: look for the name with
// [APIKeysService.FindByName] before creating again.
func (s *APIKeysService) Create(ctx context.Context, req CreateAPIKeyRequest) (*CreateAPIKeyResponse, error) {
	var reply createReply
	op := operation{
		name: "apiKeys.create", method: http.MethodPost, path: collectionPath,
		want: http.StatusCreated, into: &reply, once: true,
	}
	if strings.TrimSpace(req.Metadata.Name) == "" {
		return nil, op.invalid("Metadata.Name is empty")
	}
	err := s.client.send(ctx, &op, createBody{
		Metadata: req.Metadata.wire(),
		Spec:     createSpecBody{Expiry: wireTime(req.Spec.Expiry), UserUID: req.Spec.UserUID},
	})
	if err != nil {
		return nil, err
	}
	return &CreateAPIKeyResponse{APIKey: NewSecret(reply.APIKey), UID: reply.UID}, nil
}

// List returns all keys the credential may see: a tenant administrator's shows
// every user's. The slice is never nil on success; on an error it is. A key whose
// metadata the server leaves out is there too, with an empty UID.
func (s *APIKeysService) List(ctx context.Context) ([]APIKey, error) {
	var keys []APIKey
	for page, err := range s.pages(ctx) {
		if err != nil {
			return nil, err
		}
		if keys == nil { // mostly the only page: no copy
			keys = page
			continue
		}
		keys = append(keys, page...)
	}
	return keys, nil
}

// All yields the keys that List returns, fetching a page when it is needed. An
// error is the last thing it yields, with a zero key. Each range starts anew.
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

// FindByName returns every key with exactly that name: names need not be unique
// (assumed). No match is an empty slice and no error; an empty name is
// [ErrInvalidArgument]. It reads the whole list, since the API has no such query, and
// is called apiKeys.list in errors and logs.
func (s *APIKeysService) FindByName(ctx context.Context, name string) ([]APIKey, error) {
	if name == "" {
		op := operation{name: "apiKeys.findByName"}
		return nil, op.invalid("name is empty")
	}
	keys := []APIKey{}
	for key, err := range s.All(ctx) {
		switch {
		case err != nil:
			return nil, err
		case key.Metadata.Name == name:
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// Get returns one key. A uid that cannot be one is [ErrInvalidArgument], an
// unknown one is [ErrNotFound].
func (s *APIKeysService) Get(ctx context.Context, uid string) (*APIKey, error) {
	var reply keyReply
	op := operation{name: "apiKeys.get", method: http.MethodGet, want: http.StatusOK, into: &reply}
	if err := s.onKey(ctx, &op, uid, "", nil); err != nil {
		return nil, err
	}
	return &reply.APIKey, nil
}

// Update replaces the annotations and labels of a key as a whole, and its name and
// expiry; start from [APIKey.UpdateRequest] to keep what should stay. An empty name
// and a zero expiry are not sent, and keep the old (assumed). The value and the user
// of a key cannot change. Errors are as for Get.
func (s *APIKeysService) Update(ctx context.Context, uid string, req UpdateAPIKeyRequest) error {
	op := operation{name: "apiKeys.update", method: http.MethodPut, want: http.StatusNoContent}
	return s.onKey(ctx, &op, uid, "", updateBody{
		Metadata: req.Metadata.wire(),
		Spec:     updateSpecBody{Expiry: wireTime(req.Spec.Expiry)},
	})
}

// Delete removes a key for good. Errors are as for Get. When an attempt got no
// answer and the next one says "not found", the key is gone: that is success.
func (s *APIKeysService) Delete(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.delete", method: http.MethodDelete, want: http.StatusNoContent, goneIsDone: true}
	return s.onKey(ctx, &op, uid, "", nil)
}

// Activate makes a deactivated key usable. Errors are as for Get.
func (s *APIKeysService) Activate(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.activate", method: http.MethodPatch, want: http.StatusNoContent}
	return s.onKey(ctx, &op, uid, "", activeState{IsActive: true})
}

// Deactivate makes a key unusable until Activate. Errors are as for Get.
func (s *APIKeysService) Deactivate(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.deactivate", method: http.MethodPatch, want: http.StatusNoContent}
	return s.onKey(ctx, &op, uid, "", activeState{IsActive: false})
}

// Revoke takes a key's access away until Reactivate. How it differs from
// Deactivate inside Palette is not documented. Errors are as for Get.
func (s *APIKeysService) Revoke(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.revoke", method: http.MethodPut, want: http.StatusNoContent}
	return s.onKey(ctx, &op, uid, "/state", activeState{IsActive: false})
}

// Reactivate gives a revoked key its access back, as long as it has not expired.
// Errors are as for Get.
func (s *APIKeysService) Reactivate(ctx context.Context, uid string) error {
	op := operation{name: "apiKeys.reactivate", method: http.MethodPut, want: http.StatusNoContent}
	return s.onKey(ctx, &op, uid, "/state", activeState{IsActive: true})
}

// onKey completes op with the path of one key and sends it.
func (s *APIKeysService) onKey(ctx context.Context, op *operation, uid, sub string, body any) error {
	if why := uidFault(uid); why != "" {
		return op.invalid(why)
	}
	op.path = collectionPath + "/" + uid + sub
	return s.client.send(ctx, op, body)
}

// pages yields the list page by page, as long as one names the next.
func (s *APIKeysService) pages(ctx context.Context) iter.Seq2[[]APIKey, error] {
	return func(yield func([]APIKey, error) bool) {
		seen := map[string]bool{}
		op := operation{name: "apiKeys.list", method: http.MethodGet, path: collectionPath, want: http.StatusOK}
		for {
			reply := listReply{seen: seen}
			op.into = &reply
			if err := s.client.send(ctx, &op, nil); err != nil {
				yield(nil, err)
				return
			}
			token := reply.ListMeta.Continue
			if !yield(*reply.Items, nil) || token == "" {
				return
			}
			seen[token] = true
			op.query = url.Values{"continue": {token}}.Encode()
		}
	}
}

// uidFault says why uid cannot name a key, or nothing if it can. An empty uid
// would address the collection, and ".." what is above it.
func uidFault(uid string) string {
	switch {
	case uid == "":
		return "uid is empty"
	case uid == "." || uid == "..":
		return "uid is a relative path"
	case strings.ContainsFunc(uid, func(r rune) bool { return !isUIDRune(r) }):
		return "uid holds a character other than letters, digits, '.', '_', '-' and '~'"
	}
	return ""
}

func isUIDRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-~", r)
}

// activeState is the body of the four verbs. IsActive has no omitempty: without
// the field, "false" could not be said.
type activeState struct {
	IsActive bool `json:"isActive"`
}

// A reply is what an operation decodes into. Its missing method says what the
// body lacks to be one, or nothing.
type reply interface {
	missing() string
}

type createReply struct {
	APIKey string `json:"apiKey"`
	UID    string `json:"uid"`
}

func (r *createReply) missing() string {
	switch {
	case r.APIKey == "":
		return "apiKey"
	case r.UID == "":
		return "uid"
	}
	return ""
}

type keyReply struct{ APIKey }

func (r *keyReply) missing() string {
	if r.Metadata.UID == "" {
		return "metadata.uid"
	}
	return ""
}

type listReply struct {
	// Items starts as no keys with room for some. That tells a body without items
	// from "items": [], where the decoder makes a slice without room, and from
	// "items": null, where it sets the pointer to nil.
	Items    *[]APIKey `json:"items"`
	ListMeta struct {
		Continue string `json:"continue"`
	} `json:"listmeta"`
	seen map[string]bool
}

// makeRoom expects the keys of a body of so many bytes, some 600 each.
func (r *listReply) makeRoom(size int) {
	items := make([]APIKey, 0, size/512+1)
	r.Items = &items
}

func (r *listReply) missing() string {
	switch {
	case r.Items == nil:
		r.Items = &[]APIKey{}
	case len(*r.Items) == 0 && cap(*r.Items) > 0:
		return "items"
	}
	if r.seen[r.ListMeta.Continue] {
		return "listmeta.continue that is new"
	}
	return ""
}
