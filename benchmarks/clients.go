package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/go-resty/resty/v2"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

const (
	credential  = "benchmark-credential"
	userAgent   = "palette-benchmarks/1.0"
	contentJSON = "application/json"
	timeout     = 30 * time.Second
)

// A client makes the calls that are compared. All clients send the same requests
// and decode into the same structs, so that what differs is the way in between.
type client interface {
	create(ctx context.Context) (uid string, err error)
	get(ctx context.Context) (any, error)  // *palette.APIKey
	list(ctx context.Context) (any, error) // []palette.APIKey
}

// kind is a way to build a client on a transport.
type kind struct {
	name      string
	make      func(baseURL string, rt http.RoundTripper) (client, error)
	reference bool // what the others' times are relative to; the mean if there are several
}

// The names of the clients. The others are measured against netHTTP; again is the
// same client once more, and shows the noise.
const (
	netHTTP   = "nethttp"
	again     = "again"
	rawResty  = "resty"
	restyCopy = "restycopy"
	sdk       = "sdk"
)

var kinds = []kind{
	{netHTTP, newHTTPClient, true},
	{again, newHTTPClient, true},
	{rawResty, newRestyClient, false},
	{restyCopy, newRestyCopy, false},
	{sdk, newSDKClient, false},
}

// newKey is the create request that every client sends.
var newKey = palette.CreateAPIKeyRequest{
	Metadata: palette.ObjectMeta{
		Name:        "benchmark",
		Annotations: map[string]string{"description": "made by a benchmark"},
	},
	Spec: palette.APIKeyCreateSpec{
		Expiry:  time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		UserUID: "5f3a1c2e9d8b7a6c5e4f3a21",
	},
}

// createdKey and keyList are what the hand-written clients decode into.
type createdKey struct {
	APIKey string `json:"apiKey"`
	UID    string `json:"uid"`
}

type keyList struct {
	Items    []palette.APIKey `json:"items"`
	ListMeta struct {
		Continue string `json:"continue"`
	} `json:"listmeta"`
}

// sdkClient is this SDK.
type sdkClient struct{ *palette.Client }

func newSDKClient(baseURL string, rt http.RoundTripper) (client, error) {
	return newSDKClientWith(baseURL, rt, palette.WithAPIKey(credential))
}

func newSDKClientWith(baseURL string, rt http.RoundTripper, opts ...palette.Option) (client, error) {
	c, err := palette.NewClient(append(opts,
		palette.WithBaseURL(baseURL),
		palette.WithHTTPClient(&http.Client{Transport: rt}),
		palette.WithUserAgent(userAgent),
		palette.WithTimeout(timeout),
	)...)
	return sdkClient{c}, err
}

func (c sdkClient) create(ctx context.Context) (string, error) {
	created, err := c.APIKeys.Create(ctx, newKey)
	if err != nil {
		return "", err
	}
	return created.UID, nil
}

func (c sdkClient) get(ctx context.Context) (any, error)  { return c.APIKeys.Get(ctx, keyUID) }
func (c sdkClient) list(ctx context.Context) (any, error) { return c.APIKeys.List(ctx) }

// byHand makes the calls of a client that has no methods of its own, only a way to
// send a request and to decode the reply into into.
type byHand func(ctx context.Context, method, path string, body any, want int, into any) error

func (do byHand) create(ctx context.Context) (string, error) {
	var created createdKey
	err := do(ctx, http.MethodPost, apiKeysPath, newKey, http.StatusCreated, &created)
	return created.UID, err
}

func (do byHand) get(ctx context.Context) (any, error) {
	key := new(palette.APIKey)
	err := do(ctx, http.MethodGet, keyPath, nil, http.StatusOK, key)
	return key, err
}

func (do byHand) list(ctx context.Context) (any, error) {
	var list keyList
	err := do(ctx, http.MethodGet, apiKeysPath, nil, http.StatusOK, &list)
	return list.Items, err
}

// newHTTPClient is what one writes by hand on net/http and encoding/json.
func newHTTPClient(baseURL string, rt http.RoundTripper) (client, error) {
	hc := &http.Client{Transport: rt}
	return byHand(func(ctx context.Context, method, path string, body any, want int, into any) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		var payload io.Reader
		if body != nil {
			text, err := json.Marshal(body)
			if err != nil {
				return err
			}
			payload = bytes.NewReader(text)
		}
		req, err := http.NewRequestWithContext(ctx, method, baseURL+path, payload)
		if err != nil {
			return err
		}
		req.Header.Set("ApiKey", credential)
		req.Header.Set("Accept", contentJSON)
		req.Header.Set("User-Agent", userAgent)
		if body != nil {
			req.Header.Set("Content-Type", contentJSON)
		}
		resp, err := hc.Do(req)
		if err != nil {
			return err
		}
		return decode(resp, want, into)
	}), nil
}

// decode reads a reply.
func decode(resp *http.Response, want int, into any) error {
	defer resp.Body.Close()
	if resp.StatusCode != want {
		return fmt.Errorf("status %d where %d is success", resp.StatusCode, want)
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// newRestyClient is resty as its documentation shows it.
func newRestyClient(baseURL string, rt http.RoundTripper) (client, error) {
	r := resty.NewWithClient(&http.Client{Transport: rt}).
		SetBaseURL(baseURL).
		SetHeader("ApiKey", credential).
		SetHeader("Accept", contentJSON).
		SetHeader("User-Agent", userAgent)
	return byHand(func(ctx context.Context, method, path string, body any, want int, into any) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		req := r.R().SetContext(ctx).SetResult(into)
		if body != nil {
			req.SetHeader("Content-Type", contentJSON).SetBody(body)
		}
		resp, err := req.Execute(method, path)
		if err != nil {
			return err
		}
		if resp.StatusCode() != want {
			return fmt.Errorf("status %d where %d is success", resp.StatusCode(), want)
		}
		return nil
	}), nil
}

// newRestyCopy uses resty sparingly: a copy of a request made before, and the reply
// read by hand. It follows redirects with the credential.
func newRestyCopy(baseURL string, rt http.RoundTripper) (client, error) {
	prepared := resty.NewWithClient(&http.Client{Transport: rt}).R().
		SetDoNotParseResponse(true).
		SetHeader("ApiKey", credential).
		SetHeader("Accept", contentJSON).
		SetHeader("User-Agent", userAgent)
	withBody := prepared.Header.Clone()
	withBody.Set("Content-Type", contentJSON)
	return byHand(func(ctx context.Context, method, path string, body any, want int, into any) error {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		req := *prepared
		req.SetContext(ctx)
		if body != nil {
			text, err := json.Marshal(body)
			if err != nil {
				return err
			}
			req.Header = withBody
			req.SetBody(bytes.NewReader(text))
		}
		resp, err := req.Execute(method, baseURL+path)
		if err != nil {
			return err
		}
		return decode(resp.RawResponse, want, into)
	}), nil
}
