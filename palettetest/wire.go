package palettetest

import (
	"encoding/json"
	"time"
)

// The types of this file are this server's own reading of the wire. They are
// shared with no client: a mistake on both sides would cancel out.

const timeLayout = "2006-01-02T15:04:05.000Z"

type keyOut struct {
	Metadata metaOut   `json:"metadata"`
	Spec     specOut   `json:"spec"`
	Status   statusOut `json:"status"`
}

type metaOut struct {
	Annotations           map[string]string `json:"annotations"`
	CreationTimestamp     string            `json:"creationTimestamp"`
	DeletionTimestamp     string            `json:"deletionTimestamp"`
	Labels                map[string]string `json:"labels,omitempty"`
	LastModifiedTimestamp string            `json:"lastModifiedTimestamp"`
	Name                  string            `json:"name"`
	UID                   string            `json:"uid"`
}

type specOut struct {
	Expiry string  `json:"expiry"`
	User   userOut `json:"user"`
}

type userOut struct {
	FirstName string `json:"firstName"`
	LastName  string `json:"lastName"`
	UID       string `json:"uid"`
}

// statusOut drops a false isActive, so an inactive key reads "status":{}.
type statusOut struct {
	IsActive bool `json:"isActive,omitempty"`
}

type createdOut struct {
	APIKey string `json:"apiKey"`
	UID    string `json:"uid"`
}

type listOut struct {
	Items    []keyOut     `json:"items"`
	ListMeta *listMetaOut `json:"listmeta,omitempty"`
}

type listMetaOut struct {
	Continue string `json:"continue"`
	Count    int    `json:"count"`
	Limit    int    `json:"limit"`
	Offset   int    `json:"offset"`
}

// keyIn reads both a create and an update. The timestamps and the uid that a
// client may put in metadata are not even looked at.
type keyIn struct {
	Metadata metaIn `json:"metadata"`
	Spec     specIn `json:"spec"`
}

type metaIn struct {
	Annotations map[string]string `json:"annotations"`
	Labels      map[string]string `json:"labels"`
	Name        string            `json:"name"`
}

type specIn struct {
	Expiry  timeIn `json:"expiry"`
	UserUID string `json:"userUid"`
}

// stateIn takes a missing isActive for false.
type stateIn struct {
	IsActive bool `json:"isActive"`
}

// timeIn reports a bad time as the server's own error rather than as bad JSON.
type timeIn struct{ time.Time }

func (t *timeIn) UnmarshalJSON(raw []byte) error {
	var text *string
	if json.Unmarshal(raw, &text) != nil {
		return errType("spec.expiry", "date-time", string(raw))
	}
	if text == nil {
		return nil
	}
	parsed, err := time.Parse(time.RFC3339, *text)
	if err != nil {
		return errType("spec.expiry", "date-time", *text)
	}
	t.Time = parsed
	return nil
}

func formatTime(t time.Time) string { return t.UTC().Format(timeLayout) }
