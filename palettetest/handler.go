package palettetest

import (
	"bytes"
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

const maxBody = 1 << 20

// call is one authenticated request on its way into the store.
type call struct {
	request *http.Request
	user    User
	uid     string
	body    []byte
	bodyErr error
}

type operation func(*store, call) (out any, err error)

// endpoint is an operation, and the status of its success.
type endpoint struct {
	run     operation
	success int
}

var routes = []struct {
	pattern string
	methods map[string]endpoint
}{
	{"/v1/apiKeys", map[string]endpoint{
		http.MethodGet:  {(*store).list, http.StatusOK},
		http.MethodPost: {(*store).create, http.StatusCreated},
	}},
	{"/v1/apiKeys/{uid}", map[string]endpoint{
		http.MethodGet:    {(*store).get, http.StatusOK},
		http.MethodPut:    {(*store).update, http.StatusNoContent},
		http.MethodDelete: {(*store).remove, http.StatusNoContent},
		http.MethodPatch:  {(*store).setState, http.StatusNoContent},
	}},
	{"/v1/apiKeys/{uid}/state", map[string]endpoint{
		http.MethodPut: {(*store).setState, http.StatusNoContent},
	}},
}

// reply is an answer that is not on the wire yet.
type reply struct {
	status      int
	contentType string
	body        []byte
	header      http.Header
}

// ServeHTTP answers a request as the listener would, so that the server can be
// used without a network as well. There, an injected cut ends in a panic with
// http.ErrAbortHandler. After Close everything is answered with 503.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		http.Error(w, "palettetest: the server is closed", http.StatusServiceUnavailable)
		return
	}
	defer s.inFlight.Done()

	body, bodyErr := readBody(w, r)
	path := s.relativePath(r.URL)
	s.log.add(r, body)
	f := s.faults.take(r.Method, path)

	rep := f.reply()
	if rep == nil && f.Cut != CutBefore {
		rep = s.answer(r, path, body, bodyErr)
	}
	// The work is done before the wait: a client that gives up in between is
	// left with a change it was never told of.
	if s.pause(r, s.cfg.latency+f.Delay) {
		f.send(w, r, rep, s.done)
	}
}

func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
}

// relativePath is the escaped path below the prefix, and "" for one outside it.
func (s *Server) relativePath(u *url.URL) string {
	path, inside := strings.CutPrefix(u.EscapedPath(), s.cfg.prefix)
	if !inside {
		return ""
	}
	return path
}

// pause reports whether there is still somebody to answer.
func (s *Server) pause(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	case <-s.done:
		return false
	}
}

func (s *Server) answer(r *http.Request, path string, body []byte, bodyErr error) *reply {
	if !s.limiter.AllowN(s.cfg.now(), 1) {
		return s.limited()
	}
	end, uid, err := route(r, path)
	if err != nil {
		return errorReply(err)
	}
	user, err := s.authenticate(r.Header)
	if err != nil {
		return errorReply(err)
	}
	out, err := s.store.do(end.run, call{request: r, user: user, uid: uid, body: body, bodyErr: bodyErr})
	if err != nil {
		return errorReply(err)
	}
	return jsonReply(end.success, out)
}

func (s *Server) limited() *reply {
	rep := errorReply(appError(http.StatusTooManyRequests, "TooManyRequests", "The request rate is above the limit"))
	if s.cfg.retryAfter > 0 {
		seconds := int(math.Ceil(s.cfg.retryAfter.Seconds()))
		rep.header.Set("Retry-After", strconv.Itoa(seconds))
	}
	return rep
}

// route takes the path as it was sent. http.ServeMux would clean it and
// redirect, and so forgive a client that builds a path from an empty uid.
func route(r *http.Request, path string) (endpoint, string, error) {
	for _, candidate := range routes {
		uid, ok := matchPath(candidate.pattern, path)
		if !ok {
			continue
		}
		if end, ok := candidate.methods[r.Method]; ok {
			return end, uid, nil
		}
		allowed := strings.Join(slices.Sorted(maps.Keys(candidate.methods)), ",")
		return endpoint{}, "", frameworkError(http.StatusMethodNotAllowed, "method %s is not allowed, but [%s] are", r.Method, allowed)
	}
	return endpoint{}, "", frameworkError(http.StatusNotFound, "path %s was not found", r.URL.EscapedPath())
}

// matchPath compares segment by segment. A segment in braces matches any that is
// not empty, which is returned unescaped.
func matchPath(pattern, path string) (wildcard string, ok bool) {
	want, got := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return "", false
	}
	for i, segment := range want {
		switch {
		case strings.HasPrefix(segment, "{") && got[i] != "":
			wildcard = got[i]
		case segment != got[i]:
			return "", false
		}
	}
	if plain, err := url.PathUnescape(wildcard); err == nil {
		wildcard = plain
	}
	return wildcard, true
}

// authenticate prefers the ApiKey header where a request carries both (assumed).
func (s *Server) authenticate(h http.Header) (User, error) {
	var user User
	var ok bool
	if value := h.Get("ApiKey"); value != "" {
		user, ok = s.store.userOfKey(value)
	} else {
		user, ok = s.store.userOfToken(h.Get("Authorization"))
	}
	if !ok { // without saying which credential it was, or why
		return User{}, appError(http.StatusUnauthorized, "UnAuthorizedAccess", "The credential is missing, unknown or no longer valid")
	}
	return user, nil
}

// decode reads the body of a write, which must be one JSON value. Fields it does
// not know are ignored.
func decode[T any](c call) (in T, err error) {
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(c.bodyErr, &tooLarge) {
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
		return in, frameworkError(http.StatusUnsupportedMediaType, "unsupported media type %q, only [application/json] are allowed", contentType)
	}
	return in, jsonError(json.Unmarshal(c.body, &in))
}

func jsonError(err error) error {
	var own *wireError
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case errors.As(err, &wrongType):
		return errType(cmp.Or(wrongType.Field, "body"), wrongType.Type.Kind().String(), wrongType.Value)
	default:
		return frameworkError(http.StatusBadRequest, "the body could not be parsed: %v", err)
	}
}

func errorReply(err error) *reply {
	var e *wireError
	_ = errors.As(err, &e) // this package makes no other errors
	return jsonReply(e.status, e)
}

func jsonReply(status int, out any) *reply {
	rep := &reply{status: status, header: http.Header{}}
	if out == nil {
		return rep
	}
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(out) // strings, numbers and maps of them cannot fail
	rep.contentType, rep.body = "application/json", buf.Bytes()
	return rep
}
