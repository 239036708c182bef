// Package kubetest is a Kubernetes API server for tests. It has one Secret, apps/palette,
// which can be read and patched (merge patch) as the API reference says: with versions,
// conflicts, dry runs, field managers, immutability and permissions. All other requests get
// 403.
package kubetest

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
)

const objectPath = "/api/v1/namespaces/apps/secrets/palette"

// Server is the API server. Its Secret has the type Opaque and no data.
type Server struct {
	Folder string // the files of the pod's service account

	Host, Port string // KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT

	mu       sync.Mutex
	rights   []string
	secret   map[string]any // nil: it does not exist
	version  int
	requests []string
	fault    Fault
}

// Fault handles a request in place of the server. It can call handle to do what the server
// would do.
type Fault func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc)

// Start starts a server with TLS on loopback, until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{Folder: t.TempDir(), rights: []string{"get", "patch"}, version: 100}
	s.secret = map[string]any{
		"kind": "Secret", "apiVersion": "v1", "type": "Opaque",
		"metadata": map[string]any{"name": "palette", "namespace": "apps", "resourceVersion": "100"},
	}
	server := httptest.NewTLSServer(s)
	t.Cleanup(server.Close)
	var err error
	if s.Host, s.Port, err = net.SplitHostPort(server.Listener.Addr().String()); err != nil {
		t.Fatal(err)
	}
	s.WriteFile(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})))
	s.WriteFile(t, "namespace", "apps")
	s.WriteFile(t, "token", "token-of-rotator")
	return s
}

// WriteFile writes a file of the service account. The server accepts token-of-rotator.
func (s *Server) WriteFile(t testing.TB, name, content string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.Folder, name), []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// SetRights sets the verbs that the service account may use on the Secret.
func (s *Server) SetRights(verbs ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rights = verbs
}

// SetFault sets what handles the requests; nil is the server itself.
func (s *Server) SetFault(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Delete deletes the Secret.
func (s *Server) Delete() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = nil
}

// Apply merges a JSON document into the Secret, as another client.
func (s *Server) Apply(t testing.TB, doc string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	var change map[string]any
	if err := json.Unmarshal([]byte(doc), &change); err != nil {
		t.Fatal(err)
	}
	s.store(merge(s.secret, change))
}

// SetValue sets a value of the Secret, as another client.
func (s *Server) SetValue(t testing.TB, key, value string) {
	t.Helper()
	s.Apply(t, fmt.Sprintf(`{"data":{%q:%q}}`, key, base64.StdEncoding.EncodeToString([]byte(value))))
}

// Value returns a value of the Secret.
func (s *Server) Value(key string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	data, _ := s.secret["data"].(map[string]any)
	text, _ := data[key].(string)
	value, _ := base64.StdEncoding.DecodeString(text)
	return string(value)
}

// Requests returns the method and the URL of each request that the server has handled.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP handles a request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	fault := s.fault
	s.mu.Unlock()
	if fault != nil {
		fault(w, r, s.handle)
		return
	}
	s.handle(w, r)
}

func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+r.URL.RequestURI())
	verb := strings.ToLower(r.Method)
	switch {
	case r.Header.Get("Authorization") != "Bearer token-of-rotator":
		fail(w, http.StatusUnauthorized, "Unauthorized", "Unauthorized")
	case r.URL.Path != objectPath || verb != "get" && verb != "patch" || !slices.Contains(s.rights, verb):
		fail(w, http.StatusForbidden, "Forbidden", fmt.Sprintf(`secrets %q is forbidden: User "system:serviceaccount:apps:rotator" `+
			`cannot %s resource "secrets" in API group "" in the namespace "apps"`, filepath.Base(r.URL.Path), verb))
	case s.secret == nil:
		fail(w, http.StatusNotFound, "NotFound", `secrets "palette" not found`)
	case verb == "get":
		Respond(w, http.StatusOK, s.secret)
	default:
		s.patch(w, r)
	}
}

// patch handles a merge patch. A version that is not the present one is a conflict.
func (s *Server) patch(w http.ResponseWriter, r *http.Request) {
	var change map[string]any
	body, err := io.ReadAll(r.Body)
	switch {
	case r.Header.Get("Content-Type") != "application/merge-patch+json":
		fail(w, http.StatusUnsupportedMediaType, "UnsupportedMediaType", "this server knows only merge patches")
		return
	case err != nil || json.Unmarshal(body, &change) != nil:
		fail(w, http.StatusBadRequest, "BadRequest", "error decoding patch: "+string(body))
		return
	}
	changed := merge(s.secret, change)
	metadata := maps.Clone(changed["metadata"].(map[string]any))
	changed["metadata"] = metadata
	switch {
	case metadata["resourceVersion"] != strconv.Itoa(s.version):
		fail(w, http.StatusConflict, "Conflict", `Operation cannot be fulfilled on secrets "palette": `+
			`the object has been modified; please apply your changes to the latest version and try again`)
		return
	case s.secret["immutable"] == true && !equal(s.secret["data"], changed["data"]):
		fail(w, http.StatusUnprocessableEntity, "Invalid", fmt.Sprintf("Secret \"palette\" is invalid: data: Forbidden: "+
			"field is immutable when `immutable` is set: %v %s", s.secret, body))
		return
	}
	metadata["managedFields"] = []any{map[string]any{
		"manager": r.URL.Query().Get("fieldManager"), "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1",
		"fieldsV1": map[string]any{"f:data": map[string]any{".": map[string]any{}, "f:apiKey": map[string]any{}}},
	}}
	if r.URL.Query().Get("dryRun") != "All" && !equal(s.secret["data"], changed["data"]) {
		s.store(changed)
	}
	Respond(w, http.StatusOK, changed)
}

// store replaces the Secret and gives it a new version.
func (s *Server) store(secret map[string]any) {
	s.version++
	secret["metadata"].(map[string]any)["resourceVersion"] = strconv.Itoa(s.version)
	s.secret = secret
}

// merge returns a copy of target with a merge patch (RFC 7386).
func merge(target, patch map[string]any) map[string]any {
	merged := maps.Clone(target)
	if merged == nil {
		merged = map[string]any{}
	}
	for name, value := range patch {
		child, isObject := value.(map[string]any)
		switch {
		case value == nil:
			delete(merged, name)
		case isObject:
			old, _ := merged[name].(map[string]any)
			merged[name] = merge(old, child)
		default:
			merged[name] = value
		}
	}
	return merged
}

func equal(a, b any) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

// fail responds with an error status.
func fail(w http.ResponseWriter, code int, reason, message string) {
	Respond(w, code, map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure",
		"message": message, "reason": reason, "code": code,
	})
}

// Respond responds with a JSON document.
func Respond(w http.ResponseWriter, code int, doc any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(doc)
}
