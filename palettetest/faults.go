package palettetest

import (
	"bytes"
	"cmp"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Fault is something that goes wrong, for the requests that Method and Path
// pick. It strikes before the rate limit and before authentication.
//
// With Status, Body or Endless the reply is scripted and no work is done.
// Otherwise the request is carried out and only its reply is touched.
type Fault struct {
	// Method is the HTTP method; "" is any.
	Method string

	// Path is below the path prefix, such as "/v1/apiKeys", or
	// "/v1/apiKeys/{uid}" with any uid, or with one uid spelled out; "" is any,
	// paths unknown to the server included.
	Path string

	// Times is how many requests it strikes: 0 means one, below 0 all.
	Times int

	// Skip is how many matching requests are let through first.
	Skip int

	// Status of the scripted reply, from 200 to 999; if 0 while Body or
	// Endless is set, 200.
	Status int

	// Body of the scripted reply, sent as it is.
	Body string

	// ContentType of the reply. The default is application/json for a scripted
	// one, and what it had for a real one.
	ContentType string

	// Header is added to the reply, scripted or real.
	Header http.Header

	// RetryAfter is the raw value of a Retry-After header; "" sets none.
	RetryAfter string

	// Delay holds the reply, or the cut, back in real time. The work has been
	// done by then. The wait ends early when the client leaves or the server closes.
	Delay time.Duration

	// Cut breaks the connection off.
	Cut Cut

	// Endless sends blanks after the status line, the headers and Body, until
	// the client leaves or the server closes. Only CutBefore and CutAfter apply to it.
	Endless bool
}

// Cut says when a connection is broken off. Over HTTP/1.1 the TCP connection is
// reset, or closed in the middle of a reply; over HTTP/2 the stream is reset.
//
// Go's http.Transport by itself repeats a GET that was cut before the reply on a
// connection which had served requests earlier. Times set to 2, or -1, makes
// the caller notice.
type Cut int

const (
	// CutNone leaves the connection alone; the default.
	CutNone Cut = iota
	// CutBefore cuts before the work: nothing has changed.
	CutBefore
	// CutAfter cuts after the work and before the reply: the change has been
	// made, the client does not know.
	CutAfter
	// CutReply cuts halfway through the body of the reply, after the work. For
	// a reply without a body it is CutAfter.
	CutReply
)

// Inject adds a fault. Of several that match a request, the one injected first
// that is due strikes alone; those behind it do not count the request. It
// panics on a Status that HTTP does not have.
func (s *Server) Inject(f Fault) {
	if f.Status != 0 && (f.Status < 200 || f.Status > 999) {
		panic(fmt.Sprintf("palettetest: Inject: no reply can have status %d", f.Status))
	}
	if f.Times == 0 {
		f.Times = 1
	}
	f.Header = f.Header.Clone()
	s.faults.add(&f)
}

type faultQueue struct {
	mu     sync.Mutex
	queued []*Fault // Times and Skip hold what is left of them
}

func (q *faultQueue) add(f *Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queued = append(q.queued, f)
}

// take returns the fault due for a request; without one, it has no effect.
func (q *faultQueue) take(method, path string) Fault {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, f := range q.queued {
		if f.Times != 0 && f.matches(method, path) && f.due() {
			return *f
		}
	}
	return Fault{}
}

func (f *Fault) matches(method, path string) bool {
	if f.Method != "" && f.Method != method {
		return false
	}
	if f.Path == "" {
		return true
	}
	_, ok := matchPath(f.Path, path)
	return ok
}

// due counts a matching request.
func (f *Fault) due() bool {
	if f.Skip > 0 {
		f.Skip--
		return false
	}
	if f.Times > 0 {
		f.Times--
	}
	return true
}

// reply is the scripted one, nil if the request is to be carried out.
func (f *Fault) reply() *reply {
	if f.Status == 0 && f.Body == "" && !f.Endless {
		return nil
	}
	return &reply{
		status:      cmp.Or(f.Status, http.StatusOK),
		contentType: "application/json",
		body:        []byte(f.Body),
	}
}

// send puts a reply on the wire, the way the fault wants it.
func (f *Fault) send(w http.ResponseWriter, r *http.Request, rep *reply, done <-chan struct{}) {
	bodiless := len(rep.bytes()) == 0 && !f.Endless
	if f.Cut == CutBefore || f.Cut == CutAfter || f.Cut == CutReply && bodiless {
		cut(w)
		return
	}
	f.setHeader(w.Header(), rep, bodiless)
	w.WriteHeader(rep.status)
	switch {
	case f.Endless:
		_, _ = w.Write(rep.body)
		writeEndless(w, r, done)
	case f.Cut == CutReply:
		_, _ = w.Write(rep.body[:len(rep.body)/2])
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(rep.body) // a client that has left is no concern of ours
	}
}

func (rep *reply) bytes() []byte {
	if rep == nil {
		return nil
	}
	return rep.body
}

func (f *Fault) setHeader(h http.Header, rep *reply, bodiless bool) {
	for _, source := range []http.Header{rep.header, f.Header} {
		for name, values := range source {
			h[http.CanonicalHeaderKey(name)] = values
		}
	}
	if f.RetryAfter != "" {
		h.Set("Retry-After", f.RetryAfter)
	}
	if bodiless {
		return
	}
	h.Set("Content-Type", cmp.Or(f.ContentType, h.Get("Content-Type"), rep.contentType))
	if !f.Endless {
		// A cut reply promises all of it, so that the client can notice.
		h.Set("Content-Length", strconv.Itoa(len(rep.body)))
	}
}

// writeEndless sends blanks, which JSON allows anywhere, so that no decoder can
// give up for another reason than the size.
func writeEndless(w http.ResponseWriter, r *http.Request, done <-chan struct{}) {
	blanks := bytes.Repeat([]byte(" "), 32<<10)
	for {
		select {
		case <-r.Context().Done():
			return
		case <-done:
			return
		default:
		}
		if _, err := w.Write(blanks); err != nil {
			return
		}
	}
}

// cut resets the TCP connection where it can be had, which HTTP/2 does not allow;
// there net/http resets the stream.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	raw := conn
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = over.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = raw.Close()
}
