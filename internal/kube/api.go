package kube

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-resty/resty/v2"
)

// The time for one request. A patch waits for admission webhooks as well.
const getTimeout, patchTimeout = 10 * time.Second, 60 * time.Second

const (
	maxBody      = 8 << 20          // a Secret has at most 1 MiB, which base64 and managed fields make larger
	maxAttempts  = 5                // if the API server responds with 429
	maxRetryWait = 30 * time.Second // whatever it asks for
)

// Pod is what a program in a pod knows of the API server.
type Pod struct {
	Folder     string // of the service account: token, ca.crt, namespace
	Host, Port string // KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT
}

// file returns the content of a file of the service account.
func (p Pod) file(name string) (string, error) {
	content, err := os.ReadFile(filepath.Join(p.Folder, name))
	if err != nil {
		return "", fmt.Errorf("kubernetes: read the pod's service account: %w", err)
	}
	return strings.TrimSpace(string(content)), nil
}

// statusError is an error status of the API server.
type statusError struct {
	code int
	text string
}

func (e *statusError) Error() string { return e.text }

func (s *Store) connect() error {
	if s.pod.Host == "" || s.pod.Port == "" {
		return errors.New("kubernetes: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set: this works only in a pod")
	}
	if s.namespace == "" {
		namespace, err := s.pod.file("namespace")
		if err != nil {
			return err
		}
		s.namespace = namespace
	}
	ca, err := s.pod.file("ca.crt")
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(ca)) {
		return fmt.Errorf("kubernetes: %s has no certificate", filepath.Join(s.pod.Folder, "ca.crt"))
	}
	s.url = "https://" + net.JoinHostPort(s.pod.Host, s.pod.Port) + "/api/v1/namespaces/" + s.namespace + "/secrets/" + s.name
	s.client = resty.NewWithClient(&http.Client{
		Transport: &http.Transport{ // without a proxy: HTTPS_PROXY is meant for other hosts
			TLSClientConfig:   &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			DisableKeepAlives: true, // minutes pass between Load and Save
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}).SetResponseBodyLimit(maxBody)
	return nil
}

// send sends a request and returns the Secret of the response. While the API server responds
// with 429, it waits and tries again.
func (s *Store) send(ctx context.Context, verb, query string, body any) (secret, error) {
	for attempt := 1; ; attempt++ {
		token, err := s.pod.file("token") // each time, because the kubelet replaces it
		if err != nil {
			return secret{}, err
		}
		resp, err := s.attempt(ctx, token, query, body)
		if err != nil {
			return secret{}, s.errorf("%s: %w", verb, err)
		}
		if resp.StatusCode() != http.StatusTooManyRequests || attempt == maxAttempts {
			return s.decode(verb, resp)
		}
		select {
		case <-ctx.Done():
			return secret{}, s.errorf("%s: 429 Too Many Requests: %w", verb, ctx.Err())
		case <-time.After(retryWait(resp.Header())):
		}
	}
}

func (s *Store) attempt(ctx context.Context, token, query string, body any) (*resty.Response, error) {
	method, timeout := http.MethodGet, getTimeout
	req := s.client.R().SetAuthToken(token).SetHeader("Accept", "application/json")
	if body != nil {
		method, timeout = http.MethodPatch, patchTimeout
		req.SetHeader("Content-Type", "application/merge-patch+json").SetBody(body)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	return req.SetContext(ctx).Execute(method, s.url+query)
}

func retryWait(header http.Header) time.Duration {
	seconds, err := strconv.ParseUint(header.Get("Retry-After"), 10, 16)
	if err != nil {
		return time.Second
	}
	return min(time.Duration(seconds)*time.Second, maxRetryWait)
}

// decode returns the Secret of a response. An error quotes nothing of it.
func (s *Store) decode(verb string, resp *resty.Response) (secret, error) {
	if resp.StatusCode() != http.StatusOK {
		return secret{}, s.errorf("%s: %w", verb, newStatusError(verb, resp))
	}
	var got secret
	if err := json.Unmarshal(resp.Body(), &got); err != nil || got.Kind != "Secret" || got.Metadata.ResourceVersion == "" {
		return secret{}, s.errorf("%s: the response is not a Secret: something other than the API server responded", verb)
	}
	return got, nil
}

// denied is where an admission webhook or policy explains itself. It has seen the data.
var denied = regexp.MustCompile(`(?s)(denied (the )?request).*`)

// newStatusError returns the error of a response. Only the messages of four statuses are
// quoted: that of a 422 quotes the whole Secret.
func newStatusError(verb string, resp *resty.Response) error {
	var status struct {
		Message string `json:"message"`
	}
	_ = json.Unmarshal(resp.Body(), &status) // if it is not the API server's, there is no message
	message := denied.ReplaceAllString(status.Message, "$1")
	right, _, _ := strings.Cut(verb, " ")
	code := resp.StatusCode()
	switch {
	case code == http.StatusBadRequest, code == http.StatusUnprocessableEntity:
		message = "the message of the API server is not shown, because it can quote the Secret"
	case code == http.StatusUnauthorized:
		message = "the API server does not accept the token of the service account"
	case code == http.StatusForbidden && strings.Contains(message, " cannot "+right+" "):
		message += ": grant the service account the right " + right + " on this Secret"
	case code == http.StatusNotFound && message != "":
		message += ": create the Secret first"
	case code != http.StatusForbidden && code != http.StatusConflict:
		message = ""
	}
	text := strings.TrimSuffix(fmt.Sprintf("%d %s: %s", code, http.StatusText(code), message), ": ")
	return &statusError{code, text}
}
