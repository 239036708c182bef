package palette_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// The waits are measured in the virtual time of testing/synctest: they are exact.

// attackPolicy is the default policy, spelled out.
var attackPolicy = palette.RetryPolicy{MaxRetries: 3, MinWait: 500 * time.Millisecond, MaxWait: 30 * time.Second}

// attackTimes makes call while every reply is refusal, and returns when the requests came.
func attackTimes(t *testing.T, p palette.RetryPolicy, ctx context.Context, call attackCall, refusal func(n int) *http.Response) (times []time.Duration, err error) { //nolint:revive // t first, as everywhere
	t.Helper()
	start := time.Now()
	client := attackSetup{retry: p, rt: attackTrip(func(*http.Request) (*http.Response, error) {
		times = append(times, time.Since(start))
		return refusal(len(times)), nil
	})}.client(t)
	_, err = call.do(ctx, client.APIKeys)
	return append(times, time.Since(start)), err
}

func attackRefusal(status int, retryAfter string) *http.Response {
	resp := attackReply(status, "", "")
	if retryAfter != "" {
		resp.Header.Set("Retry-After", retryAfter)
	}
	return resp
}

// Retry-After is waited for to the end, neither shorter nor, as it is above the jitter, longer.
func TestRetryAfterIsWaitedFor(t *testing.T) {
	t.Parallel()
	for name, header := range map[string]func() string{
		"seconds": func() string { return "9" },
		"zeros":   func() string { return "0009" },
		"date":    func() string { return time.Now().Add(9 * time.Second).UTC().Format(http.TimeFormat) },
		"RFC 850": func() string { return time.Now().Add(9 * time.Second).UTC().Format("Monday, 02-Jan-06 15:04:05 GMT") },
		"asctime": func() string { return time.Now().Add(9 * time.Second).UTC().Format(time.ANSIC) },
	} {
		for _, status := range []int{429, 503} {
			for _, call := range attackCalls() {
				if call.creates() && status == 503 {
					continue
				}
				synctest.Test(t, func(t *testing.T) {
					times, err := attackTimes(t, attackPolicy, t.Context(), call, func(int) *http.Response { return attackRefusal(status, header()) })
					var apiErr *palette.APIError
					require.ErrorAs(t, err, &apiErr)
					assert.Equal(t, 9*time.Second, apiErr.RetryAfter)
					want := []time.Duration{0, 9 * time.Second, 18 * time.Second, 27 * time.Second, 27 * time.Second}
					assert.Equal(t, want, times, "%s, %d, %s", call.name, status, name)
				})
			}
		}
	}
}

// What is no Retry-After is as none: not negative, not for ever, not a failure.
func TestAbsurdRetryAfterIsNone(t *testing.T) {
	t.Parallel()
	for _, header := range []string{
		"", "0", "-5", "-0", "+5", "NaN", "Inf", "1e99", "1e1", "5.5", "0x5", "5s", "five", "5 5", "5,5", "٥", "1_0", "\x80",
		"Sat, 01 Jan 2000 00:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Sat, 32 Jan 2000 00:00:00 GMT", "2000-01-01T00:00:09Z",
	} {
		synctest.Test(t, func(t *testing.T) {
			times, err := attackTimes(t, attackPolicy, t.Context(), attackCalls()[4], func(int) *http.Response { return attackRefusal(429, header) })
			var apiErr *palette.APIError
			require.ErrorAs(t, err, &apiErr)
			assert.Zero(t, apiErr.RetryAfter, header)
			assert.Equal(t, 4, apiErr.Attempts, header)
			assert.Len(t, times, 5)
			assert.LessOrEqual(t, times[4], 7*time.Second, header)
			assert.GreaterOrEqual(t, times[4], 3*attackPolicy.MinWait, header)
		})
	}
}

// A server that asks for more than the policy or the context allows is never asked early: the call
// returns at once and says how long.
func TestRetryAfterBeyondTheLimitReturnsAtOnce(t *testing.T) {
	t.Parallel()
	for header, asked := range map[string]time.Duration{
		"31": 31 * time.Second, "3600": time.Hour, "9223372036": 9223372036 * time.Second,
		"9223372037": math.MaxInt64, "18446744073709551616": math.MaxInt64, "99999999999999999999": math.MaxInt64,
		"Sat, 01 Jan 2000 00:00:31 GMT": 31 * time.Second, "Fri, 31 Dec 9999 23:59:59 GMT": math.MaxInt64,
	} {
		for _, call := range attackCalls() {
			synctest.Test(t, func(t *testing.T) {
				times, err := attackTimes(t, attackPolicy, t.Context(), call, func(int) *http.Response { return attackRefusal(429, header) })
				attackIs(t, err, palette.ErrRateLimited)
				var apiErr *palette.APIError
				require.ErrorAs(t, err, &apiErr)
				assert.Equal(t, asked, apiErr.RetryAfter, header)
				assert.Equal(t, []time.Duration{0, 0}, times, "%s, %s", call.name, header)
			})
		}
	}
	for _, header := range []string{"10", "11", "30"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			times, err := attackTimes(t, attackPolicy, ctx, attackCalls()[4], func(int) *http.Response { return attackRefusal(429, header) })
			attackIs(t, err, palette.ErrRateLimited)
			assert.Equal(t, []time.Duration{0, 0}, times, header)
		})
	}
	synctest.Test(t, func(t *testing.T) { // the limits themselves are within them
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second+1)
		defer cancel()
		times, err := attackTimes(t, attackPolicy, ctx, attackCalls()[4], func(n int) *http.Response { return attackRefusal(429, []string{"30", ""}[min(n, 2)-1]) })
		attackIs(t, err, palette.ErrRateLimited)
		assert.Equal(t, []time.Duration{0, 30 * time.Second, 30 * time.Second}, times)
	})
}

// Without a word of the server the waits double, with jitter, between MinWait and MaxWait.
func TestWaitsGrowAndVaryWithinTheirBounds(t *testing.T) {
	t.Parallel()
	policy := palette.RetryPolicy{MaxRetries: 6, MinWait: 100 * time.Millisecond, MaxWait: time.Second}
	lowest := []time.Duration{100, 200, 400, 500, 500, 500}
	highest := []time.Duration{200, 400, 800, 1000, 1000, 1000}
	seen := map[int]map[time.Duration]bool{}
	for _, call := range attackCalls()[1:] {
		for range 5 {
			synctest.Test(t, func(t *testing.T) {
				times, err := attackTimes(t, policy, t.Context(), call, func(int) *http.Response { return attackRefusal(503, "") })
				attackIs(t, err, palette.ErrServer)
				require.Len(t, times, 8)
				assert.Equal(t, times[6], times[7], "a wait after the last attempt")
				for i := range 6 {
					wait := times[i+1] - times[i]
					assert.GreaterOrEqual(t, wait, lowest[i]*time.Millisecond, "wait %d", i+1)
					assert.LessOrEqual(t, wait, highest[i]*time.Millisecond, "wait %d", i+1)
					if seen[i] == nil {
						seen[i] = map[time.Duration]bool{}
					}
					seen[i][wait] = true
				}
			})
		}
	}
	for i, waits := range seen {
		assert.Greater(t, len(waits), 25, "wait %d hardly varies", i+1)
	}
}

// MinWait equal to MaxWait leaves no room for jitter, and no panic.
func TestWaitsWithoutRoomForJitter(t *testing.T) {
	t.Parallel()
	for _, d := range []time.Duration{1, time.Second, math.MaxInt64 / 8} {
		synctest.Test(t, func(t *testing.T) {
			times, _ := attackTimes(t, palette.RetryPolicy{MaxRetries: 2, MinWait: d, MaxWait: d}, t.Context(), attackCalls()[4],
				func(int) *http.Response { return attackRefusal(503, "") })
			assert.Equal(t, []time.Duration{0, d, 2 * d, 2 * d}, times)
		})
	}
}

// attackPipe is a transport whose connections lead to serve, in memory: synctest knows when
// all is waiting.
func attackPipe(t *testing.T, serve func(net.Conn)) *http.Transport {
	t.Helper()
	rt := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		t.Cleanup(func() { _ = server.Close() })
		go func() {
			defer func() { _ = server.Close() }()
			serve(server)
		}()
		return client, nil
	}}
	t.Cleanup(rt.CloseIdleConnections)
	return rt
}

// attackHang waits until the other side has gone.
func attackHang(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// attackPlainURL needs no handshake.
const attackPlainURL = "http://127.0.0.1:9" + attackPrefix

// attackPhases are the places where a call can be when its context ends. Each makes a client that hangs
// there.
var attackPhases = map[string]struct {
	client func(*testing.T, attackCall) *palette.Client
	lost   bool  // a Create may have been done
	also   error // that the error is, beside the context's
}{
	"asking for the credential": {client: func(t *testing.T, _ attackCall) *palette.Client {
		return attackSetup{key: "-", rt: attackUnreachable(t), more: []palette.Option{palette.WithAPIKeyFunc(func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return "", ctx.Err()
		})}}.client(t)
	}},
	"asking for the credential, which comes": {client: func(t *testing.T, _ attackCall) *palette.Client {
		return attackSetup{key: "-", rt: attackUnreachable(t), more: []palette.Option{palette.WithAPIKeyFunc(func(ctx context.Context) (string, error) {
			<-ctx.Done()
			return attackKey, nil
		})}}.client(t)
	}},
	"pacing": {client: func(t *testing.T, _ attackCall) *palette.Client {
		rt := attackTrip(func(*http.Request) (*http.Response, error) { return attackReply(404, "", ""), nil })
		client := attackSetup{rt: rt, more: []palette.Option{palette.WithRateLimit(0.001, 1)}}.client(t)
		require.ErrorIs(t, client.APIKeys.Delete(context.Background(), attackUID), palette.ErrNotFound) // uses up the burst
		return client
	}},
	"dialling": {client: func(t *testing.T, _ attackCall) *palette.Client {
		return attackSetup{rt: &http.Transport{DialContext: attackStalledDial(t)}}.client(t)
	}},
	"shaking hands": {client: func(t *testing.T, _ attackCall) *palette.Client { // attackURL is https
		return attackSetup{rt: attackPipe(t, attackHang)}.client(t)
	}},
	"waiting for the reply": {lost: true, client: func(t *testing.T, _ attackCall) *palette.Client {
		return attackSetup{url: attackPlainURL, rt: attackPipe(t, attackHang)}.client(t)
	}},
	"reading the headers": {lost: true, client: func(t *testing.T, call attackCall) *palette.Client {
		return attackHanging(t, attackHead(call, "Content-Ty"))
	}},
	"reading the body": {lost: true, client: func(t *testing.T, call attackCall) *palette.Client {
		if call.reply == "" {
			return attackHanging(t, "HTTP/1.1") // there is no body to be read
		}
		return attackHanging(t, attackHead(call, "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"+call.reply))
	}},
	"reading the body of a refusal": {also: palette.ErrNotFound, client: func(t *testing.T, _ attackCall) *palette.Client {
		return attackHanging(t, "HTTP/1.1 404 No\r\nContent-Length: 500\r\n\r\n{")
	}},
	"reading the body of a refusal that passes": {also: palette.ErrRateLimited, client: func(t *testing.T, _ attackCall) *palette.Client {
		return attackHanging(t, "HTTP/1.1 429 No\r\nContent-Length: 500\r\n\r\n{")
	}},
	"waiting between attempts": {also: palette.ErrRateLimited, client: func(t *testing.T, _ attackCall) *palette.Client {
		return attackSetup{retry: attackPolicy, rt: attackTrip(func(*http.Request) (*http.Response, error) { return attackRefusal(429, "20"), nil })}.client(t)
	}},
	"waiting after a refused connection": {client: func(t *testing.T, _ attackCall) *palette.Client {
		return attackSetup{
			rt:    attackTrip(func(*http.Request) (*http.Response, error) { return nil, attackDialError }),
			retry: palette.RetryPolicy{MaxRetries: 1, MinWait: 20 * time.Second, MaxWait: 20 * time.Second},
		}.client(t)
	}},
}

// attackStalledDial takes an hour. Its context is not the request's: net/http goes on dialling for
// whoever comes next.
func attackStalledDial(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	t.Helper()
	t.Cleanup(func() { time.Sleep(2 * time.Hour) }) //nolint:forbidigo // virtual hours, until the last dial has ended
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Hour):
		}
		return nil, errors.New("the dial has ended")
	}
}

// attackHanging is a client of a server that sends only the beginning of a reply.
func attackHanging(t *testing.T, beginning string) *palette.Client {
	t.Helper()
	return attackSetup{url: attackPlainURL, retry: attackTwice, rt: attackPipe(t, func(conn net.Conn) {
		if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
			_, _ = io.Copy(io.Discard, req.Body)
		}
		_, _ = io.WriteString(conn, beginning)
		attackHang(conn)
	})}.client(t)
}

func attackUnreachable(t *testing.T) http.RoundTripper {
	t.Helper()
	return attackTrip(func(*http.Request) (*http.Response, error) {
		t.Error("a request was sent")
		return attackReply(500, "", ""), nil
	})
}

// In whatever phase its context is canceled, a call returns in that very instant, with the
// context's error and its cause. Only a Create that may have been sent is of unknown outcome.
func TestCancellationInEveryPhase(t *testing.T) {
	t.Parallel()
	cause := errors.New("the operator changed her mind")
	for phase, hang := range attackPhases {
		for _, call := range attackCalls() {
			synctest.Test(t, func(t *testing.T) {
				client := hang.client(t, call)
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(7*time.Second, func() { cancel(cause) })
				start := time.Now()
				nothing, err := call.do(ctx, client.APIKeys)
				where := call.name + ", " + phase

				require.Equal(t, 7*time.Second, time.Since(start), where)
				require.ErrorIs(t, err, cause, where)
				kinds := []error{context.Canceled}
				if hang.also != nil {
					kinds = append(kinds, hang.also)
				}
				if call.creates() && hang.lost {
					kinds = append(kinds, palette.ErrOutcomeUnknown)
				}
				if call.reply != "" && phase == "reading the body" {
					kinds = append(kinds, palette.ErrUnexpectedResponse)
				}
				require.True(t, attackIs(t, err, kinds...), where)
				require.True(t, nothing, where)
				attackNotQuoted(t, err, attackKey, attackMadeKey)
			})
		}
	}
}

// The same for a deadline. A wait that would last longer is not even begun.
func TestDeadlineInEveryPhase(t *testing.T) {
	t.Parallel()
	for phase, hang := range attackPhases {
		for _, call := range attackCalls() {
			synctest.Test(t, func(t *testing.T) {
				client := hang.client(t, call)
				ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
				defer cancel()
				start := time.Now()
				_, err := call.do(ctx, client.APIKeys)
				where := call.name + ", " + phase
				switch phase {
				case "waiting between attempts", "waiting after a refused connection":
					require.Zero(t, time.Since(start), where)
					require.NotErrorIs(t, err, context.DeadlineExceeded, where)
				case "pacing":
					require.Zero(t, time.Since(start), where)
					require.ErrorIs(t, err, context.DeadlineExceeded, where)
				default:
					require.Equal(t, 7*time.Second, time.Since(start), where)
					require.ErrorIs(t, err, context.DeadlineExceeded, where)
				}
				require.NotErrorIs(t, err, context.Canceled, where)
				require.Equal(t, call.creates() && hang.lost, errors.Is(err, palette.ErrOutcomeUnknown), where)
			})
		}
	}
}

// A context that is done before the call sends nothing and is all that the error tells.
func TestContextThatIsDoneSendsNothing(t *testing.T) {
	t.Parallel()
	cause := errors.New("shutting down")
	for _, call := range attackCalls() {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		asked := false
		for _, limit := range []palette.Option{nil, palette.WithRateLimit(1e6, 1000)} {
			client := attackSetup{key: "-", rt: attackUnreachable(t), retry: attackTwice, more: []palette.Option{
				limit,
				palette.WithAPIKeyFunc(func(context.Context) (string, error) {
					asked = true
					return attackKey, nil
				}),
			}}.client(t)
			nothing, err := call.do(ctx, client.APIKeys)
			attackIs(t, err, context.Canceled)
			require.ErrorIs(t, err, cause)
			assert.True(t, nothing)

			expired, cancelExpired := context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
			_, err = call.do(expired, client.APIKeys)
			attackIs(t, err, context.DeadlineExceeded)
			cancelExpired()
		}
		assert.False(t, asked, "the credential was asked for")
	}
}

// The timeout is each attempt's own, from the first to the last byte: a call outlives it, and
// what it repeats is what the table says.
func TestTimeoutIsOfOneAttempt(t *testing.T) {
	t.Parallel()
	for phase, hang := range map[string]string{"reply": "", "headers": "HTTP/1.1 200 O", "body": "body"} {
		for _, call := range attackCalls() {
			if phase == "body" {
				if call.reply == "" {
					continue
				}
				hang = attackHead(call, "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{")
			}
			synctest.Test(t, func(t *testing.T) {
				attempts := 0
				client := attackSetup{
					url: attackPlainURL, retry: attackTwice, more: []palette.Option{palette.WithTimeout(4 * time.Second)},
					rt: attackPipe(t, func(conn net.Conn) {
						attempts++
						if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
							_, _ = io.Copy(io.Discard, req.Body)
						}
						_, _ = io.WriteString(conn, hang)
						attackHang(conn)
					}),
				}.client(t)
				start := time.Now()
				_, err := call.do(t.Context(), client.APIKeys)
				want := 3
				if call.creates() {
					want = 1
				}
				where := call.name + ", " + phase
				require.ErrorIs(t, err, context.DeadlineExceeded, where)
				require.NoError(t, t.Context().Err())
				require.Equal(t, want, attempts, where)
				require.Equal(t, call.creates(), errors.Is(err, palette.ErrOutcomeUnknown), where)
				require.Equal(t, time.Duration(want)*4*time.Second, time.Since(start).Round(time.Millisecond), where)
			})
		}
	}
}

// The timeout bounds a stalled connection attempt as well; nothing was sent then.
func TestTimeoutWhileDialling(t *testing.T) {
	t.Parallel()
	for _, call := range attackCalls() {
		synctest.Test(t, func(t *testing.T) {
			var dialled atomic.Int64
			client := attackSetup{
				retry: attackTwice, more: []palette.Option{palette.WithTimeout(4 * time.Second)},
				rt: attackDialled(&dialled, attackStalledDial(t)),
			}.client(t)
			_, err := call.do(t.Context(), client.APIKeys)
			attackIs(t, err, context.DeadlineExceeded)
			require.EqualValues(t, 3, dialled.Load(), call.name)
		})
	}
}

// Every request takes its turn, repeats included.
func TestRateLimitPacesRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var times []time.Duration
		client := attackSetup{retry: attackTwice, more: []palette.Option{palette.WithRateLimit(0.5, 1)}, rt: attackTrip(func(*http.Request) (*http.Response, error) {
			times = append(times, time.Since(start).Round(time.Millisecond))
			return attackReply(503, "", ""), nil
		})}.client(t)
		for range 2 {
			_, err := client.APIKeys.Get(t.Context(), attackUID)
			attackIs(t, err, palette.ErrServer)
		}
		assert.Equal(t, []time.Duration{0, 2 * time.Second, 4 * time.Second, 6 * time.Second, 8 * time.Second, 10 * time.Second}, times)
	})
}

// In real time and over real sockets: 100 ms are promised, and a busy machine gets twenty times
// as long.
func TestCancellationOverRealSockets(t *testing.T) {
	t.Parallel()
	cert, pool := attackCertificate()
	for phase, answer := range map[string]string{
		"shaking hands": "", "waiting for the reply": "", "reading the headers": "HTTP/1.1 200 OK\r\nContent-Ty",
		"reading the body": "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{",
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var canceled atomic.Pointer[time.Time]
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		require.NoError(t, err)
		attackServe(t, listener, func(conn net.Conn) {
			if phase != "shaking hands" {
				secured := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
				_, _ = http.ReadRequest(bufio.NewReader(secured))
				_, _ = io.WriteString(secured, answer)
			}
			now := time.Now()
			canceled.Store(&now)
			cancel()
			attackHang(conn)
		})
		client := attackSetup{url: "https://" + listener.Addr().String(), retry: attackTwice, more: []palette.Option{palette.WithRootCAs(pool)}}.client(t)
		_, err = client.APIKeys.Get(ctx, attackUID)
		require.ErrorIs(t, err, context.Canceled, phase)
		assert.Less(t, time.Since(*canceled.Load()), 2*time.Second, phase)
	}
}
