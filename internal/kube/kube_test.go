package kube

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/kube/kubetest"
)

// newStore returns a server whose Secret holds "first" and "other", and a store for it.
func newStore(t *testing.T) (*kubetest.Server, *Store) {
	t.Helper()
	server := kubetest.Start(t)
	server.SetValue(t, "apiKey", "first-key")
	server.SetValue(t, "other", "other-data")
	return server, openStore(t, server)
}

func openStore(t *testing.T, server *kubetest.Server) *Store {
	t.Helper()
	store, err := New(Pod{server.Folder, server.Host, server.Port}, "palette")
	require.NoError(t, err)
	return store
}

// requireQuotesNothing requires that an error quotes no data of the Secret and no token.
func requireQuotesNothing(t *testing.T, err error, values ...string) {
	t.Helper()
	for _, value := range append(values, "first-key", "other-data", "token-of-rotator") {
		assert.NotContains(t, err.Error(), value)
		assert.NotContains(t, err.Error(), base64.StdEncoding.EncodeToString([]byte(value)))
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"palette":         "https://[fd00::1]:443/api/v1/namespaces/apps/secrets/palette apiKey",
		"other/palette":   "https://[fd00::1]:443/api/v1/namespaces/other/secrets/palette apiKey",
		"palette:key.txt": "https://[fd00::1]:443/api/v1/namespaces/apps/secrets/palette key.txt",
		"a-1/b.c-2:_K-1":  "https://[fd00::1]:443/api/v1/namespaces/a-1/secrets/b.c-2 _K-1",
		"":                "",
		"Palette":         "",
		"a/b/c":           "",
		"../palette":      "",
		"a/..":            "",
		"a/":              "",
		"/palette":        "",
		"palette:":        "",
		"palette:.":       "",
		"palette:..":      "",
		"palette:..a":     "",
		"palette:.a":      "https://[fd00::1]:443/api/v1/namespaces/apps/secrets/palette .a",
		"palette:a/b":     "",
		"pal%2fette":      "",
		"palette?x=y":     "",
	} {
		t.Run(ref, func(t *testing.T) {
			t.Parallel()
			server := kubetest.Start(t)

			store, err := New(Pod{server.Folder, "fd00::1", "443"}, ref)

			if want == "" {
				require.EqualError(t, err, "kubernetes: \""+ref+"\" is not a Secret: use [NAMESPACE/]NAME[:KEY]")
				return
			}
			require.NoError(t, err)
			assert.Equal(t, want, store.url+" "+store.key)
		})
	}
}

func TestNewOutsideOfAPod(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ host, remove, write, want string }{
		"no variables":   {host: "", want: "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this works only in a pod"},
		"no namespace":   {host: "10.0.0.1", remove: "namespace", want: "read the pod's service account: open "},
		"no certificate": {host: "10.0.0.1", remove: "ca.crt", want: "read the pod's service account: open "},
		"no PEM":         {host: "10.0.0.1", write: "ca.crt", want: "ca.crt has no certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := kubetest.Start(t)
			if tt.remove != "" {
				require.NoError(t, os.Remove(filepath.Join(server.Folder, tt.remove)))
			}
			if tt.write != "" {
				server.WriteFile(t, tt.write, "nonsense")
			}

			_, err := New(Pod{server.Folder, tt.host, "443"}, "palette")

			require.ErrorContains(t, err, "kubernetes: ")
			require.ErrorContains(t, err, tt.want)
		})
	}
}

// The requests as the API reference describes them.
func TestRequests(t *testing.T) {
	t.Parallel()
	server, store := newStore(t)
	var sent []string
	server.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		sent = append(sent, strings.TrimSpace(r.Method+" "+r.RequestURI+" "+r.Header.Get("Content-Type")+" "+string(body)))
		assert.Equal(t, "Bearer token-of-rotator", r.Header.Get("Authorization"))
		assert.Equal(t, "application/json", r.Header.Get("Accept"))
		r.Body = io.NopCloser(strings.NewReader(string(body)))
		handle(w, r)
	})

	value, loadErr := store.Load(t.Context())
	saveErr := store.Save(t.Context(), "second-key")

	require.NoError(t, loadErr)
	require.NoError(t, saveErr)
	assert.Equal(t, "first-key", value)
	assert.Equal(t, "second-key", server.Value("apiKey"))
	assert.Equal(t, "other-data", server.Value("other"))
	const secret = "/api/v1/namespaces/apps/secrets/palette"
	assert.Equal(t, []string{
		"GET " + secret,
		"PATCH " + secret + `?dryRun=All&fieldManager=palette-keys application/merge-patch+json {"data":{"apiKey":"ZHJ5LXJ1bg=="},"metadata":{"resourceVersion":"102"}}`,
		"PATCH " + secret + `?fieldManager=palette-keys application/merge-patch+json {"data":{"apiKey":"c2Vjb25kLWtleQ=="},"metadata":{"resourceVersion":"102"}}`,
	}, sent)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ doc, want string }{
		"no data":                         {doc: `{"data":null}`, want: ""},
		"no value":                        {doc: `{"data":{"apiKey":null}}`, want: ""},
		"an empty value":                  {doc: `{"data":{"apiKey":""}}`, want: ""},
		"a newline at the end":            {doc: `{"data":{"apiKey":"Zmlyc3Qta2V5Cg=="}}`, want: "first-key"},
		"an owner that does not control":  {doc: `{"metadata":{"ownerReferences":[{"kind":"App","name":"a"}]}}`, want: "first-key"},
		"a manager that does not apply":   {doc: managedBy("kubectl-create", "Update", "f:data", "f:apiKey"), want: "first-key"},
		"a manager that applies another":  {doc: managedBy("kustomize-controller", "Apply", "f:data", "f:other"), want: "first-key"},
		"a manager that applies metadata": {doc: managedBy("kustomize-controller", "Apply", "f:metadata", "f:apiKey"), want: "first-key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := newStore(t)
			server.Apply(t, tt.doc)

			value, err := store.Load(t.Context())

			require.NoError(t, err)
			assert.Equal(t, tt.want, value)
		})
	}
}

func managedBy(manager, operation, parent, field string) string {
	return `{"metadata":{"managedFields":[{"manager":"` + manager + `","operation":"` + operation +
		`","fieldsV1":{"` + parent + `":{".":{},"` + field + `":{}}}}]}}`
}

// What cannot be saved must fail before a key is created: when it is loaded.
func TestLoadFailsIfTheValueCannotBeReplaced(t *testing.T) {
	t.Parallel()
	const prefix = "kubernetes: Secret apps/palette: "
	apply := func(doc string) func(*testing.T, *kubetest.Server) {
		return func(t *testing.T, server *kubetest.Server) { t.Helper(); server.Apply(t, doc) }
	}
	rights := func(verbs ...string) func(*testing.T, *kubetest.Server) {
		return func(_ *testing.T, server *kubetest.Server) { server.SetRights(verbs...) }
	}
	forbidden := func(verb string) string {
		return prefix + verb + `: 403 Forbidden: secrets "palette" is forbidden: User "system:serviceaccount:apps:rotator" cannot `
	}
	for name, tt := range map[string]struct {
		prepare func(*testing.T, *kubetest.Server)
		want    string
	}{
		"it does not exist": {
			func(_ *testing.T, server *kubetest.Server) { server.Delete() },
			prefix + `get: 404 Not Found: secrets "palette" not found: create the Secret first`,
		},
		"the token has expired": {
			func(t *testing.T, server *kubetest.Server) { t.Helper(); server.WriteFile(t, "token", "expired") },
			prefix + "get: 401 Unauthorized: the API server does not accept the token of the service account",
		},
		"no right to get": {
			rights("patch"), forbidden("get") +
				`get resource "secrets" in API group "" in the namespace "apps": grant the service account the right get on this Secret`,
		},
		"no right to patch": {
			rights("get"), forbidden("patch (dry run)") +
				`patch resource "secrets" in API group "" in the namespace "apps": grant the service account the right patch on this Secret`,
		},
		"it is immutable": {
			apply(`{"immutable":true}`), prefix + "it is immutable: create another Secret",
		},
		"a controller owns it": {
			apply(`{"metadata":{"ownerReferences":[{"kind":"Owner","name":"a"},{"kind":"ExternalSecret","name":"palette","controller":true}]}}`),
			prefix + "ExternalSecret palette controls it and would put an old key back: use a Secret without a controller",
		},
		"a controller applies the value": {
			apply(managedBy("kustomize-controller", "Apply", "f:data", "f:apiKey")),
			prefix + "kustomize-controller applies the value of apiKey and would put an old key back: remove the value from what it applies",
		},
		"a controller applies the value as text": {
			apply(managedBy("kubectl", "Apply", "f:stringData", "f:apiKey")),
			prefix + "kubectl applies the value of apiKey and would put an old key back: remove the value from what it applies",
		},
		"the value is something else": {
			func(t *testing.T, server *kubetest.Server) {
				t.Helper()
				server.SetValue(t, "apiKey", "user: first-key\n")
			},
			prefix + "the value of apiKey is not an API key: it contains white space or control characters",
		},
		"the value is binary": {
			apply(`{"data":{"apiKey":"/////w=="}}`),
			prefix + "the value of apiKey is not an API key: it contains white space or control characters",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := newStore(t)
			tt.prepare(t, server)
			before := server.Value("apiKey")

			value, err := store.Load(t.Context())

			require.EqualError(t, err, tt.want)
			requireQuotesNothing(t, err)
			assert.NotErrorIs(t, err, ErrOutcomeUnknown)
			assert.Empty(t, value)
			assert.Equal(t, before, server.Value("apiKey"))
			require.EqualError(t, store.Save(t.Context(), "second-key"), prefix+"it was not loaded")
		})
	}
}

func TestLoadTriesAgainAfterAConflict(t *testing.T) {
	t.Parallel()
	server, store := newStore(t)
	conflicts := 1
	server.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		if r.Method == http.MethodPatch && conflicts > 0 {
			conflicts--
			server.SetValue(t, "apiKey", "another-key")
		}
		handle(w, r)
	})

	value, err := store.Load(t.Context())

	require.NoError(t, err)
	assert.Equal(t, "another-key", value)
}

func TestLoadFailsIfAWebhookChangesTheValue(t *testing.T) {
	t.Parallel()
	server, store := newStore(t)
	server.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		if r.Method == http.MethodPatch {
			r.Body = io.NopCloser(strings.NewReader(`{"data":{"apiKey":"bXV0YXRlZA=="}}`))
		}
		handle(w, r)
	})

	_, err := store.Load(t.Context())

	require.EqualError(t, err, "kubernetes: Secret apps/palette: patch (dry run): the API server responded with another value of apiKey")
}

func TestSave(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		meanwhile string // a change before the patch
		again     bool   // and before each later one
		stored    string
		want      string // the error
	}{
		"no conflict":                    {stored: "second-key"},
		"another field has changed":      {meanwhile: `{"data":{"other":"bmV3"}}`, stored: "second-key"},
		"another field changes always":   {meanwhile: `{"data":{"other":"bmV3"}}`, again: true, stored: "first-key", want: "the object has been modified"},
		"somebody has changed the value": {meanwhile: `{"data":{"apiKey":"dGhpcmQta2V5"}}`, stored: "third-key", want: "somebody else has replaced the value of apiKey"},
		"somebody has saved the same":    {meanwhile: `{"data":{"apiKey":"c2Vjb25kLWtleQ=="}}`, stored: "second-key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := newStore(t)
			_, err := store.Load(t.Context())
			require.NoError(t, err)
			server.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
				if r.Method == http.MethodPatch && tt.meanwhile != "" {
					server.Apply(t, tt.meanwhile)
					if !tt.again {
						tt.meanwhile = ""
					}
				}
				handle(w, r)
			})

			err = store.Save(t.Context(), "second-key")

			assert.Equal(t, tt.stored, server.Value("apiKey"))
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, "kubernetes: Secret apps/palette: ")
			require.ErrorContains(t, err, tt.want)
			assert.NotErrorIs(t, err, ErrOutcomeUnknown)
			requireQuotesNothing(t, err, "second-key", "third-key")
		})
	}
}

func TestSavesInARow(t *testing.T) {
	t.Parallel()
	server, store := newStore(t)
	_, err := store.Load(t.Context())
	require.NoError(t, err)

	for _, value := range []string{"second-key", "third-key"} {
		require.NoError(t, store.Save(t.Context(), value))

		assert.Equal(t, value, server.Value("apiKey"))
	}
}

// A request or its response is lost. Save finds out, or says that it does not know.
func TestSaveWithLostRequests(t *testing.T) {
	t.Parallel()
	abort := func(http.ResponseWriter, *http.Request, http.HandlerFunc) { panic(http.ErrAbortHandler) }
	afterwards := func(_ http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		handle(discard{}, r)
		panic(http.ErrAbortHandler)
	}
	status := func(code int) kubetest.Fault {
		return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) { w.WriteHeader(code) }
	}
	truncated := func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		handle(discard{}, r)
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"kind":"Secret"`)
	}
	another := func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		r.Body = io.NopCloser(strings.NewReader(`{"data":{"apiKey":"bXV0YXRlZA=="}}`))
		handle(w, r)
	}
	for name, tt := range map[string]struct {
		faults  []kubetest.Fault // of the requests after Load; nil: none
		stored  string
		want    string // the error
		unknown bool
	}{
		"the request is lost":           {faults: []kubetest.Fault{abort}, stored: "second-key"},
		"the response is lost":          {faults: []kubetest.Fault{afterwards}, stored: "second-key"},
		"the response is truncated":     {faults: []kubetest.Fault{truncated}, stored: "second-key"},
		"504 before":                    {faults: []kubetest.Fault{status(504)}, stored: "second-key"},
		"lost, and the server is away":  {faults: []kubetest.Fault{afterwards, abort}, stored: "second-key", want: "EOF", unknown: true},
		"two requests are lost":         {faults: []kubetest.Fault{abort, nil, abort}, stored: "first-key", want: "EOF", unknown: true},
		"request, then response lost":   {faults: []kubetest.Fault{abort, nil, afterwards}, stored: "second-key"},
		"500 twice":                     {faults: []kubetest.Fault{status(500), nil, status(500)}, stored: "first-key", want: "500 Internal Server Error", unknown: true},
		"lost, then forbidden":          {faults: []kubetest.Fault{abort, nil, status(403)}, stored: "first-key", want: "403 Forbidden", unknown: true},
		"forbidden":                     {faults: []kubetest.Fault{status(403)}, stored: "first-key", want: "patch: 403 Forbidden"},
		"conflict, the server is away":  {faults: []kubetest.Fault{status(409), abort}, stored: "first-key", want: "EOF"},
		"a redirect":                    {faults: []kubetest.Fault{status(302)}, stored: "first-key", want: "patch: 302 Found"},
		"something else responds":       {faults: []kubetest.Fault{status(200), abort}, stored: "first-key", want: "the response is not a Secret", unknown: true},
		"a webhook changes the request": {faults: []kubetest.Fault{another}, stored: "mutated", want: "somebody else has replaced the value of apiKey"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := newStore(t)
			_, err := store.Load(t.Context())
			require.NoError(t, err)
			server.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
				if len(tt.faults) > 0 {
					fault := tt.faults[0]
					tt.faults = tt.faults[1:]
					if fault != nil {
						fault(w, r, handle)
						return
					}
				}
				handle(w, r)
			})

			err = store.Save(t.Context(), "second-key")

			assert.Empty(t, tt.faults, "requests that were not sent")
			assert.Equal(t, tt.stored, server.Value("apiKey"))
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
			requireQuotesNothing(t, err, "second-key")
			assert.Equal(t, tt.unknown, errors.Is(err, ErrOutcomeUnknown), err)
		})
	}
}

func TestSaveIsCertainIfTheServerIsAway(t *testing.T) {
	t.Parallel()
	_, store := newStore(t)
	_, err := store.Load(t.Context())
	require.NoError(t, err)
	store.url = "https://127.0.0.1:1/"

	err = store.Save(t.Context(), "second-key")

	require.ErrorContains(t, err, "kubernetes: Secret apps/palette: patch: ")
	require.ErrorContains(t, err, "dial tcp 127.0.0.1:1: ")
	assert.NotErrorIs(t, err, ErrOutcomeUnknown)
}

func TestSaveIsCertainIfTheTokenCannotBeRead(t *testing.T) {
	t.Parallel()
	server, store := newStore(t)
	_, err := store.Load(t.Context())
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(server.Folder, "token")))

	err = store.Save(t.Context(), "second-key")

	require.ErrorIs(t, err, os.ErrNotExist)
	assert.NotErrorIs(t, err, ErrOutcomeUnknown)
}

func TestSaveWithCanceledContext(t *testing.T) {
	t.Parallel()
	_, store := newStore(t)
	_, err := store.Load(t.Context())
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()

	err = store.Save(ctx, "second-key")

	require.ErrorIs(t, err, context.DeadlineExceeded)
}
