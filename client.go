package palette

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
)

// Client is a client for one Palette host with one credential. Use [NewClient] to
// create it. It is immutable and safe for concurrent use.
type Client struct {
	// APIKeys has the operations on API keys.
	APIKeys *APIKeysService

	resty        *resty.Client
	closeIdle    func() // closes connections that are not in use
	ownTransport bool   // nobody else uses the connections
	credential   credential
	baseURL      string // without a trailing slash
	host         string
	userAgent    string
	timeout      time.Duration // of one attempt
	backoff      backoff
	maxRetries   int
	limiter      *rateLimiter // nil: no limit
	logger       *slog.Logger
}

// NewClient returns a client that is configured by opts. It needs exactly one credential,
// from an option or from the environment ([WithEnv]). It performs no network I/O.
//
// If options are invalid, the error is [ErrInvalidArgument] and names all of them.
func NewClient(opts ...Option) (*Client, error) {
	cfg, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	var hc http.Client
	if cfg.httpClient != nil {
		hc = *cfg.httpClient // resty modifies the client that it is given
	}
	base, own := hc.Transport, false
	if base == nil {
		base, own = newTransport(cfg.timeout, cfg.rootCAs, cfg.skipVerify)
	}
	if hc.Transport, err = newRoundTripper(base, cfg.wrapTransport, cfg.baseURL); err != nil {
		return nil, invalidArgument("NewClient", err)
	}
	// The transport hides redirects; a wrapper can respond with one of its own.
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c := &Client{
		resty:        newResty(&hc),
		closeIdle:    (&http.Client{Transport: base}).CloseIdleConnections,
		ownTransport: own,
		credential:   cfg.credential,
		baseURL:      cfg.baseURL.String(),
		host:         cfg.baseURL.Host,
		userAgent:    strings.TrimSpace(cfg.userAgent + " palette-apikeys-go/" + version.Version),
		timeout:      cfg.timeout,
		backoff:      cfg.backoff,
		maxRetries:   cfg.maxRetries,
		limiter:      cfg.limiter,
		logger:       cfg.logger,
	}
	c.APIKeys = &APIKeysService{client: c}
	return c, nil
}

// newResty returns a resty client that builds and executes requests, and does not:
//   - follow redirects: the transport hides them, because net/http would forward the
//     API key to another host;
//   - decode responses (SetDoNotParseResponse): it treats a 201 with an HTML body as success;
//   - retry (off by default): it retries a POST after any transport error, and sends
//     reader bodies empty the second time;
//   - log: it writes URLs to standard error.
func newResty(hc *http.Client) *resty.Client {
	return resty.NewWithClient(hc).SetLogger(discardLogger{})
}

type discardLogger struct{}

func (discardLogger) Errorf(string, ...any) {}
func (discardLogger) Warnf(string, ...any)  {}
func (discardLogger) Debugf(string, ...any) {}

// BaseURL returns the base URL of all requests, without a trailing slash.
func (c *Client) BaseURL() string { return c.baseURL }

// WithAPIKey returns a client that uses the given API key. It has the same options as
// c, and shares c's connections and rate limiter.
//
// If the key is invalid, the error is [ErrInvalidArgument].
func (c *Client) WithAPIKey(key string) (*Client, error) {
	if err := checkAPIKey(key); err != nil {
		return nil, invalidArgument("Client.WithAPIKey", err)
	}
	derived := *c
	derived.credential = fixedCredential(headerAPIKey, key)
	derived.APIKeys = &APIKeysService{client: &derived}
	return &derived, nil
}

// CloseIdleConnections closes connections that are not in use, as
// [http.Client.CloseIdleConnections] does.
func (c *Client) CloseIdleConnections() { c.closeIdle() }

// call executes op: it waits for the rate limiter, makes an attempt, and retries it if
// that is possible and may help.
func (c *Client) call(ctx context.Context, op operation) error {
	if ctx == nil {
		return invalidArgument(op.name, errNilContext)
	}
	var (
		last       outcome
		retries    retryCounter
		mayBeDone  bool // an earlier attempt may have been processed
		keyChanged bool // the call was retried with another credential
	)
	for attempt := 1; ; attempt++ {
		if err := c.waitRateLimit(ctx, op); err != nil {
			return op.interrupted(last, err)
		}
		last = c.attempt(ctx, op, attempt)
		if last.err == nil || mayBeDone && op.doneIfNotFound(last) {
			return nil
		}
		if !keyChanged && errors.Is(last.err, ErrUnauthorized) && c.credentialChanged(ctx, last) {
			keyChanged = true
			c.logRetry(ctx, op, last, 0)
			continue
		}
		n, ok := retries.next(c, last)
		if !ok || !op.shouldRetry(last) || ctx.Err() != nil {
			return op.failed(last, "")
		}
		wait := c.backoff.wait(n, last.retryAfter)
		if why := c.backoff.tooLong(ctx, wait); why != "" {
			return op.failed(last, why)
		}
		c.logRetry(ctx, op, last, wait)
		if err := sleep(ctx, wait); err != nil {
			return op.interrupted(last, err)
		}
		mayBeDone = mayBeDone || last.maybeProcessed
	}
}

// failed returns the error of a call whose last attempt is o.
func (op operation) failed(o outcome, note string) error {
	err := o.err
	if note != "" {
		err = withNote(err, note)
	}
	if !op.idempotent && o.maybeProcessed {
		err = withNote(err, op.hint, ErrOutcomeUnknown)
	}
	return err
}

// interrupted returns the error of a call whose context ended while it waited. last is
// the last attempt, if there was one.
func (op operation) interrupted(last outcome, err error) error {
	if last.err == nil {
		return &callError{"palette: " + op.name + ": " + err.Error(), []error{err}}
	}
	return withNote(last.err, "not retried: "+err.Error(), err)
}

// credentialChanged reports whether the source now returns another credential than the one
// that was sent.
func (c *Client) credentialChanged(ctx context.Context, o outcome) bool {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	now, err := c.credential.fetch(ctx)
	return err == nil && now != o.credential
}

// attempt sends the request of op once and reads the response.
func (c *Client) attempt(ctx context.Context, op operation, n int) outcome {
	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.timeout, errAttemptTimeout)
	defer cancel()
	ex := &exchange{op: op, attempt: n, timeout: c.timeout, host: c.host, credential: c.credential}
	req := c.resty.R().
		SetContext(context.WithValue(ctx, exchangeKey{}, ex)).
		SetDoNotParseResponse(true).
		SetHeader("Accept", "application/json").
		SetHeader("User-Agent", c.userAgent).
		SetQueryParamsFromValues(op.query)
	if op.body != nil {
		req.SetHeader("Content-Type", "application/json").SetBody(op.body)
	}
	var o outcome
	if err := ex.fetchCredential(ctx); err != nil {
		o = ex.transportFailure(ctx, err)
	} else if resp, err := req.Execute(op.method, c.baseURL+op.path); err != nil {
		o = ex.transportFailure(ctx, err)
	} else {
		o = ex.decode(ctx, resp.RawResponse)
	}
	if c.ownTransport && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		c.CloseIdleConnections() // other connections may have stopped carrying bytes as well
	}
	o.credential = ex.secret.Reveal()
	c.limiter.observe(o, start, c.backoff.max)
	c.logAttempt(ctx, ex, o, time.Since(start))
	return o
}

func (c *Client) logAttempt(ctx context.Context, ex *exchange, o outcome, took time.Duration) {
	if !c.logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	c.logger.LogAttrs(ctx, slog.LevelDebug, "palette: request",
		slog.String("op", ex.op.name), slog.String("method", ex.op.method),
		slog.String("path", ex.redactor().text(ex.op.path, maxText)),
		slog.Int("status", o.status), slog.Int("attempt", ex.attempt), slog.Duration("duration", took))
}

func (c *Client) logRetry(ctx context.Context, op operation, o outcome, wait time.Duration) {
	c.logger.LogAttrs(ctx, slog.LevelWarn, "palette: retrying request",
		slog.String("op", op.name), slog.String("method", op.method), slog.String("path", op.path),
		slog.Duration("wait", wait), slog.String("reason", o.reason()))
}
