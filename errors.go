package palette

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/html"
)

// The kinds of failure, to be asked for with errors.Is.
var (
	// ErrInvalidArgument is an argument or an option that makes no sense. Nothing was sent.
	ErrInvalidArgument = errors.New("palette: invalid argument")
	// ErrBadRequest is status 400 or 422: the server refuses what the request says.
	ErrBadRequest = errors.New("palette: bad request")
	// ErrUnauthorized is status 401: the credential is wrong, expired, revoked or deleted.
	ErrUnauthorized = errors.New("palette: unauthorized")
	// ErrForbidden is status 403: the credential's user may not do this.
	ErrForbidden = errors.New("palette: forbidden")
	// ErrNotFound is status 404: no such key, or none that the credential may see.
	ErrNotFound = errors.New("palette: not found")
	// ErrConflict is status 409: the request contradicts the state of the key (assumed).
	ErrConflict = errors.New("palette: conflict")
	// ErrRateLimited is status 429 after the last repeat, or with a Retry-After that is
	// later than the policy or the context allows.
	ErrRateLimited = errors.New("palette: rate limited")
	// ErrServer is a status of 500 to 599. Palette uses 500 for business errors as well: see Code.
	ErrServer = errors.New("palette: server error")
	// ErrRedirect is a status of 300 to 399. Redirects are never followed: see Location.
	ErrRedirect = errors.New("palette: redirect refused")
	// ErrUnexpectedResponse is a reply that claims success but is not what the operation returns.
	ErrUnexpectedResponse = errors.New("palette: unexpected response")
	// ErrOutcomeUnknown is a Create that failed after the server may have made the
	// key. It comes beside the error that says how the call failed.
	ErrOutcomeUnknown = errors.New("palette: outcome unknown")
	// ErrSecretNotEncoded is the attempt to encode a [Secret].
	ErrSecretNotEncoded = errors.New("palette: a Secret is not encoded; call Reveal where its value is meant")
)

// APIError is a reply of the server that says no: any status from 300 to 599.
// errors.Is tells its kind; a 4xx that has no sentinel (405, 413, …) has none. The
// server's texts are in it on one line each, cut to a readable length, and with
// [REDACTED] in place of the credential where the server repeated that.
type APIError struct {
	Op, Method, Path string // "apiKeys.create", "POST", "/v1/apiKeys"
	StatusCode       int

	// Code, Message and Ref are the server's own. Code is text also where the
	// server sends a number. Where the body is not the API's JSON, Message is an
	// excerpt of its text.
	Code, Message, Ref string
	// Details is the server's JSON, at its full length but without the credential;
	// what it may hold is not documented.
	Details json.RawMessage

	Location   string        // where a refused redirect pointed, without its query
	RetryAfter time.Duration // how long the server asked to wait; 0 if it did not
	Attempts   int           // how often it was tried
}

// Error says what failed, how, and after how many attempts, in one line.
func (e *APIError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "palette: %s: %d", e.Op, e.StatusCode)
	if name := cmp.Or(e.Code, http.StatusText(e.StatusCode)); name != "" {
		b.WriteString(" " + name)
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if e.Location != "" {
		b.WriteString(": to " + e.Location)
	}
	b.WriteString(" (")
	if e.Ref != "" {
		b.WriteString("ref " + e.Ref + ", ")
	}
	b.WriteString(attempts(e.Attempts) + ")")
	return b.String()
}

// Is reports whether target is the sentinel of e's status.
func (e *APIError) Is(target error) bool { return target == statusKind(e.StatusCode) }

func statusKind(status int) error {
	switch status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return ErrBadRequest
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return ErrNotFound
	case http.StatusConflict:
		return ErrConflict
	case http.StatusTooManyRequests:
		return ErrRateLimited
	}
	switch {
	case isRedirect(status):
		return ErrRedirect
	case status >= 500:
		return ErrServer
	}
	return nil
}

// LogValue returns the fields of e as a group, without Details; it makes
// APIError a [slog.LogValuer].
func (e *APIError) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("op", e.Op),
		slog.String("method", e.Method),
		slog.String("path", e.Path),
		slog.Int("status", e.StatusCode),
		slog.String("code", e.Code),
		slog.String("message", e.Message),
		slog.String("ref", e.Ref),
		slog.String("location", e.Location),
		slog.Duration("retryAfter", e.RetryAfter),
		slog.Int("attempts", e.Attempts),
	)
}

// Limits on what is kept of a reply. The first two are in runes.
const (
	maxWord      = 200
	maxText      = 500
	maxErrorBody = 1 << 20
)

// newAPIError reads what the server says in a reply of 300 to 599. It never
// fails: a body that cannot be read or understood leaves its fields empty.
func newAPIError(op *operation, f *flight, resp *http.Response, attempt int) *APIError {
	scrub := newScrubber(f.secret)
	e := &APIError{
		Op: op.name, Method: op.method, Path: op.path,
		StatusCode: resp.StatusCode,
		Location:   scrub.text(stripLocation(f.location), maxText),
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Attempts:   attempt,
	}
	if isRedirect(e.StatusCode) {
		return e // its body is often the Location once more, with the query
	}
	body, err := readBody(resp, maxErrorBody)
	if err != nil {
		return e // cut short, it might end inside the credential
	}
	e.fill(body, scrub)
	return e
}

// fill takes the fields from body one by one, so that one of a wrong type costs
// the others nothing.
func (e *APIError) fill(body []byte, scrub scrubber) {
	var fields struct {
		Code    json.RawMessage `json:"code"`
		Message json.RawMessage `json:"message"`
		Details json.RawMessage `json:"details"`
		Ref     json.RawMessage `json:"ref"`
	}
	if json.Unmarshal(body, &fields) != nil {
		e.Message = scrub.text(excerpt(body), maxWord)
		return
	}
	e.Code = scrub.text(scalar(fields.Code), maxWord)
	e.Message = scrub.text(scalar(fields.Message), maxText)
	e.Ref = scrub.text(scalar(fields.Ref), maxWord)
	e.Details = scrub.json(fields.Details)
}

// scalar is the text of a JSON string or number, and nothing for the rest.
func scalar(raw json.RawMessage) string {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return text
	}
	var number json.Number
	_ = json.Unmarshal(raw, &number)
	return number.String()
}

// excerpt is what a browser would show of body.
func excerpt(body []byte) string {
	var b strings.Builder
	tokens := html.NewTokenizer(bytes.NewReader(body))
	for hidden := false; ; {
		switch kind := tokens.Next(); kind {
		case html.ErrorToken:
			return b.String()
		case html.TextToken:
			if !hidden {
				b.Write(tokens.Text())
			}
			b.WriteByte(' ')
		default:
			name, _ := tokens.TagName()
			hidden = kind == html.StartTagToken && (string(name) == "script" || string(name) == "style")
		}
	}
}

// stripLocation takes the parts that may hold a secret out of a Location. One
// that cannot be taken apart points nowhere.
func stripLocation(location string) string {
	u, err := url.Parse(location)
	if err != nil || u.Opaque != "" {
		return ""
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// callError is a failure of a call that is not the server's own word.
type callError struct {
	text   string
	causes []error
}

func (e *callError) Error() string   { return e.text }
func (e *callError) Unwrap() []error { return e.causes }

// invalid is the error for an argument of op that makes no sense.
func (op *operation) invalid(why string) error {
	return &callError{"palette: " + op.name + ": invalid argument: " + why, []error{ErrInvalidArgument}}
}

// unexpected is the error for a reply that is not what op returns. It must not
// quote the reply, which may hold a key.
func (op *operation) unexpected(attempt int, why string) error {
	text := fmt.Sprintf("palette: %s: unexpected response: %s (%s)", op.name, why, attempts(attempt))
	return &callError{text, []error{ErrUnexpectedResponse}}
}

// broken is the error for an attempt that ended with err and without a whole
// reply. Where err shows the credential, as a caller's own transport may make it
// do, only its scrubbed text is kept.
func (op *operation) broken(ctx context.Context, f *flight, attempt int, err error, kinds ...error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		err = urlErr.Err // its text repeats method and URL
	}
	for _, why := range []error{context.Cause(ctx), ctx.Err()} {
		if why != nil && !errors.Is(err, why) {
			err = fmt.Errorf("%w: %w", why, err) // net/http reports one of them, and not always
		}
	}
	scrub := newScrubber(f.secret)
	text := fmt.Sprintf("palette: %s: %s (%s)", op.name, scrub.text(err.Error(), maxText), attempts(attempt))
	if scrub.finds(err) {
		return &callError{text, append(kinds, contextKinds(err)...)}
	}
	return &callError{text, append(kinds, err)}
}

// contextError is why ctx is done, with the cause its owner gave, and nil if it is not.
func contextError(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil // before Cause, which may have one a moment later
	}
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// contextKinds are the context's errors that err is.
func contextKinds(err error) []error {
	var kinds []error
	for _, kind := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, kind) {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// beside adds to err, in words and for errors.Is, what else is to be known.
func beside(err error, note string, kind error) error {
	return &callError{err.Error() + "; " + note, []error{err, kind}}
}

// attempts says n with its noun.
func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return strconv.Itoa(n) + " attempts"
}
