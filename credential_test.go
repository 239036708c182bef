package palette_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// Every redirect is refused: neither the place it points to nor the server itself
// gets another request, and what a Location may hold of secrets is not repeated.
func TestRedirectIsNeverFollowed(t *testing.T) {
	t.Parallel()
	const secret = "LOCATION-SECRET"

	var stolen atomic.Int64 // connections to anywhere but the server
	attacker, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = attacker.Close() })
	go func() {
		for {
			conn, err := attacker.Accept()
			if err != nil {
				return
			}
			stolen.Add(1)
			_ = conn.Close()
		}
	}()

	var requests atomic.Int64
	var status atomic.Int64
	var location atomic.Value
	victim := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		if target := location.Load().(string); target != "" {
			w.Header()["Location"] = []string{target}
		}
		w.WriteHeader(int(status.Load()))
		if status.Load() == 302 {
			_, _ = fmt.Fprintf(w, "Found. Redirecting to %s", location.Load()) // as Express does
		}
	}))
	t.Cleanup(victim.Close)
	victimAddr := victim.Listener.Addr().String()

	// Whatever is dialled beside the server is the attacker, who would be trusted.
	transport := &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, // the attacker shall have every chance
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr != victimAddr {
				addr = attacker.Addr().String()
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	probe, err := transport.DialContext(context.Background(), "tcp", "attacker.test:443")
	require.NoError(t, err)
	_, _ = io.ReadAll(probe)
	require.EqualValues(t, 1, stolen.Swap(0), "the attacker cannot be reached: the test would prove nothing")

	asked := func(*http.Request, []*http.Request) error {
		t.Error("CheckRedirect was asked")
		return nil
	}
	client := attackSetup{url: victim.URL + attackPrefix, retry: attackTwice, more: []palette.Option{
		palette.WithHTTPClient(&http.Client{Transport: transport, CheckRedirect: asked}),
	}}.client(t)

	locations := map[string]string{ // and what remains of them
		"https://attacker.test/steal?token=" + secret:         "https://attacker.test/steal",
		"http://attacker.test/steal#" + secret:                "http://attacker.test/steal",
		"http://user:" + secret + "@attacker.test/steal":      "http://attacker.test/steal",
		"//attacker.test/steal?" + secret:                     "//attacker.test/steal",
		"http://127.0.0.1:1/steal?" + secret:                  "http://127.0.0.1:1/steal",
		"https://" + victimAddr + attackPrefix + "?" + secret: "https://" + victimAddr + attackPrefix,
		victim.URL + attackPrefix + "/v1/apiKeys?" + secret:   victim.URL + attackPrefix + "/v1/apiKeys",
		attackPrefix + "/v1/apiKeys/other?" + secret:          attackPrefix + "/v1/apiKeys/other",
		"?" + secret:                          "",
		"http://[::1?" + secret:               "",
		"%zz?" + secret:                       "",
		"http://attacker.test:port?" + secret: "",
		"mailto:" + secret:                    "",
		"":                                    "",
	}
	for code := 300; code <= 308; code++ {
		status.Store(int64(code))
		for target, remains := range locations {
			location.Store(target)
			for _, call := range attackCalls() {
				requests.Store(0)
				nothing, err := call.do(t.Context(), client.APIKeys)
				where := fmt.Sprintf("%s, %d to %q", call.name, code, target)

				var apiErr *palette.APIError
				require.ErrorAs(t, err, &apiErr, where)
				require.True(t, attackIs(t, err, palette.ErrRedirect), where)
				require.True(t, nothing, where)
				require.EqualValues(t, 1, requests.Load(), "requests of %s", where)
				require.Zero(t, stolen.Load(), "connections to the attacker by %s", where)
				require.Equal(t, code, apiErr.StatusCode)
				require.Equal(t, remains, apiErr.Location, where)
				require.NotContains(t, fmt.Sprintf("%v %#v", err, err), secret, where)
			}
		}
	}
	attackNoLeak(t, func() error { _, err := client.APIKeys.Get(t.Context(), attackUID); return err }(), attackKey, secret)
}

// The header goes out as the caller gave it, in one header only, and nowhere but there.
func TestCredentialIsInItsHeaderAlone(t *testing.T) {
	t.Parallel()
	for _, key := range attackKeys {
		for header, credential := range map[string]palette.Option{
			"Apikey":        palette.WithAPIKey(key),
			"Authorization": palette.WithAuthToken(key),
		} {
			rt := attackTrip(func(req *http.Request) (*http.Response, error) {
				assert.Equal(t, []string{key}, req.Header[header])
				rest := req.Header.Clone()
				delete(rest, header)
				assert.NotContains(t, fmt.Sprint(rest, req.URL, req.Host, req.Form, req.Trailer), key)
				return attackReply(204, "", ""), nil
			})
			client := attackSetup{key: "-", rt: rt, more: []palette.Option{credential}}.client(t)
			require.NoError(t, client.APIKeys.Delete(t.Context(), attackUID))
		}
	}
}

func TestCredentialFunctionThatFailsSendsNothing(t *testing.T) {
	t.Parallel()
	vault := errors.New("vault is sealed")
	for _, call := range attackCalls() {
		var asked, sent atomic.Int64
		client := attackSetup{
			key: "-", retry: attackTwice,
			rt: attackTrip(func(*http.Request) (*http.Response, error) {
				sent.Add(1)
				return attackReply(204, "", ""), nil
			}),
			more: []palette.Option{palette.WithAPIKeyFunc(func(context.Context) (string, error) {
				asked.Add(1)
				return attackKey, vault // the key must not be taken, nor shown
			})},
		}.client(t)
		nothing, err := call.do(t.Context(), client.APIKeys)
		require.ErrorIs(t, err, vault, call.name)
		attackIs(t, err)
		attackNoLeak(t, err)
		assert.True(t, nothing)
		assert.EqualValues(t, 1, asked.Load(), "%s: it would only fail again", call.name)
		assert.Zero(t, sent.Load(), call.name)
	}
}

func TestCredentialFunctionErrorDoesNotShowTheKey(t *testing.T) {
	t.Parallel()
	client := attackSetup{key: "-", more: []palette.Option{palette.WithAPIKeyFunc(func(context.Context) (string, error) {
		return attackKey, fmt.Errorf("not yet valid: %s", attackKey)
	})}}.client(t)
	err := client.APIKeys.Delete(t.Context(), attackUID)
	require.ErrorContains(t, err, "not yet valid: [REDACTED]")
	attackNoLeak(t, err)
}

func TestCredentialFunctionIsBoundByTheAttempt(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		synctest.Test(t, func(t *testing.T) {
			asked, sent := 0, 0
			client := attackSetup{
				key: "-", retry: attackTwice,
				rt: attackTrip(func(*http.Request) (*http.Response, error) {
					sent++
					return attackReply(204, "", ""), nil
				}),
				more: []palette.Option{
					palette.WithTimeout(3 * time.Second),
					palette.WithAPIKeyFunc(func(ctx context.Context) (string, error) {
						asked++
						<-ctx.Done()
						return attackKey, nil // too late
					}),
				},
			}.client(t)
			start := time.Now()
			_, err := call.do(t.Context(), client.APIKeys)
			attackIs(t, err, context.DeadlineExceeded)
			attackNoLeak(t, err)
			assert.Equal(t, 3*time.Second, time.Since(start))
			assert.Equal(t, 1, asked, call.name)
			assert.Zero(t, sent, "%s was sent after its attempt was over", call.name)
		})
	}
}

func TestCredentialFunctionWithAnInvalidKeySendsNothing(t *testing.T) {
	t.Parallel()
	for _, key := range []string{
		"", " ", "secret-part\n", "\nsecret-part", "secret-part\r\nX-Evil: 1", "Bearer secret-part", "secret-part\x00",
		"secret\tpart", "secret-part\x7f", "secret-part\u0085", "secret-part\u00a0", "secret-part\u2028", "\u009fsecret-part",
	} {
		sent := 0
		client := attackSetup{
			key: "-", retry: attackTwice,
			rt: attackTrip(func(*http.Request) (*http.Response, error) {
				sent++
				return attackReply(204, "", ""), nil
			}),
			more: []palette.Option{palette.WithAPIKeyFunc(func(context.Context) (string, error) { return key, nil })},
		}.client(t)
		err := client.APIKeys.Delete(t.Context(), attackUID)
		require.ErrorContains(t, err, "credential", "%q was taken", key)
		assert.Zero(t, sent, "%q was sent", key)
		assert.NotContains(t, attackForms(err), "secret-part")

		_, err = palette.NewClient(palette.WithAPIKey(key))
		require.ErrorIs(t, err, palette.ErrInvalidArgument, "%q was taken", key)
		assert.NotContains(t, attackForms(err), "secret-part")
	}
}

// A key that is rotated while a call waits to be sent again is the new one then.
func TestCredentialFunctionIsAskedAtEveryAttempt(t *testing.T) {
	t.Parallel()
	const oldKey, newKey = "old/key+1", "new/key+2"
	for _, call := range attackCalls() {
		asked := 0
		var got []string
		client := attackSetup{
			key: "-", retry: attackTwice,
			rt: attackTrip(func(req *http.Request) (*http.Response, error) {
				got = append(got, req.Header.Get("ApiKey"))
				if len(got) == 1 {
					return attackReply(429, "", ""), nil
				}
				return attackReply(401, "application/json", `{"code":"C","message":"not this one: `+newKey+`"}`), nil
			}),
			more: []palette.Option{palette.WithAPIKeyFunc(func(context.Context) (string, error) {
				asked++
				return map[int]string{1: oldKey, 2: newKey}[asked], nil
			})},
		}.client(t)
		_, err := call.do(t.Context(), client.APIKeys)
		attackIs(t, err, palette.ErrUnauthorized)
		assert.Equal(t, []string{oldKey, newKey}, got, call.name)
		assert.Equal(t, "palette: "+call.op+": 401 C: not this one: [REDACTED] (2 attempts)", err.Error())
		attackNoLeak(t, err, oldKey, newKey)
	}
}

// Over plain http the key would be readable on the way: only this machine is safe.
func TestCredentialIsNotSentInTheClear(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		"palette.test", "10.0.0.1", "127.0.0.1.attacker.test", "localhost.attacker.test", "localhost@attacker.test",
		"0.0.0.0", "[2001:db8::1]", "2130706433", "0x7f.1", "127.1",
	} {
		_, err := palette.NewClient(palette.WithAPIKey(attackKey), palette.WithBaseURL("http://"+host))
		require.ErrorIs(t, err, palette.ErrInvalidArgument, host)
	}
	for _, host := range []string{"127.0.0.1", "127.9.9.9:8080", "[::1]", "localhost:80"} {
		_, err := palette.NewClient(palette.WithAPIKey(attackKey), palette.WithBaseURL("http://"+host))
		require.NoError(t, err, host)
	}
}

// Over every door into NewClient: what it refuses, it does not quote.
func TestRefusedOptionsDoNotShowSecrets(t *testing.T) {
	t.Parallel()
	const secret = "OPTION-SECRET"
	for _, opts := range [][]palette.Option{
		{palette.WithAPIKey(secret + "\n")},
		{palette.WithAuthToken("Bearer " + secret)},
		{palette.WithAPIKey(secret), palette.WithAuthToken(secret)},
		{palette.WithAPIKey(secret), palette.WithAPIKey(secret)},
		{palette.WithAPIKey(secret), palette.WithBaseURL("https://user:" + secret + "@palette.test")},
		{palette.WithAPIKey(secret), palette.WithBaseURL("https://palette.test/?key=" + secret)},
		{palette.WithAPIKey(secret), palette.WithBaseURL("https://palette.test/#" + secret)},
		{palette.WithAPIKey(secret), palette.WithBaseURL("https://palette.test:" + secret)},
		{palette.WithAPIKey(secret), palette.WithBaseURL("ftp://" + secret)},
		{palette.WithAPIKey(secret), palette.WithBaseURL("https://%zz" + secret)},
		{palette.WithAPIKey(secret), palette.WithTimeout(-1)},
	} {
		client, err := palette.NewClient(opts...)
		require.ErrorIs(t, err, palette.ErrInvalidArgument)
		assert.Nil(t, client)
		attackNoLeak(t, err, secret)
		assert.True(t, strings.HasPrefix(err.Error(), "palette: NewClient: "), err)
	}
}

// A function that fetches the key over HTTP connects with the attempt's context. Its
// connections say nothing about what was sent to Palette.
func TestConnectionsOfTheCredentialFunctionAreNoneOfTheAttempt(t *testing.T) {
	t.Parallel()
	vault := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, attackKey) }))
	t.Cleanup(vault.Close)
	fetchFrom := func(url string) palette.Option {
		return palette.WithAPIKeyFunc(func(ctx context.Context) (string, error) {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return "", err
			}
			resp, err := new(http.Client).Do(req)
			if err != nil {
				return attackKey, nil // the one it had
			}
			defer resp.Body.Close()
			key, err := io.ReadAll(resp.Body)
			return string(key), err
		})
	}
	create := attackCalls()[0]

	t.Run("the function connects and Palette refuses: nothing was sent", func(t *testing.T) {
		t.Parallel()
		client := attackSetup{key: "-", url: attackRefused, retry: attackTwice, more: []palette.Option{fetchFrom(vault.URL)}}.client(t)
		_, err := create.do(t.Context(), client.APIKeys)
		require.NotErrorIs(t, err, palette.ErrOutcomeUnknown)
		require.ErrorContains(t, err, "3 attempts")
	})
	t.Run("the function is refused and Palette may have the request: not sent again", func(t *testing.T) {
		t.Parallel()
		sent := 0
		client := attackSetup{key: "-", retry: attackTwice, more: []palette.Option{fetchFrom(attackRefused)}, rt: attackTrip(func(*http.Request) (*http.Response, error) {
			sent++
			return nil, io.ErrUnexpectedEOF
		})}.client(t)
		_, err := create.do(t.Context(), client.APIKeys)
		require.ErrorIs(t, err, palette.ErrOutcomeUnknown)
		assert.Equal(t, 1, sent)
	})
}

// A key that is given as a uid by mistake would be in the path, which everybody logs.
func TestCredentialGivenAsAUIDIsNotSent(t *testing.T) {
	t.Parallel()
	const key = "0123456789abcdefABCDEF9876543210"
	var log bytes.Buffer
	client := attackSetup{key: key, rt: attackTrip(func(*http.Request) (*http.Response, error) {
		t.Error("it was sent")
		return attackReply(204, "", ""), nil
	}), more: []palette.Option{palette.WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))}}.client(t)
	err := client.APIKeys.Delete(t.Context(), key)
	require.ErrorContains(t, err, "given as a uid")
	attackNoLeak(t, err, key)
	assert.NotEmpty(t, log.String())
	assert.NotContains(t, log.String(), key)

	client = attackSetup{key: key, rt: attackTrip(func(*http.Request) (*http.Response, error) { return attackReply(204, "", ""), nil })}.client(t)
	require.NoError(t, client.APIKeys.Delete(t.Context(), "a"+key), "a uid that ends like the key is another word")
}
