package palette

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxBody is the maximum size of a response body, in bytes, unless it is an error.
const maxBody = 64 << 20

// operation describes one call: the request, the response of a success, and whether
// the request is idempotent.
type operation struct {
	name, method, path string
	query              url.Values
	body               []byte
	idempotent         bool
	hint               string // what to do if the outcome of an operation that is not idempotent is unknown

	success int                // the status code of a success
	decode  func([]byte) error // decodes the body of a success; nil: there is none
}

// doneIfNotFound reports whether a failed attempt shows that an earlier one succeeded.
func (op operation) doneIfNotFound(o outcome) bool {
	return op.method == http.MethodDelete && errors.Is(o.err, ErrNotFound)
}

// outcome is the result of one attempt.
type outcome struct {
	err            error // nil: success
	maybeProcessed bool  // the server may have processed the request
	refused        bool  // an HTTP/2 server promised not to have processed the request
	permanent      bool  // a retry would fail in the same way
	status         int   // 0 if there was no complete response
	retryAfter     time.Duration
	credential     string // the one that was sent
	overloaded     bool   // the server or a proxy limits the rate of requests
}

// decode reads a response.
func (ex *exchange) decode(ctx context.Context, resp *http.Response) outcome {
	defer resp.Body.Close()
	o := outcome{status: resp.StatusCode, maybeProcessed: resp.StatusCode < 300 || resp.StatusCode >= 500}
	switch {
	case resp.StatusCode >= 300 && resp.StatusCode <= 599:
		apiErr := ex.newAPIError(resp)
		o.err, o.retryAfter = apiErr, apiErr.RetryAfter
		if err := contextError(ctx); err != nil { // a reason why the body may be missing
			o.err = withNote(apiErr, err.Error(), err)
		}
		// nginx, which limits the rate in front of Palette, responds with 503.
		o.overloaded = resp.StatusCode == http.StatusTooManyRequests ||
			resp.StatusCode == http.StatusServiceUnavailable && apiErr.Code == ""
		return o
	case resp.StatusCode != ex.op.success:
		o.err = ex.unexpected(fmt.Sprintf("status %d, not %d", resp.StatusCode, ex.op.success))
		return o
	case ex.op.decode == nil:
		return o
	case !isJSON(resp.Header):
		o.err = ex.unexpected(fmt.Sprintf("status %d with Content-Type %q, not JSON: something other than Palette responded", resp.StatusCode, ex.mediaType(resp.Header)))
		return o
	}
	body, err := readBody(resp, maxBody)
	switch {
	case errors.Is(err, errBodyTooLarge):
		o.err = ex.unexpected(err.Error())
	case err != nil:
		return ex.truncated(ctx, err)
	default:
		if err := ex.op.decode(body); err != nil {
			o.err = ex.unexpected(err.Error())
		}
	}
	return o
}

func isJSON(h http.Header) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type")) // invalid parameters do not matter
	return media == "application/json" || strings.HasSuffix(media, "+json")
}

var errBodyTooLarge = errors.New("the body is larger than the limit")

// readBody reads a body of at most limit bytes. A larger one is errBodyTooLarge.
func readBody(resp *http.Response, limit int64) ([]byte, error) {
	if resp.ContentLength > limit {
		return nil, errBodyTooLarge
	}
	var body bytes.Buffer
	body.Grow(int(min(max(resp.ContentLength, 0), 1<<20)) + bytes.MinRead)
	_, err := body.ReadFrom(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return nil, err
	case int64(body.Len()) > limit:
		return nil, errBodyTooLarge
	}
	return body.Bytes(), nil
}
