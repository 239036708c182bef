package palette_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestCredentialIsSentAsGivenInOneHeader(t *testing.T) {
	t.Parallel()
	for _, value := range validKeys {
		for name, tt := range map[string]struct {
			option palette.Option
			header string
		}{
			"WithAPIKey":     {palette.WithAPIKey(value), "Apikey"},
			"WithAPIKeyFunc": {palette.WithAPIKeyFunc(returns(value)), "Apikey"},
			"WithAuthToken":  {palette.WithAuthToken(value), "Authorization"},
		} {
			t.Run(name+" "+value, func(t *testing.T) {
				t.Parallel()

				header := sentBy(t, tt.option).Header

				want := http.Header{tt.header: {value}, "Accept": {"application/json"}, "User-Agent": header["User-Agent"]}
				assert.Equal(t, want, header)
			})
		}
	}
}

func TestInvalidCredential(t *testing.T) {
	t.Parallel()
	for want, values := range map[string][]string{
		"the credential is empty": {""},
		whiteSpace: {
			" ", "pass-word\n", "\tpass-word", "pass-word\r\nX-Evil: 1", "Bearer pass-word", "pass-word\u0085",
			"pass-word\u00a0", "pass\u2028word", "pass-word\x00 ",
		},
		"the credential contains a control character": {"pass-word\x00", "\x7fpass-word", "pass\u009fword"},
	} {
		for _, value := range values {
			t.Run(fmt.Sprintf("%q", value), func(t *testing.T) {
				t.Parallel()

				requireInvalidOptions(t, "WithAPIKey is invalid: "+want, palette.WithAPIKey(value))
				requireInvalidOptions(t, "WithAuthToken is invalid: "+want, palette.WithAuthToken(value))
				funcErr := getKey(t, newFuncClient(t, newMock(t), returns(value), withFastRetries(3)...))
				derived, derivedErr := newTestClient(t, newMock(t)).WithAPIKey(value)

				require.EqualError(t, funcErr, "palette: apiKeys.get: credential: "+want+" (host palette.test, 1 attempt)")
				require.EqualError(t, derivedErr, "palette: Client.WithAPIKey: invalid argument: "+want)
				require.ErrorIs(t, derivedErr, palette.ErrInvalidArgument)
				assert.Nil(t, derived)
				assert.NotContains(t, printed(errors.Join(funcErr, derivedErr)), "pass-word")
			})
		}
	}
}

func TestExactlyOneCredentialIsNeeded(t *testing.T) {
	t.Parallel()
	key, token, f := palette.WithAPIKey("pass-word"), palette.WithAuthToken("pass-word"), palette.WithAPIKeyFunc(returns("pass-word"))
	for want, opts := range map[string][]palette.Option{
		"WithAPIKeyFunc must not be nil":                                                {palette.WithAPIKeyFunc(nil)},
		"credential: more than one is given: WithAPIKey, WithAuthToken":                 {token, key},
		"credential: more than one is given: WithAPIKey, WithAPIKeyFunc":                {key, f},
		"credential: more than one is given: WithAPIKeyFunc, WithAuthToken":             {f, token},
		"credential: more than one is given: WithAPIKey, WithAPIKeyFunc, WithAuthToken": {token, f, key, key},
		"credential: none is given: use WithAPIKey, WithAPIKeyFile, WithAPIKeyFunc, WithAuthToken or WithAuthTokenFunc, " +
			"or WithEnv with PALETTE_API_KEY, PALETTE_API_KEY_FILE or PALETTE_AUTH_TOKEN set": {nil, palette.WithBaseURL(testBaseURL)},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()

			requireInvalidOptions(t, want, opts...)
		})
	}
}

func TestAPIKeyFuncIsCalledBeforeEachAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		type callerKey struct{}
		ctx := context.WithValue(t.Context(), callerKey{}, "caller")
		m := newMock(t, respond(503, ""), respond(503, ""), respondError(403, "Forbidden", "not rotated-key-3"))
		calls := 0
		client := newFuncClient(t, m, func(ctx context.Context) (string, error) {
			calls++
			deadline, _ := ctx.Deadline()
			assert.Equal(t, 3*time.Second, time.Until(deadline))
			assert.Equal(t, "caller", ctx.Value(callerKey{}))
			return fmt.Sprintf("rotated-key-%d", calls), nil
		}, palette.WithTimeout(3*time.Second), palette.WithMaxRetries(2))

		err := client.APIKeys.Delete(ctx, testUID)

		require.ErrorContains(t, err, "403 Forbidden: not [REDACTED] (")
		var sent []string
		for _, req := range m.requests() {
			sent = append(sent, req.Header.Get("ApiKey"))
		}
		assert.Equal(t, []string{"rotated-key-1", "rotated-key-2", "rotated-key-3"}, sent)
	})
}

func TestAPIKeyFuncErrorEndsTheCall(t *testing.T) {
	t.Parallel()
	for _, op := range getAndCreate() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			errVault := errors.New("vault is sealed")
			calls := 0
			client := newFuncClient(t, newMock(t), func(context.Context) (string, error) {
				calls++
				return testKey, errVault
			}, withFastRetries(3)...)

			result, err := op.call(t.Context(), client.APIKeys)

			require.ErrorIs(t, err, errVault)
			assert.Empty(t, classesOf(err))
			require.EqualError(t, err, "palette: "+op.op+": credential: vault is sealed (host palette.test, 1 attempt)")
			assert.Nil(t, result)
			assert.Equal(t, 1, calls)
		})
	}
}

func TestClientWithAPIKey(t *testing.T) {
	t.Parallel()
	wrapped := 0
	wrapper := palette.WithTransportWrapper(func(rt http.RoundTripper) http.RoundTripper {
		wrapped++
		return rt
	})
	m := newMock(t, respond(503, ""), respond(200, testKeyJSON), respond(200, testKeyJSON))
	client, err := palette.NewClient(append(withFastRetries(1), palette.WithAuthToken("a-token"), wrapper,
		palette.WithBaseURL(testBaseURL), palette.WithHTTPClient(&http.Client{Transport: m}), palette.WithUserAgent("tool/1"))...)
	require.NoError(t, err)

	derived, err := client.WithAPIKey("other-key")
	require.NoError(t, err)
	require.NoError(t, getKey(t, derived))
	require.NoError(t, getKey(t, client))

	var sent []string
	for _, req := range m.requests() {
		sent = append(sent, req.Header.Get("ApiKey")+" "+req.Header.Get("Authorization"))
		assert.Regexp(t, "^tool/1 ", req.Header.Get("User-Agent"))
	}
	assert.Equal(t, []string{"other-key ", "other-key ", " a-token"}, sent)
	assert.Equal(t, testBaseURL, derived.BaseURL())
	assert.Equal(t, 1, wrapped)
}

// writeFile replaces a file by renaming another, as secret managers do.
func writeFile(t *testing.T, path, content string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(content), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

func TestAPIKeyFileIsReadBeforeEachAttempt(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	writeFile(t, path, " first-key \r\n")
	m := newMock(t, respond(200, testKeyJSON), respond(200, testKeyJSON), respond(200, testKeyJSON), respond(200, testKeyJSON))
	client := newFileClient(t, m, path)

	require.NoError(t, getKey(t, client))
	writeFile(t, path, "second-key\n")
	require.NoError(t, getKey(t, client))
	writeFile(t, path, "")
	require.NoError(t, getKey(t, client), "empty for a moment")
	require.NoError(t, os.Remove(path))
	require.NoError(t, getKey(t, client), "missing for a moment")

	assert.Equal(t, []string{"first-key", "second-key", "second-key", "second-key"}, sentKeys(m))
}

func newFileClient(t *testing.T, rt http.RoundTripper, path string, opts ...palette.Option) *palette.Client {
	t.Helper()
	client, err := palette.NewClient(append(opts, palette.WithAPIKeyFile(path), palette.WithBaseURL(testBaseURL),
		palette.WithHTTPClient(&http.Client{Transport: rt}), palette.WithMaxRetries(0))...)
	require.NoError(t, err)
	return client
}

func TestInvalidAPIKeyFile(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, content, want string }{
		{"empty", "\n", "the credential is empty"},
		{"two lines", "first-key\nsecond-key\n", "the credential contains white space"},
		{"JWT", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln\n", "the API key is a JWT: use WithAuthToken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			writeFile(t, path, tt.content)

			_, err := palette.NewClient(palette.WithAPIKeyFile(path))

			require.ErrorIs(t, err, palette.ErrInvalidArgument)
			require.ErrorContains(t, err, "WithAPIKeyFile is invalid: credential: file "+path+": "+tt.want)
		})
	}
}

func TestMissingAPIKeyFile(t *testing.T) {
	t.Parallel()

	_, err := palette.NewClient(palette.WithAPIKeyFile(filepath.Join(t.TempDir(), "key")))

	require.ErrorIs(t, err, palette.ErrInvalidArgument)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestAPIKeyFileThatBecomesInvalidFailsTheCall(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	writeFile(t, path, "first-key")
	client := newFileClient(t, newMock(t), path)

	writeFile(t, path, "first-key\nsecond-key\n")

	require.ErrorContains(t, getKey(t, client), "credential: file "+path+": the credential contains white space")
}

func TestJWTAsAPIKeyIsInvalid(t *testing.T) {
	t.Parallel()
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"

	_, err := palette.NewClient(palette.WithAPIKey(jwt))

	require.EqualError(t, err, "palette: NewClient: invalid argument: WithAPIKey is invalid: "+
		"the API key is a JWT: use WithAuthToken, WithAuthTokenFunc or PALETTE_AUTH_TOKEN")
	_, err = palette.NewClient(palette.WithAuthToken(jwt))
	require.NoError(t, err)
	_, err = palette.NewClient(palette.WithAPIKey("eyJ-looks-like-one"))
	require.NoError(t, err)
}

func TestAuthTokenFuncIsCalledBeforeEachAttempt(t *testing.T) {
	t.Parallel()
	n := 0
	tokens := []string{"first-token", "second-token"}
	m := newMock(t, respondError(503, "", ""), respond(200, testKeyJSON))
	client, err := palette.NewClient(append(withFastRetries(1),
		palette.WithAuthTokenFunc(func(context.Context) (string, error) { n++; return tokens[n-1], nil }),
		palette.WithBaseURL(testBaseURL), palette.WithHTTPClient(&http.Client{Transport: m}))...)
	require.NoError(t, err)

	require.NoError(t, getKey(t, client))

	var sent []string
	for _, req := range m.requests() {
		assert.Empty(t, req.Header.Get("ApiKey"))
		sent = append(sent, req.Header.Get("Authorization"))
	}
	assert.Equal(t, tokens, sent)
}

// A 401 did no work, so every operation is retried if the key has changed in the meantime.
func Test401AfterAChangedFileIsRetriedOnce(t *testing.T) {
	t.Parallel()
	for _, op := range getAndCreate() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "key")
			writeFile(t, path, "old-key")
			m := newMock(t, func(req *http.Request) (*http.Response, error) {
				writeFile(t, path, "new-key")
				return respondError(401, "UnAuthorizedAccess", "no")(req)
			}, op.succeed())
			var log bytes.Buffer

			_, err := op.call(t.Context(), newFileClient(t, m, path, palette.WithLogger(debugLogger(&log))).APIKeys)

			require.NoError(t, err)
			assert.Equal(t, []string{"old-key", "new-key"}, sentKeys(m))
			assert.Contains(t, log.String(), `wait=0s reason="the credential has changed"`)
		})
	}
}

func Test404ThatRepeatsTheKeyCountsAs401(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	writeFile(t, path, "old-key-4711")
	m := newMock(t, func(req *http.Request) (*http.Response, error) {
		writeFile(t, path, "new-key-4711")
		return respondError(404, "ResourceNotFound", "the key old-key-4711 was not found")(req)
	}, respond(204, ""))

	require.NoError(t, newFileClient(t, m, path).APIKeys.Delete(t.Context(), testUID))

	assert.Equal(t, []string{"old-key-4711", "new-key-4711"}, sentKeys(m))
}

func Test401IsRetriedOnceIfTheKeyKeepsChanging(t *testing.T) {
	t.Parallel()
	var n atomic.Int64
	m := newMock(t, respondError(401, "UnAuthorizedAccess", "no"), respondError(401, "UnAuthorizedAccess", "no"))
	client, err := palette.NewClient(
		palette.WithAPIKeyFunc(func(context.Context) (string, error) { return string('a' + rune(n.Add(1))), nil }),
		palette.WithBaseURL(testBaseURL), palette.WithHTTPClient(&http.Client{Transport: m}), palette.WithMaxRetries(0))
	require.NoError(t, err)

	require.ErrorIs(t, getKey(t, client), palette.ErrUnauthorized)

	assert.Len(t, m.requests(), 2)
}

// Under load, a call can meet two rotations.
func Test401IsRetriedAsLongAsTheKeyChanges(t *testing.T) {
	t.Parallel()
	no := respondError(401, "UnAuthorizedAccess", "no")
	keys := []string{"key-1", "key-2", "key-2", "key-3", "key-3", "key-4", "key-4"} // sent, and asked for after each 401
	var n int
	next := func(context.Context) (string, error) { n++; return keys[n-1], nil }
	m := newMock(t, no, no, no, respond(200, testKeyJSON))

	require.NoError(t, getKey(t, newFuncClient(t, m, next, palette.WithMaxRetries(3))))

	assert.Equal(t, []string{"key-1", "key-2", "key-3", "key-4"}, sentKeys(m))
}

// The error of the function may be that of another client.
func TestErrorOfTheAPIKeyFuncKeepsItsFields(t *testing.T) {
	t.Parallel()
	login := &palette.APIError{Op: "login", Host: "login.test", StatusCode: 401}
	calls := 0
	client := newFuncClient(t, newMock(t), func(context.Context) (string, error) { calls++; return "", login })

	err := getKey(t, client)

	require.EqualError(t, err, "palette: apiKeys.get: credential: palette: login: 401 Unauthorized (host login.test); "+
		"a credential works only on its own host and tenant, until it expires or is revoked (host palette.test, 1 attempt)")
	assert.Equal(t, "login", login.Op)
	assert.Equal(t, 1, calls)
}

// 32 goroutines list keys while the key is replaced 50 times. Each old key stops working at
// once. A call never overlaps with more than one replacement.
func TestNoCallFailsWhileTheKeyIsReplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "key")
	var current atomic.Value
	for _, tt := range []struct {
		name   string
		option palette.Option
		store  func(key string)
	}{
		{
			"WithAPIKeyFile", palette.WithAPIKeyFile(path),
			func(key string) { writeFile(t, path, key) },
		},
		{
			"WithAPIKeyFunc", palette.WithAPIKeyFunc(func(context.Context) (string, error) { return current.Load().(string), nil }),
			func(key string) { current.Store(key) },
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			server := palettetest.NewServer(palettetest.WithKeyLimit(0))
			t.Cleanup(server.Close)
			uid, key := server.AddKey(palettetest.Key{Name: "client", Active: true})
			tt.store(key)
			client, err := palette.NewClient(tt.option, palette.WithBaseURL(server.URL), palette.WithoutRateLimit())
			require.NoError(t, err)
			admin, err := palette.NewClient(palette.WithAPIKey(server.APIKey), palette.WithBaseURL(server.URL), palette.WithoutRateLimit())
			require.NoError(t, err)

			failed := listWhile(t, client, 32, func(everyoneHasCalled func()) {
				for range 50 {
					created, err := admin.APIKeys.Create(t.Context(), palette.CreateAPIKeyRequest{Metadata: palette.ObjectMetaInput{Name: "client"}})
					require.NoError(t, err)
					tt.store(created.APIKey.Reveal())
					require.NoError(t, admin.APIKeys.Delete(t.Context(), uid))
					uid = created.UID
					everyoneHasCalled()
				}
			})

			assert.Zero(t, failed)
		})
	}
}

// listWhile lists keys in n goroutines while work runs, and returns the number of failed
// calls. everyoneHasCalled waits until every goroutine has completed a call that started
// after everyoneHasCalled was called.
func listWhile(t *testing.T, client *palette.Client, n int, work func(everyoneHasCalled func())) (failed int64) {
	t.Helper()
	var (
		mu    sync.Mutex
		cond  = sync.NewCond(&mu)
		round = 1
		seen  = make([]int, n) // by goroutine: the round in which its last completed call started
		stop  bool
		wg    sync.WaitGroup
	)
	for i := range n {
		wg.Go(func() {
			for {
				mu.Lock()
				started, stopped := round, stop
				mu.Unlock()
				if stopped {
					return
				}
				_, err := client.APIKeys.List(t.Context())
				mu.Lock()
				if err != nil {
					failed++
					t.Log(err)
				}
				seen[i] = started
				cond.Broadcast()
				mu.Unlock()
			}
		})
	}
	work(func() {
		mu.Lock()
		defer mu.Unlock()
		round++
		for i := range seen {
			for seen[i] < round {
				cond.Wait()
			}
		}
	})
	mu.Lock()
	stop = true
	mu.Unlock()
	wg.Wait()
	return failed
}
