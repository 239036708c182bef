package palette

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
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
	ErrSecretNotEncoded = errors.New("palette: a Secret cannot be marshaled: use Reveal if you want its value")
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
	Message string // the server's; if the body is not JSON, its media type and, for text/plain, its text
	Ref     string // the server's reference

	Details    json.RawMessage // the server's; its form is not documented
	Location   string          // the target of a refused redirect, without its query
	RetryAfter time.Duration   // the wait that the server asks for; 0 if it asks for none
	Attempts   int             // the number of attempts, at least 1
}

// Error returns the operation, the status code, the server's code and message, the host,
// the reference and the number of attempts.
func (e *APIError) Error() string {
	text := "palette: "
	if e.Op != "" {
		text += e.Op + ": "
	}
	text += strconv.Itoa(e.StatusCode)
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
	switch {
	case attempts == 1:
		parts = append(parts, "1 attempt")
	case attempts > 1:
		parts = append(parts, strconv.Itoa(attempts)+" attempts")
	}
	if len(parts) == 0 {
		return ""
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

func isRedirect(status int) bool { return status/100 == 3 }

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

// textError is an error with a text of its own that is also each of its causes.
type textError struct {
	text   string
	causes []error
}

func (e *textError) Error() string   { return e.text }
func (e *textError) Unwrap() []error { return e.causes }

var errNilContext = errors.New("the context is nil")

// invalidArgument returns an error that is [ErrInvalidArgument].
func invalidArgument(function string, err error) error {
	text := strings.ReplaceAll(err.Error(), "\n", "; ") // of errors.Join
	return &textError{"palette: " + function + ": invalid argument: " + text, []error{ErrInvalidArgument, err}}
}

// unexpected returns the error for a response that is not the documented one. why must
// not quote the body, which may hold the value of a key, except for the uid of a key.
func unexpected(why string, r redactor) error {
	return &textError{"unexpected response: " + r.text(why, maxText), []error{ErrUnexpectedResponse}}
}

// transportError returns the error of an attempt that failed in the given phase, before the
// whole response was read. If the text of err contains the credential, err is not wrapped.
func transportError(ctx context.Context, phase string, err error, r redactor, class ...error) error {
	for urlErr, ok := err.(*url.Error); ok; urlErr, ok = err.(*url.Error) { //nolint:errorlint // what wraps one stays
		err = urlErr.Err
	}
	ctxErr := contextError(ctx)
	switch {
	case ctxErr == nil:
	case errors.Is(ctxErr, err): // net/http returns the error of ctx or its cause
		err = ctxErr
	case !errors.Is(err, ctx.Err()) || !errors.Is(err, context.Cause(ctx)):
		err = fmt.Errorf("%w: %w", ctxErr, err)
	}
	if phase != "" {
		phase += ": "
	}
	text := phase + r.text(withDeadline(ctx, withoutURLs(err)), maxText)
	switch {
	case !r.finds(err.Error()):
		return &textError{text, append(class, err)}
	case ctxErr != nil:
		return &textError{text, append(class, ctx.Err())}
	}
	return &textError{text, class}
}

// withoutURLs returns the text of err without the URLs of requests, whose queries may hold
// secrets.
func withoutURLs(err error) string {
	text := err.Error()
	for urlErr, ok := errors.AsType[*url.Error](err); ok; urlErr, ok = errors.AsType[*url.Error](urlErr.Err) {
		text = strings.ReplaceAll(text, urlErr.Error(), urlErr.Err.Error())
	}
	return text
}

// withDeadline adds to the text of a transport error whose deadline passed.
func withDeadline(ctx context.Context, text string) string {
	if timeout, ok := errors.AsType[attemptTimeout](context.Cause(ctx)); ok {
		return timeout.Error()
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return "the deadline of the context has passed: " + text
	}
	return text
}

// attemptTimeout is the cause of the context of an attempt that took too long.
type attemptTimeout time.Duration

func (t attemptTimeout) Error() string {
	return fmt.Sprintf("the attempt took longer than %v (WithTimeout)", time.Duration(t))
}

func (attemptTimeout) Is(target error) bool { return target == context.DeadlineExceeded }

// hint returns what to do about an error that is not an [APIError], where that is certain.
func hint(err error) string {
	_, unknownCA := errors.AsType[x509.UnknownAuthorityError](err)
	_, otherName := errors.AsType[x509.HostnameError](err)
	dns, isDNS := errors.AsType[*net.DNSError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	switch {
	case unknownCA:
		return "; use WithRootCAs or PALETTE_CA_FILE to trust a private CA"
	case otherName:
		return "; check the host of the base URL"
	case errors.Is(err, http.ErrSchemeMismatch):
		return "; check the port of the base URL, or use http"
	case isOp && op.Op == "proxyconnect":
		return "; check HTTPS_PROXY"
	case isDNS && dns.IsNotFound:
		return "; check the spelling of the host, and DNS"
	}
	return ""
}

// withNote returns err with a note at the end of its text. The result is also the given
// class, if there is one.
func withNote(err error, note string, class ...error) error {
	return &textError{err.Error() + "; " + note, append(class, err)}
}
