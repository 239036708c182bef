package palette_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// validKeys are API keys with several lengths and alphabets, which are not documented.
var validKeys = []string{
	"k",
	"0123456789abcdefABCDEF9876543210",
	"q83vEjRWeJq83vEjRWeJq83vEjRWeJ+/q83vEjRWeA8=",
	`Qz7+k/4(x.*)[y]^$|w{2}\J"t&<'>=%20~`,
	"ключ-schlüssel-鍵",
}

// keyFunc is a function for WithAPIKeyFunc.
type keyFunc func(context.Context) (string, error)

// returns returns a keyFunc that returns key.
func returns(key string) keyFunc {
	return func(context.Context) (string, error) { return key, nil }
}

// newFuncClient returns a client as newTestClient does, with f instead of an API key.
func newFuncClient(t *testing.T, rt http.RoundTripper, f keyFunc, opts ...palette.Option) *palette.Client {
	t.Helper()
	client, err := palette.NewClient(append([]palette.Option{
		palette.WithAPIKeyFunc(f), palette.WithBaseURL(testBaseURL), palette.WithHTTPClient(&http.Client{Transport: rt}),
		palette.WithMaxRetries(0), palette.WithoutRateLimit(),
	}, opts...)...)
	require.NoError(t, err)
	return client
}

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
		"WithAPIKeyFunc is invalid: the argument is nil":                                {palette.WithAPIKeyFunc(nil)},
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
	for _, op := range operations() {
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
			require.NotErrorIs(t, err, palette.ErrOutcomeUnknown)
			require.EqualError(t, err, "palette: "+op.op+": credential: vault is sealed (host palette.test, 1 attempt)")
			assert.Nil(t, result)
			assert.Equal(t, 1, calls)
		})
	}
}

func TestNoRequestIsSentAfterAPIKeyFuncTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client := newFuncClient(t, newMock(t), func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return testKey, nil
		})

		_, err := createKey(t, client)

		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NotErrorIs(t, err, palette.ErrOutcomeUnknown)
	})
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
