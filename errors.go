package palette

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The classes of errors. Use errors.Is to test for them.
var (
	// ErrInvalidArgument reports an invalid argument or option. No request was sent.
	ErrInvalidArgument = errors.New("palette: invalid argument")
	// ErrBadRequest reports the status 400 or 422.
	ErrBadRequest = errors.New("palette: bad request")
	// ErrUnauthorized reports the status 401, or a 404 whose message repeats the
	// credential: the credential is wrong, expired, revoked or deleted, or it belongs to
	// another host or tenant.
	ErrUnauthorized = errors.New("palette: unauthorized")
	// ErrForbidden reports the status 403: the user of the credential lacks a permission.
	ErrForbidden = errors.New("palette: forbidden")
	// ErrNotFound reports a 404 with one of Palette's own error codes: the key does not
	// exist, or the credential cannot see it.
	ErrNotFound = errors.New("palette: not found")
	// ErrConflict reports the status 409.
	ErrConflict = errors.New("palette: conflict")
	// ErrRateLimited reports the status 429, or that the context would end before the rate
	// limiter allows the request. The second is also [context.DeadlineExceeded].
	ErrRateLimited = errors.New("palette: rate limited")
	// ErrServer reports a status from 500 to 599. Palette uses 500 for business errors
	// as well: see [APIError.Code].
	ErrServer = errors.New("palette: server error")
	// ErrRedirect reports a status from 300 to 399. Redirects are not followed.
	ErrRedirect = errors.New("palette: redirect refused")
	// ErrUnexpectedResponse reports a response that is not the documented one, or a 404
	// that is not from Palette, such as that of an ingress without a route.
	ErrUnexpectedResponse = errors.New("palette: unexpected response")
	// ErrOutcomeUnknown reports that Create failed and that the key may exist. The error
	// can be of another class as well, such as ErrServer: test for this one first.
	ErrOutcomeUnknown = errors.New("palette: outcome unknown")
	// ErrSecretNotEncoded reports an attempt to marshal a [Secret].
	ErrSecretNotEncoded = errors.New("palette: a Secret is not marshaled: use Reveal if you want its value")
)

// APIError is an error response of the server, with a status from 300 to 599. The
// server's texts are on one line and shortened, and the client's credential in them is
// replaced by [REDACTED].
type APIError struct {
	Op         string // the operation, such as "apiKeys.create"
	Method     string // such as "POST"
	Host       string // such as "api.spectrocloud.com"
	Path       string // such as "/v1/apiKeys"
	StatusCode int

	Code    string // the server's, which can be a number
	Message string // the server's; for a body that is not JSON, its media type, and the text of text/plain
	Ref     string // the server's reference

	Details    json.RawMessage // the server's, decoded and encoded again; its form is not documented
	Location   string          // the target of a refused redirect, without its query
	RetryAfter time.Duration   // the wait that the server asks for; 0 if it asks for none
	Attempts   int             // the number of attempts, at least 1
}

// Error returns the operation, the status code, the server's code and message, the host,
// the reference and the number of attempts.
func (e *APIError) Error() string {
	text := fmt.Sprintf("palette: %s: %d", e.Op, e.StatusCode)
	name := e.Code
	if name == "" || name == strconv.Itoa(e.StatusCode) {
		name = http.StatusText(e.StatusCode)
	}
	if name != "" {
		text += " " + name
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	if e.Location != "" {
		text += ": to " + e.Location
	}
	return text + suffix(e.Host, e.Ref, e.Attempts) + e.hint()
}

// hint returns what to do about e, where that is certain.
func (e *APIError) hint() string {
	switch {
	case errors.Is(e, ErrUnauthorized):
		return "; a credential works only on its own host and tenant, until it expires or is revoked"
	case errors.Is(e, ErrRedirect):
		return "; redirects are not followed: check the base URL"
	case errors.Is(e, ErrUnexpectedResponse) && e.Code == "":
		return "; something other than Palette responded: check the base URL"
	case errors.Is(e, ErrUnexpectedResponse):
		return "; the path does not exist: check the path of the base URL"
	}
	return ""
}

// suffix returns the end of an error's text.
func suffix(host, ref string, attempts int) string {
	var parts []string
	if host != "" {
		parts = append(parts, "host "+host)
	}
	if ref != "" {
		parts = append(parts, "ref "+ref)
	}
	if attempts == 1 {
		parts = append(parts, "1 attempt")
	} else {
		parts = append(parts, strconv.Itoa(attempts)+" attempts")
	}
	return " (" + strings.Join(parts, ", ") + ")"
}

// Is reports whether target is the class of e. The class depends on StatusCode, and for
// a 404 also on Code and Message.
func (e *APIError) Is(target error) bool { return target != nil && target == e.class() }

func (e *APIError) class() error {
	switch e.StatusCode {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return ErrBadRequest
	case http.StatusUnauthorized:
		return ErrUnauthorized
	case http.StatusForbidden:
		return ErrForbidden
	case http.StatusNotFound:
		return e.notFoundClass()
	case http.StatusConflict:
		return ErrConflict
	case http.StatusTooManyRequests:
		return ErrRateLimited
	}
	switch {
	case isRedirect(e.StatusCode):
		return ErrRedirect
	case e.StatusCode >= 500:
		return ErrServer
	}
	return nil
}

// notFoundClass returns the class of a 404. Only a code of Palette shows that the key
// does not exist: an ingress without a route responds with 404 as well, and Palette does
// so to an unknown credential, which it repeats in the message.
func (e *APIError) notFoundClass() error {
	_, err := strconv.ParseFloat(e.Code, 64)
	switch isNumber := err == nil; {
	case strings.Contains(e.Message, redacted):
		return ErrUnauthorized
	case e.Code == "" || isNumber:
		return ErrUnexpectedResponse
	}
	return ErrNotFound
}

// LogValue implements [slog.LogValuer]. It returns the fields as a group, without
// Details. An error that wraps e is logged as text.
func (e *APIError) LogValue() slog.Value {
	return slog.GroupValue(
		slog.String("op", e.Op),
		slog.String("method", e.Method),
		slog.String("host", e.Host),
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

// Limits of the server's texts. The first two are in runes, the third in bytes.
const (
	maxWord      = 200
	maxText      = 500
	maxErrorBody = 1 << 20
)

// newAPIError reads an error response. If its body cannot be read, the fields that it
// would fill are empty.
func (ex *exchange) newAPIError(resp *http.Response) *APIError {
	r := ex.redactor()
	location, _ := ex.location.Load().(string)
	e := &APIError{
		Op: ex.op.name, Method: ex.op.method, Host: ex.host, Path: ex.op.path,
		StatusCode: resp.StatusCode,
		Location:   location,
		RetryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		Attempts:   ex.attempt,
	}
	if isRedirect(e.StatusCode) {
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
		e.Message = ex.describeBody(resp.Header, body)
		return e
	}
	e.Code = r.text(stringOrNumber(fields.Code), maxWord)
	e.Message = r.text(stringOrNumber(fields.Message), maxText)
	e.Ref = r.text(stringOrNumber(fields.Ref), maxWord)
	e.Details = r.json(fields.Details)
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
func (ex *exchange) describeBody(h http.Header, body []byte) string {
	if len(body) == 0 {
		return ""
	}
	media := ex.mediaType(h)
	text := fmt.Sprintf("Content-Type is %q, not JSON", media)
	if media == "application/json" {
		text = "the body is not a JSON object"
	}
	if media == "text/plain" {
		text += ": " + ex.redactor().text(string(body), maxWord)
	}
	return text
}

// mediaType returns the media type of a response for an error's text.
func (ex *exchange) mediaType(h http.Header) string {
	// Redacted first, because ParseMediaType changes the case of letters.
	text := ex.redactor().text(h.Get("Content-Type"), maxWord)
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

// callError is an error that is not an error response of the server.
type callError struct {
	text   string
	causes []error
}

func (e *callError) Error() string   { return e.text }
func (e *callError) Unwrap() []error { return e.causes }

var errNilContext = errors.New("the context is nil")

// invalidArgument returns an error that is [ErrInvalidArgument].
func invalidArgument(function string, err error) error {
	text := strings.ReplaceAll(err.Error(), "\n", "; ") // of errors.Join
	return &callError{"palette: " + function + ": invalid argument: " + text, []error{ErrInvalidArgument, err}}
}

// unexpected returns the error for a response that is not the documented one. why must
// not quote the body, which may hold the value of a key, except for the uid of a key.
func (ex *exchange) unexpected(why string) error {
	why = ex.redactor().text(why, maxText)
	text := "palette: " + ex.op.name + ": unexpected response: " + why + suffix(ex.host, "", ex.attempt)
	return &callError{text, []error{ErrUnexpectedResponse}}
}

// truncated returns the outcome of an attempt whose response body could not be read.
func (ex *exchange) truncated(ctx context.Context, err error) outcome {
	err = fmt.Errorf("truncated response: %w", err)
	return outcome{err: ex.transportError(ctx, "", err, ErrUnexpectedResponse), maybeProcessed: true}
}

// transportError returns the error for an attempt that failed in the given phase, before
// the whole response was read. If the text of err contains the credential, err is not wrapped.
func (ex *exchange) transportError(ctx context.Context, phase string, err error, class ...error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err // the text of a url.Error repeats the URL
	}
	ctxErr := contextError(ctx)
	switch {
	case ctxErr == nil || errors.Is(err, ctx.Err()):
	case errors.Is(ctxErr, err): // net/http returns the cause only
		err = ctxErr
	default:
		err = fmt.Errorf("%w: %w", ctxErr, err)
	}
	r := ex.redactor()
	text := "palette: " + ex.op.name + ": " + phase + r.text(ex.describe(ctx, err), maxText) +
		suffix(ex.host, "", ex.attempt) + hint(err)
	switch {
	case !r.changes(err.Error()):
		return &callError{text, append(class, err)}
	case ctxErr != nil:
		return &callError{text, append(class, ctx.Err())}
	}
	return &callError{text, class}
}

// phase returns what the attempt was doing when it failed.
func (ex *exchange) phase() string {
	switch {
	case ex.roundTrips.Load() == 0: // the request did not reach the transport
		return ""
	case ex.connecting.Load():
		return "connecting: "
	}
	return "waiting for the response: "
}

// describe returns the text of a transport error. If a deadline passed, it says whose.
func (ex *exchange) describe(ctx context.Context, err error) string {
	switch {
	case errors.Is(context.Cause(ctx), errAttemptTimeout):
		return fmt.Sprintf("the attempt took longer than %v (WithTimeout)", ex.timeout)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return "the deadline of the context has passed: " + err.Error()
	}
	return err.Error()
}

// hint returns what to do about a transport error, where that is certain.
func hint(err error) string {
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "; use WithRootCAs or PALETTE_CA_FILE to trust a private CA"
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "; check the port of the base URL, or use http"
	}
	return ""
}

// contextError returns the error of ctx with its cause, or nil if ctx has not ended.
func contextError(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// withNote returns err with a note at the end of its text. The result is also the given
// class, if there is one.
func withNote(err error, note string, class ...error) error {
	return &callError{err.Error() + "; " + note, append(class, err)}
}
