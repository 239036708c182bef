package palette

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"time"
)

// The response bodies as Palette sends them, and how each is decoded.

type createResponse struct {
	APIKey string `json:"apiKey"`
	UID    string `json:"uid"`
}

func (r *createResponse) decode(body []byte) error {
	*r = createResponse{}
	if err := unmarshal(body, r); err != nil {
		return err
	}
	if r.APIKey == "" || r.UID == "" {
		return errors.New("no apiKey or no uid")
	}
	return nil
}

type keyResponse struct{ key APIKey }

func (r *keyResponse) decode(body []byte) (err error) {
	if r.key, err = decodeKey(body); err == nil && r.key.Metadata.UID == "" {
		err = errors.New("no metadata.uid")
	}
	return err
}

// listResponse is one page of the list.
type listResponse struct {
	Items    []APIKey `json:"items"`
	ListMeta listMeta `json:"listmeta"`

	seen   map[string]bool // the continue tokens of earlier pages
	before int             // the number of keys on earlier pages
}

type listMeta struct {
	Continue string `json:"continue"`
	Count    int64  `json:"count"` // of all pages
}

func (r *listResponse) decode(body []byte) error {
	r.ListMeta = listMeta{}
	r.Items = make([]APIKey, 0, len(body)/512) // a key takes some 600 bytes: growing would copy all
	if err := unmarshal(body, r); err != nil {
		if err := r.decodeEach(body, err); err != nil {
			return err
		}
	}
	for i := range r.Items {
		r.Items[i].clampTimes()
	}
	total := r.before + len(r.Items)
	switch {
	case len(r.Items) == 0 && !hasItems(body):
		return errors.New("no items")
	case r.seen[r.ListMeta.Continue]:
		return errors.New("a continue token for the second time")
	case len(r.seen) >= maxPages:
		return fmt.Errorf("more than %d pages", maxPages)
	case r.ListMeta.Continue == "" && int64(total) < r.ListMeta.Count:
		return fmt.Errorf("the list ends after %d of %d keys", total, r.ListMeta.Count)
	}
	return nil
}

type rawList struct {
	Items    []json.RawMessage `json:"items"`
	ListMeta listMeta          `json:"listmeta"`
}

// decodeEach decodes the keys of a page one by one. It is slower, but reads more timestamps
// and names the key that cannot be decoded. If it is not a key, it returns err.
func (r *listResponse) decodeEach(body []byte, err error) error {
	var list rawList
	if json.Unmarshal(body, &list) != nil {
		return err
	}
	r.Items, r.ListMeta = nil, list.ListMeta
	for _, item := range list.Items {
		key, err := decodeKey(item)
		if err != nil {
			return fmt.Errorf("%w%s", err, inKey(item))
		}
		r.Items = append(r.Items, key)
	}
	return nil
}

// inKey returns " in key UID" if item has a valid uid.
func inKey(item []byte) string {
	var id struct {
		Metadata struct {
			UID string `json:"uid"`
		} `json:"metadata"`
	}
	if json.Unmarshal(item, &id) != nil || checkUID(id.Metadata.UID) != nil {
		return ""
	}
	return " in key " + id.Metadata.UID
}

// hasItems reports whether body has items, which may be null.
func hasItems(body []byte) bool {
	var list struct {
		Items json.RawMessage `json:"items"`
	}
	return json.Unmarshal(body, &list) == nil && list.Items != nil
}

// decodeKey decodes a key. A user can create a key that expires in a year that RFC 3339
// cannot express, and must not make the list of the tenant unreadable: such timestamps are
// read as the nearest one that RFC 3339 has.
func decodeKey(body []byte) (APIKey, error) {
	var lenient lenientKey
	if err := unmarshal(body, &lenient); err != nil {
		return APIKey{}, err
	}
	key := APIKey{Metadata: lenient.Metadata.ObjectMeta, Spec: lenient.Spec.APIKeySpec, Status: lenient.Status}
	key.Metadata.CreationTimestamp = time.Time(lenient.Metadata.CreationTimestamp)
	key.Metadata.DeletionTimestamp = time.Time(lenient.Metadata.DeletionTimestamp)
	key.Metadata.LastModifiedTimestamp = time.Time(lenient.Metadata.LastModifiedTimestamp)
	key.Spec.Expiry = time.Time(lenient.Spec.Expiry)
	key.clampTimes()
	return key, nil
}

type lenientKey struct {
	Metadata keyMetadata  `json:"metadata"`
	Spec     keySpec      `json:"spec"`
	Status   APIKeyStatus `json:"status"`
}

type keyMetadata struct {
	ObjectMeta

	CreationTimestamp     timestamp `json:"creationTimestamp"`
	DeletionTimestamp     timestamp `json:"deletionTimestamp"`
	LastModifiedTimestamp timestamp `json:"lastModifiedTimestamp"`
}

type keySpec struct {
	APIKeySpec

	Expiry timestamp `json:"expiry"`
}

// timestamp is a time that is decoded also if its year is not 0 to 9999.
type timestamp time.Time

var (
	earliest = time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC)
	latest   = time.Date(9999, 12, 31, 23, 59, 59, 999_000_000, time.UTC)

	beforeYear0   = regexp.MustCompile(`^"-\d+-\d\d-\d\dT`)
	afterYear9999 = regexp.MustCompile(`^"\+?\d{5,}-\d\d-\d\dT`)
)

func (t *timestamp) UnmarshalJSON(data []byte) error {
	switch {
	case beforeYear0.Match(data):
		*t = timestamp(earliest)
	case afterYear9999.Match(data):
		*t = timestamp(latest)
	default:
		return (*time.Time)(t).UnmarshalJSON(data)
	}
	return nil
}

// clampTimes converts the times of k to UTC. Near the limits, this changes the year.
func (k *APIKey) clampTimes() {
	for _, t := range []*time.Time{
		&k.Metadata.CreationTimestamp, &k.Metadata.DeletionTimestamp, &k.Metadata.LastModifiedTimestamp, &k.Spec.Expiry,
	} {
		*t = t.UTC()
		switch year := t.Year(); {
		case year < 0:
			*t = earliest
		case year > 9999:
			*t = latest
		}
	}
}

// unmarshal decodes a body. Its errors quote nothing of the body: the field path of a
// json.UnmarshalTypeError holds map keys of the body since Go 1.27, and a time's error
// its text.
func unmarshal(body []byte, v any) error {
	err := json.Unmarshal(body, v)
	if err == nil {
		return nil
	}
	if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("wrong JSON type for %v at offset %d", typeErr.Type, typeErr.Offset)
	}
	if syntaxErr, ok := errors.AsType[*json.SyntaxError](err); ok {
		return fmt.Errorf("invalid JSON at offset %d of %d bytes", syntaxErr.Offset, len(body))
	}
	return errors.New("invalid timestamp")
}
