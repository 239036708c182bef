package palette_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// TestRetryOnStatus is the table of the package documentation.
func TestRetryOnStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status int
		get    int // requests that Get sends in all
		create int
		class  error
	}{
		{status: 101, get: 1, create: 1, class: palette.ErrUnexpectedResponse},
		{status: 202, get: 1, create: 1, class: palette.ErrUnexpectedResponse},
		{status: 300, get: 1, create: 1, class: palette.ErrRedirect},
		{status: 399, get: 1, create: 1, class: palette.ErrRedirect},
		{status: 400, get: 1, create: 1, class: palette.ErrBadRequest},
		{status: 401, get: 1, create: 1, class: palette.ErrUnauthorized},
		{status: 403, get: 1, create: 1, class: palette.ErrForbidden},
		{status: 404, get: 1, create: 1, class: palette.ErrNotFound},
		{status: 407, get: 1, create: 1},
		{status: 408, get: 4, create: 1},
		{status: 409, get: 1, create: 1, class: palette.ErrConflict},
		{status: 429, get: 4, create: 4, class: palette.ErrRateLimited},
		{status: 500, get: 1, create: 1, class: palette.ErrServer},
		{status: 501, get: 1, create: 1, class: palette.ErrServer},
		{status: 502, get: 4, create: 1, class: palette.ErrServer},
		{status: 503, get: 4, create: 1, class: palette.ErrServer},
		{status: 504, get: 4, create: 1, class: palette.ErrServer},
		{status: 505, get: 1, create: 1, class: palette.ErrServer},
		{status: 599, get: 1, create: 1, class: palette.ErrServer},
		{status: 600, get: 1, create: 1, class: palette.ErrUnexpectedResponse},
	} {
		for _, op := range getAndCreate() {
			t.Run(fmt.Sprintf("%d/%s", tt.status, op.name), func(t *testing.T) {
				t.Parallel()
				want := tt.get
				if !op.idempotent() {
					want = tt.create
				}
				m := newMock(t, slices.Repeat([]httpmock.Responder{busy(tt.status)}, want)...)

				result, err := op.call(t.Context(), newTestClient(t, m, withFastRetries(3)...).APIKeys)

				assert.Nil(t, result)
				requireAttempts(t, err, want)
				assert.Len(t, m.requests(), want)
				if tt.class != nil {
					require.ErrorIs(t, err, tt.class)
				}
			})
		}
	}
}

func TestEveryMethodButCreateIsRetried(t *testing.T) {
	t.Parallel()
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			requests := 0
			client := newTestClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
				requests++
				return busy(502)(req)
			}), withFastRetries(3)...)

			_, err := op.call(t.Context(), client.APIKeys)

			require.ErrorIs(t, err, palette.ErrServer)
			assert.Equal(t, op.name == "Create", requests == 1)
			assert.Equal(t, op.name != "Create", requests == 4)
		})
	}
}

func TestInvalidSuccessIsNotRetried(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*http.Response){
		"other media type": func(resp *http.Response) { resp.Header.Set("Content-Type", "text/html") },
		"oversized":        func(resp *http.Response) { resp.ContentLength = 1 << 40 },
		"not JSON":         func(resp *http.Response) { resp.Body = io.NopCloser(strings.NewReader("<html>")) },
		"without fields":   func(resp *http.Response) { resp.Body = io.NopCloser(strings.NewReader("{}")) },
	} {
		for _, op := range getAndCreate() {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				requests := 0
				rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
					requests++
					resp, err := op.succeed()(req)
					change(resp)
					return resp, err
				})

				_, err := op.call(t.Context(), newTestClient(t, rt, withFastRetries(3)...).APIKeys)

				require.ErrorIs(t, err, palette.ErrUnexpectedResponse)
				assert.Equal(t, 1, requests)
			})
		}
	}
}

func TestRetryOnTransportError(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		fail   httpmock.Responder
		is     error
		get    int // requests that Get sends in all
		create int
	}{
		{name: "DNS", fail: failing(connecting, errDNS), is: errDNS, get: 4, create: 4},
		{name: "connection refused", fail: failing(connecting, errConnRefused), is: syscall.ECONNREFUSED, get: 4, create: 4},
		{name: "TLS handshake", fail: failing(connecting, io.EOF), is: io.EOF, get: 4, create: 4},
		{name: "timeout while connecting", fail: hanging(connecting), is: context.DeadlineExceeded, get: 4, create: 4},
		{name: "invalid certificate", fail: failing(connecting, errCertificate), is: errCertificate, get: 1, create: 1},
		{name: "reset before the request", fail: failing(connected, errConnReset), is: errConnReset, get: 4, create: 4},
		{name: "timeout before the request", fail: hanging(connected), is: context.DeadlineExceeded, get: 4, create: 4},
		{name: "reset", fail: failing(written, errConnReset), is: errConnReset, get: 4, create: 1},
		{name: "connection closed", fail: failing(written, io.EOF), is: io.EOF, get: 4, create: 1},
		{name: "timeout", fail: hanging(written), is: context.DeadlineExceeded, get: 4, create: 1},
	} {
		for _, op := range getAndCreate() {
			t.Run(tt.name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				want := tt.get
				if !op.idempotent() {
					want = tt.create
				}
				synctest.Test(t, func(t *testing.T) {
					requests := 0
					rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
						requests++
						return tt.fail(req)
					})

					_, err := op.call(t.Context(), newTestClient(t, rt, withFastRetries(3)...).APIKeys)

					require.ErrorIs(t, err, tt.is)
					requireAttempts(t, err, want)
					assert.Equal(t, want, requests)
				})
			})
		}
	}
}

func TestRetrySendsTheSameRequest(t *testing.T) {
	t.Parallel()
	for _, op := range operations() {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			m := newMock(t, busy(429), busy(429), op.succeed())

			result, err := op.call(t.Context(), newTestClient(t, m, withFastRetries(3)...).APIKeys)

			require.NoError(t, err)
			assert.Equal(t, op.response != "", result != nil)
			require.Len(t, m.requests(), 3)
			for _, req := range m.requests() {
				assert.Equal(t, op.method+" "+op.path, req.Line)
				assert.Equal(t, op.body, req.Body)
				assert.EqualValues(t, len(op.body), req.Length)
				assert.Equal(t, []string{testKey}, req.Header["Apikey"])
			}
		})
	}
}

func TestLastErrorIsReturned(t *testing.T) {
	t.Parallel()
	m := newMock(t, busy(503), failing(written, errConnReset), respondError(403, "OperationForbidden", "text"))

	err := getKey(t, newTestClient(t, m, withFastRetries(5)...))

	require.EqualError(t, err, "palette: apiKeys.get: 403 OperationForbidden: text (host palette.test, ref ref-1, 3 attempts)")
	require.ErrorIs(t, err, palette.ErrForbidden)
	require.NotErrorIs(t, err, palette.ErrServer)
}

// If an attempt without a response, or with 5xx, may have deleted the key, "not found" shows
// that it did.
func TestDeleteTreatsNotFoundAfterARetryAsSuccess(t *testing.T) {
	t.Parallel()
	lost, notFound := failing(written, errConnReset), respondError(404, "ResourceNotFound", "text")
	noRoute := respondWith(404, http.Header{"Content-Type": {"text/plain"}}, "404 page not found")
	reconnecting := func(req *http.Request) (*http.Response, error) { // net/http sent the request and tries again
		send(req, written)
		return failing(connecting, errConnRefused)(req)
	}
	for _, tt := range []struct {
		name      string
		responses []httpmock.Responder
		want      error // nil: success
	}{
		{"at first", []httpmock.Responder{notFound}, palette.ErrNotFound},
		{"after a lost response", []httpmock.Responder{lost, notFound}, nil},
		{"after a refused connection", []httpmock.Responder{failing(connecting, errConnRefused), notFound}, palette.ErrNotFound},
		{"after a reset while the header is sent", []httpmock.Responder{failing(connected, errConnReset), notFound}, nil},
		{"after a lost response and a refused connection", []httpmock.Responder{reconnecting, notFound}, nil},
		{"after 408", []httpmock.Responder{busy(408), notFound}, nil},
		{"after 502", []httpmock.Responder{busy(502), notFound}, nil},
		{"after 503", []httpmock.Responder{busy(503), notFound}, nil},
		{"after 504", []httpmock.Responder{busy(504), notFound}, nil},
		{"after 429", []httpmock.Responder{busy(429), notFound}, palette.ErrNotFound},
		{"after a lost response and 429", []httpmock.Responder{lost, busy(429), notFound}, nil},
		{"after 429 and a lost response", []httpmock.Responder{busy(429), lost, notFound}, nil},
		{"403 instead", []httpmock.Responder{lost, busy(403)}, palette.ErrForbidden},
		{"no route", []httpmock.Responder{lost, noRoute}, palette.ErrUnexpectedResponse},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := newMock(t, tt.responses...)

			err := newTestClient(t, m, withFastRetries(3)...).APIKeys.Delete(t.Context(), testUID)

			assert.Len(t, m.requests(), len(tt.responses))
			require.ErrorIs(t, err, tt.want)
			require.Equal(t, tt.want == palette.ErrNotFound, errors.Is(err, palette.ErrNotFound)) //nolint:errorlint // the same value
		})
	}
}

// The function of a credential may use this SDK, or what wraps its errors.
func TestDeleteFailsIfTheCredentialIsNotFoundAfterARetry(t *testing.T) {
	t.Parallel()
	calls := 0
	losing := func(context.Context) (string, error) {
		if calls++; calls > 1 {
			return "", fmt.Errorf("vault: %w", palette.ErrNotFound)
		}
		return testKey, nil
	}
	client := newFuncClient(t, newMock(t, busy(502)), losing, withFastRetries(3)...)

	err := client.APIKeys.Delete(t.Context(), testUID)

	require.EqualError(t, err, "palette: apiKeys.delete: credential: vault: palette: not found (host palette.test, 2 attempts)")
}

// The context can end while the body is read.
func TestDeleteTreatsNotFoundAfterARetryAsSuccessIfTheContextEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	notFound := func(req *http.Request) (*http.Response, error) {
		resp, err := respondError(404, "ResourceNotFound", "text")(req)
		cancel()
		return resp, err
	}
	client := newTestClient(t, newMock(t, busy(502), notFound), withFastRetries(3)...)

	require.NoError(t, client.APIKeys.Delete(ctx, testUID))
}

func TestOtherMethodsReturnNotFoundAfterARetry(t *testing.T) {
	t.Parallel()
	for _, op := range operations() {
		if op.name == "Create" || op.name == "Delete" {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			m := newMock(t, failing(written, errConnReset), respondError(404, "ResourceNotFound", "text"))

			_, err := op.call(t.Context(), newTestClient(t, m, withFastRetries(3)...).APIKeys)

			require.ErrorIs(t, err, palette.ErrNotFound)
		})
	}
}

func TestDefaultRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for range 100 { // because of the jitter
			start := time.Now()

			err := getKey(t, newDefaultClient(t, roundTripFunc(busy(503))))

			require.EqualError(t, err, "palette: apiKeys.get: 503 Busy: text (host palette.test, ref ref-1, 4 attempts)")
			require.GreaterOrEqual(t, time.Since(start), (500+1000+2000)*time.Millisecond)
			require.LessOrEqual(t, time.Since(start), (1000+2000+4000)*time.Millisecond)
		}
	})
}

func TestBackoffGrowsWithJitter(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	want := []struct{ min, max time.Duration }{
		{100 * ms, 200 * ms},
		{200 * ms, 400 * ms},
		{400 * ms, 800 * ms},
		{500 * ms, 1000 * ms},
		{500 * ms, 1000 * ms},
	}
	synctest.Test(t, func(t *testing.T) {
		waits := make([][]time.Duration, len(want))
		for range 200 {
			var sent []time.Time
			client := newTestClient(t, roundTripFunc(func(req *http.Request) (*http.Response, error) {
				sent = append(sent, time.Now())
				return busy(503)(req)
			}), palette.WithMaxRetries(len(want)), palette.WithBackoff(100*ms, time.Second))

			requireAttempts(t, getKey(t, client), 1+len(want))

			for i := range want {
				waits[i] = append(waits[i], sent[i+1].Sub(sent[i]))
			}
			require.Equal(t, sent[len(want)], time.Now(), "a wait after the last attempt")
		}
		for i, w := range want {
			low, high, quarter := slices.Min(waits[i]), slices.Max(waits[i]), (w.max-w.min)/4
			assert.GreaterOrEqual(t, low, w.min, "wait %d", i+1)
			assert.LessOrEqual(t, high, w.max, "wait %d", i+1)
			// The probability that 200 random waits miss a quarter of the range is below 1e-24.
			assert.Less(t, low, w.min+quarter, "wait %d", i+1)
			assert.Greater(t, high, w.max-quarter, "wait %d", i+1)
		}
	})
}

// A log record tells the wait, which could be centuries.
func TestBackoffAtItsLimits(t *testing.T) {
	t.Parallel()
	const longest = time.Duration(math.MaxInt64)
	for _, tt := range []struct {
		name     string
		min, max time.Duration
		want     string // the first wait
	}{
		{name: "none", min: 0, max: 0, want: `"wait":0,`},
		{name: "zero to longest", min: 0, max: longest, want: `"wait":0,`},
		{name: "shortest to longest", min: 1, max: longest, want: `"wait":[12],`},
		{name: "without a range", min: time.Second, max: time.Second, want: `"wait":1000000000,`},
		{name: "twice min overflows", min: longest - 1, max: longest, want: `"wait":922337203685477580[67],`},
		{name: "longest", min: longest, max: longest, want: `"wait":9223372036854775807,`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Minute, cancel)
				var logged bytes.Buffer
				client := newTestClient(t, newMock(t, busy(503), respond(204, "")), palette.WithMaxRetries(1),
					palette.WithBackoff(tt.min, tt.max), palette.WithLogger(slog.New(slog.NewJSONHandler(&logged, nil))))

				err := client.APIKeys.Delete(ctx, testUID)

				assert.Equal(t, tt.max == longest && tt.min > 1, errors.Is(err, context.Canceled), err)
				assert.Regexp(t, tt.want, logged.String())
			})
		})
	}
}

// Virtual time starts at 2000-01-01T00:00:00Z. Without Retry-After, the first wait is between
// 2 and 4 seconds.
func TestRetryAfterIsAMinimum(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, tt := range []struct {
		name, header string
		low, high    time.Duration
	}{
		{name: "seconds", header: "7", low: 7 * s, high: 7 * s},
		{name: "date", header: "Sat, 01 Jan 2000 00:00:09 GMT", low: 9 * s, high: 9 * s},
		{name: "date of RFC 850", header: "Saturday, 01-Jan-00 00:00:09 GMT", low: 9 * s, high: 9 * s},
		{name: "date of asctime", header: "Sat Jan  1 00:00:09 2000", low: 9 * s, high: 9 * s},
		{name: "maximum backoff", header: "30", low: 30 * s, high: 30 * s},
		{name: "less than the backoff", header: "1", low: 2 * s, high: 4 * s},
		{name: "empty", header: "", low: 2 * s, high: 4 * s},
		{name: "past", header: "Fri, 31 Dec 1999 23:00:00 GMT", low: 2 * s, high: 4 * s},
		{name: "negative", header: "-9", low: 2 * s, high: 4 * s},
		{name: "RFC 3339", header: "2000-01-01T00:00:09Z", low: 2 * s, high: 4 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m := newMock(t, busyFor(429, tt.header), respond(200, testKeyJSON))
				client := newTestClient(t, m, palette.WithMaxRetries(1), palette.WithBackoff(2*s, 30*s))
				start := time.Now()

				require.NoError(t, getKey(t, client))

				assert.GreaterOrEqual(t, time.Since(start), tt.low)
				assert.LessOrEqual(t, time.Since(start), tt.high)
			})
		})
	}
}

func TestRetryAfterOfEveryStatusThatIsRetried(t *testing.T) {
	t.Parallel()
	for _, status := range []int{408, 429, 502, 503, 504} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()

			err := getKey(t, newTestClient(t, newMock(t, busyFor(status, "7")), withFastRetries(1)...))

			require.ErrorContains(t, err, "the server asks to wait 7s, longer than the maximum backoff of 1ns")
		})
	}
}

// A wait that is too long ends the call at once: an earlier attempt would ignore the server.
func TestRetryAfterIsTooLong(t *testing.T) {
	t.Parallel()
	const (
		tooLong = "; not retried: the server asks to wait %v, longer than the maximum backoff of 30s"
		tooLate = "; not retried: the context would end before the next attempt"
	)
	for _, tt := range []struct {
		name, header string
		deadline     time.Duration // 0: none
		retryAfter   time.Duration
		note         string
	}{
		{name: "seconds", header: "31", retryAfter: 31 * time.Second, note: tooLong},
		{name: "date", header: "Sat, 01 Jan 2000 01:00:00 GMT", retryAfter: time.Hour, note: tooLong},
		{name: "most seconds", header: "9223372036", retryAfter: 9223372036 * time.Second, note: tooLong},
		{name: "too many seconds", header: "9223372037", retryAfter: math.MaxInt64, note: tooLong},
		{name: "more than 64 bits", header: "18446744073709551616", retryAfter: math.MaxInt64, note: tooLong},
		{name: "distant date", header: "Fri, 31 Dec 9999 23:59:59 GMT", retryAfter: math.MaxInt64, note: tooLong},
		{name: "deadline", header: "10", deadline: 10 * time.Second, retryAfter: 10 * time.Second, note: tooLate},
		{name: "after the deadline", header: "20", deadline: 10 * time.Second, retryAfter: 20 * time.Second, note: tooLate},
	} {
		for _, op := range getAndCreate() {
			t.Run(tt.name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					ctx, cancel := context.WithTimeout(t.Context(), cmp.Or(tt.deadline, 1000*time.Hour))
					defer cancel()
					client := newTestClient(t, newMock(t, busyFor(429, tt.header)), palette.WithMaxRetries(3))
					start := time.Now()

					_, err := op.call(ctx, client.APIKeys)

					note := strings.Replace(tt.note, "%v", tt.retryAfter.String(), 1)
					require.EqualError(t, err, "palette: "+op.op+": 429 Busy: text (host palette.test, ref ref-1, 1 attempt)"+note)
					require.ErrorIs(t, err, palette.ErrRateLimited)
					apiErr, ok := errors.AsType[*palette.APIError](err)
					require.True(t, ok)
					assert.Equal(t, tt.retryAfter, apiErr.RetryAfter)
					assert.Zero(t, time.Since(start))
				})
			})
		}
	}
}

func TestRetryJustBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+time.Nanosecond)
		defer cancel()
		m := newMock(t, busyFor(429, "10"), respond(204, ""))

		require.NoError(t, newTestClient(t, m, palette.WithMaxRetries(1)).APIKeys.Delete(ctx, testUID))
	})
}

// The error shows why there was a wait and why it ended.
func TestContextCanceledDuringBackoff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		errShutdown := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errShutdown) })
		client := newTestClient(t, newMock(t, busy(503)), palette.WithMaxRetries(3),
			palette.WithBackoff(3*time.Second, 3*time.Second))
		start := time.Now()

		err := client.APIKeys.Delete(ctx, testUID)

		require.EqualError(t, err, "palette: apiKeys.delete: 503 Busy: text (host palette.test, ref ref-1, 1 attempt)"+
			"; not retried: context canceled: shutting down")
		for _, class := range []error{palette.ErrServer, context.Canceled, errShutdown} {
			require.ErrorIs(t, err, class)
		}
		assert.Equal(t, time.Second, time.Since(start))
	})
}
