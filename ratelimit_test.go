package palette_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/time/rate"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// limitedServer is a transport that responds as a server with a rate limit, with a latency
// of 40 milliseconds. All times in this file are virtual.
type limitedServer struct {
	limit    *rate.Limiter // nil: everything is refused
	refuse   func() *http.Response
	requests atomic.Int64
}

func (s *limitedServer) RoundTrip(req *http.Request) (*http.Response, error) {
	s.requests.Add(1)
	time.Sleep(20 * time.Millisecond) //nolint:forbidigo // virtual time
	allowed := s.limit != nil && s.limit.Allow()
	time.Sleep(20 * time.Millisecond) //nolint:forbidigo // virtual time
	switch {
	case !allowed:
		return s.refuse(), nil
	case req.Method == http.MethodPost:
		return respond(201, `{"apiKey":"value","uid":"u"}`)(req)
	}
	return respond(200, testKeyJSON)(req)
}

func refusedByPalette() *http.Response {
	return newResponse(429, http.Header{"Content-Type": {"application/json"}}, `{"code":"TooManyRequests","message":"slow down"}`)
}

func refusedByTraefik() *http.Response {
	return newResponse(429, http.Header{"Content-Type": {"text/plain"}, "Retry-After": {"1"}, "X-Retry-In": {"50ms"}}, "Too Many Requests")
}

func refusedByNginx() *http.Response {
	return newResponse(503, http.Header{"Content-Type": {"text/html"}}, "<html><h1>503 Service Temporarily Unavailable</h1></html>")
}

func unavailable() *http.Response {
	return newResponse(503, http.Header{"Content-Type": {"application/json"}}, `{"code":"ServiceUnavailable"}`)
}

func TestLargestNumberOfRetriesDoesNotOverflow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMock(t, busy(429), respond(200, testKeyJSON))

		require.NoError(t, getKey(t, newDefaultClient(t, m, palette.WithMaxRetries(math.MaxInt))))
	})
}

func TestRateLimitOfFleets(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name                string
		clients, goroutines int
		creates             int // of all clients
		perSecond           rate.Limit
		burst               int
		refuse              func() *http.Response
		maxRequests         int64 // 0: not limited
		maxDuration         time.Duration
	}{
		{"one client, documented limit", 1, 64, 200, 10, 50, refusedByPalette, 220, 19 * time.Second},
		{"four clients", 4, 16, 240, 10, 50, refusedByPalette, 400, 40 * time.Second},
		{"ten clients", 10, 16, 400, 10, 50, refusedByPalette, 0, time.Hour},
		{"lower limit, Traefik", 1, 64, 120, 20, 10, refusedByTraefik, 190, 18 * time.Second},
		{"a fifth of the documented limit", 1, 64, 120, 2, 10, refusedByPalette, 0, time.Hour},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := &limitedServer{limit: rate.NewLimiter(tt.perSecond, tt.burst), refuse: tt.refuse}
				start := time.Now()

				failed := createInFleet(t, server, tt.clients, tt.goroutines, tt.creates/tt.clients)

				assert.Zero(t, failed)
				assert.LessOrEqual(t, time.Since(start), tt.maxDuration)
				if tt.maxRequests > 0 {
					assert.LessOrEqual(t, server.requests.Load(), tt.maxRequests)
				}
			})
		})
	}
}

// createInFleet creates n keys with each of several clients that know nothing of each
// other, and returns the number of failed calls.
func createInFleet(t *testing.T, server http.RoundTripper, clients, goroutines, n int) int64 {
	t.Helper()
	var wg sync.WaitGroup
	var failed atomic.Int64
	for range clients {
		client := newDefaultClient(t, server)
		wg.Go(func() { failed.Add(createConcurrently(t, client, n, goroutines)) })
	}
	wg.Wait()
	return failed.Load()
}

func TestRateLimitBoundsTheRequestsOfAnOutage(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func() *http.Response{"of Palette": unavailable, "of a proxy": refusedByNginx} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := &limitedServer{refuse: refuse}
				client := newDefaultClient(t, server)
				ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				defer cancel()
				var wg sync.WaitGroup
				for range 64 {
					wg.Go(func() {
						for ctx.Err() == nil {
							_, err := client.APIKeys.Get(ctx, testUID)
							assert.Error(t, err)
							time.Sleep(time.Millisecond) //nolint:forbidigo // virtual time
						}
					})
				}
				wg.Wait()

				assert.LessOrEqual(t, server.requests.Load(), int64(140))
			})
		})
	}
}

// requestTimes gets a key n times, one after the other, and returns when each request was
// sent, in milliseconds after the first.
func requestTimes(t *testing.T, client func(rt http.RoundTripper) *palette.Client, n int) []int {
	t.Helper()
	var times []int
	start := time.Now()
	c := client(roundTripFunc(func(req *http.Request) (*http.Response, error) {
		times = append(times, int(time.Since(start).Milliseconds()))
		return respond(200, testKeyJSON)(req)
	}))
	for range n {
		require.NoError(t, getKey(t, c))
	}
	return times
}

func TestRateLimitOption(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts []palette.Option
		want []int // when requests are sent, in milliseconds
	}{
		{"rate and burst", []palette.Option{palette.WithRateLimit(2, 3)}, []int{0, 0, 0, 500, 1000}},
		{"rate below 1", []palette.Option{palette.WithRateLimit(0.5, 1)}, []int{0, 2000, 4000}},
		{"off", []palette.Option{palette.WithRateLimit(0.5, 1), palette.WithoutRateLimit()}, []int{0, 0, 0}},
		{"on again", []palette.Option{palette.WithoutRateLimit(), palette.WithRateLimit(1, 1)}, []int{0, 1000, 2000}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				newClient := func(rt http.RoundTripper) *palette.Client { return newDefaultClient(t, rt, tt.opts...) }

				assert.Equal(t, tt.want, requestTimes(t, newClient, len(tt.want)))
			})
		})
	}
}

func TestDefaultRateLimitIs9PerSecondAndBurstsOf45(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		newClient := func(rt http.RoundTripper) *palette.Client { return newDefaultClient(t, rt) }

		times := requestTimes(t, newClient, 54)

		assert.Equal(t, 0, times[44])
		assert.Equal(t, 111, times[45])
		assert.Equal(t, 1000, times[53])
	})
}

func TestDerivedClientsShareTheRateLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		m := newMock(t, respond(200, testKeyJSON), respond(200, testKeyJSON))
		client := newDefaultClient(t, m, palette.WithRateLimit(1, 1))
		derived, err := client.WithAPIKey("another-key")
		require.NoError(t, err)

		require.NoError(t, getKey(t, client))
		require.NoError(t, getKey(t, derived))

		assert.Equal(t, time.Second, time.Since(start))
	})
}

// overloadedOnce returns a transport that reports an overload at the nth request, and
// records when each request was sent, in milliseconds.
func overloadedOnce(n int, overload func() *http.Response, times *[]int) http.RoundTripper {
	start := time.Now()
	return roundTripFunc(func(req *http.Request) (*http.Response, error) {
		*times = append(*times, int(time.Since(start).Milliseconds()))
		if len(*times) == n {
			return overload(), nil
		}
		return respond(200, testKeyJSON)(req)
	})
}

func TestOverloadHalvesTheRateAndEndsBursts(t *testing.T) {
	t.Parallel()
	for name, overload := range map[string]func() *http.Response{"429": refusedByPalette, "503 of a proxy": refusedByNginx} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var times []int
				client := newDefaultClient(t, overloadedOnce(1, overload, &times), palette.WithRateLimit(10, 100),
					palette.WithMaxRetries(1), palette.WithBackoff(0, time.Second))

				for range 4 {
					require.NoError(t, getKey(t, client))
				}

				// 5 per second, then 5 % of 10 per second more after each second: 0.2 s later 5.1.
				assert.Equal(t, []int{0, 0, 200, 396, 588}, times)
			})
		})
	}
}

func Test503OfPaletteDoesNotSlowTheClientDown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var times []int
		client := newDefaultClient(t, overloadedOnce(1, unavailable, &times), palette.WithRateLimit(10, 100),
			palette.WithMaxRetries(1), palette.WithBackoff(0, time.Second))

		for range 3 {
			require.NoError(t, getKey(t, client))
		}

		assert.Equal(t, []int{0, 0, 0, 0}, times)
	})
}

func TestRetryAfterOfAnOverloadPausesAllCalls(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		response   httpmock.Responder
		maxBackoff time.Duration
		want       time.Duration // until another call is sent
	}{
		{"as the server asks", busyFor(429, "4"), 10 * time.Second, 4 * time.Second},
		{"at most the maximum backoff", busyFor(429, "4"), 2 * time.Second, 2 * time.Second},
		{"not if Palette responds with 503", busyFor(503, "4"), 10 * time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMock(t, tt.response, respond(200, testKeyJSON), respond(200, testKeyJSON))
				client := newDefaultClient(t, m, palette.WithMaxRetries(0), palette.WithBackoff(0, tt.maxBackoff))
				require.Error(t, getKey(t, client))
				start := time.Now()
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()

				_, err := client.APIKeys.Get(ctx, testUID)
				assert.Equal(t, tt.want > 0, errors.Is(err, palette.ErrRateLimited))
				assert.Zero(t, time.Since(start))
				require.NoError(t, getKey(t, client))

				assert.Equal(t, tt.want, time.Since(start))
			})
		})
	}
}

// Several requests that were in progress at the same time report the same overload.
func TestConcurrentReportsOfAnOverloadHalveTheRateOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &limitedServer{refuse: refusedByPalette}
		client := newDefaultClient(t, server, palette.WithRateLimit(8, 100), palette.WithMaxRetries(0))
		require.EqualValues(t, 16, getConcurrently(t, client, 16))
		server.limit = rate.NewLimiter(rate.Inf, 1)
		require.NoError(t, getKey(t, client), "uses the one token of the reduced limiter")
		start := time.Now()

		require.NoError(t, getKey(t, client))

		// 4 per second; the latency of the first call has passed.
		assert.InDelta(t, 250-40, time.Since(start).Milliseconds()-40, 5)
	})
}

func TestRateNeverFallsBelowATenthAndRecovers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		server := &limitedServer{refuse: refusedByPalette}
		client := newDefaultClient(t, server, palette.WithRateLimit(10, 100), palette.WithMaxRetries(0))
		for range 20 {
			require.Error(t, getKey(t, client))
			time.Sleep(time.Second) //nolint:forbidigo // virtual time
		}
		start := time.Now()
		require.Error(t, getKey(t, client))
		require.Error(t, getKey(t, client))
		require.Error(t, getKey(t, client))
		assert.LessOrEqual(t, time.Since(start), 2*time.Second+3*40*time.Millisecond, "1 per second")

		server.limit = rate.NewLimiter(rate.Inf, 1)
		for range 200 {
			require.NoError(t, getKey(t, client))
		}
		time.Sleep(10 * time.Second) //nolint:forbidigo // virtual time, until the burst is full again
		start = time.Now()
		require.Zero(t, getConcurrently(t, client, 100))

		assert.Equal(t, 40*time.Millisecond, time.Since(start), "the full burst at once")
	})
}

func TestWaitingCallsFollowTheRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var times []int
		overloaded := overloadedOnce(2, refusedByPalette, &times)
		client := newDefaultClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := overloaded.RoundTrip(req)
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // virtual time
			return resp, err
		}), palette.WithRateLimit(1, 1), palette.WithMaxRetries(0))

		failed := getConcurrently(t, client, 5)

		assert.EqualValues(t, 1, failed)
		// One per second; after the overload, which the third call has its token for already,
		// half of that, and 5 % more with each second.
		assert.Equal(t, []int{0, 1000, 2000, 4900, 6463}, times)
	})
}

func TestErrRateLimitedIfTheTurnComesAfterTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMock(t, respond(200, testKeyJSON), respond(200, testKeyJSON))
		client := newDefaultClient(t, m, palette.WithRateLimit(0.1, 1))
		require.NoError(t, getKey(t, client))
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()
		start := time.Now()

		_, err := client.APIKeys.Get(ctx, testUID)

		require.EqualError(t, err, "palette: apiKeys.get: the context would end before the rate limiter allows the request")
		require.ErrorIs(t, err, palette.ErrRateLimited)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		assert.Zero(t, time.Since(start))
		require.NoError(t, getKey(t, client))
		assert.Equal(t, 10*time.Second, time.Since(start), "the failed call used no token")
	})
}

func TestRetryWhoseTurnComesAfterTheDeadlineKeepsTheLastError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMock(t, respondError(503, "ServiceUnavailable", "later"))
		client := newDefaultClient(t, m, palette.WithRateLimit(0.1, 1))
		ctx, cancel := context.WithTimeout(t.Context(), 9*time.Second)
		defer cancel()

		_, err := client.APIKeys.Get(ctx, testUID)

		require.ErrorIs(t, err, palette.ErrServer)
		require.ErrorIs(t, err, palette.ErrRateLimited)
		require.EqualError(t, err, "palette: apiKeys.get: 503 ServiceUnavailable: later (host palette.test, ref ref-1, 1 attempt); "+
			"not retried: the context would end before the rate limiter allows the request")
	})
}

func TestCanceledWhileWaitingForTheRateLimiter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMock(t, respond(200, testKeyJSON), respond(200, testKeyJSON))
		client := newDefaultClient(t, m, palette.WithRateLimit(0.1, 1))
		require.NoError(t, getKey(t, client))
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()

		_, err := client.APIKeys.Get(ctx, testUID)

		require.EqualError(t, err, "palette: apiKeys.get: waiting for the rate limiter: context canceled")
		require.ErrorIs(t, err, context.Canceled)
		require.NoError(t, getKey(t, client))
		assert.Equal(t, 10*time.Second, time.Since(start), "the canceled call used no token")
	})
}

func TestRateLimiterFillsDuringAPause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMock(t, busyFor(429, "4"), respond(200, testKeyJSON))
		client := newDefaultClient(t, m, palette.WithRateLimit(1, 1), palette.WithMaxRetries(0))
		require.Error(t, getKey(t, client))
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()

		_, err := client.APIKeys.Get(ctx, testUID)

		require.NoError(t, err)
	})
}

func TestCallBehindAWaitingCallIsNotRefusedTooEarly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMock(t, respond(200, testKeyJSON), respond(200, testKeyJSON), respond(200, testKeyJSON))
		client := newDefaultClient(t, m, palette.WithRateLimit(1, 1))
		require.NoError(t, getKey(t, client))
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { assert.NoError(t, getKey(t, client)) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		start := time.Now()

		_, err := client.APIKeys.Get(ctx, testUID)

		require.NoError(t, err)
		assert.Equal(t, 2*time.Second, time.Since(start))
	})
}

func TestRetriesAfter429HaveTheirOwnCount(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		opts []palette.Option
		want int // requests
	}{
		{"with a rate limit", nil, 1 + 4*2},
		{"without", []palette.Option{palette.WithoutRateLimit()}, 1 + 2},
		{"no retries", []palette.Option{palette.WithMaxRetries(0)}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				server := &limitedServer{refuse: refusedByPalette}
				client := newDefaultClient(t, server, append([]palette.Option{palette.WithMaxRetries(2)}, tt.opts...)...)

				require.ErrorIs(t, getKey(t, client), palette.ErrRateLimited)

				assert.EqualValues(t, tt.want, server.requests.Load())
			})
		})
	}
}

func TestBurstsAreBackOnlyWithTheFullRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		responses := []httpmock.Responder{busyFor(429, "")}
		responses = append(responses, slices.Repeat([]httpmock.Responder{respond(204, "")}, 40)...)
		client := newDefaultClient(t, newMock(t, responses...), palette.WithRateLimit(10, 5), palette.WithBackoff(0, time.Second))
		revoke := func(n int) time.Duration {
			start := time.Now()
			for range n {
				require.NoError(t, client.APIKeys.Revoke(t.Context(), testUID))
			}
			return time.Since(start)
		}
		revoke(1) // slows down to 5 requests per second

		time.Sleep(5 * time.Second) //nolint:forbidigo // virtual time
		revoke(1)                   // raises the rate to 7.5
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
		assert.InDelta(t, 0.5, revoke(5).Seconds(), 0.1, "no burst")
		time.Sleep(5 * time.Second) //nolint:forbidigo // virtual time
		revoke(1)                   // raises it to 10
		time.Sleep(2 * time.Second) //nolint:forbidigo // virtual time
		assert.Zero(t, revoke(5), "a burst")
	})
}

// A batch of deletes may find most keys deleted already.
func TestRateRecoversWhileResponsesReportNoOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		responses := []httpmock.Responder{busyFor(429, "")}
		for range 400 {
			responses = append(responses, respondError(404, "ResourceNotFound", "no key"))
		}
		client := newDefaultClient(t, newMock(t, responses...), palette.WithRateLimit(10, 1), palette.WithBackoff(0, time.Second))
		require.ErrorIs(t, client.APIKeys.Delete(t.Context(), testUID), palette.ErrNotFound)
		for range 300 {
			require.ErrorIs(t, client.APIKeys.Delete(t.Context(), testUID), palette.ErrNotFound)
		}
		start := time.Now()

		for range 50 {
			require.ErrorIs(t, client.APIKeys.Delete(t.Context(), testUID), palette.ErrNotFound)
		}

		assert.InDelta(t, 5, time.Since(start).Seconds(), 0.1, "the full rate is back")
	})
}

func TestErrRateLimitedInTheQueueIfAPauseBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		overloaded := func(req *http.Request) (*http.Response, error) {
			<-time.After(2 * time.Second)
			return busyFor(429, "20")(req)
		}
		client := newDefaultClient(t, newMock(t, overloaded, respond(200, testKeyJSON)), palette.WithRateLimit(0.2, 1))
		var calls sync.WaitGroup
		calls.Go(func() { assert.NoError(t, getKey(t, client)) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()

		var errs [2]error
		for i := range errs { // the first waits for a token, the second for its turn
			calls.Go(func() { _, errs[i] = client.APIKeys.Get(ctx, testUID) })
		}
		calls.Wait()

		for _, err := range errs {
			require.ErrorIs(t, err, palette.ErrRateLimited)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.EqualError(t, err, "palette: apiKeys.get: the context would end before the rate limiter allows the request")
		}
	})
}

func TestSlowdownIsLoggedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		responses := []httpmock.Responder{busyFor(429, "1")}
		for range 120 {
			responses = append(responses, respond(204, ""))
		}
		client := newDefaultClient(t, newMock(t, responses...), palette.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))

		var calls sync.WaitGroup
		for range 120 {
			calls.Go(func() { assert.NoError(t, client.APIKeys.Revoke(t.Context(), testUID)) })
		}
		calls.Wait()

		assert.Equal(t, 1, strings.Count(log.String(), `level=WARN msg="palette: the server is overloaded, slowing down" op=apiKeys.revoke requestsPerSecond=4.5`), log.String())
		assert.NotContains(t, log.String(), "waiting for the rate limiter")
	})
}

func TestSlowdownBelowOnePerSecondIsLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		client := newDefaultClient(t, newMock(t, busy(429), respond(200, testKeyJSON)),
			palette.WithRateLimit(1, 1), palette.WithLogger(debugLogger(&log)))

		require.NoError(t, getKey(t, client))

		assert.Contains(t, log.String(), `msg="palette: the server is overloaded, slowing down" op=apiKeys.get requestsPerSecond=0.5`)
	})
}

func TestLongWaitsForTheRateLimiterAreLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		m := newMock(t, respond(200, testKeyJSON), respond(200, testKeyJSON), respond(200, testKeyJSON))
		client := newDefaultClient(t, m, palette.WithRateLimit(1, 1), palette.WithLogger(debugLogger(&log)))

		require.NoError(t, getKey(t, client))
		require.NoError(t, getKey(t, client))
		time.Sleep(500 * time.Millisecond) //nolint:forbidigo // virtual time
		require.NoError(t, getKey(t, client))

		assert.Equal(t, 1, strings.Count(log.String(), "waiting for the rate limiter"))
		assert.Contains(t, log.String(), `level=DEBUG msg="palette: waiting for the rate limiter" op=apiKeys.get wait=1s`)
		assert.NotContains(t, log.String(), "level=WARN")
	})
}

func BenchmarkRateLimiter(b *testing.B) {
	for name, opt := range map[string]palette.Option{"off": palette.WithoutRateLimit(), "on": palette.WithRateLimit(1e9, 1e9)} {
		b.Run(name, func(b *testing.B) {
			client := newTestClient(b, roundTripFunc(func(req *http.Request) (*http.Response, error) {
				return newResponse(204, nil, ""), nil
			}), opt)
			b.ReportAllocs()
			for b.Loop() {
				if err := client.APIKeys.Revoke(b.Context(), testUID); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkDocumentedLimit creates 200 keys from 64 goroutines in real time, which takes at
// least 15 seconds at the documented limit. Run it with -benchtime 1x.
func BenchmarkDocumentedLimit(b *testing.B) {
	for b.Loop() {
		server := palettetest.Start(b, palettetest.WithRateLimit(10, 50), palettetest.WithKeyLimit(0))
		client, err := palette.NewClient(palette.WithAPIKey(server.APIKey), palette.WithBaseURL(server.URL))
		require.NoError(b, err)

		require.Zero(b, createConcurrently(b, client, 200, 64))

		b.ReportMetric(float64(len(server.Requests())), "requests")
	}
}
