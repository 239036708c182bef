// Package palette is a client for the API keys of Spectro Cloud Palette: it
// creates, lists, reads, changes, revokes and deletes them (/v1/apiKeys). Where the
// documentation says (spec), the fact is from Palette's published OpenAPI contract;
// (doc) is from its manual, and (assumed) is from neither.
//
// # Quick start
//
//	client, err := palette.NewClient(palette.WithEnv()) // PALETTE_API_KEY, PALETTE_HOST
//	if err != nil {
//		return err
//	}
//	created, err := client.APIKeys.Create(ctx, palette.CreateAPIKeyRequest{
//		Metadata: palette.ObjectMeta{Name: "ci"},
//		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().Add(30 * 24 * time.Hour)},
//	})
//	if err != nil {
//		return err
//	}
//	store(created.UID, created.APIKey.Reveal()) // Palette shows the key this once
//
// # Authentication
//
// A client has exactly one credential: a key ([WithAPIKey]), a function that is
// asked for it at every attempt ([WithAPIKeyFunc]), a token of the login API
// ([WithAuthToken]), or what the environment holds ([WithEnv]). It goes to the
// base URL's scheme and host alone: redirects are refused, not followed.
//
// # Errors
//
// What the server refuses is an [*APIError] with its code, message and
// reference. errors.Is tells the kind of an error:
//
//	400, 422                     ErrBadRequest
//	401                          ErrUnauthorized
//	403                          ErrForbidden
//	404                          ErrNotFound
//	409                          ErrConflict
//	429                          ErrRateLimited
//	other 4xx                    an *APIError that is none of these
//	500 to 599                   ErrServer
//	300 to 399                   ErrRedirect
//	not what success looks like  ErrUnexpectedResponse
//	nothing sent: bad argument   ErrInvalidArgument
//	a key may have been made     ErrOutcomeUnknown, beside the others
//	context, attempt timeout     context.Canceled, context.DeadlineExceeded
//
// Success is the one status and the whole JSON that the operation documents;
// anything else is an error and never a zero value.
//
// # Repeating
//
// A call is sent again, with waits that grow and vary, as [RetryPolicy] says and
// in these cases. They may change in minor releases.
//
//	operation       sent again on
//	all but Create  no connection, reset or cut replies, the timeout of an
//	                attempt, 429, 502, 503, 504
//	Create          429, and failures where nothing was sent (DNS, refused
//	                connection, TLS handshake)
//	none            500 (Palette uses it for business errors), other 4xx, 3xx,
//	                bad replies, bad certificates, no credential, a done context
//
// Retry-After is honored: a call waits at least that long, and returns at once,
// with [APIError.RetryAfter] set, when that is more than the policy's MaxWait or
// than the context has left. A Delete that is sent again after an attempt without
// any answer, not even a 502, takes 404 for success.
//
// When a Create fails in a way that leaves open whether the server made the key
// (a lost or cut reply, a timeout, a 5xx, a 201 that cannot be read), the error
// is also [ErrOutcomeUnknown]: look for the name before creating again.
//
// # Secrets
//
// [Secret] holds the new key. It prints as [REDACTED] and refuses to be encoded.
// The client's own credential is in no error, no log record and no printed client,
// also where the server repeats it.
//
// # Concurrency
//
// A [Client] is immutable and safe for concurrent use, as is everything it
// returns as long as nobody writes to it. Share one: its goroutines then share
// connections and the rate limit.
package palette

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
	"golang.org/x/time/rate"
)

// version is the SDK's own in the User-Agent header.
const version = "0.1.0"

// maxBody is the limit of a reply that is not an error, in bytes.
const maxBody = 64 << 20

// Client talks to one Palette with one credential. Make it with [NewClient]; the
// zero Client cannot be used. It is immutable and safe for concurrent use: make
// one and share it, so that its connections are shared as well.
type Client struct {
	// APIKeys holds the operations.
	APIKeys *APIKeysService

	request    *resty.Request // what all requests have in common
	bodyHeader http.Header    // the header of those with a body
	baseURL    url.URL        // without a slash at its end
	timeout    time.Duration
	retry      RetryPolicy
	limiter    *rate.Limiter // nil: no limit
	logger     *slog.Logger  // nil: silent
}

// operation is one call: what to send, what success looks like, and what may be
// done when it fails.
type operation struct {
	name, method, path, query string

	body       []byte
	want       int   // the one status of success
	into       reply // nil: success has no body
	once       bool  // a second one would do something else than the first
	goneIsDone bool  // "not found" is success if an earlier attempt had no answer
}

// NewClient returns a client for what opts say. It needs exactly one credential:
// [WithAPIKey], [WithAPIKeyFunc], [WithAuthToken] or what [WithEnv] finds. A
// mistake in any option is an error that is [ErrInvalidArgument] and names it. It
// sends nothing.
func NewClient(opts ...Option) (*Client, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, &callError{"palette: NewClient: " + err.Error(), []error{ErrInvalidArgument, err}}
	}
	hc := http.Client{}
	if cfg.httpClient != nil {
		hc = *cfg.httpClient // resty writes into the client it gets
	}
	if hc.Transport == nil {
		hc.Transport = newTransport(cfg.rootCAs, cfg.skipVerify)
	}
	hc.Transport = &originTransport{
		base:   hc.Transport,
		scheme: cfg.baseURL.Scheme, host: cfg.baseURL.Host,
		credential: cfg.credential,
	}
	c := &Client{
		request: newResty(&hc).R().SetDoNotParseResponse(true),
		baseURL: *cfg.baseURL,
		timeout: cfg.timeout,
		retry:   cfg.retry,
		limiter: cfg.limiter,
		logger:  cfg.logger,
	}
	c.request.SetHeader("Accept", "application/json")
	c.request.SetHeader("User-Agent", strings.TrimSpace(cfg.userAgent+" palette-apikeys-go/"+version))
	c.bodyHeader = c.request.Header.Clone()
	c.bodyHeader.Set("Content-Type", "application/json")
	c.APIKeys = &APIKeysService{client: c}
	return c, nil
}

func newResty(hc *http.Client) *resty.Client {
	return resty.NewWithClient(hc).SetLogger(silent{}).SetPreRequestHook(prepare)
}

// silent drops what resty would write to standard error.
type silent struct{}

func (silent) Errorf(string, ...any) {}
func (silent) Warnf(string, ...any)  {}
func (silent) Debugf(string, ...any) {}

// send marshals body, if there is one, and calls.
func (c *Client) send(ctx context.Context, op *operation, body any) error {
	if body != nil {
		var err error
		if op.body, err = json.Marshal(body); err != nil {
			return op.invalid(err.Error())
		}
	}
	return c.call(ctx, op)
}

// call is the loop: pace, attempt, decide, wait. Nothing else knows about repeating.
func (c *Client) call(ctx context.Context, op *operation) error {
	var last outcome
	for attempt, lost := 1, false; ; attempt++ {
		if err := c.pace(ctx); err != nil {
			return op.stopped(last.err, err)
		}
		last = c.attempt(ctx, op, attempt)
		if last.err == nil || lost && op.goneIsDone && last.status == http.StatusNotFound {
			return nil
		}
		lost = lost || last.lost()
		wait := c.retry.wait(attempt, last.retryAfter)
		if attempt > c.retry.MaxRetries || !op.repeatable(last) || wait > c.retry.MaxWait || !inTime(ctx, wait) {
			return op.failed(last)
		}
		c.logRepeat(ctx, op, last, wait)
		if err := sleep(ctx, wait); err != nil {
			return op.stopped(last.err, err)
		}
	}
}

// pace waits until the rate limit lets a request through. A context that is done
// ends the call here, before anything is sent.
func (c *Client) pace(ctx context.Context) error {
	if err := contextError(ctx); err != nil || c.limiter == nil {
		return err
	}
	err := c.limiter.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return fmt.Errorf("waiting for the rate limit: %w", contextError(ctx))
	}
	return fmt.Errorf("waiting for the rate limit: %w", context.DeadlineExceeded) // it would have been
}

// failed is the error of a call that ended with o.
func (op *operation) failed(o outcome) error {
	if op.once && o.open() {
		return beside(o.err, "the key may exist: look for its name before creating again", ErrOutcomeUnknown)
	}
	return o.err
}

// stopped is the error of a call whose context ended while it waited to send. What
// the last attempt failed with is part of it, if there was one.
func (op *operation) stopped(last, err error) error {
	if last == nil {
		return &callError{"palette: " + op.name + ": " + err.Error(), []error{err}}
	}
	return beside(last, "not sent again: "+err.Error(), err)
}

// placeholder is a URL that resty neither completes nor takes long to parse; prepare
// puts the flight's in its place.
const placeholder = "palette:"

// attempt sends op once and reads the reply.
func (c *Client) attempt(ctx context.Context, op *operation, n int) outcome {
	start := time.Now()
	timed, cancel := context.WithDeadline(ctx, start.Add(c.timeout))
	defer cancel()
	f := newFlight(timed, c.urlOf(op))
	resp, err := c.newRequest(f, op.body).Execute(op.method, placeholder) //nolint:contextcheck // a flight holds its context
	var o outcome
	if err != nil {
		o = outcome{err: op.broken(timed, f, n, err), sent: f.maybeSent(err), final: isFinal(err)}
	} else {
		o = op.decode(timed, f, resp.RawResponse, n)
	}
	c.logAttempt(ctx, op, f, o, n, start)
	return o
}

// urlOf returns where op goes. No path of an operation has anything to escape.
func (c *Client) urlOf(op *operation) url.URL {
	u := c.baseURL
	u.Path += op.path
	u.RawPath += op.path
	u.RawQuery = op.query
	return u
}

// newRequest returns a copy of the request that all have in common. Resty's R would
// make six maps for each, of which five stay empty; nothing writes into the shared ones.
func (c *Client) newRequest(ctx context.Context, body []byte) *resty.Request {
	req := *c.request
	req.SetContext(ctx)
	if body != nil {
		req.Header = c.bodyHeader
		req.SetBody(bytes.NewReader(body))
	}
	return &req
}

// decode turns a reply into op's value or an error.
func (op *operation) decode(ctx context.Context, f *flight, resp *http.Response, n int) outcome {
	defer resp.Body.Close()
	o := outcome{status: resp.StatusCode, sent: true, answered: true}
	switch {
	case resp.StatusCode == op.want && op.into == nil:
		return o
	case resp.StatusCode >= 300 && resp.StatusCode <= 599:
		e := newAPIError(op, f, resp, n)
		o.err, o.retryAfter = e, e.RetryAfter
		if err := contextError(ctx); err != nil { // its body may be missing for that reason
			o.err = beside(e, err.Error(), err)
		}
		return o
	case resp.StatusCode != op.want:
		o.err = op.unexpected(n, fmt.Sprintf("status %d where %d is success", resp.StatusCode, op.want))
		return o
	case !isJSON(resp.Header.Get("Content-Type")):
		o.err = op.unexpected(n, "not JSON by its content type")
		return o
	}
	body, err := readBody(resp, maxBody)
	switch {
	case errors.Is(err, errOversize):
		o.err = op.unexpected(n, err.Error())
	case err != nil:
		o.answered = false
		o.err = op.broken(ctx, f, n, fmt.Errorf("reply cut short: %w", err), ErrUnexpectedResponse)
	default:
		if why := op.parse(body); why != "" {
			o.err = op.unexpected(n, why)
		}
	}
	return o
}

// parse decodes body and says what is wrong with it, without quoting it, as the
// decoder's errors do.
func (op *operation) parse(body []byte) (fault string) {
	if list, ok := op.into.(*listReply); ok {
		list.makeRoom(len(body))
	}
	if err := json.Unmarshal(body, op.into); err != nil {
		var typeErr *json.UnmarshalTypeError
		if errors.As(err, &typeErr) {
			// Not typeErr.Field: since Go 1.27 it holds map keys, indexes and spellings of the body.
			return fmt.Sprintf("wrong JSON type for %v at offset %d", typeErr.Type, typeErr.Offset)
		}
		return "not the JSON it should be, in " + strconv.Itoa(len(body)) + " bytes"
	}
	if missing := op.into.missing(); missing != "" {
		return "no " + missing
	}
	return ""
}

func isJSON(contentType string) bool {
	if contentType == "application/json" {
		return true
	}
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (media == "application/json" || strings.HasSuffix(media, "+json"))
}

var errOversize = errors.New("body is larger than the limit")

// readBody reads at most limit bytes; a longer body is errOversize. It takes the
// server's word for the length, but makes room for no more than eight times what
// has come.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, errOversize
	}
	promised := resp.ContentLength + 1 // one more, to see the end
	if promised <= 0 {
		promised = 512
	}
	body := make([]byte, 0, min(promised, 1<<20))
	for {
		n, err := resp.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch size := int64(len(body)); {
		case size > limit:
			return nil, errOversize
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		case size == int64(cap(body)):
			room := min(promised, 8*size)
			if room <= size { // no promise, or less than there is
				room = min(2*size, limit+1)
			}
			body = append(make([]byte, 0, room), body...)
		}
	}
}

func (c *Client) logAttempt(ctx context.Context, op *operation, f *flight, o outcome, n int, start time.Time) {
	if c.logger == nil || !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	path := op.path
	if isUIDOf(path, f.secret) {
		path = redacted
	}
	c.logger.LogAttrs(ctx, slog.LevelDebug, "palette request",
		slog.String("op", op.name), slog.String("method", op.method), slog.String("path", path),
		slog.Int("status", o.status), slog.Int("attempt", n), slog.Duration("duration", time.Since(start)))
}

func (c *Client) logRepeat(ctx context.Context, op *operation, o outcome, wait time.Duration) {
	if c.logger == nil {
		return
	}
	c.logger.LogAttrs(ctx, slog.LevelWarn, "palette request is sent again",
		slog.String("op", op.name), slog.String("method", op.method), slog.String("path", op.path),
		slog.Duration("wait", wait), slog.String("reason", o.reason()))
}
