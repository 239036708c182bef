package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const collection = "/v1/apiKeys"

// newClient returns a client of the SDK that is configured by the environment, for send.
// Its rate is below half of what Palette documents: 10 requests per second, bursts of 50.
func newClient(opts ...palette.Option) (*palette.Client, error) {
	return palette.NewClient(append([]palette.Option{
		palette.WithEnv(),
		palette.WithMaxRetries(0),
		palette.WithRateLimit(4.5, 20),
		palette.WithUserAgent("palette-conformance"),
		palette.WithTransportWrapper(func(next http.RoundTripper) http.RoundTripper { return wire{next} }),
	}, opts...)...)
}

// exchange is a request that replaces the SDK's, and its response.
type exchange struct {
	method, path, body string
	answer             answer
}

// answer is a response as it was sent; its status is 0 if there was none.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// unclear reports whether the response says nothing about the request: it comes from what
// is in front of the server, or the server may or may not have done the work.
func (a answer) unclear() bool {
	return a.status == 0 || a.status == http.StatusRequestTimeout || a.status == http.StatusTooManyRequests || a.status >= 500
}

type exchangeKey struct{}

// send sends a request with the configuration and the credential of client.
func send(ctx context.Context, client *palette.Client, method, path, body string) answer {
	x := &exchange{method: method, path: path, body: body}
	_, _ = client.APIKeys.List(context.WithValue(ctx, exchangeKey{}, x)) // the answer says how it went
	return x.answer
}

// wire replaces the requests of send. The SDK's transport below it adds the credential.
type wire struct{ next http.RoundTripper }

func (w wire) RoundTrip(req *http.Request) (*http.Response, error) {
	x, ok := req.Context().Value(exchangeKey{}).(*exchange)
	switch {
	case !ok:
		return w.next.RoundTrip(req)
	case x.answer.status != 0: // the SDK wants the next page, or tries another credential
		return nil, errors.New("the exchange is over")
	}
	target, err := req.URL.Parse(strings.TrimSuffix(req.URL.EscapedPath(), collection) + x.path)
	if err != nil {
		return nil, err
	}
	out := req.Clone(req.Context())
	out.Method, out.URL, out.Body, out.ContentLength = x.method, target, nil, 0
	if x.body != "" {
		out.Body, out.ContentLength = io.NopCloser(strings.NewReader(x.body)), int64(len(x.body))
		out.Header.Set("Content-Type", "application/json")
	}
	resp, err := w.next.RoundTrip(out)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	x.answer = answer{resp.StatusCode, resp.Header, body}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// media returns the kind of the body, in one of a few words.
func (a answer) media() string {
	for _, kind := range []string{"json", "html", "plain"} {
		if strings.Contains(a.header.Get("Content-Type"), kind) {
			return kind
		}
	}
	return "another media type"
}

// fields returns the fields of the body, if it is an object.
func (a answer) fields() map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(a.body, &fields) // none
	return fields
}

// String describes the response of an error, without its texts.
func (a answer) String() string {
	code := string(a.fields()["code"])
	kind, _ := is(strings.HasPrefix(code, `"`), "a text as code", "no text as code")
	if _, err := strconv.Atoi(code); err == nil {
		kind = "a number as code"
	}
	ref, _ := is(len(a.fields()["ref"]) > len(`""`), "a ref", "no ref")
	return fmt.Sprintf("%d, %s, %s, %s", a.status, a.media(), kind, ref)
}
