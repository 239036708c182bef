package palette

import (
	"maps"
	"time"
)

// AnnotationDescription is the annotation in which Palette keeps the description of a
// key (doc).
const AnnotationDescription = "description"

// ObjectMetaInput is the metadata that a client can set (spec: v1ObjectMetaInputEntity).
// A nil map is not sent; an empty one is sent as {}.
type ObjectMetaInput struct {
	Annotations map[string]string `json:"annotations,omitzero"`
	Labels      map[string]string `json:"labels,omitzero"`
	// Name is required. Several keys can have the same name (assumed).
	Name string `json:"name"`
}

// CreateAPIKeyRequest describes the key to create.
type CreateAPIKeyRequest struct {
	Metadata ObjectMetaInput  `json:"metadata"`
	Spec     APIKeyCreateSpec `json:"spec,omitzero"`
}

// APIKeyCreateSpec is the specification of the key to create (spec: v1ApiKeySpecEntity).
type APIKeyCreateSpec struct {
	// Expiry is the time at which the key stops working. It is sent in UTC with a
	// precision of milliseconds, and not sent if it is zero. What Palette does without
	// an expiry is not documented.
	Expiry time.Time `json:"expiry,omitzero"`
	// UserUID is the user of the key. If it is empty, the key is the caller's (assumed).
	UserUID string `json:"userUid,omitempty"`
}

// CreateAPIKeyResponse holds the value and the uid of a created key. Palette returns the
// value only once (doc).
type CreateAPIKeyResponse struct {
	APIKey Secret `json:"apiKey"`
	// UID is the uid of the key (assumed; the spec says "User uid").
	UID string `json:"uid"`
}

// UpdateAPIKeyRequest is the new state of a key. [APIKey.UpdateRequest] returns one to
// start from.
type UpdateAPIKeyRequest struct {
	Metadata ObjectMetaInput  `json:"metadata"`
	Spec     APIKeyUpdateSpec `json:"spec,omitzero"`
}

// APIKeyUpdateSpec is the part of a key's specification that can change (spec:
// v1ApiKeySpecUpdate).
type APIKeyUpdateSpec struct {
	// Expiry is the time at which the key stops working. It is sent in UTC with a
	// precision of milliseconds. If it is zero, it is not sent, and Palette keeps the
	// old one (assumed).
	Expiry time.Time `json:"expiry,omitzero"`
}

// APIKey is a key without its value (spec: v1ApiKey).
type APIKey struct {
	Metadata ObjectMeta   `json:"metadata"`
	Spec     APIKeySpec   `json:"spec"`
	Status   APIKeyStatus `json:"status"`
}

// ObjectMeta is the metadata that Palette keeps of an object (spec: v1ObjectMeta).
type ObjectMeta struct {
	// Annotations holds those of the client and those that the server adds: ownerUid,
	// permissions, scope, scopeVisibility and tenantUid (doc).
	Annotations           map[string]string `json:"annotations,omitempty"`
	Labels                map[string]string `json:"labels,omitempty"`
	CreationTimestamp     time.Time         `json:"creationTimestamp,omitzero"`
	DeletionTimestamp     time.Time         `json:"deletionTimestamp,omitzero"`
	LastModifiedTimestamp time.Time         `json:"lastModifiedTimestamp,omitzero"`
	Name                  string            `json:"name,omitempty"`
	UID                   string            `json:"uid,omitempty"`
}

// Description returns the annotation [AnnotationDescription].
func (m ObjectMeta) Description() string { return m.Annotations[AnnotationDescription] }

// APIKeySpec is the specification of a key (spec: v1ApiKeySpec).
type APIKeySpec struct {
	// Expiry is the time at which the key stops working; zero if it never does.
	Expiry time.Time `json:"expiry,omitzero"`
	// User is the user whose permissions the key has.
	User APIKeyUser `json:"user"`
}

// APIKeyUser is the user of a key (spec: v1ApiKeyUser).
type APIKeyUser struct {
	FirstName string `json:"firstName,omitempty"`
	LastName  string `json:"lastName,omitempty"`
	UID       string `json:"uid,omitempty"`
}

// APIKeyStatus is the status of a key (spec: v1ApiKeyStatus).
type APIKeyStatus struct {
	// IsActive is false if the key was deactivated or revoked. If the server does not
	// send it, it is false (assumed).
	IsActive bool `json:"isActive"`
}

// Expired reports whether the key's expiry is now or earlier. A key without an expiry
// never expires.
func (k APIKey) Expired(now time.Time) bool {
	return !k.Spec.Expiry.IsZero() && !now.Before(k.Spec.Expiry)
}

// UpdateRequest returns a request that changes nothing. Start from it to call
// [APIKeysService.Update], which replaces everything. Its maps are copies and not nil.
func (k APIKey) UpdateRequest() UpdateAPIKeyRequest {
	return UpdateAPIKeyRequest{
		Metadata: ObjectMetaInput{
			Annotations: copyMap(k.Metadata.Annotations),
			Labels:      copyMap(k.Metadata.Labels),
			Name:        k.Metadata.Name,
		},
		Spec: APIKeyUpdateSpec{Expiry: k.Spec.Expiry},
	}
}

func copyMap(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return maps.Clone(m)
}
