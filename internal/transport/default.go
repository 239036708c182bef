package transport

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// maxConns is the maximum number of connections of the default transport, idle or in use.
// Without a maximum, net/http dials more than it keeps.
const maxConns = 64

// Default returns the transport of a client that is given none, for attempts with the given
// timeout, and whether nobody else uses it. If roots is not nil, it trusts them instead of
// the system's. If skipVerify is true, it accepts any certificate.
//
// The transport is a clone of http.DefaultTransport. If somebody has replaced that by another
// type, it is used as it is.
func Default(timeout time.Duration, roots *x509.CertPool, skipVerify bool) (rt http.RoundTripper, own bool) {
	base, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport, false
	}
	t := base.Clone()
	t.ForceAttemptHTTP2 = true // the clone of a transport without a TLS config would lose HTTP/2
	t.MaxConnsPerHost, t.MaxIdleConnsPerHost, t.MaxIdleConns = maxConns, maxConns, maxConns
	t.IdleConnTimeout = 50 * time.Second // load balancers close idle connections after 60 seconds
	t.HTTP2 = pings(timeout)
	if t.OnProxyConnectResponse == nil {
		t.OnProxyConnectResponse = checkProxy
	}
	if roots != nil || skipVerify {
		setTLS(t, roots, skipVerify)
	}
	return t, true
}

// pings makes the transport find out within an attempt of the given timeout that an HTTP/2
// connection is dead. Half of the idle time is the least for the response to a ping: less
// would end healthy connections of slow networks.
func pings(timeout time.Duration) *http.HTTP2Config {
	idle := min(max(timeout/3, time.Second), 10*time.Second)
	response := max(min(timeout*9/10-idle, 5*time.Second), idle/2)
	return &http.HTTP2Config{SendPingTimeout: idle, PingTimeout: response}
}

// setTLS makes t verify certificates as told. It removes what would ignore that, or share
// connections with http.DefaultTransport: a dialer for TLS, and a ready table of protocols.
func setTLS(t *http.Transport, roots *x509.CertPool, skipVerify bool) {
	t.DialTLSContext, t.DialTLS, t.TLSNextProto = nil, nil, nil //nolint:staticcheck // DialTLS is deprecated, but used
	if t.TLSClientConfig == nil {
		t.TLSClientConfig = &tls.Config{}
	}
	t.TLSClientConfig.RootCAs = roots
	t.TLSClientConfig.InsecureSkipVerify = skipVerify
}

// checkProxy returns an error if a proxy refuses a connection. net/http's own names neither
// the proxy nor its status code.
func checkProxy(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	err := fmt.Errorf("proxy %s refused the connection: %d %s", proxy.Host, resp.StatusCode, http.StatusText(resp.StatusCode))
	if resp.StatusCode == http.StatusProxyAuthRequired {
		err = fmt.Errorf("%w: check the user and password in HTTPS_PROXY", err)
	}
	if resp.StatusCode < 500 {
		return &permanentError{err}
	}
	return err
}
