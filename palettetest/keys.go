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
	"strings"
	"time"
)

const permissions = "apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update"

// Key is a stored key, without its value.
type Key struct {
	UID       string
	Name      string
	UserUID   string    // the owner
	Active    bool      // false: revoked or deactivated
	Expiry    time.Time // zero: the key never expires
	CreatedAt time.Time

	// Annotations and Labels are those that a client sent. They include the annotations that
	// the server adds to its responses only if a client sent those back, for example with an
	// update that started from palette.APIKey.UpdateRequest.
	Annotations map[string]string
	Labels      map[string]string
}

func (k Key) clone() Key {
	k.Annotations, k.Labels = maps.Clone(k.Annotations), maps.Clone(k.Labels)
	return k
}

// AddKey stores a key and returns its uid and value. Unlike a create request, it
// accepts any key: one that is inactive (Active is false) or expired, that expires in a
// year above 9999, or whose user does not exist.
//
// If UID is empty, AddKey generates one; if UserUID is empty, the owner is the built-in
// administrator; if CreatedAt is zero, it is the current time. Times are truncated to
// milliseconds. AddKey panics if the uid exists.
func (s *Server) AddKey(k Key) (uid, value string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byUID(k.UID) != nil {
		panic(fmt.Sprintf("palettetest: AddKey: the UID %q exists", k.UID))
	}
	k = k.clone()
	k.UserUID = cmp.Or(k.UserUID, AdminUID)
	if k.CreatedAt.IsZero() {
		k.CreatedAt = s.cfg.now()
	}
	added := s.add(k)
	return added.UID, added.value
}

// Keys returns copies of the stored keys, in the order of creation.
func (s *Server) Keys() []Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	keys := make([]Key, 0, len(s.keys))
	for _, k := range s.keys {
		keys = append(keys, k.clone())
	}
	return keys
}

type storedKey struct {
	Key

	value    string
	modified time.Time
	serial   int  // increases with every key
	erased   bool // the annotations that the server adds
}

func (s *Server) add(k Key) *storedKey {
	k.Expiry, k.CreatedAt = wireTime(k.Expiry), wireTime(k.CreatedAt)
	if k.UID == "" {
		k.UID = fmt.Sprintf("%08x%s", k.CreatedAt.Unix(), randomHex(8))
	}
	s.serial++
	added := &storedKey{Key: k, value: s.newValue(), modified: k.CreatedAt, serial: s.serial}
	s.keys = append(s.keys, added)
	s.changed(added, added.CreatedAt, false)
	return added
}

func (s *Server) byUID(uid string) *storedKey {
	for _, k := range s.keys {
		if k.UID == uid {
			return k
		}
	}
	return nil
}

func (u User) mayUse(k *storedKey) bool { return u.Admin || u.UID == k.UserUID }

// expired reports whether an expiry has passed. A zero one never does.
func (s *Server) expired(expiry time.Time) bool {
	return !expiry.IsZero() && !s.cfg.now().Before(expiry)
}

// The operations.
var routes = []struct {
	pattern string
	methods map[string]operation
}{
	{"/v1/apiKeys", map[string]operation{
		http.MethodGet:  {(*Server).list, ""},
		http.MethodPost: {(*Server).create, ""},
	}},
	{"/v1/apiKeys/{uid}", map[string]operation{
		http.MethodGet:    {(*Server).get, "apiKey.get"},
		http.MethodPut:    {(*Server).update, "apiKey.update"},
		http.MethodDelete: {(*Server).remove, "apiKey.delete"},
		http.MethodPatch:  {(*Server).setState, "apiKey.update"},
	}},
	{"/v1/apiKeys/{uid}/state", map[string]operation{
		http.MethodPut: {(*Server).setState, "apiKey.update"},
	}},
	{"/v1/users/info", map[string]operation{
		http.MethodGet: {(*Server).userInfo, ""},
	}},
}

func (s *Server) list(c call) *response {
	keys := slices.DeleteFunc(slices.Clone(s.listed()), func(k *storedKey) bool { return !c.user.mayUse(k) })
	out := listResponse{Items: []keyResponse{}} // not nil: an empty list is []
	if s.cfg.pageSize > 0 {
		after, ok := parsePageToken(c.request.URL.Query().Get("continue"))
		if !ok {
			return invalidRequest("The continue token is unknown")
		}
		keys, out.ListMeta = page(keys, after, s.cfg.pageSize)
	}
	for _, k := range keys {
		out.Items = append(out.Items, s.read(k))
	}
	return jsonResponse(http.StatusOK, out)
}

// pageToken is the format of a continue token, with the serial of the last key that the
// client has. It contains characters that must be escaped in a query.
const pageToken = "c+/%d=="

func parsePageToken(token string) (after int, ok bool) {
	if token == "" {
		return 0, true
	}
	_, _ = fmt.Sscanf(token, pageToken, &after)
	return after, token == fmt.Sprintf(pageToken, after)
}

// page returns the keys after the one with the given serial. A position instead would
// skip a key if another was deleted between two pages.
func page(keys []*storedKey, after, size int) ([]*storedKey, *listMeta) {
	from := 0
	for from < len(keys) && keys[from].serial <= after {
		from++
	}
	end := min(from+size, len(keys))
	meta := &listMeta{Count: len(keys), Limit: size, Offset: from}
	if end < len(keys) {
		meta.Continue = fmt.Sprintf(pageToken, keys[end-1].serial)
	}
	return keys[from:end], meta
}

func (s *Server) create(c call) *response {
	in, errResp := decode[keyRequest](s, c)
	if errResp != nil {
		return errResp
	}
	expiry, errResp := s.parseExpiry("spec.expiry", in.Spec.Expiry)
	if errResp != nil {
		return errResp
	}
	owner := s.owner(c.user, in.Spec.UserUID)
	if errResp := s.checkCreate(c.user, owner, in.Metadata.Name); errResp != nil {
		return errResp
	}
	if expiry.IsZero() && s.cfg.defaultExpiry > 0 {
		expiry = s.cfg.now().Add(s.cfg.defaultExpiry)
	}
	k := s.add(Key{
		Name:        in.Metadata.Name,
		UserUID:     owner,
		Active:      true,
		Expiry:      expiry,
		CreatedAt:   s.cfg.now(),
		Annotations: s.annotations(in),
		Labels:      in.Metadata.Labels,
	})
	uid := k.UID
	if s.cfg.uidOfUser {
		uid = owner
	}
	return jsonResponse(s.cfg.createStatus, map[string]string{"apiKey": k.value, "uid": uid})
}

// owner returns the owner of a new key, which may not exist.
func (s *Server) owner(caller User, userUID string) string {
	switch {
	case userUID == "" && s.cfg.tenantAsOwner:
		return TenantUID
	case userUID == "", userUID == TenantUID && !s.cfg.strictUserUID:
		return caller.UID
	}
	return userUID
}

// checkCreate returns an error response if caller cannot create a key for owner.
func (s *Server) checkCreate(caller User, owner, name string) *response {
	_, known := s.users[owner]
	known = known || owner == caller.UID || s.cfg.tenantAsOwner && owner == TenantUID
	switch {
	case name == "":
		return invalidRequest("A name is required")
	case owner != caller.UID && !caller.Admin: // even if the owner does not exist
		return forbidden("OperationForbidden", "apiKey.create")
	case !known:
		return invalidRequest("The user '%s' does not exist", owner)
	case s.cfg.uniqueNames && slices.ContainsFunc(s.keys, func(k *storedKey) bool { return k.UserUID == owner && k.Name == name }):
		return appError(http.StatusConflict, "ResourceAlreadyExists", "The user has an API key of this name")
	case s.cfg.keyLimit > 0 && s.count(owner) >= s.cfg.keyLimit:
		return appError(http.StatusBadRequest, "ResourceLimitExceeded",
			"The user has %d API keys, which is the limit", s.cfg.keyLimit)
	}
	return nil
}

// annotations returns the annotations of a request that the server stores.
func (s *Server) annotations(in keyRequest) map[string]string {
	if s.cfg.noSlashes {
		maps.DeleteFunc(in.Metadata.Annotations, func(name, _ string) bool { return strings.Contains(name, "/") })
	}
	return in.Metadata.Annotations
}

// count counts the keys of a user, including inactive and expired ones.
func (s *Server) count(owner string) int {
	n := 0
	for _, k := range s.keys {
		if k.UserUID == owner {
			n++
		}
	}
	return n
}

// parseExpiry returns the expiry in a field of a request, which is zero if it is not set, or
// an error response.
func (s *Server) parseExpiry(field, text string) (time.Time, *response) {
	if text == "" {
		return time.Time{}, nil
	}
	parsed, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, wrongType(field, "date-time", text)
	}
	expiry := wireTime(parsed)
	if s.cfg.expiryInSeconds {
		expiry = expiry.Truncate(time.Second)
	}
	switch {
	case s.expired(expiry) && !s.cfg.pastExpiry:
		return expiry, invalidRequest("The expiry %s has passed", text)
	case expiry.Year() > 9999:
		return expiry, invalidRequest("The year of the expiry %s has more than four digits in UTC", text)
	}
	return expiry, nil
}

func (s *Server) get(c call) *response {
	return jsonResponse(http.StatusOK, s.read(c.key))
}

func (s *Server) update(c call) *response {
	in, errResp := decode[keyRequest](s, c)
	if errResp != nil {
		return errResp
	}
	expiry, errResp := s.parseExpiry("spec.expiry", in.Spec.Expiry)
	if errResp != nil {
		return errResp
	}
	k := c.key
	if !s.cfg.ignoredExpiry && (!expiry.IsZero() || s.cfg.clearedExpiry) {
		k.Expiry = expiry
	}
	k.Name = cmp.Or(in.Metadata.Name, k.Name)
	k.Annotations = s.updated(k.Annotations, s.annotations(in))
	if !s.cfg.fixedLabels {
		k.Labels = s.updated(k.Labels, in.Metadata.Labels)
	}
	k.Active = k.Active || s.cfg.activatingUpdates
	k.erased = s.cfg.erasedAnnotations
	k.modified = s.cfg.now()
	s.changed(k, k.modified, false)
	return noContent()
}

// updated returns the annotations or labels of a key after an update.
func (s *Server) updated(old, sent map[string]string) map[string]string {
	if !s.cfg.mergedUpdates {
		return sent
	}
	merged := map[string]string{}
	maps.Copy(merged, old)
	maps.Copy(merged, sent)
	return merged
}

// stateRequest is the body of activate and revoke. A missing isActive means false.
type stateRequest struct {
	IsActive bool `json:"isActive"`
}

func (s *Server) setState(c call) *response {
	in, errResp := decode[stateRequest](s, c)
	if errResp != nil {
		return errResp
	}
	k := c.key
	if in.IsActive && s.expired(k.Expiry) {
		return invalidRequest("The key has expired and cannot be activated")
	}
	if in.IsActive && !k.Active && s.cfg.finalRevocation {
		return invalidRequest("The key was revoked and cannot be activated")
	}
	if s.cfg.ignoredPatch && c.request.Method == http.MethodPatch {
		return noContent()
	}
	k.Active = in.IsActive
	k.modified = s.cfg.now()
	s.changed(k, k.modified, false)
	return noContent()
}

func (s *Server) remove(c call) *response {
	s.keys = slices.DeleteFunc(s.keys, func(k *storedKey) bool { return k == c.key })
	s.changed(c.key, s.cfg.now(), true)
	if s.cfg.deletedKeysAccepted {
		s.deleted = append(s.deleted, c.key)
	}
	return noContent()
}

func (s *Server) read(k *storedKey) (out keyResponse) {
	meta, owner := &out.Metadata, s.users[k.UserUID]
	meta.Annotations = map[string]string{}
	maps.Copy(meta.Annotations, k.Annotations)
	if !k.erased {
		maps.Copy(meta.Annotations, map[string]string{ // clients cannot change these
			"ownerUid":        k.UserUID,
			"permissions":     permissions,
			"scope":           "tenant",
			"scopeVisibility": "20",
			"tenantUid":       TenantUID,
		})
	}
	meta.CreationTimestamp = formatTime(k.CreatedAt)
	meta.DeletionTimestamp = formatTime(time.Time{})
	meta.LastModifiedTimestamp = formatTime(k.modified)
	meta.Labels, meta.Name, meta.UID = k.Labels, k.Name, k.UID
	out.Spec.Expiry = formatTime(k.Expiry)
	out.Spec.User.FirstName, out.Spec.User.LastName, out.Spec.User.UID = owner.FirstName, owner.LastName, k.UserUID
	if k.Active || !s.cfg.nullStatus {
		out.Status = &keyStatus{IsActive: k.Active}
	}
	return out
}

// newValue returns the value of a new key.
func (s *Server) newValue() string {
	if s.cfg.longValues {
		return newKeyValue() + randomHex(78)
	}
	return newKeyValue()
}

// newKeyValue returns 44 characters of base64, as Palette's keys are. The prefix shows
// that it is not a real key.
func newKeyValue() string {
	return "palettetest+" + base64.StdEncoding.EncodeToString(randomBytes(23))
}

func randomHex(n int) string { return hex.EncodeToString(randomBytes(n)) }

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}
