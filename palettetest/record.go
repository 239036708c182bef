package palettetest

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Request is a request that arrived, also one that a fault or a limit refused.
type Request struct {
	Method string
	Path   string // as it was sent: escaped, with the path prefix
	Query  url.Values
	Header http.Header // without ApiKey, Authorization and Cookie headers
	Body   []byte      // the first MiB
}

// Requests returns copies of all requests so far, in the order of their arrival.
// Headers that can hold a credential are never recorded.
func (s *Server) Requests() []Request { return s.log.all() }

type requestLog struct {
	mu      sync.Mutex
	entries []Request
}

func (l *requestLog) add(r *http.Request, body []byte) {
	entry := Request{
		Method: r.Method,
		Path:   r.URL.EscapedPath(),
		Query:  r.URL.Query(),
		Header: r.Header.Clone(),
		Body:   body,
	}
	maps.DeleteFunc(entry.Header, func(name string, _ []string) bool { return isCredential(name) })
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, entry)
}

func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	copies := make([]Request, 0, len(l.entries))
	for _, entry := range l.entries {
		copies = append(copies, entry.clone())
	}
	return copies
}

func (r Request) clone() Request {
	r.Query = url.Values(http.Header(r.Query).Clone())
	r.Header = r.Header.Clone()
	r.Body = bytes.Clone(r.Body)
	return r
}

// isCredential goes by the name in any case: a request that came without a
// network may have names that are not canonical.
func isCredential(name string) bool {
	return slices.ContainsFunc([]string{"ApiKey", "Authorization", "Cookie", "Proxy-Authorization"}, func(secret string) bool {
		return strings.EqualFold(name, secret)
	})
}
