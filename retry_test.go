package palette

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The waits of these tests pass in virtual time.

// repeatBase is where the clients of this file send to.
const repeatBase = "https://palette.test/tenant"

// script is a transport that plays replies in turn, whatever the request, and
// keeps the bodies it was sent. One request more than there are replies fails
// the test.
type script struct {
	mock   *httpmock.MockTransport
	bodies []string
}

func newScript(t *testing.T, replies ...httpmock.Responder) *script {
	t.Helper()
	s := &script{mock: httpmock.NewMockTransport()}
	s.mock.RegisterNoResponder(func(req *http.Request) (*http.Response, error) {
		body := ""
		if req.Body != nil {
			raw, err := io.ReadAll(req.Body)
			assert.NoError(t, err)
			assert.Equal(t, req.ContentLength, int64(len(raw)))
			body = string(raw)
		}
		n := len(s.bodies)
		s.bodies = append(s.bodies, body)
		if n >= len(replies) {
			t.Errorf("request %d is one too many: %s %s", n+1, req.Method, req.URL)
			return nil, errors.New("one request too many")
		}
		return replies[n](req)
	})
	return s
}

// keys returns the service of a client that talks to s with the policy p.
func (s *script) keys(t *testing.T, p RetryPolicy) *APIKeysService {
	t.Helper()
	client, err := NewClient(WithAPIKey("repeat-test-credential"), WithBaseURL(repeatBase),
		WithHTTPClient(&http.Client{Transport: s.mock}), WithRetry(p))
	require.NoError(t, err)
	return client.APIKeys
}

// times is n replies of one kind.
func times(n int, reply httpmock.Responder) []httpmock.Responder {
	replies := make([]httpmock.Responder, n)
	for i := range replies {
		replies[i] = reply
	}
	return replies
}

// says is a reply with an error in the API's shape, and headers in pairs.
func says(status int, header ...string) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		resp := httpmock.NewStringResponse(status, `{"code":"Oops","message":"no"}`)
		resp.Request = req
		resp.Header.Set("Content-Type", "application/json")
		for i := 0; i < len(header); i += 2 {
			resp.Header.Set(header[i], header[i+1])
		}
		return resp, nil
	}
}

// gives is a reply that succeeds.
func gives(status int, body string) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		resp := httpmock.NewStringResponse(status, body)
		resp.Request = req
		resp.Header.Set("Content-Type", "application/json")
		return resp, nil
	}
}

// fails is a transport's error.
func fails(err error) httpmock.Responder { return httpmock.NewErrorResponder(err) }

// traced reports a connection as net/http does: looked for, and got or not.
func traced(got bool, reply httpmock.Responder) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		trace := httptrace.ContextClientTrace(req.Context())
		trace.GetConn("palette.test:443")
		if got {
			trace.GotConn(httptrace.GotConnInfo{})
		}
		return reply(req)
	}
}

// neverAnswers waits for the end of the attempt.
func neverAnswers(req *http.Request) (*http.Response, error) {
	<-req.Context().Done()
	return nil, req.Context().Err()
}

// cutReply is a success whose body ends too early.
func cutReply(status int) httpmock.Responder {
	return func(req *http.Request) (*http.Response, error) {
		return &http.Response{
			StatusCode: status, ContentLength: 100, Request: req,
			Header: http.Header{"Content-Type": {"application/json"}},
			Body:   io.NopCloser(io.MultiReader(strings.NewReader(`{"ite`), brokenReader{})),
		}, nil
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

var (
	errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}
	errReset   = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
	errNoHost  = &net.DNSError{Err: "no such host", Name: "palette.test", IsNotFound: true}
	errCert    = &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}
)

// operations are all that send something, with the reply each succeeds with.
var operations = []struct {
	name    string
	call    func(context.Context, *APIKeysService) error
	success httpmock.Responder
	status  int  // of success
	replies bool // success has a body
}{
	{"Create", func(ctx context.Context, keys *APIKeysService) error {
		_, err := keys.Create(ctx, CreateAPIKeyRequest{Metadata: ObjectMeta{Name: "ci"}})
		return err
	}, gives(201, `{"apiKey":"k","uid":"u"}`), 201, true},
	{"List", func(ctx context.Context, keys *APIKeysService) error {
		_, err := keys.List(ctx)
		return err
	}, gives(200, `{"items":[]}`), 200, true},
	{"FindByName", func(ctx context.Context, keys *APIKeysService) error {
		_, err := keys.FindByName(ctx, "ci")
		return err
	}, gives(200, `{"items":[]}`), 200, true},
	{"Get", func(ctx context.Context, keys *APIKeysService) error {
		_, err := keys.Get(ctx, "u1")
		return err
	}, gives(200, `{"metadata":{"uid":"u1"}}`), 200, true},
	{"Update", func(ctx context.Context, keys *APIKeysService) error {
		return keys.Update(ctx, "u1", UpdateAPIKeyRequest{Metadata: ObjectMeta{Name: "ci"}})
	}, gives(204, ""), 204, false},
	{"Delete", func(ctx context.Context, keys *APIKeysService) error {
		return keys.Delete(ctx, "u1")
	}, gives(204, ""), 204, false},
	{"Activate", func(ctx context.Context, keys *APIKeysService) error {
		return keys.Activate(ctx, "u1")
	}, gives(204, ""), 204, false},
	{"Deactivate", func(ctx context.Context, keys *APIKeysService) error {
		return keys.Deactivate(ctx, "u1")
	}, gives(204, ""), 204, false},
	{"Revoke", func(ctx context.Context, keys *APIKeysService) error {
		return keys.Revoke(ctx, "u1")
	}, gives(204, ""), 204, false},
	{"Reactivate", func(ctx context.Context, keys *APIKeysService) error {
		return keys.Reactivate(ctx, "u1")
	}, gives(204, ""), 204, false},
}

// Every method is in the table below, but for All, which List ranges over as well.
func TestNoOperationIsForgotten(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{"All": true}
	for _, op := range operations {
		listed[op.name] = true
	}
	service := reflect.TypeFor[*APIKeysService]()
	for i := range service.NumMethod() {
		assert.True(t, listed[service.Method(i).Name], "%s is not among the operations", service.Method(i).Name)
	}
}

// TestRepeatTable is the table of the package documentation: what is sent again
// for a Create, what for all others, and whether a Create that failed in that
// way leaves open if there is a key now.
func TestRepeatTable(t *testing.T) {
	t.Parallel()
	const again, once = true, false
	const unknown, known = true, false
	always := func(reply httpmock.Responder) func(int) httpmock.Responder {
		return func(int) httpmock.Responder { return reply }
	}
	table := []struct {
		failure string
		reply   func(status int) httpmock.Responder // for an operation that succeeds with status
		is      error
		others  bool
		create  bool
		outcome bool // of the Create
	}{
		// Nothing was sent.
		{"host not found", always(fails(errNoHost)), errNoHost, again, again, known},
		{"connection refused", always(fails(errRefused)), errRefused, again, again, known},
		{"connection refused, traced", always(traced(false, fails(errRefused))), errRefused, again, again, known},
		{"TLS handshake cut", always(traced(false, fails(io.EOF))), io.EOF, again, again, known},

		// The answer was lost.
		{"connection reset", always(fails(errReset)), syscall.ECONNRESET, again, once, unknown},
		{"connection reset, traced", always(traced(true, fails(errReset))), syscall.ECONNRESET, again, once, unknown},
		{"connection closed", always(traced(true, fails(io.EOF))), io.EOF, again, once, unknown},
		{"reply cut", cutReply, ErrUnexpectedResponse, again, once, unknown},
		{"timeout of the attempt", always(traced(true, neverAnswers)), context.DeadlineExceeded, again, once, unknown},

		// The server says no.
		{"429", always(says(429)), ErrRateLimited, again, again, known},
		{"500", always(says(500)), ErrServer, once, once, unknown},
		{"501", always(says(501)), ErrServer, once, once, unknown},
		{"502", always(says(502)), ErrServer, again, once, unknown},
		{"503", always(says(503)), ErrServer, again, once, unknown},
		{"504", always(says(504)), ErrServer, again, once, unknown},
		{"400", always(says(400)), ErrBadRequest, once, once, known},
		{"401", always(says(401)), ErrUnauthorized, once, once, known},
		{"403", always(says(403)), ErrForbidden, once, once, known},
		{"404", always(says(404)), ErrNotFound, once, once, known},
		{"409", always(says(409)), ErrConflict, once, once, known},
		{"302", always(says(302, "Location", "https://other.test/")), ErrRedirect, once, once, known},

		// It would only come again.
		{"bad certificate", always(traced(false, fails(errCert))), errCert, once, once, known},
		{"bad certificate, untraced", always(fails(errCert)), errCert, once, once, known},
		{"not JSON", func(status int) httpmock.Responder {
			if status == 204 {
				status = 200 // 204 has no body
			}
			return gives(status, "<html>")
		}, ErrUnexpectedResponse, once, once, unknown},
		{"another success", always(gives(202, "{}")), ErrUnexpectedResponse, once, once, unknown},
	}
	policy := RetryPolicy{MaxRetries: 2, MinWait: time.Second, MaxWait: 2 * time.Second}
	for _, row := range table {
		for _, op := range operations {
			if row.failure == "reply cut" && !op.replies {
				continue // success is known without a body
			}
			create := op.name == "Create"
			repeated := row.others
			if create {
				repeated = row.create
			}
			t.Run(row.failure+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					requests := 1
					if repeated {
						requests = 3
					}
					s := newScript(t, times(requests, row.reply(op.status))...)
					err := op.call(t.Context(), s.keys(t, policy))
					require.ErrorIs(t, err, row.is)
					assert.Len(t, s.bodies, requests)
					assert.Regexp(t, `^palette: apiKeys\.[a-z]+: `, err.Error())
					assert.Contains(t, err.Error(), attempts(requests))
					assert.Equal(t, create && row.outcome, errors.Is(err, ErrOutcomeUnknown), "outcome unknown")
					if create && row.outcome {
						require.ErrorContains(t, err, "; the key may exist: look for its name before creating again")
					}
				})
			})
			if !repeated {
				continue
			}
			t.Run(row.failure+", then success/"+op.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newScript(t, row.reply(op.status), op.success)
					require.NoError(t, op.call(t.Context(), s.keys(t, policy)))
					assert.Len(t, s.bodies, 2)
				})
			})
		}
	}
}

func TestNoRepeats(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t, says(429, "Retry-After", "1"))
				start := time.Now()
				require.ErrorIs(t, op.call(t.Context(), s.keys(t, RetryPolicy{})), ErrRateLimited)
				assert.Len(t, s.bodies, 1)
				assert.Zero(t, time.Since(start))
			})
		})
	}
}

// By default there are three repeats, after waits that double.
func TestDefaultRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, times(4, says(503))...)
		client, err := NewClient(WithAPIKey("repeat-test-credential"), WithBaseURL(repeatBase),
			WithHTTPClient(&http.Client{Transport: s.mock}))
		require.NoError(t, err)
		start := time.Now()
		_, err = client.APIKeys.Get(t.Context(), "u1")
		require.EqualError(t, err, "palette: apiKeys.get: 503 Oops: no (4 attempts)")
		assert.Len(t, s.bodies, 4)
		assert.GreaterOrEqual(t, time.Since(start), (500+1000+2000)*time.Millisecond)
		assert.LessOrEqual(t, time.Since(start), (1000+2000+4000)*time.Millisecond)
	})
}

// The last failure is the one that is returned.
func TestLastFailureCounts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, says(503), fails(errReset), says(403))
		_, err := s.keys(t, RetryPolicy{MaxRetries: 5}).Get(t.Context(), "u1")
		require.ErrorIs(t, err, ErrForbidden)
		var apiErr *APIError
		require.ErrorAs(t, err, &apiErr)
		assert.Equal(t, 3, apiErr.Attempts)
		require.NotErrorIs(t, err, ErrServer)
	})
}

// Each repeat sends the whole body again.
func TestRepeatsSendTheBodyAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newScript(t, fails(errReset), says(503), says(429), gives(204, ""))
		err := s.keys(t, RetryPolicy{MaxRetries: 3}).Update(t.Context(), "u1", UpdateAPIKeyRequest{
			Metadata: ObjectMeta{Name: "ci", Labels: map[string]string{"b": "2", "a": "1"}},
		})
		require.NoError(t, err)
		assert.Equal(t, bodies(4, `{"metadata":{"labels":{"a":"1","b":"2"},"name":"ci"}}`), s.bodies)

		s = newScript(t, fails(errRefused), says(429), gives(201, `{"apiKey":"k","uid":"u"}`))
		_, err = s.keys(t, RetryPolicy{MaxRetries: 3}).Create(t.Context(), CreateAPIKeyRequest{Metadata: ObjectMeta{Name: "ci"}})
		require.NoError(t, err)
		assert.Equal(t, bodies(3, `{"metadata":{"name":"ci"}}`), s.bodies)

		s = newScript(t, says(503), gives(204, ""))
		require.NoError(t, s.keys(t, RetryPolicy{MaxRetries: 3}).Delete(t.Context(), "u1"))
		assert.Equal(t, bodies(2, ""), s.bodies)
	})
}

func bodies(n int, body string) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = body
	}
	return all
}

// After an attempt without an answer, "not found" may be that attempt's work;
// otherwise it is what it says.
func TestDeleteThatIsRepeated(t *testing.T) {
	t.Parallel()
	lost, gone := traced(true, fails(errReset)), says(404)
	tests := []struct {
		name    string
		replies []httpmock.Responder
		is      error
	}{
		{"at first", []httpmock.Responder{gone}, ErrNotFound},
		{"after a lost answer", []httpmock.Responder{lost, gone}, nil},
		{"after a timeout", []httpmock.Responder{traced(true, neverAnswers), gone}, nil},
		{"after a lost answer and an answer", []httpmock.Responder{lost, says(503), gone}, nil},
		{"after 503", []httpmock.Responder{says(503), gone}, ErrNotFound},
		{"after 429", []httpmock.Responder{says(429), gone}, ErrNotFound},
		{"after no connection", []httpmock.Responder{fails(errRefused), gone}, ErrNotFound},
		{"another refusal after a lost answer", []httpmock.Responder{lost, says(403)}, ErrForbidden},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t, tt.replies...)
				err := s.keys(t, RetryPolicy{MaxRetries: 3}).Delete(t.Context(), "u1")
				assert.Len(t, s.bodies, len(tt.replies))
				if tt.is == nil {
					require.NoError(t, err)
					return
				}
				require.ErrorIs(t, err, tt.is)
			})
		})
	}
}

// Only a Delete is done when there is nothing left.
func TestNotFoundAfterALostAnswer(t *testing.T) {
	t.Parallel()
	for _, op := range operations {
		if op.name == "Delete" || op.name == "Create" {
			continue
		}
		t.Run(op.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := newScript(t, fails(errReset), says(404))
				require.ErrorIs(t, op.call(t.Context(), s.keys(t, RetryPolicy{MaxRetries: 3})), ErrNotFound)
			})
		})
	}
}

// ---- Retry-After ----

func TestRetryAfterIsHonored(t *testing.T) {
	t.Parallel()
	in := func(d time.Duration) func() string {
		return func() string { return time.Now().Add(d).UTC().Format(http.TimeFormat) }
	}
	is := func(value string) func() string { return func() string { return value } }
	second := time.Second
	// Without a wish of the server, the first wait is between MinWait and twice that.
	minWait, maxWait := 2*second, 30*second
	tests := []struct {
		name    string
		header  func() string
		atLeast time.Duration
		atMost  time.Duration
	}{
		{"seconds", is("7"), 7 * second, 7 * second},
		{"as long as MaxWait", is("30"), 30 * second, 30 * second},
		{"a date", in(9 * second), 9 * second, 9 * second},
		{"less than the policy", is("1"), minWait, 2 * minWait},
		{"nothing", is(""), minWait, 2 * minWait},
		{"no time", is("0"), minWait, 2 * minWait},
		{"a date in the past", in(-time.Hour), minWait, 2 * minWait},
		{"neither", is("soon"), minWait, 2 * minWait},
	}
	for _, tt := range tests {
		for _, status := range []int{429, 503} {
			t.Run(tt.name+"/"+http.StatusText(status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					s := newScript(t, says(status, "Retry-After", tt.header()), gives(204, ""))
					start := time.Now()
					keys := s.keys(t, RetryPolicy{MaxRetries: 1, MinWait: minWait, MaxWait: maxWait})
					require.NoError(t, keys.Delete(t.Context(), "u1"))
					assert.GreaterOrEqual(t, time.Since(start), tt.atLeast)
					assert.LessOrEqual(t, time.Since(start), tt.atMost)
				})
			})
		}
	}
}

// A wish that cannot be met ends the call at once: asking earlier would be wrong,
// and waiting longer is the caller's to decide.
func TestRetryAfterThatIsTooLong(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		status  int
		header  string
		context time.Duration // 0 is without end
		want    time.Duration
	}{
		{"above MaxWait", 429, "31", 0, 31 * time.Second},
		{"above MaxWait with 503", 503, "31", 0, 31 * time.Second},
		{"a date", 429, "Sat, 01 Jan 2000 01:00:00 GMT", 0, time.Hour}, // virtual time begins at midnight
		{"beyond all measure", 429, "99999999999999999999999", 0, math.MaxInt64},
		{"as long as the context", 429, "10", 10 * time.Second, 10 * time.Second},
		{"longer than the context", 503, "20", 10 * time.Second, 20 * time.Second},
		{"where nothing is repeated anyway", 500, "7", 0, 7 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				if tt.context > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, tt.context)
					defer cancel()
				}
				start := time.Now()
				s := newScript(t, says(tt.status, "Retry-After", tt.header))
				err := s.keys(t, RetryPolicy{MaxRetries: 3, MinWait: time.Second, MaxWait: 30 * time.Second}).Delete(ctx, "u1")
				var apiErr *APIError
				require.ErrorAs(t, err, &apiErr)
				assert.Equal(t, tt.want, apiErr.RetryAfter)
				assert.Equal(t, tt.status, apiErr.StatusCode)
				assert.Equal(t, 1, apiErr.Attempts)
				assert.Zero(t, time.Since(start))
				require.NotErrorIs(t, err, context.DeadlineExceeded)
			})
		})
	}
}

// A wait that fits into the context is waited for, a longer one is not begun.
func TestContextTooShortForAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		start := time.Now()
		s := newScript(t, says(503), says(503)) // waits: 3, then 3 more
		err := s.keys(t, RetryPolicy{MaxRetries: 3, MinWait: 3 * time.Second, MaxWait: 3 * time.Second}).Delete(ctx, "u1")
		require.EqualError(t, err, "palette: apiKeys.delete: 503 Oops: no (2 attempts)")
		assert.Equal(t, 3*time.Second, time.Since(start))
	})
}

// A context that ends during a wait shows both: that, and why there was a wait.
func TestContextEndsDuringAWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		start := time.Now()
		s := newScript(t, says(503))
		err := s.keys(t, RetryPolicy{MaxRetries: 3, MinWait: 3 * time.Second, MaxWait: 3 * time.Second}).Delete(ctx, "u1")
		require.EqualError(t, err, "palette: apiKeys.delete: 503 Oops: no (1 attempt); not sent again: context canceled")
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, ErrServer)
		assert.Equal(t, time.Second, time.Since(start))
	})
}

// A limiter that cannot wait so long ends the call as well, between two attempts.
func TestRateLimitBetweenRepeats(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		s := newScript(t, says(503))
		client, err := NewClient(WithAPIKey("repeat-test-credential"), WithBaseURL(repeatBase),
			WithHTTPClient(&http.Client{Transport: s.mock}), WithRateLimit(0.01, 1))
		require.NoError(t, err)
		err = client.APIKeys.Delete(ctx, "u1")
		require.EqualError(t, err, "palette: apiKeys.delete: 503 Oops: no (1 attempt); "+
			"not sent again: waiting for the rate limit: context deadline exceeded")
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.ErrorIs(t, err, ErrServer)
	})
}

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	tests := map[string]time.Duration{
		"":                                  0,
		"0":                                 0,
		"1":                                 time.Second,
		"120":                               2 * time.Minute,
		"-1":                                0,
		"1.5":                               0,
		"1s":                                0,
		"soon":                              0,
		"9223372036":                        9223372036 * time.Second,
		"9223372037":                        math.MaxInt64,
		"18446744073709551615":              math.MaxInt64,
		"99999999999999999999999":           math.MaxInt64,
		"Wed, 02 Jan 2030 03:04:15 GMT":     10 * time.Second,
		"Wednesday, 02-Jan-30 03:04:15 GMT": 10 * time.Second,
		"Wed Jan  2 03:04:15 2030":          10 * time.Second,
		"Wed, 02 Jan 2030 03:04:05 GMT":     0,
		"Wed, 02 Jan 2030 03:04:04 GMT":     0,
		"Fri, 31 Dec 9999 23:59:59 GMT":     math.MaxInt64,
		"Mon, 01 Jan 0001 00:00:00 GMT":     0,
	}
	for value, want := range tests {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, want, parseRetryAfter(value, now))
		})
	}
}

// ---- the wait itself ----

func TestWaitGrowsAndVaries(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	p := RetryPolicy{MaxRetries: 9, MinWait: 100 * ms, MaxWait: time.Second}
	between := [][2]time.Duration{ // after attempt 1, 2, …
		{100 * ms, 200 * ms},
		{200 * ms, 400 * ms},
		{400 * ms, 800 * ms},
		{500 * ms, 1000 * ms},
		{500 * ms, 1000 * ms},
		{500 * ms, 1000 * ms},
	}
	for i, bounds := range between {
		low, high := time.Duration(math.MaxInt64), time.Duration(0)
		for range 2000 {
			wait := p.wait(i+1, 0)
			low, high = min(low, wait), max(high, wait)
		}
		assert.GreaterOrEqual(t, low, bounds[0])
		assert.LessOrEqual(t, high, bounds[1])
		// Of 2000 draws, none in the lower or the upper tenth has a chance below 1e-91.
		tenth := (bounds[1] - bounds[0]) / 10
		assert.Less(t, low, bounds[0]+tenth, "jitter reaches down")
		assert.Greater(t, high, bounds[1]-tenth, "jitter reaches up")
	}
}

func TestWaitIsNeverLessThanAsked(t *testing.T) {
	t.Parallel()
	p := RetryPolicy{MinWait: time.Second, MaxWait: 4 * time.Second}
	for range 1000 {
		assert.Equal(t, 5*time.Second, p.wait(1, 5*time.Second))
		assert.GreaterOrEqual(t, p.wait(1, 1500*time.Millisecond), 1500*time.Millisecond)
	}
	assert.Equal(t, time.Duration(math.MaxInt64), p.wait(1, math.MaxInt64))
}

func TestWaitAtTheExtremes(t *testing.T) {
	t.Parallel()
	const longest = time.Duration(math.MaxInt64)
	tests := []struct {
		name      string
		policy    RetryPolicy
		attempt   int
		low, high time.Duration
	}{
		{"one length alone", RetryPolicy{MinWait: time.Second, MaxWait: time.Second}, 3, time.Second, time.Second},
		{"the shortest", RetryPolicy{MinWait: 1, MaxWait: 1}, 1, 1, 1},
		{"the longest", RetryPolicy{MinWait: longest, MaxWait: longest}, 1, longest, longest},
		{"from the shortest to the longest", RetryPolicy{MinWait: 1, MaxWait: longest}, 1, 1, 2},
		{"after very many attempts", RetryPolicy{MinWait: 1, MaxWait: longest}, math.MaxInt, longest / 2, longest},
		{"twice the shortest would overflow", RetryPolicy{MinWait: longest - 1, MaxWait: longest}, 2, longest - 1, longest},
		{"before the first attempt", RetryPolicy{MinWait: time.Second, MaxWait: time.Minute}, 0, time.Second, time.Second},
		{"nothing at all", RetryPolicy{}, 1, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range 200 {
				wait := tt.policy.wait(tt.attempt, 0)
				assert.GreaterOrEqual(t, wait, tt.low)
				assert.LessOrEqual(t, wait, tt.high)
			}
		})
	}
}

// What is not said is the default.
func TestPolicyDefaults(t *testing.T) {
	t.Parallel()
	tests := []struct{ given, want RetryPolicy }{
		{RetryPolicy{}, RetryPolicy{0, 500 * time.Millisecond, 30 * time.Second}},
		{RetryPolicy{MaxRetries: 5}, RetryPolicy{5, 500 * time.Millisecond, 30 * time.Second}},
		{RetryPolicy{MinWait: time.Second}, RetryPolicy{0, time.Second, 30 * time.Second}},
		{RetryPolicy{MinWait: time.Hour}, RetryPolicy{0, time.Hour, time.Hour}},
		{RetryPolicy{MaxWait: time.Second}, RetryPolicy{0, 500 * time.Millisecond, time.Second}},
		{RetryPolicy{7, 1, 2}, RetryPolicy{7, 1, 2}},
	}
	for _, tt := range tests {
		got, err := tt.given.complete()
		require.NoError(t, err)
		assert.Equal(t, tt.want, got)
	}
}
