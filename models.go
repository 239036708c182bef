package palette

import (
	"maps"
	"time"
)

// The JSON names are the contract's (spec). Times that are zero are left out of
// what is sent, and Palette's 0001-01-01T00:00:00.000Z reads as the zero time.

// ObjectMeta is what Palette keeps about every object (spec: v1ObjectMeta).
// Only Annotations, Labels and Name are ever sent; the server fills the rest.
type ObjectMeta struct {
	// Annotations holds the caller's own notes beside the server's (ownerUid,
	// permissions, scope, scopeVisibility, tenantUid).
	Annotations map[string]string `json:"annotations,omitempty"`
	// CreationTimestamp is when the server made the object. Read-only.
	CreationTimestamp time.Time `json:"creationTimestamp,omitzero"`
	// DeletionTimestamp is when the object goes, zero for never. Read-only.
	DeletionTimestamp time.Time `json:"deletionTimestamp,omitzero"`
	// Labels are for grouping.
	Labels map[string]string `json:"labels,omitempty"`
	// LastModifiedTimestamp is when the object last changed. Read-only.
	LastModifiedTimestamp time.Time `json:"lastModifiedTimestamp,omitzero"`
	// Name is for people. Several keys may have the same one (assumed).
	Name string `json:"name,omitempty"`
	// UID names the object in every other call. Read-only.
	UID string `json:"uid,omitempty"`
}

// Description returns annotations["description"], where Palette keeps the
// description of a key.
func (m ObjectMeta) Description() string { return m.Annotations["description"] }

// wireMeta is the part of an ObjectMeta that a client may set (spec), and all of it
// that is ever sent.
type wireMeta struct {
	Annotations map[string]string `json:"annotations,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Name        string            `json:"name,omitempty"`
}

func (m ObjectMeta) wire() wireMeta { return wireMeta{m.Annotations, m.Labels, m.Name} }

// CreateAPIKeyRequest says which key to make. Metadata.Name is required.
type CreateAPIKeyRequest struct {
	Metadata ObjectMeta       `json:"metadata,omitzero"`
	Spec     APIKeyCreateSpec `json:"spec,omitzero"`
}

// APIKeyCreateSpec is the specification of a key to be made (spec: v1ApiKeySpecEntity).
type APIKeyCreateSpec struct {
	// Expiry is when the key stops working; sent in UTC, cut to milliseconds.
	// What the server does without one is not documented: set it.
	Expiry time.Time `json:"expiry,omitzero"`
	// UserUID is the user to make the key for; the caller's own if empty (assumed).
	UserUID string `json:"userUid,omitempty"`
}

// CreateAPIKeyResponse is the only value that ever carries a key: Palette does
// not show it a second time.
type CreateAPIKeyResponse struct {
	// APIKey is the key itself.
	APIKey Secret `json:"apiKey"`
	// UID is the uid of the new key. (The spec's text says "User uid"; most
	// evidence, and every other create of Palette, says that it is the key's.)
	UID string `json:"uid"`
}

// APIKey is a key as the server describes it, without its value (spec: v1ApiKey).
type APIKey struct {
	Metadata ObjectMeta   `json:"metadata"`
	Spec     APIKeySpec   `json:"spec"`
	Status   APIKeyStatus `json:"status"`
}

// APIKeySpec is the specification of an existing key (spec: v1ApiKeySpec).
type APIKeySpec struct {
	// Expiry is when the key stops working; zero for never.
	Expiry time.Time `json:"expiry,omitzero"`
	// User is the user whose permissions the key has.
	User APIKeyUser `json:"user"`
}

// APIKeyUser is the user a key belongs to (spec: v1ApiKeyUser).
type APIKeyUser struct {
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// APIKeyStatus says whether a key may be used (spec: v1ApiKeyStatus).
type APIKeyStatus struct {
	// IsActive is false for a key that was deactivated or revoked, and where the
	// server leaves the field out (assumed).
	IsActive bool `json:"isActive"`
}

// Expired reports whether the key's expiry has come at now. A key without an
// expiry never expires.
func (k APIKey) Expired(now time.Time) bool {
	return !k.Spec.Expiry.IsZero() && !now.Before(k.Spec.Expiry)
}

// UpdateRequest returns what k holds as the start of a read-change-write:
// [APIKeysService.Update] replaces, so that what is left out would be lost. The
// maps are copies.
func (k APIKey) UpdateRequest() UpdateAPIKeyRequest {
	return UpdateAPIKeyRequest{
		Metadata: ObjectMeta{Annotations: maps.Clone(k.Metadata.Annotations), Labels: maps.Clone(k.Metadata.Labels), Name: k.Metadata.Name},
		Spec:     APIKeyUpdateSpec{Expiry: k.Spec.Expiry},
	}
}

// UpdateAPIKeyRequest holds what a key shall have from now on: name,
// annotations, labels and expiry. [APIKey.UpdateRequest] makes one to start from.
type UpdateAPIKeyRequest struct {
	Metadata ObjectMeta       `json:"metadata,omitzero"`
	Spec     APIKeyUpdateSpec `json:"spec,omitzero"`
}

// APIKeyUpdateSpec is the part of a key's specification that can change
// (spec: v1ApiKeySpecUpdate).
type APIKeyUpdateSpec struct {
	// Expiry is when the key stops working; sent in UTC, cut to milliseconds.
	// Left out, the server keeps the old one (assumed): it cannot be taken away.
	Expiry time.Time `json:"expiry,omitzero"`
}

// createBody and updateBody are the requests as they are sent.
type createBody struct {
	Metadata wireMeta       `json:"metadata,omitzero"`
	Spec     createSpecBody `json:"spec,omitzero"`
}

type createSpecBody struct {
	Expiry  wireTime `json:"expiry,omitzero"`
	UserUID string   `json:"userUid,omitempty"`
}

type updateBody struct {
	Metadata wireMeta       `json:"metadata,omitzero"`
	Spec     updateSpecBody `json:"spec,omitzero"`
}

type updateSpecBody struct {
	Expiry wireTime `json:"expiry,omitzero"`
}

// wireTime is a time as it is sent: UTC, with milliseconds at most.
type wireTime time.Time

func (t wireTime) IsZero() bool { return time.Time(t).IsZero() }

func (t wireTime) MarshalText() ([]byte, error) {
	return time.Time(t).UTC().Truncate(time.Millisecond).MarshalText()
}
