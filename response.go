package palette

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

// Limits of bodies, in bytes.
const (
	maxBody      = 64 << 20 // of a success
	maxErrorBody = 1 << 20
)

// maxPages is the maximum number of pages of a list.
const maxPages = 10_000

// decoder decodes the body of a success.
type decoder interface{ decode(body []byte) error }

// readResponse reads the response of an attempt. If result is nil, success is exactly 204,
// because a sign-in page responds with 200. Otherwise it is any 2xx with the documented body,
// which may be the only copy of a key.
func readResponse(ctx context.Context, resp *http.Response, result decoder, r redactor) outcome {
	status := resp.StatusCode
	o := outcome{status: status, maybeProcessed: status < 300 || status >= 500 || status == http.StatusRequestTimeout}
	switch {
	case status >= 300 && status <= 599:
		apiErr := newAPIError(resp, r)
		o.err, o.ended, o.retryAfter = apiErr, contextError(ctx), apiErr.RetryAfter
		o.unauthorized = errors.Is(apiErr, ErrUnauthorized)
		// nginx, which limits the rate in front of Palette, responds with 503.
		o.overloaded = status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable && apiErr.Code == ""
		return o
	case result == nil && status == http.StatusNoContent:
		return o
	case result == nil:
		o.err = unexpected(fmt.Sprintf("status %d, not 204", status), r)
		return o
	case status/100 != 2:
		o.err = unexpected(fmt.Sprintf("status %d, not 2xx", status), r)
		return o
	case !isJSON(resp.Header):
		o.err = unexpected(fmt.Sprintf("status %d with Content-Type %q, not JSON: something other than Palette responded, "+
			"such as a proxy or a sign-in page before it", status, mediaType(resp.Header, r)), r)
		return o
	}
	body, err := readBody(resp, maxBody)
	if err != nil && !errors.Is(err, errBodyTooLarge) {
		err = fmt.Errorf("truncated response: %w", err)
		return outcome{maybeProcessed: true, err: transportError(ctx, "", err, r, ErrUnexpectedResponse)}
	}
	if err == nil {
		err = result.decode(body)
	}
	if err != nil {
		o.err = unexpected(err.Error(), r)
	}
	return o
}

func isJSON(h http.Header) bool {
	media, _, _ := strings.Cut(h.Get("Content-Type"), ";") // invalid parameters do not matter
	media = strings.ToLower(strings.TrimSpace(media))
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

var errBodyTooLarge = errors.New("the body is larger than the limit")

// readBody reads a body of at most limit bytes. A larger one is errBodyTooLarge.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, errBodyTooLarge
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errBodyTooLarge
	}
	return body, err
}

// newAPIError reads an error response. If its body cannot be read, the fields that it
// would fill are empty.
//
// The call adds what it knows: Op, Method, Host, Path and Attempts.
func newAPIError(resp *http.Response, r redactor) *APIError {
	e := &APIError{
		StatusCode: resp.StatusCode,
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
	}
	if isRedirect(e.StatusCode) {
		e.Location = r.text(withoutQuery(resp.Header.Get("Location")), maxText)
		return e // the body often repeats the target with its query
	}
	body, err := readBody(resp, maxErrorBody)
	if err != nil {
		return e // a part of the body could end inside the credential
	}
	var fields struct {
		Code    json.RawMessage `json:"code"`
		Message json.RawMessage `json:"message"`
		Details json.RawMessage `json:"details"`
		Ref     json.RawMessage `json:"ref"`
	}
	if json.Unmarshal(body, &fields) != nil {
		e.Message = describeBody(resp.Header, body, r)
		return e
	}
	e.Code = r.text(stringOrNumber(fields.Code), maxWord)
	e.Message = r.text(stringOrNumber(fields.Message), maxText)
	e.Ref = r.text(stringOrNumber(fields.Ref), maxWord)
	e.Details = fields.Details
	if r.finds(string(fields.Details)) {
		e.Details = nil
	}
	return e
}

// withoutQuery returns location without user info, query and fragment, which may hold
// secrets. It returns "" for an invalid one.
func withoutQuery(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Opaque != "" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// describeBody describes an error body that is not JSON. It quotes only text/plain.
func describeBody(h http.Header, body []byte, r redactor) string {
	if len(body) == 0 {
		return ""
	}
	if bytes.Contains(body, []byte("HTTP request to an HTTPS server")) || bytes.Contains(body, []byte("HTTP request was sent to HTTPS port")) {
		return "the port speaks https, not http" // Go's words, and those of nginx
	}
	media := mediaType(h, r)
	text := fmt.Sprintf("Content-Type is %q, not JSON", media)
	if media == "application/json" {
		text = "the body is not a JSON object"
	}
	if media == "text/plain" {
		text += ": " + r.text(string(body), maxWord)
	}
	return text
}

// mediaType returns the media type of a response for an error's text.
func mediaType(h http.Header, r redactor) string {
	// Redacted first, because ParseMediaType changes the case of letters.
	text := r.text(h.Get("Content-Type"), maxWord)
	media, _, _ := mime.ParseMediaType(text)
	return cmp.Or(media, text)
}

// stringOrNumber returns the text of a JSON string or number, and "" for other values.
func stringOrNumber(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	_ = json.Unmarshal(raw, &number)
	return number.String()
}

// The bodies of successes as Palette sends them, and how each is decoded.

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

type keyResponse struct {
	uid string // of the key that was asked for
	key APIKey
}

func (r *keyResponse) decode(body []byte) (err error) {
	if r.key, err = decodeKey(body); err == nil && r.key.Metadata.UID != r.uid {
		err = errors.New("metadata.uid is not that of the request")
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
