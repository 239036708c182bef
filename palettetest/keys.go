package palettetest

import (
	"cmp"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	tenantUID   = "5f0c1f9ad1e2c3b4a5968778"
	permissions = "apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update"
)

// Key is an API key as the server's books hold it; its value is not shown.
type Key struct {
	UID       string    // 24 lower-case hex digits
	Name      string    // need not be unique
	UserUID   string    // the owner
	Active    bool      // false is revoked
	Expiry    time.Time // zero: never expires
	CreatedAt time.Time

	// Annotations and Labels are the writer's own, without the annotations
	// that the server adds when a key is read.
	Annotations map[string]string
	Labels      map[string]string
}

type storedKey struct {
	Key
	value    string
	modified time.Time
	serial   int // place in the order of creation, never used twice
}

func (k *storedKey) expired(now time.Time) bool {
	return !k.Expiry.IsZero() && !now.Before(k.Expiry)
}

// store holds users and keys, and does what the operations ask for.
type store struct {
	clock func() time.Time
	limit int
	page  int

	mu      sync.Mutex
	users   map[string]User
	keys    []*storedKey // in the order of creation
	byUID   map[string]*storedKey
	byValue map[string]*storedKey
	tokens  map[string]time.Time // what AuthToken gave out, until when
	pages   map[string]int       // continue token → serial of the last key shown
	serial  int
}

func newStore(cfg config) *store {
	st := &store{
		clock:   cfg.now,
		limit:   cfg.keyLimit,
		page:    cfg.pageSize,
		users:   map[string]User{},
		byUID:   map[string]*storedKey{},
		byValue: map[string]*storedKey{},
		tokens:  map[string]time.Time{},
		pages:   map[string]int{},
	}
	st.addUser(User{UID: AdminUID, FirstName: "Tenant", LastName: "Admin", Admin: true})
	for _, u := range cfg.users {
		st.addUser(u)
	}
	return st
}

// now has the precision of the wire, so that what is read equals what is stored.
func (st *store) now() time.Time { return wireTime(st.clock()) }

func wireTime(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// do carries out an operation. The lock is held around all of it, so that the
// checks and the change of one request are never torn apart by another's.
func (st *store) do(op operation, c call) (any, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	return op(st, c)
}

func (st *store) list(c call) (any, error) {
	keys := slices.DeleteFunc(slices.Clone(st.keys), func(k *storedKey) bool { return !mayUse(c.user, k) })
	if st.page < 1 {
		return listOut{Items: st.readAll(keys)}, nil
	}
	token := c.request.URL.Query().Get("continue")
	after, known := st.pages[token]
	if !known && token != "" {
		return nil, errInvalid("The continue token is not known")
	}
	return st.cutPage(keys, after), nil
}

// cutPage goes by serial and not by position: a key that is deleted between two
// pages shifts nothing.
func (st *store) cutPage(keys []*storedKey, after int) listOut {
	from := slices.IndexFunc(keys, func(k *storedKey) bool { return k.serial > after })
	if from < 0 {
		from = len(keys)
	}
	end := min(from+st.page, len(keys))
	meta := &listMetaOut{Count: len(keys), Limit: st.page, Offset: from}
	if end < len(keys) {
		meta.Continue = newPageToken()
		st.pages[meta.Continue] = keys[end-1].serial
	}
	return listOut{Items: st.readAll(keys[from:end]), ListMeta: meta}
}

func (st *store) create(c call) (any, error) {
	in, err := decode[keyIn](c)
	if err != nil {
		return nil, err
	}
	owner := cmp.Or(in.Spec.UserUID, c.user.UID)
	if err := st.checkCreate(c.user, owner, in); err != nil {
		return nil, err
	}
	k := st.add(Key{
		Name:        in.Metadata.Name,
		UserUID:     owner,
		Active:      true,
		Expiry:      in.Spec.Expiry.Time,
		CreatedAt:   st.now(),
		Annotations: in.Metadata.Annotations,
		Labels:      in.Metadata.Labels,
	})
	return createdOut{APIKey: k.value, UID: k.UID}, nil
}

func (st *store) checkCreate(by User, owner string, in keyIn) error {
	if in.Metadata.Name == "" {
		return errInvalid("A name is required")
	}
	if err := st.checkExpiry(in.Spec.Expiry.Time); err != nil {
		return err
	}
	// Before the look-up: others do not learn which users exist.
	if owner != by.UID && !by.Admin {
		return errForbidden("OperationForbidden", "apiKey.create")
	}
	if _, known := st.users[owner]; !known && owner != by.UID {
		return errInvalid("The user '%s' does not exist", owner)
	}
	if st.limit > 0 && st.count(owner) >= st.limit {
		return appError(http.StatusBadRequest, "ResourceLimitExceeded", "The user has %d API keys already, which is the limit", st.limit)
	}
	return nil
}

// count takes in revoked and expired keys too: they still exist.
func (st *store) count(owner string) int {
	n := 0
	for _, k := range st.keys {
		if k.UserUID == owner {
			n++
		}
	}
	return n
}

func (st *store) add(k Key) *storedKey {
	k.Expiry, k.CreatedAt = wireTime(k.Expiry), wireTime(k.CreatedAt)
	if k.UID == "" {
		k.UID = fmt.Sprintf("%08x%s", k.CreatedAt.Unix()&0xffffffff, randomHex(8))
	}
	st.serial++
	stored := &storedKey{Key: k, value: newKeyValue(), modified: k.CreatedAt, serial: st.serial}
	st.keys = append(st.keys, stored)
	st.byUID[stored.UID] = stored
	st.byValue[stored.value] = stored
	return stored
}

func (st *store) get(c call) (any, error) {
	k, err := st.find(c, "apiKey.get")
	if err != nil {
		return nil, err
	}
	return st.read(k), nil
}

func (st *store) update(c call) (any, error) {
	in, err := decode[keyIn](c)
	if err != nil {
		return nil, err
	}
	k, err := st.find(c, "apiKey.update")
	if err != nil {
		return nil, err
	}
	expiry := in.Spec.Expiry.Time
	if err := st.checkExpiry(expiry); err != nil {
		return nil, err
	}
	if !expiry.IsZero() {
		k.Expiry = wireTime(expiry)
	}
	k.Name = cmp.Or(in.Metadata.Name, k.Name)
	k.Annotations, k.Labels = in.Metadata.Annotations, in.Metadata.Labels
	k.modified = st.now()
	return nil, nil
}

func (st *store) setState(c call) (any, error) {
	in, err := decode[stateIn](c)
	if err != nil {
		return nil, err
	}
	k, err := st.find(c, "apiKey.update")
	if err != nil {
		return nil, err
	}
	if in.IsActive && k.expired(st.now()) {
		return nil, errInvalid("The key expired and cannot be activated")
	}
	k.Active = in.IsActive
	k.modified = st.now()
	return nil, nil
}

func (st *store) remove(c call) (any, error) {
	k, err := st.find(c, "apiKey.delete")
	if err != nil {
		return nil, err
	}
	delete(st.byUID, k.UID)
	delete(st.byValue, k.value)
	st.keys = slices.DeleteFunc(st.keys, func(other *storedKey) bool { return other == k })
	return nil, nil
}

func (st *store) find(c call, operation string) (*storedKey, error) {
	k := st.byUID[c.uid]
	if k == nil {
		return nil, appError(http.StatusNotFound, "ResourceNotFound", "API key '%s' was not found", c.uid)
	}
	if !mayUse(c.user, k) {
		return nil, errForbidden("ResOperationForbidden", operation)
	}
	return k, nil
}

func mayUse(by User, k *storedKey) bool { return by.Admin || by.UID == k.UserUID }

func (st *store) checkExpiry(expiry time.Time) error {
	if !expiry.IsZero() && !expiry.After(st.now()) {
		return errInvalid("The expiry %s has passed", formatTime(expiry))
	}
	return nil
}

func (st *store) readAll(keys []*storedKey) []keyOut {
	out := make([]keyOut, 0, len(keys)) // an empty list is [], never null
	for _, k := range keys {
		out = append(out, st.read(k))
	}
	return out
}

func (st *store) read(k *storedKey) keyOut {
	u := st.user(k.UserUID)
	return keyOut{
		Metadata: metaOut{
			Annotations:           withServerAnnotations(k),
			CreationTimestamp:     formatTime(k.CreatedAt),
			DeletionTimestamp:     formatTime(time.Time{}),
			Labels:                maps.Clone(k.Labels),
			LastModifiedTimestamp: formatTime(k.modified),
			Name:                  k.Name,
			UID:                   k.UID,
		},
		Spec: specOut{
			Expiry: formatTime(k.Expiry),
			User:   userOut{FirstName: u.FirstName, LastName: u.LastName, UID: u.UID},
		},
		Status: statusOut{IsActive: k.Active},
	}
}

// withServerAnnotations lets the server's own win over the caller's.
func withServerAnnotations(k *storedKey) map[string]string {
	all := map[string]string{}
	maps.Copy(all, k.Annotations)
	maps.Copy(all, map[string]string{
		"ownerUid":        k.UserUID,
		"permissions":     permissions,
		"scope":           "tenant",
		"scopeVisibility": "20",
		"tenantUid":       tenantUID,
	})
	return all
}

// AddKey puts a key into the books as it is, past the checks of a create: it may
// have expired, be revoked (the zero value of Active), or belong to a user who
// does not exist. An empty UID is made up, an empty UserUID is the admin, a zero
// CreatedAt is now. It panics on a UID that is taken.
func (s *Server) AddKey(k Key) (uid, value string) {
	st := s.store
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.byUID[k.UID] != nil {
		panic(fmt.Sprintf("palettetest: AddKey: the UID %q is taken", k.UID))
	}
	k = k.clone()
	k.UserUID = cmp.Or(k.UserUID, AdminUID)
	if k.CreatedAt.IsZero() {
		k.CreatedAt = st.now()
	}
	stored := st.add(k)
	return stored.UID, stored.value
}

// Keys returns the books: every key that exists, in the order of creation.
func (s *Server) Keys() []Key {
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	books := make([]Key, 0, len(s.store.keys))
	for _, k := range s.store.keys {
		books = append(books, k.clone())
	}
	return books
}

func (k Key) clone() Key {
	k.Annotations, k.Labels = maps.Clone(k.Annotations), maps.Clone(k.Labels)
	return k
}

// newKeyValue makes 44 characters of base64 that end in one "=".
func newKeyValue() string { return base64.StdEncoding.EncodeToString(randomBytes(32)) }

// newPageToken holds characters that a query must escape, so that a client
// which does not is found out.
func newPageToken() string {
	return "c+/" + base64.RawStdEncoding.EncodeToString(randomBytes(12)) + "=="
}

func randomHex(n int) string { return hex.EncodeToString(randomBytes(n)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
