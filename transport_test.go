package palette_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jarcoal/httpmock"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

func TestRequestsForAnotherOriginAreNotSent(t *testing.T) {
	t.Parallel()
	for _, target := range []string{
		"https:///opaque",
		"https://attacker.test:8443",
		"https://palette.test",
		"http://palette.test:8443",
		"https://palette.test:8443@attacker.test",
		"https://sub.palette.test:8443",
	} {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			calls, body := 0, &streamed{}
			diverting := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
				calls++
				diverted := req.Clone(req.Context())
				body.Reader, diverted.Body = req.Body, body
				diverted.URL, _ = url.Parse(target)
				if diverted.URL.Host == "" { // an http proxy connects to what Opaque says
					diverted.URL.Host, diverted.URL.Opaque = req.URL.Host, "//attacker.test/opaque"
				}
				return next.RoundTrip(diverted)
			})
			client := newTestClient(t, newMock(t), append(withFastRetries(3), diverting, palette.WithBaseURL("palette.test:8443"))...)

			_, err := createKey(t, client)

			require.EqualError(t, err, "palette: apiKeys.create: the request is not for the scheme and host of the base URL"+
				" (host palette.test:8443, 1 attempt)")
			assert.Equal(t, 1, calls)
			assert.True(t, body.closed)
		})
	}
}

func TestRequestWithoutTheContextOfACallIsNotSent(t *testing.T) {
	t.Parallel()
	strange := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		return next.RoundTrip(req.WithContext(context.Background()))
	})

	err := getKey(t, newTestClient(t, newMock(t), append(withFastRetries(3), strange)...))

	require.EqualError(t, err, "palette: apiKeys.get: the transport wrapper replaced the context of the request (host palette.test, 1 attempt)")
}

func TestOnlyTheTransportSeesTheCredential(t *testing.T) {
	t.Parallel()
	m := newMock(t, respond(200, testKeyJSON))
	client := newTestClient(t, m, withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		clone := req.Clone(req.Context())
		resp, err := next.RoundTrip(clone)
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", clone, clone, clone.Context()), testKey)
		assert.Same(t, clone, resp.Request)
		return resp, err
	}))

	require.NoError(t, getKey(t, client))

	assert.Equal(t, []string{testKey}, sentKeys(m))
}

func TestWrapperAndTransportSeeTheValuesOfTheContext(t *testing.T) {
	t.Parallel()
	type trace struct{}
	rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		assert.Equal(t, "trace-1", req.Context().Value(trace{}))
		assert.NotContains(t, fmt.Sprintf("%v %+v %#v", req.Context(), req.Context(), req.Context()), testKey)
		return respond(200, testKeyJSON)(req)
	})
	client := newTestClient(t, rt, withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		assert.Equal(t, "trace-1", req.Context().Value(trace{}))
		return next.RoundTrip(req)
	}))

	_, err := client.APIKeys.Get(context.WithValue(t.Context(), trace{}, "trace-1"), testUID)

	require.NoError(t, err)
}

// With GetBody, net/http sends a request a second time, also if the server may have processed
// the first.
func TestTransportCannotSendABodyTwice(t *testing.T) {
	t.Parallel()
	m := newMock(t, respond(201, `{"apiKey":"value","uid":"uid"}`))
	rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		assert.Nil(t, req.GetBody)
		return m.RoundTrip(req)
	})
	client := newTestClient(t, rt, withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		clone := req.Clone(req.Context())
		clone.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		return next.RoundTrip(clone)
	}))

	_, err := createKey(t, client)

	require.NoError(t, err)
	m.requireSent(`POST /v1/apiKeys {"metadata":{"name":"ci"}}`)
}

// The URL was checked before.
func TestWrapperCannotChangeTheURLOfARequestThatIsSent(t *testing.T) {
	t.Parallel()
	var target *url.URL
	rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		target.Host = "attacker.test"
		assert.Equal(t, testHost, req.URL.Host)
		return respond(200, testKeyJSON)(req)
	})
	changing := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		target = req.URL
		return next.RoundTrip(req)
	})

	require.NoError(t, getKey(t, newTestClient(t, rt, changing)))
}

func TestWrapperCannotChangeTheHost(t *testing.T) {
	t.Parallel()
	rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		assert.Equal(t, "palette.test", req.Host)
		return respond(200, testKeyJSON)(req)
	})
	client := newTestClient(t, rt, withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		clone := req.Clone(req.Context())
		clone.Host = "attacker.test"
		return next.RoundTrip(clone)
	}))

	require.NoError(t, getKey(t, client))
}

// net/http reports each header field to a trace.
func TestTraceDoesNotSeeTheCredential(t *testing.T) {
	t.Parallel()
	for protocol, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2": true} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			server, _ := startServer(t, http2, serveKey)
			var fields, connections atomic.Int64
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
				WroteHeaderField: func(string, []string) { fields.Add(1) },
				GotConn:          func(httptrace.GotConnInfo) { connections.Add(1) },
			})

			_, err := newNetworkClient(t, server).APIKeys.Get(ctx, testUID)

			require.NoError(t, err)
			assert.Zero(t, fields.Load())
			assert.EqualValues(t, 1, connections.Load())
		})
	}
}

// startRedirect starts a server that redirects to another one, and counts the requests that
// each of them gets.
func startRedirect(t *testing.T, status int) (server, target *httptest.Server, requests, followed *atomic.Int64) {
	t.Helper()
	requests, followed = new(atomic.Int64), new(atomic.Int64)
	target, _ = startServer(t, false, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed.Add(1) }))
	server, _ = startServer(t, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		w.Header().Set("Location", target.URL+"/prefix/target?token=x")
		w.WriteHeader(status)
	}))
	return server, target, requests, followed
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308, 399} {
		for _, op := range getAndCreate() {
			t.Run(fmt.Sprintf("%d/%s", status, op.name), func(t *testing.T) {
				t.Parallel()
				server, target, requests, followed := startRedirect(t, status)

				_, err := op.call(t.Context(), newNetworkClient(t, server).APIKeys)

				require.ErrorIs(t, err, palette.ErrRedirect)
				require.ErrorContains(t, err, ": to "+target.URL+"/prefix/target (")
				assert.EqualValues(t, 1, requests.Load())
				assert.Zero(t, followed.Load())
			})
		}
	}
}

// A wrapper that uses http.Client follows redirects, but not to another host.
func TestWrapperThatFollowsRedirectsReachesNoOtherHost(t *testing.T) {
	t.Parallel()
	following := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		return (&http.Client{Transport: next}).Do(req)
	})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, op := range getAndCreate() {
			t.Run(fmt.Sprintf("%d/%s", status, op.name), func(t *testing.T) {
				t.Parallel()
				server, _, requests, followed := startRedirect(t, status)

				_, err := op.call(t.Context(), newNetworkClient(t, server, following, palette.WithMaxRetries(0)).APIKeys)

				require.Error(t, err)
				assert.EqualValues(t, 1, requests.Load())
				assert.Zero(t, followed.Load())
			})
		}
	}
}

func TestRedirectOfAWrapperIsNotFollowed(t *testing.T) {
	t.Parallel()
	redirecting := withWrapper(func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
		return respondWith(303, http.Header{"Location": {"/v1/apiKeys"}}, "")(req)
	})

	_, err := createKey(t, newTestClient(t, newMock(t), redirecting))

	require.ErrorIs(t, err, palette.ErrRedirect)
}

// http.Client returns an error for a response without a body.
func TestCreateIsNotRetriedAfterARejectedResponse(t *testing.T) {
	t.Parallel()
	m := newMock(t, func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 201, ContentLength: 10}, nil
	})

	_, err := createKey(t, newTestClient(t, m, withFastRetries(3)...))

	requireOutcomeUnknown(t, err, true)
	assert.Len(t, m.requests(), 1)
}

// The race detector finds what the two calls of the transport share.
func TestWrapperThatCallsTheTransportTwiceAtOnce(t *testing.T) {
	t.Parallel()
	var wg sync.WaitGroup
	hedging := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		wg.Go(func() { _, _ = next.RoundTrip(req.Clone(req.Context())) }) //nolint:bodyclose // it needs no Close
		return next.RoundTrip(req)
	})

	err := getKey(t, newTestClient(t, roundTripFunc(redirectTo("/other")), hedging))
	wg.Wait()

	require.ErrorIs(t, err, palette.ErrRedirect)
}

// A wrapper that retries may retry everything but Create.
func TestWrapperThatRetries(t *testing.T) {
	t.Parallel()
	retrying := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		body, clone := readBody(t, req), req.Clone(req.Context())
		clone.Body = io.NopCloser(strings.NewReader(body))
		if resp, err := next.RoundTrip(clone); err == nil && resp.StatusCode < 400 {
			return resp, nil
		}
		clone.Body = io.NopCloser(strings.NewReader(body))
		return next.RoundTrip(clone)
	})
	for name, first := range map[string]httpmock.Responder{"lost response": failing(written, errConnReset), "429": busy(429)} {
		for _, op := range getAndCreate() {
			t.Run(name+"/"+op.name, func(t *testing.T) {
				t.Parallel()
				m := newMock(t, first, op.succeed())

				_, err := op.call(t.Context(), newTestClient(t, m, append(withFastRetries(3), retrying)...).APIKeys)

				if op.idempotent() {
					require.NoError(t, err)
					assert.Len(t, m.requests(), 2)
					return
				}
				requireAttempts(t, err, 1)
				requireOutcomeUnknown(t, err, name == "lost response")
				assert.Len(t, m.requests(), 1)
			})
		}
	}
}

// A wrapper may make any status of a lost response.
func TestStatusOfAWrapperDoesNotHideALostResponse(t *testing.T) {
	t.Parallel()
	for _, status := range []int{401, 404, 429, 503} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			m := newMock(t, failing(written, errConnReset))
			translating := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
				_, _ = next.RoundTrip(req)
				return newResponse(status, nil, ""), nil
			})
			calls := 0
			changing := func(context.Context) (string, error) { calls++; return testKey + strconv.Itoa(calls), nil }

			_, err := createKey(t, newFuncClient(t, m, changing, append(withFastRetries(3), translating)...))

			requireAttempts(t, err, 1)
			requireOutcomeUnknown(t, err, true)
		})
	}
}

// The server responded, whatever a wrapper makes of it.
func TestStatusOfTheServerCounts(t *testing.T) {
	t.Parallel()
	for status, unknown := range map[int]bool{201: true, 400: false, 408: true, 429: false, 500: true} {
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			t.Parallel()
			m := newMock(t, busy(status))
			translating := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
				_, _ = next.RoundTrip(req)
				return nil, errors.New("the wrapper reads the status")
			})

			_, err := createKey(t, newTestClient(t, m, translating))

			requireOutcomeUnknown(t, err, unknown)
		})
	}
}

// A wrapper that retries can find that its first request has deleted the key.
func TestDeleteTreatsNotFoundAfterARetryOfAWrapperAsSuccess(t *testing.T) {
	t.Parallel()
	retrying := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if resp, err := next.RoundTrip(req); err == nil && resp.StatusCode < 500 {
			return resp, nil
		}
		return next.RoundTrip(req)
	})
	notFound := respondError(404, "ResourceNotFound", "text")
	for name, responses := range map[string][]httpmock.Responder{
		"lost response":              {failing(written, errConnReset), notFound},
		"502":                        {busy(502), notFound},
		"lost response, then refuse": {failing(written, errConnReset), failing(written, errRefusedStream), notFound},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client := newTestClient(t, newMock(t, responses...), append(withFastRetries(3), retrying)...)

			require.NoError(t, client.APIKeys.Delete(t.Context(), testUID))
		})
	}
}

func TestRequestOfAFailedAttemptIsNotSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMock(t)
		impatient := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			clone := req.Clone(context.WithoutCancel(req.Context()))
			clone.Body = io.NopCloser(strings.NewReader(readBody(t, req)))
			go func() {
				<-time.After(time.Minute)
				_, err := next.RoundTrip(clone) //nolint:bodyclose // there is no response
				assert.Error(t, err)
			}()
			return nil, errors.New("the wrapper does not wait")
		})

		_, err := createKey(t, newTestClient(t, m, impatient))

		requireOutcomeUnknown(t, err, false)
		<-time.After(time.Hour)
		assert.Empty(t, m.requests())
	})
}

// A DELETE that gets its connection after the call has failed would delete a key that is
// still in use by then.
func TestRequestThatWaitsForAConnectionEndsWithTheAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan error, 1)
		dialing := roundTripFunc(func(req *http.Request) (*http.Response, error) {
			resp, err := hanging(connecting)(req)
			ended <- err
			return resp, err
		})
		impatient := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			go func() { _, _ = next.RoundTrip(req.Clone(context.WithoutCancel(req.Context()))) }() //nolint:bodyclose // there is no response
			<-time.After(time.Second)
			return nil, errors.New("the wrapper does not wait")
		})

		err := newTestClient(t, dialing, impatient).APIKeys.Delete(t.Context(), testUID)

		require.ErrorContains(t, err, "the wrapper does not wait")
		require.ErrorIs(t, <-ended, context.Canceled)
	})
}

// A circuit breaker responds itself, so no key was created or deleted.
func TestResponseOfAWrapperIsNotProcessed(t *testing.T) {
	t.Parallel()
	var calls int
	breaking := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		if calls++; calls == 1 {
			return busy(503)(req)
		}
		return next.RoundTrip(req)
	})

	_, err := createKey(t, newTestClient(t, newMock(t), append(withFastRetries(0), breaking)...))
	require.ErrorIs(t, err, palette.ErrServer)
	requireOutcomeUnknown(t, err, false)

	calls = 0
	_, err = createKey(t, newTestClient(t, newMock(t, methods("Create")[0].succeed()), append(withFastRetries(1), breaking)...))
	require.NoError(t, err)

	calls = 0
	client := newTestClient(t, newMock(t, respondError(404, "ResourceNotFound", "text")), append(withFastRetries(3), breaking)...)
	require.ErrorIs(t, client.APIKeys.Delete(t.Context(), testUID), palette.ErrNotFound)
}

func TestWrapperThatReadsTheBodyAndSendsNothing(t *testing.T) {
	t.Parallel()
	failing := withWrapper(func(_ http.RoundTripper, req *http.Request) (*http.Response, error) {
		readBody(t, req)
		return nil, errors.New("no ticket")
	})

	_, err := createKey(t, newTestClient(t, newMock(t), append(withFastRetries(3), failing)...))

	requireAttempts(t, err, 4)
	requireOutcomeUnknown(t, err, false)
}

// A transport may use another one as long as nothing has read the body. net/http closes such
// a body.
func TestBodyCanBeReadAfterItWasClosed(t *testing.T) {
	t.Parallel()
	m := newMock(t, failing(written, errConnReset))
	rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		_ = req.Body.Close() // the first transport cannot dial
		return m.RoundTrip(req)
	})

	_, err := createKey(t, newTestClient(t, rt, withFastRetries(3)...))

	requireOutcomeUnknown(t, err, true)
	m.requireSent(`POST /v1/apiKeys {"metadata":{"name":"ci"}}`)
}

// A goroutine of a transport that has failed must not send the body later.
func TestBodyCannotBeReadAfterTheAttempt(t *testing.T) {
	t.Parallel()
	var requests []*http.Request
	rt := roundTripFunc(func(req *http.Request) (*http.Response, error) {
		requests = append(requests, req)
		return failing(connecting, errConnRefused)(req)
	})

	_, err := createKey(t, newTestClient(t, rt, withFastRetries(1)...))

	require.ErrorIs(t, err, errConnRefused)
	require.Len(t, requests, 2)
	for _, req := range requests {
		if hook := httptrace.ContextClientTrace(req.Context()).WroteHeaders; hook != nil {
			hook()
		}
		content, _ := io.ReadAll(req.Body)
		assert.Empty(t, content)
	}
}

// blockingConn blocks after a Write while blocked is not nil, although the bytes have left.
type blockingConn struct {
	net.Conn

	writes  *atomic.Int64
	blocked *atomic.Pointer[chan struct{}]
}

func (c blockingConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	n, err := c.Conn.Write(p)
	if until := c.blocked.Load(); until != nil {
		<-*until
	}
	return n, err
}

// dialBlocking returns a transport for server that counts its writes and can block them.
func dialBlocking(server *httptest.Server) (rt *http.Transport, writes *atomic.Int64, blocked *atomic.Pointer[chan struct{}]) {
	rt = server.Client().Transport.(*http.Transport).Clone()
	writes, blocked = new(atomic.Int64), new(atomic.Pointer[chan struct{}])
	rt.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, network, addr)
		return blockingConn{conn, writes, blocked}, err
	}
	return rt, writes, blocked
}

func TestCreateIsSentInOneWrite(t *testing.T) {
	t.Parallel()
	server, _ := startServer(t, false, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, `{"apiKey":"value","uid":"uid"}`)
	}))
	rt, writes, _ := dialBlocking(server)

	_, err := createKey(t, newTestClient(t, rt, palette.WithBaseURL(server.URL+"/prefix")))

	require.NoError(t, err)
	assert.EqualValues(t, 1, writes.Load())
}

// A DELETE is complete with its header. HTTP/2 reports the header only after its flush, in
// which the first attempt ends here, although the server has deleted the key.
func TestDeleteThatTimesOutInTheFlushCountsAsSent(t *testing.T) {
	t.Parallel()
	var deleted atomic.Int64
	server, _ := startServer(t, true, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		switch {
		case req.Method == http.MethodGet:
			serveKey(w, req)
		case deleted.Add(1) == 1:
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = io.WriteString(w, `{"code":"ResourceNotFound"}`)
		}
	}))
	rt, _, blocked := dialBlocking(server)
	firstAttempt := make(chan struct{})
	var end sync.Once
	wrapper := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if req.Method == http.MethodDelete {
			end.Do(func() { blocked.Store(nil); close(firstAttempt) })
		}
		return resp, err
	})
	client := newTestClient(t, rt, append(withFastRetries(3), wrapper,
		palette.WithBaseURL(server.URL+"/prefix"), palette.WithTimeout(300*time.Millisecond))...)
	require.NoError(t, getKey(t, client))
	blocked.Store(&firstAttempt)

	err := client.APIKeys.Delete(t.Context(), testUID)

	require.NoError(t, err)
	assert.EqualValues(t, 2, deleted.Load())
}

// otherText is an error whose text is not that of the error it wraps.
type otherText struct {
	error

	text string
}

func (e otherText) Error() string { return e.text }
func (e otherText) Unwrap() error { return e.error }

// The texts are those of net/http. In others, the server chose a part of the text.
func TestCreateIsRetriedIfHTTP2RefusedIt(t *testing.T) {
	t.Parallel()
	const (
		start  = "http2: Transport: cannot retry err ["
		end    = "] after Request.Body was written; define Request.GetBody to avoid this error"
		stream = start + "stream error: stream ID 3; REFUSED_STREAM; received from peer" + end
		goAway = start + "http2: Transport received Server's graceful shutdown GOAWAY" + end
		debug  = `http2: server sent GOAWAY and closed the connection; LastStreamID=1, ErrCode=NO_ERROR, debug="` + goAway + `"`
	)
	for _, tt := range []struct {
		name    string
		err     error
		refused bool
	}{
		{"refused stream", errors.New(stream), true},
		{"GOAWAY", errors.New(goAway), true},
		{"GOAWAY with an error code", errors.New("http2: Transport received GOAWAY from server ErrCode:ENHANCE_YOUR_CALM"), true},
		{"GOAWAY with an unknown code", errors.New("http2: Transport received GOAWAY from server ErrCode:unknown error code 0x99"), true},
		{"GOAWAY with an error code, text after", errors.New("http2: Transport received GOAWAY from server ErrCode:CANCEL, debug=\"x\""), false},
		{"wrapped", fmt.Errorf("tracing: %w", &net.OpError{Op: "write", Err: errors.New(goAway)}), true},
		{"other code", errors.New(strings.Replace(stream, "REFUSED_STREAM", "PROTOCOL_ERROR", 1)), false},
		{"error of the client", errors.New(strings.Replace(stream, "received from peer", "x", 1)), false},
		{"without the frame", errors.New("stream error: stream ID 3; REFUSED_STREAM; received from peer"), false},
		{"text before", errors.New("x " + goAway), false},
		{"line before", errors.New("x\n" + goAway), false},
		{"text after", errors.New(goAway + " x"), false},
		{"line after", errors.New(goAway + "\nx"), false},
		{"debug data", errors.New(debug), false},
		{"text of a wrapper", otherText{io.EOF, goAway}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rt := roundTripFunc(failing(written, tt.err))

			_, err := createKey(t, newTestClient(t, rt, withFastRetries(3)...))

			requireAttempts(t, err, map[bool]int{true: 1 + 4*3, false: 1}[tt.refused])
			requireOutcomeUnknown(t, err, !tt.refused)
		})
	}
}

func TestInvalidResultsOfTransports(t *testing.T) {
	t.Parallel()
	both := func(req *http.Request) (*http.Response, error) {
		resp, _ := respond(201, `{"apiKey":"value","uid":"uid"}`)(req)
		return resp, errors.New("a response and an error")
	}
	neither := failing(written, nil)
	nothing := func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 201}, nil }
	for want, result := range map[string]httpmock.Responder{
		"a response and an error":              both,
		"a nil *Response with a nil error":     neither,
		`status 201 with Content-Type "", not`: nothing,
	} {
		wrapper := withWrapper(func(next http.RoundTripper, req *http.Request) (*http.Response, error) {
			_, _ = next.RoundTrip(req)
			return result(req)
		})
		for place, client := range map[string]*palette.Client{
			"transport": newTestClient(t, newMock(t, result), withFastRetries(3)...),
			"wrapper":   newTestClient(t, newMock(t, respond(201, "{}")), append(withFastRetries(3), wrapper)...),
		} {
			t.Run(want+"/"+place, func(t *testing.T) {
				t.Parallel()

				_, err := createKey(t, client)

				require.ErrorContains(t, err, want)
				requireOutcomeUnknown(t, err, true)
			})
		}
	}
}

func TestResponseTogetherWithAnErrorIsClosed(t *testing.T) {
	t.Parallel()
	body := &streamed{Reader: http.NoBody}
	rt := roundTripFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 201, Body: body}, errConnReset
	})

	_, err := createKey(t, newTestClient(t, rt))

	require.ErrorIs(t, err, errConnReset)
	assert.True(t, body.closed)
}

// startRawServer starts a server that reads one request of each connection, passes its number
// and method to respond, sends the result and closes the connection.
func startRawServer(t *testing.T, respond func(n int64, method string) string) (addr string, requests *atomic.Int64) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	requests = new(atomic.Int64)
	serve := func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		req, err := http.ReadRequest(bufio.NewReader(conn))
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, req.Body)
		_, _ = io.WriteString(conn, respond(requests.Add(1), req.Method))
	}
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			go serve(conn)
		}
	}()
	return listener.Addr().String(), requests
}

func TestConnectionClosedDuringTheResponse(t *testing.T) {
	t.Parallel()
	const head = "HTTP/1.1 %d X\r\nContent-Type: application/json\r\n"
	for name, tt := range map[string]struct {
		response string // %d is the status of a success
		class    error
	}{
		"before":          {"", nil},
		"in the header":   {head, nil},
		"before the body": {head + "Content-Length: 500\r\n\r\n", palette.ErrUnexpectedResponse},
		"in the body":     {head + "Content-Length: 500\r\n\r\n{}", palette.ErrUnexpectedResponse},
		"between chunks":  {head + "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", palette.ErrUnexpectedResponse},
		"in a chunk":      {head + "Transfer-Encoding: chunked\r\n\r\nfff\r\n{}", palette.ErrUnexpectedResponse},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr, requests := startRawServer(t, func(n int64, method string) string {
				switch {
				case method == "POST":
					return strings.Replace(tt.response, "%d", "201", 1)
				case n == 1:
					return strings.Replace(tt.response, "%d", "200", 1)
				}
				return "HTTP/1.1 200 X\r\nContent-Type: application/json\r\n\r\n" + testKeyJSON
			})
			client := newTestClient(t, nil, append(withFastRetries(3), palette.WithBaseURL("http://"+addr))...)

			require.NoError(t, getKey(t, client))

			assert.EqualValues(t, 2, requests.Load())

			_, err := createKey(t, client)

			assert.EqualValues(t, 3, requests.Load())
			requireOutcomeUnknown(t, err, true)
			if tt.class != nil {
				require.ErrorIs(t, err, tt.class)
				require.ErrorIs(t, err, io.ErrUnexpectedEOF)
			}
		})
	}
}

func TestCreateIsRetriedWithoutAConnection(t *testing.T) {
	t.Parallel()
	const refused = "127.0.0.1:1" // nothing listens there
	addr, requests := startRawServer(t, func(int64, string) string { return "HTTP/1.1 502 Bad Gateway\r\n\r\n" })
	proxy := func(addr string) *http.Transport {
		return &http.Transport{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: addr})}
	}
	for name, tt := range map[string]struct {
		baseURL   string
		transport *http.Transport
	}{
		"dial refused":            {"https://" + refused, &http.Transport{}},
		"server without TLS":      {"https://" + addr, &http.Transport{}},
		"proxy refuses":           {testBaseURL, proxy(refused)},
		"proxy responds with 502": {testBaseURL, proxy(addr)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := createKey(t, newTestClient(t, tt.transport, append(withFastRetries(3), palette.WithBaseURL(tt.baseURL))...))

			requireAttempts(t, err, 4)
			requireOutcomeUnknown(t, err, false)
		})
	}
	t.Cleanup(func() { assert.EqualValues(t, 4, requests.Load(), "only the proxy got requests: CONNECT") })
}

// As with a server, a proxy's 5xx is temporary.
func TestProxyErrorIsRetriedFrom500On(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	for status, attempts := range map[int]int{407: 1, 499: 1, 500: 4, 502: 4} { //nolint:paralleltest // as above
		t.Run(strconv.Itoa(status), func(t *testing.T) {
			client, _ := newProxyClient(t, status)

			requireAttempts(t, getKey(t, client), attempts)
		})
	}
}

func TestInvalidCertificates(t *testing.T) {
	t.Parallel()
	inTheYear2100 := func() time.Time { return time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC) }
	for want, change := range map[string]func(*tls.Config){
		"certificate signed by unknown authority": func(c *tls.Config) { c.RootCAs = x509.NewCertPool() },
		"not other.test":          func(c *tls.Config) { c.ServerName = "other.test" },
		"certificate has expired": func(c *tls.Config) { c.Time = inTheYear2100 },
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			server, conns := startServer(t, true, http.NotFoundHandler())
			rt := server.Client().Transport.(*http.Transport).Clone()
			change(rt.TLSClientConfig)

			_, err := createKey(t, newTestClient(t, rt, append(withFastRetries(3), palette.WithBaseURL(server.URL))...))

			_, ok := errors.AsType[*tls.CertificateVerificationError](err)
			assert.True(t, ok, err)
			require.ErrorContains(t, err, want)
			requireAttempts(t, err, 1)
			requireOutcomeUnknown(t, err, false)
			assert.EqualValues(t, 1, conns.dialed.Load())
		})
	}
}

func TestRootCAsWithAnyDefaultTransport(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	original := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = original })
	server, _ := startServer(t, true, serveKey)
	for name, shared := range map[string]*http.Transport{ //nolint:paralleltest // as above
		"zero":           {},
		"without HTTP/2": {TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{}}, // has no TLS configuration
	} {
		t.Run(name, func(t *testing.T) {
			http.DefaultTransport = shared

			require.NoError(t, getKey(t, newNetworkClient(t, server)))

			assert.True(t, shared.TLSClientConfig == nil || shared.TLSClientConfig.RootCAs == nil, "it was modified")
		})
	}
}

// newDefaultTransportClient returns a client with a default transport whose connections lead
// to serve, in memory. open counts those that are open.
func newDefaultTransportClient(t *testing.T, serve func(net.Conn), opts ...palette.Option) (client *palette.Client, open *atomic.Int64) {
	t.Helper()
	open = new(atomic.Int64)
	original := http.DefaultTransport
	t.Cleanup(func() { http.DefaultTransport = original })
	http.DefaultTransport = &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		conn, server := net.Pipe()
		open.Add(1)
		go func() {
			defer open.Add(-1)
			serve(server)
			_, _ = io.Copy(io.Discard, server) // until the client closes the connection
		}()
		return conn, nil
	}}
	client, err := palette.NewClient(append(opts, palette.WithAPIKey(testKey), palette.WithBaseURL("http://127.0.0.1"))...)
	require.NoError(t, err)
	t.Cleanup(client.CloseIdleConnections)
	return client, open
}

// A dialer for TLS would ignore the certificates that are given.
func TestTLSOptionsCountWithADialerForTLS(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	original := http.DefaultTransport.(*http.Transport)
	t.Cleanup(func() { http.DefaultTransport = original })
	server, _ := startServer(t, true, serveKey)
	dialing := original.Clone()
	dialing.DialTLSContext = func(context.Context, string, string) (net.Conn, error) {
		t.Error("the dialer for TLS was used")
		return nil, errConnRefused
	}
	http.DefaultTransport = dialing

	require.NoError(t, getKey(t, newNetworkClient(t, server)))
}

// Load balancers close idle connections after 60 seconds.
func TestIdleConnectionsAreClosedAfter50Seconds(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	synctest.Test(t, func(t *testing.T) {
		client, open := newDefaultTransportClient(t, func(conn net.Conn) {
			_, err := http.ReadRequest(bufio.NewReader(conn))
			assert.NoError(t, err)
			_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
		})

		require.NoError(t, client.APIKeys.Delete(t.Context(), testUID))

		<-time.After(50*time.Second - 1)
		synctest.Wait()
		assert.EqualValues(t, 1, open.Load())
		<-time.After(1)
		synctest.Wait()
		assert.Zero(t, open.Load())
	})
}

// Other connections may have gone dead as well.
func TestAttemptTimeoutClosesIdleConnections(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int64
		client, open := newDefaultTransportClient(t, func(conn net.Conn) {
			reader := bufio.NewReader(conn)
			for _, err := http.ReadRequest(reader); err == nil && requests.Add(1) <= 2; _, err = http.ReadRequest(reader) {
				<-time.After(time.Millisecond) // until there are two connections
				_, _ = io.WriteString(conn, "HTTP/1.1 204 No Content\r\n\r\n")
			}
		}, palette.WithMaxRetries(0))
		var callers sync.WaitGroup
		for range 2 {
			callers.Go(func() { assert.NoError(t, client.APIKeys.Delete(t.Context(), testUID)) })
		}
		callers.Wait()
		require.EqualValues(t, 2, open.Load())

		err := client.APIKeys.Delete(t.Context(), testUID)

		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		assert.Zero(t, open.Load())
	})
}

// The deadline of the caller says nothing about the connections.
func TestDeadlineOfTheCallerKeepsIdleConnections(t *testing.T) {
	t.Parallel()
	var both sync.WaitGroup
	both.Add(2)
	var gets atomic.Int64
	server, conns := startServer(t, false, http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if req.Method == http.MethodDelete {
			<-req.Context().Done()
			return
		}
		if gets.Add(1) <= 2 { // at the same time, so that two connections are idle afterwards
			both.Done()
			both.Wait()
		}
		serveKey(w, req)
	}))
	client := newNetworkClient(t, server)
	require.Zero(t, getConcurrently(t, client, 2))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()

	require.ErrorIs(t, client.APIKeys.Delete(ctx, testUID), context.DeadlineExceeded)
	require.NoError(t, getKey(t, client))

	assert.EqualValues(t, 2, conns.dialed.Load())
}

// httpmock replaces it.
func TestReplacedDefaultTransportIsUsed(t *testing.T) { //nolint:paralleltest // replaces http.DefaultTransport
	original, m := http.DefaultTransport, newMock(t, respond(200, testKeyJSON))
	t.Cleanup(func() { http.DefaultTransport = original })
	http.DefaultTransport = sharedTransport{t: t, RoundTripper: m}

	require.NoError(t, getKey(t, newTestClient(t, nil)))
	require.ErrorIs(t, getKey(t, newTestClient(t, nil, palette.WithTimeout(1))), context.DeadlineExceeded)

	m.requireSent("GET /v1/apiKeys/66e844c44bab2337f20c7471")

	_, err := palette.NewClient(palette.WithAPIKey(testKey), palette.WithInsecureSkipVerify())
	require.ErrorContains(t, err, "TLS: http.DefaultTransport was replaced by palette_test.sharedTransport, which cannot be configured")
}
