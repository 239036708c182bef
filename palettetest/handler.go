package palettetest

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxBody is the maximum size of a request body, in bytes.
const maxBody = 1 << 20

// call is an authenticated request.
type call struct {
	request *http.Request
	body    []byte
	bodyErr error
	user    User
	key     *storedKey // nil if the path has no uid
}

// operation is what a method of a path does.
type operation struct {
	run        func(*Server, call) *response // called with the server's lock held
	permission string                        // named in the error if the user may not use the key
}

// ServeHTTP implements [http.Handler], so that the server can be used without a
// network. To close a connection, it panics with [http.ErrAbortHandler]. After Close,
// it responds with 503.
//
// Virtual time (testing/synctest) does not advance while a client waits for the network.
// There, start the server outside of the bubble, and give [Server.Client] an [http.Client]
// whose transport calls ServeHTTP with an httptest.ResponseRecorder.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.running.RLock()
	defer s.running.RUnlock()
	if s.closed {
		http.Error(w, "palettetest: the server is closed", http.StatusServiceUnavailable)
		return
	}
	c := call{request: r}
	if r.Body != nil {
		c.body, c.bodyErr = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	s.record(r, c.body)
	fault := s.takeFault(r)

	var resp *response
	if fault.needsWork() {
		resp = s.process(c)
	}
	if fault.replaces() {
		resp = fault.response()
	}
	// Only now: if the client does not wait, the work is done and the client does not know.
	wait(r, s.cfg.latency+fault.Delay)
	fault.write(w, r, resp)
}

// wait waits for d. If the client leaves or the server closes before, it aborts the
// request.
func wait(r *http.Request, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
		panic(http.ErrAbortHandler)
	}
}

// process checks a request and executes its operation. It holds the lock all the time,
// so that a concurrent request cannot invalidate a check.
func (s *Server) process(c call) *response {
	s.mu.Lock()
	defer s.mu.Unlock()
	if resp := s.limitRate(); resp != nil {
		return resp
	}
	op, uid, resp := s.route(c.request)
	if resp != nil {
		return resp
	}
	var ok bool
	if c.user, ok = s.authenticate(c.request.Header); !ok {
		return s.unauthorized(c.request.Header.Get("ApiKey"))
	}
	if uid != "" {
		c.key = s.byUID(uid)
		switch {
		case c.key == nil && s.cfg.repeatedDelete && c.request.Method == http.MethodDelete:
			return noContent()
		case c.key == nil && s.cfg.numericNotFound:
			return frameworkError(http.StatusNotFound, "API key '%s' was not found", uid)
		case c.key == nil:
			return appError(http.StatusNotFound, "ResourceNotFound", "API key '%s' was not found", uid)
		case !c.user.mayUse(c.key):
			return forbidden("ResOperationForbidden", op.permission)
		}
	}
	return op.run(s, c)
}

// unauthorized returns the response to a request whose credential does not work.
func (s *Server) unauthorized(value string) *response {
	known := slices.ContainsFunc(s.keys, func(k *storedKey) bool { return k.value == value })
	if s.cfg.repeatedCredential && value != "" && !known {
		return appError(http.StatusNotFound, "ResourceNotFound", "API key '%s' was not found", value)
	}
	return appError(http.StatusUnauthorized, "UnAuthorizedAccess", "The credential is missing, unknown or no longer valid")
}

const nginxPage = "<html>\r\n<head><title>503 Service Temporarily Unavailable</title></head>\r\n<body>\r\n" +
	"<center><h1>503 Service Temporarily Unavailable</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"

// limitRate returns the response to a request above the rate limit, or nil.
func (s *Server) limitRate() *response {
	now := s.cfg.now()
	if s.limiter.AllowN(now, 1) {
		return nil
	}
	switch s.cfg.rateStyle {
	case RateLimitNginx:
		return newResponse(http.StatusServiceUnavailable, "text/html", nginxPage)
	case RateLimitTraefik:
		seconds := (1 - s.limiter.TokensAt(now)) / float64(s.cfg.rate)
		wait := time.Duration(seconds * float64(time.Second))
		resp := newResponse(http.StatusTooManyRequests, "text/plain; charset=utf-8", "Too Many Requests")
		resp.header.Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
		resp.header.Set("X-Retry-In", wait.String())
		return resp
	default:
		return appError(http.StatusTooManyRequests, "TooManyRequests", "The request rate is above the limit")
	}
}

// route returns the operation for a request and the uid in its path, or an error
// response. It compares the path as it was sent, because http.ServeMux redirects a path
// with an empty uid to another one.
func (s *Server) route(r *http.Request) (op operation, uid string, errResp *response) {
	path := r.URL.EscapedPath()
	for _, candidate := range routes {
		uid, ok := matchPath(s.cfg.prefix+candidate.pattern, path)
		if !ok {
			continue
		}
		if op, ok := candidate.methods[r.Method]; ok {
			return op, uid, nil
		}
		allowed := strings.Join(slices.Sorted(maps.Keys(candidate.methods)), ",")
		errResp = frameworkError(http.StatusMethodNotAllowed, "method %s is not allowed, but [%s] are", r.Method, allowed)
		errResp.header.Set("Allow", allowed)
		return op, "", errResp
	}
	return op, "", frameworkError(http.StatusNotFound, "path %s was not found", path)
}

// matchPath compares an escaped path with a pattern. A segment "{uid}" of the pattern
// matches any segment that is not empty, which matchPath returns unescaped.
func matchPath(pattern, path string) (uid string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range got {
		switch {
		case want[i] == "{uid}" && segment != "":
			uid, _ = url.PathUnescape(segment) // a valid URL has no invalid escapes
		case want[i] != segment:
			return "", false
		}
	}
	return uid, true
}

// decode decodes the body of a request, or returns an error response. Unknown fields
// are ignored.
func decode[T any](s *Server, c call) (in T, errResp *response) {
	if _, ok := errors.AsType[*http.MaxBytesError](c.bodyErr); ok {
		return in, frameworkError(http.StatusRequestEntityTooLarge, "the body exceeds %d bytes", maxBody)
	}
	if c.bodyErr != nil {
		return in, frameworkError(http.StatusBadRequest, "the body could not be read")
	}
	if len(c.body) == 0 {
		return in, frameworkError(codeRequired, "body in body is required")
	}
	contentType := c.request.Header.Get("Content-Type")
	if media, _, err := mime.ParseMediaType(contentType); err != nil || media != "application/json" {
		return in, frameworkError(http.StatusUnsupportedMediaType,
			"unsupported media type %q, only [application/json] are allowed", contentType)
	}
	err := json.Unmarshal(c.body, &in)
	if typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		if s.cfg.lenientBodies {
			return in, nil // the other fields were decoded
		}
		return in, wrongType(cmp.Or(typeErr.Field, "body"), typeErr.Type.Kind().String(), typeErr.Value)
	}
	if err != nil {
		return in, frameworkError(http.StatusBadRequest, "the body could not be parsed: %v", err)
	}
	return in, nil
}
