package main

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/kube/kubetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// cluster is a pod with the tool, an API server with a Secret that holds the key "ci", which
// expires in a day, and Palette.
type cluster struct {
	*kubetest.Server
	palette *palettetest.Server
	folder  string // the working directory of the tool
	old     string // the key
	env     []string
	values  []string // what no output may contain
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{Server: kubetest.Start(t), palette: palettetest.Start(t), folder: t.TempDir()}
	require.NoError(t, os.CopyFS(filepath.Join(c.folder, "serviceaccount"), os.DirFS(c.Folder)))
	now := time.Now()
	_, c.old = c.palette.AddKey(palettetest.Key{
		UID: "old", Name: "ci", Active: true, CreatedAt: now.AddDate(0, 0, -20), Expiry: now.AddDate(0, 0, 1),
	})
	c.SetValue(t, "apiKey", c.old)
	c.SetValue(t, "other", "other-data")
	c.env = append(environment(c.palette), "KUBERNETES_SERVICE_HOST="+c.Host, "KUBERNETES_SERVICE_PORT="+c.Port)
	c.values = []string{c.old, "other-data", "token-of-rotator", c.palette.APIKey}
	return c
}

// run runs the tool in the pod. Its output must not contain a key, data of the Secret, or
// the token.
func (c *cluster) run(t *testing.T, args ...string) result {
	t.Helper()
	cmd := newTool(t, c.env, args...)
	cmd.Dir = c.folder
	got := finish(t, cmd)
	for _, value := range append(c.values, c.Value("apiKey")) {
		if value != "" {
			assert.NotContains(t, got.stdout+got.stderr, value)
			assert.NotContains(t, got.stdout+got.stderr, base64.StdEncoding.EncodeToString([]byte(value)))
		}
	}
	return got
}

func (c *cluster) rotate(t *testing.T) result {
	t.Helper()
	return c.run(t, "rotate", "-name", "ci", "-overlap", "8d", "-renew-before", "14d", "-kubernetes-secret", "palette")
}

// requireStoredWorks requires that the key in the Secret works.
func (c *cluster) requireStoredWorks(t *testing.T) {
	t.Helper()
	requireWorks(t, c.palette, c.Value("apiKey"))
}

// failRequest makes the first request with a method and a text in its URL fail.
func (c *cluster) failRequest(method, query string, fault kubetest.Fault) {
	var done atomic.Bool
	c.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		if r.Method == method && strings.HasPrefix(r.URL.RawQuery, query) && done.CompareAndSwap(false, true) {
			fault(w, r, handle)
			return
		}
		handle(w, r)
	})
}

const save = "fieldManager" // how the query of a patch starts that is no dry run

func TestRotateInASecret(t *testing.T) {
	t.Parallel()
	c := newCluster(t)

	got := c.rotate(t)
	next := c.rotate(t)

	require.Zero(t, got.code, got.stderr)
	require.Zero(t, next.code, next.stderr)
	assert.Regexp(t, `^rotated: the new key \S+ is saved, the old key old works until `, got.stdout)
	assert.Regexp(t, `^not due: `, next.stdout)
	assert.NotEqual(t, c.old, c.Value("apiKey"))
	assert.Equal(t, "other-data", c.Value("other"))
	c.requireStoredWorks(t)
	requireWorks(t, c.palette, c.old)
	assert.Len(t, c.palette.Keys(), 2)
}

func TestRotateInAnotherKeyOfTheSecret(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.SetValue(t, "token.txt", c.old)

	got := c.run(t, "rotate", "old", "-kubernetes-secret", "apps/palette:token.txt")

	require.Zero(t, got.code, got.stderr)
	assert.Equal(t, c.old, c.Value("apiKey"))
	assert.NotEqual(t, c.old, c.Value("token.txt"))
	requireWorks(t, c.palette, c.Value("token.txt"))
}

func TestOneStoreIsRequired(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for line, want := range map[string]string{
		"create -name ci -out x -kubernetes-secret y": "either -out or -kubernetes-secret, not both",
		"rotate old -out x -kubernetes-secret y":      "one of -out, -kubernetes-secret, and -load with -- COMMAND is required",
		"rotate old -load cat -kubernetes-secret y":   "one of -out, -kubernetes-secret, and -load with -- COMMAND is required",
		"rotate old -kubernetes-secret y -- cat":      "one of -out, -kubernetes-secret, and -load with -- COMMAND is required",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()

			got := c.run(t, strings.Fields(line)...)

			assert.Equal(t, 2, got.code)
			assert.Contains(t, got.stderr, want)
		})
	}
	t.Cleanup(func() { assert.Empty(t, c.Requests()) })
}

func TestDryRunTriesTheSecret(t *testing.T) {
	t.Parallel()
	c := newCluster(t)

	got := c.run(t, "rotate", "-name", "ci", "-dry-run", "-kubernetes-secret", "palette")
	c.SetRights("get")
	forbidden := c.run(t, "rotate", "-name", "ci", "-dry-run", "-kubernetes-secret", "palette")

	require.Zero(t, got.code, got.stderr)
	assert.Regexp(t, `^would rotate: the key old`, got.stdout)
	assert.Equal(t, 1, forbidden.code)
	assert.Contains(t, forbidden.stderr, "grant the service account the right patch on this Secret")
	assert.Equal(t, c.old, c.Value("apiKey"))
	assert.Len(t, c.palette.Keys(), 1)
	for _, request := range c.Requests() {
		assert.True(t, strings.HasPrefix(request, "GET ") || strings.Contains(request, "dryRun=All"), request)
	}
}

// What cannot be saved costs no key, and the error says why.
func TestSecretThatCannotBeReplacedCostsNoKey(t *testing.T) {
	t.Parallel()
	secret := "kubernetes: Secret apps/palette: "
	for name, tt := range map[string]struct {
		prepare func(*testing.T, *cluster)
		want    string
	}{
		"it does not exist": {
			func(_ *testing.T, c *cluster) { c.Delete() },
			secret + `get: 404 Not Found: secrets "palette" not found: create the Secret first`,
		},
		"it is immutable": {
			func(t *testing.T, c *cluster) { t.Helper(); c.Apply(t, `{"immutable":true}`) },
			secret + "it is immutable",
		},
		"a controller owns it": {
			func(t *testing.T, c *cluster) {
				t.Helper()
				c.Apply(t, `{"metadata":{"ownerReferences":[{"kind":"ExternalSecret","name":"es","controller":true}]}}`)
			},
			secret + "ExternalSecret es controls it",
		},
		"a controller applies it": {
			func(t *testing.T, c *cluster) {
				t.Helper()
				c.Apply(t, `{"metadata":{"managedFields":[{"manager":"flux","operation":"Apply","fieldsV1":{"f:data":{"f:apiKey":{}}}}]}}`)
			},
			secret + "flux applies the value of apiKey",
		},
		"no right to get": {
			func(_ *testing.T, c *cluster) { c.SetRights("patch") },
			secret + `get: 403 Forbidden: secrets "palette" is forbidden: User "system:serviceaccount:apps:rotator" cannot get`,
		},
		"no right to patch": {
			func(_ *testing.T, c *cluster) { c.SetRights("get") },
			secret + `patch (dry run): 403 Forbidden: secrets "palette" is forbidden: User "system:serviceaccount:apps:rotator" cannot patch`,
		},
		"an expired token": {
			func(t *testing.T, c *cluster) {
				t.Helper()
				require.NoError(t, os.WriteFile(filepath.Join(c.folder, "serviceaccount", "token"), []byte("expired"), 0o600))
			},
			secret + "get: 401 Unauthorized: the API server does not accept the token of the service account",
		},
		"it is refused": {
			func(t *testing.T, c *cluster) {
				t.Helper()
				c.SetValue(t, "apiKey", "")
				c.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
					if r.Method != http.MethodPatch {
						handle(w, r)
						return
					}
					kubetest.Respond(w, 422, map[string]any{"kind": "Status", "message": "the Secret has other-data"})
				})
			},
			secret + "patch (dry run): 422 Unprocessable Entity: the message of the API server is not shown",
		},
		"the server is away": {
			func(_ *testing.T, c *cluster) {
				c.env = append(c.env, "KUBERNETES_SERVICE_PORT=1")
			},
			secret + "get: ",
		},
		"the server responds with 429 always": {
			func(_ *testing.T, c *cluster) {
				c.SetFault(func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
					w.Header().Set("Retry-After", "0")
					w.WriteHeader(http.StatusTooManyRequests)
				})
			},
			secret + "get: 429 Too Many Requests",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			tt.prepare(t, c)
			before := c.Value("apiKey")

			rotated := c.rotate(t)
			created := c.run(t, "create", "-name", "new", "-kubernetes-secret", "palette")

			assert.Equal(t, 1, rotated.code)
			assert.Equal(t, 1, created.code)
			assert.Contains(t, rotated.stderr, tt.want)
			assert.Regexp(t, `(?s)^palette-keys: create: no key was created: kubernetes: Secret apps/palette: `, created.stderr)
			assert.Equal(t, before, c.Value("apiKey"))
			assert.Len(t, c.palette.Keys(), 1)
			requireWorks(t, c.palette, c.old)
		})
	}
}

func TestRotateWaitsForAnAPIServerThatIsBusy(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var requests atomic.Int64
	c.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		if requests.Add(1)%2 == 1 {
			w.Header().Set("Retry-After", "0")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		handle(w, r)
	})

	got := c.rotate(t)

	require.Zero(t, got.code, got.stderr)
	assert.NotEqual(t, c.old, c.Value("apiKey"))
	c.requireStoredWorks(t)
}

func TestChangeOfAnotherFieldMeanwhile(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.failRequest("PATCH", save, func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		c.SetValue(t, "other", "new-data")
		handle(w, r)
	})

	got := c.rotate(t)

	require.Zero(t, got.code, got.stderr)
	assert.NotEqual(t, c.old, c.Value("apiKey"))
	assert.Equal(t, "new-data", c.Value("other"))
	c.requireStoredWorks(t)
}

// Two runs load the same key. The one that saves later says so and overwrites nothing; the
// next run finishes.
func TestConflictOfTwoRuns(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	require.Zero(t, c.rotate(t).code) // a run that knows the stored key does not wait for others to be listed
	always := []string{"rotate", "-name", "ci", "-overlap", "8d", "-kubernetes-secret", "palette"}
	var inner result
	var once atomic.Bool
	c.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		if strings.HasPrefix(r.URL.RawQuery, save) && once.CompareAndSwap(false, true) {
			inner = c.run(t, always...) // the whole second run, before the first one saves
		}
		handle(w, r)
	})

	outer := c.run(t, always...)
	between := c.Value("apiKey")
	c.requireStoredWorks(t)
	next := c.rotate(t)

	require.Zero(t, inner.code, inner.stderr)
	assert.Equal(t, 1, outer.code)
	assert.Contains(t, outer.stderr, "kubernetes: Secret apps/palette: somebody else has replaced the value of apiKey")
	require.Zero(t, next.code, next.stderr)
	assert.Equal(t, between, c.Value("apiKey"))
	c.requireStoredWorks(t)
	requireWorks(t, c.palette, c.old)
}

func TestLostResponseToThePatch(t *testing.T) {
	t.Parallel()
	for name, handled := range map[string]bool{"request lost": false, "response lost": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.failRequest("PATCH", save, func(_ http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
				if handled {
					handle(httptest.NewRecorder(), r)
				}
				panic(http.ErrAbortHandler)
			})

			got := c.rotate(t)

			require.Zero(t, got.code, got.stderr)
			assert.NotEqual(t, c.old, c.Value("apiKey"))
			c.requireStoredWorks(t)
			assert.Len(t, c.palette.Keys(), 2)
		})
	}
}

// net/http uses no proxy for 127.0.0.1, but one for 0.0.0.0, which reaches the same server.
func TestProxyIsNotUsedForTheAPIServer(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]int{"127.0.0.1": 0, "0.0.0.0": 1} { // which its certificate does not name
		t.Run(host, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			var proxied atomic.Int64
			proxy := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxied.Add(1) }))
			t.Cleanup(proxy.Close)
			c.env = append(c.env, "HTTPS_PROXY="+proxy.URL, "KUBERNETES_SERVICE_HOST="+host)

			got := c.rotate(t)

			assert.Equal(t, want, got.code, got.stderr)
			assert.Zero(t, proxied.Load())
			c.requireStoredWorks(t)
		})
	}
}

func TestOwnKeyFromAMountThatLags(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	mount := writeFile(t, c.old)
	c.env = append(slices.DeleteFunc(c.env, func(v string) bool { return strings.HasPrefix(v, "PALETTE_API_KEY=") }),
		"PALETTE_API_KEY_FILE="+mount)

	first := c.rotate(t)
	key := c.Value("apiKey")
	lagging := c.rotate(t) // with the old key
	require.NoError(t, os.WriteFile(mount, []byte(key), 0o600))
	fresh := c.rotate(t)

	for _, got := range []result{first, lagging, fresh} {
		require.Zero(t, got.code, got.stderr)
	}
	assert.Regexp(t, "^rotated: ", first.stdout)
	assert.Regexp(t, "^not due: ", lagging.stdout)
	assert.Regexp(t, "^not due: ", fresh.stdout)
	assert.Equal(t, key, c.Value("apiKey"))
	c.requireStoredWorks(t)
	requireWorks(t, c.palette, c.old)
}

// The tool is killed at each request to the API server and to Palette, before or after it is
// handled. The stored key works, and the next run finishes. The credential of both runs is
// the old key, as with a mount that lags.
func TestKillAtEveryRequest(t *testing.T) {
	t.Parallel()
	requireUnix(t)
	complete := newKiller(t, 0, false)
	require.Zero(t, complete.rotate(t).code)
	require.Greater(t, complete.count.Load(), int64(10))
	for n := range complete.count.Load() {
		for _, after := range []bool{false, true} {
			t.Run(fmt.Sprintf("request %d, handled %t", n+1, after), func(t *testing.T) {
				t.Parallel()
				k := newKiller(t, n+1, after)

				killed := k.rotate(t)
				k.requireStoredWorks(t)
				next := k.rotate(t)

				assert.Equal(t, -1, killed.code, "no signal ended it")
				require.Zero(t, next.code, next.stderr)
				assert.NotEqual(t, k.old, k.Value("apiKey"))
				k.requireStoredWorks(t)
				requireWorks(t, k.palette, k.old)
			})
		}
	}
}

// killer is a cluster that kills the tool at one of its requests.
type killer struct {
	*cluster
	at      int64 // the first request is 1
	after   bool  // it was handled
	count   atomic.Int64
	process chan *os.Process // of each run
}

// newKiller returns a cluster in which the key was rotated once before: a run that finds the
// fingerprint of the stored key does not wait for a key to be listed.
func newKiller(t *testing.T, at int64, after bool) *killer {
	t.Helper()
	k := &killer{cluster: newCluster(t), at: at, after: after, process: make(chan *os.Process, 2)}
	first := k.cluster.rotate(t)
	require.Zero(t, first.code, first.stderr)
	k.old = k.Value("apiKey")
	k.SetFault(k.intercept)
	proxy := startProxy(t, k.palette, func(w http.ResponseWriter, r *http.Request) bool {
		k.intercept(w, r, k.palette.ServeHTTP)
		return true
	})
	k.env = append(k.env, proxy[0], "PALETTE_API_KEY="+k.old)
	return k
}

func (k *killer) intercept(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
	if k.count.Add(1) != k.at {
		handle(w, r)
		return
	}
	if k.after {
		handle(httptest.NewRecorder(), r)
	}
	_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that the tool has ended
	_ = (<-k.process).Kill()           // a request can arrive before Start returns
	<-r.Context().Done()
}

func (k *killer) rotate(t *testing.T) result {
	t.Helper()
	cmd := newTool(t, k.env, "rotate", "-name", "ci", "-overlap", "8d", "-kubernetes-secret", "palette")
	cmd.Dir = k.folder
	tool := start(t, cmd)
	k.process <- tool.cmd.Process
	output, code := tool.wait(t)
	return result{stderr: output, code: code}
}

func TestCreateInASecret(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"without data": `{"data":null}`, "without the value": `{"data":{"apiKey":null}}`, "with an empty value": `{"data":{"apiKey":""}}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.Apply(t, doc)

			got := c.run(t, "create", "-name", "new", "-kubernetes-secret", "palette")

			uid := c.palette.Keys()[1].UID
			assert.Equal(t, result{stderr: "created the key with the uid " + uid + "\n"}, got)
			c.requireStoredWorks(t)
			assert.Len(t, c.palette.Keys(), 2)
		})
	}
}

func TestCreateInASecretPrintsJSONWithoutTheValue(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.SetValue(t, "apiKey", "")

	got := c.run(t, "create", "-name", "new", "-json", "-kubernetes-secret", "palette")

	require.Zero(t, got.code, got.stderr)
	assert.JSONEq(t, `{"uid":"`+c.palette.Keys()[1].UID+`","name":"new"}`, got.stdout)
	c.requireStoredWorks(t)
}

func TestCreateDoesNotReplaceAValue(t *testing.T) {
	t.Parallel()
	c := newCluster(t)

	got := c.run(t, "create", "-name", "new", "-kubernetes-secret", "palette")

	assert.Equal(t, result{
		stderr: "palette-keys: create: no key was created: the Secret palette has a value already: use rotate, or remove the value\n", code: 2,
	}, got)
	assert.Equal(t, c.old, c.Value("apiKey"))
	assert.Len(t, c.palette.Keys(), 1)
}

func TestOfTwoCreatesOneSaves(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.SetValue(t, "apiKey", "")
	var inner result
	c.failRequest("PATCH", save, func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
		inner = c.run(t, "create", "-name", "new", "-kubernetes-secret", "palette")
		handle(w, r)
	})

	outer := c.run(t, "create", "-name", "new", "-kubernetes-secret", "palette")

	require.Zero(t, inner.code, inner.stderr)
	assert.Equal(t, result{
		stderr: "palette-keys: create: save the key: kubernetes: Secret apps/palette: " +
			"somebody else has replaced the value of apiKey; the key was deleted\n", code: 1,
	}, outer)
	assert.Len(t, c.palette.Keys(), 2)
	c.requireStoredWorks(t)
}

// The key that create could not save is deleted, unless the Secret may have it.
func TestCreateThatCannotSave(t *testing.T) {
	t.Parallel()
	lost := func(handled bool) kubetest.Fault {
		var mu sync.Mutex
		patched := false
		return func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
			mu.Lock()
			defer mu.Unlock()
			switch {
			case patched: // the server is away from now on
				panic(http.ErrAbortHandler)
			case !strings.HasPrefix(r.URL.RawQuery, save):
				handle(w, r)
				return
			case handled:
				handle(httptest.NewRecorder(), r)
			}
			patched = true
			panic(http.ErrAbortHandler)
		}
	}
	status := func(code int) kubetest.Fault {
		return func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
			if strings.HasPrefix(r.URL.RawQuery, save) {
				kubetest.Respond(w, code, map[string]any{"kind": "Status", "message": "a message"})
				return
			}
			handle(w, r)
		}
	}
	for name, tt := range map[string]struct {
		fault kubetest.Fault
		keys  int // that are left
		want  string
	}{
		"it is refused":         {status(403), 1, "patch: 403 Forbidden: a message; the key was deleted"},
		"a conflict":            {status(409), 1, "patch: 409 Conflict: a message; the key was deleted"},
		"the response is lost":  {lost(true), 2, "the value may have been saved"},
		"the request is lost":   {lost(false), 2, "the value may have been saved"},
		"the server has failed": {status(500), 2, "if the Secret does not have a value, delete the key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.SetValue(t, "apiKey", "")
			c.SetFault(tt.fault)

			got := c.run(t, "create", "-name", "new", "-kubernetes-secret", "palette")

			assert.Equal(t, 1, got.code)
			assert.Contains(t, got.stderr, "palette-keys: create: save the key")
			assert.Contains(t, got.stderr, tt.want)
			keys := c.palette.Keys()
			require.Len(t, keys, tt.keys)
			if tt.keys == 2 {
				assert.Contains(t, got.stderr, keys[1].UID)
			}
			if c.Value("apiKey") != "" {
				c.requireStoredWorks(t)
			}
		})
	}
}
