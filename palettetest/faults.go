package palettetest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"time"
)

// Fault makes requests fail. It applies to the requests that Method and Path match,
// before the rate limit and the credential are checked.
//
// If Status, Body, Code or Endless is set, the server sends that response and does not
// process the request, unless After is set. Otherwise it processes the request, and
// the other fields change the response.
type Fault struct {
	// Method is the HTTP method; empty matches every method.
	Method string

	// Path is a path without the prefix of [WithPathPrefix]: "/v1/apiKeys", or
	// "/v1/apiKeys/{uid}" for every uid, or a path with one uid. Empty matches every
	// path.
	Path string

	// Times is the number of requests that fail: 0 means one, a negative number all.
	Times int

	// Skip is the number of matching requests that succeed before the first one fails.
	Skip int

	// Status is the status code of the response, from 200 to 999. If it is 0 and Body
	// or Endless is set, the status code is 200.
	Status int

	// Code makes the response one of Palette's own errors, in JSON, with this code. It
	// needs Status, and cannot be combined with Body:
	//
	//	Fault{Status: 404, Code: "ResourceNotFound"}
	//	Fault{Status: 403, Code: "OperationForbidden"}
	Code string

	// Body is the body of the response.
	Body string

	// ContentType is the Content-Type of the response. The default is that of the
	// processed request, or application/json for Body and Endless.
	ContentType string

	// Header is added to the header of the response.
	Header http.Header

	// RetryAfter is the value of the Retry-After header; empty means no header.
	RetryAfter string

	// After makes the server process the request before it sends Status, Body, Code or
	// Endless, as when a gateway fails after the server did the work.
	After bool

	// Delay delays the response, in real time, after the request was processed.
	Delay time.Duration

	// Cut closes the connection without a complete response.
	Cut Cut

	// Endless sends Body followed by spaces until the client leaves or the server
	// closes. It cannot be combined with CutReply.
	Endless bool
}

// Cut says when the connection is closed: over HTTP/1.1 the TCP connection, over HTTP/2
// only the stream, with an error code.
//
// Go's http.Transport retries a GET that failed without a response on a connection that
// it used before. Set Times to 2 or more to make such a call fail.
type Cut int

const (
	// CutNone does not close the connection.
	CutNone Cut = iota
	// CutBefore closes it before the request is processed.
	CutBefore
	// CutAfter closes it after the request was processed and before the response.
	CutAfter
	// CutReply closes it in the middle of the response body. If there is no body, it
	// is the same as CutAfter.
	CutReply
)

// Inject adds a fault. If several faults match a request, the one that was added first
// applies; the others do not count the request. Inject panics if Status is invalid or
// cannot be combined with Code.
func (s *Server) Inject(f Fault) {
	if f.Status != 0 && (f.Status < 200 || f.Status > 999) {
		panic(fmt.Sprintf("palettetest: Inject: invalid status %d", f.Status))
	}
	if f.Code != "" && (f.Status == 0 || f.Body != "") {
		panic("palettetest: Inject: Code needs a Status and no Body")
	}
	f.Times = cmp.Or(f.Times, 1)
	f.Header = f.Header.Clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, &f)
}

// takeFault returns the fault for a request. The zero Fault has no effect.
func (s *Server) takeFault(r *http.Request) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range s.faults {
		_, ok := matchPath(s.cfg.prefix+f.Path, r.URL.EscapedPath())
		switch {
		case f.Times == 0, !ok && f.Path != "", f.Method != "" && f.Method != r.Method:
		case f.Skip > 0:
			f.Skip--
		default:
			f.Times--
			return *f
		}
	}
	return Fault{}
}

// needsWork reports whether the request is processed.
func (f *Fault) needsWork() bool {
	return f.Cut != CutBefore && (f.After || !f.replaces())
}

// replaces reports whether the fault has a response of its own.
func (f *Fault) replaces() bool { return f.Status != 0 || f.Body != "" || f.Endless }

// response returns the fault's own response.
func (f *Fault) response() *response {
	if f.Code != "" {
		return appError(f.Status, f.Code, "This error was injected by a test")
	}
	contentType := "application/json"
	if f.Body == "" && !f.Endless {
		contentType = ""
	}
	return newResponse(cmp.Or(f.Status, http.StatusOK), contentType, f.Body)
}

// write writes resp as the fault says. It panics with http.ErrAbortHandler to make
// net/http close the connection.
func (f *Fault) write(w http.ResponseWriter, r *http.Request, resp *response) {
	if f.Cut == CutBefore || f.Cut == CutAfter || f.Cut == CutReply && len(resp.body) == 0 {
		panic(http.ErrAbortHandler)
	}
	f.setHeader(w.Header(), resp)
	w.WriteHeader(resp.status)
	switch {
	case f.Endless:
		_, _ = w.Write(resp.body)
		writeSpaces(w, r)
		panic(http.ErrAbortHandler)
	case f.Cut == CutReply:
		_, _ = w.Write(resp.body[:len(resp.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(resp.body) // fails if the client has left
	}
}

func (f *Fault) setHeader(h http.Header, resp *response) {
	maps.Copy(h, resp.header)
	maps.Copy(h, f.Header)
	if f.ContentType != "" {
		h.Set("Content-Type", f.ContentType)
	}
	if f.RetryAfter != "" {
		h.Set("Retry-After", f.RetryAfter)
	}
}

// writeSpaces writes spaces until the client leaves or the server closes. JSON allows
// spaces anywhere, so a decoder can only fail because of the size.
func writeSpaces(w http.ResponseWriter, r *http.Request) {
	spaces := bytes.Repeat([]byte(" "), 32<<10)
	for r.Context().Err() == nil {
		if _, err := w.Write(spaces); err != nil {
			return
		}
	}
}
