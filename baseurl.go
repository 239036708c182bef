package palette

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"
)

// DefaultBaseURL is the URL of Palette's public host (doc). Use [WithBaseURL] for a
// dedicated or self-hosted one.
const DefaultBaseURL = "https://api.spectrocloud.com"

// parseBaseURL parses a host or URL. Its errors do not quote it, because it may contain a
// password. Whether the URL may be http depends on another option: see checkHTTP.
func parseBaseURL(raw string) (*url.URL, error) {
	if !strings.Contains(raw, "://") {
		if scheme, _, _ := strings.Cut(raw, ":"); strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http") {
			return nil, errors.New("there is no // after the scheme")
		}
		raw = "https://" + raw
	}
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("it is not a host or URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the scheme must be https or http")
	case u.Hostname() == "":
		return nil, errors.New("it has no host")
	case strings.Contains(u.Hostname(), ":") && u.Host[0] != '[':
		return nil, errors.New("an IPv6 address needs brackets")
	case u.User != nil:
		return nil, errors.New("it must not contain a user or password")
	case strings.ContainsAny(raw, "?#"):
		return nil, errors.New("it must not contain a query or fragment")
	}
	u.Host = strings.TrimSuffix(u.Host, ":") // as net/http does with the URL of a request
	if strings.EqualFold(u.Hostname(), "localhost") {
		u.Host = strings.ToLower(u.Host) // net/http would send requests to LOCALHOST through a proxy
	}
	// Both forms, so that the escaped path stays as it is.
	u.RawPath = strings.TrimRight(u.EscapedPath(), "/")
	u.Path, err = url.PathUnescape(u.RawPath)
	if strings.HasSuffix(u.Path, "/v1") {
		return nil, errors.New("the path must not end in /v1, which the client adds")
	}
	if _, parseErr := url.Parse(u.String()); err != nil || parseErr != nil { // resty parses it once more
		return nil, errors.New("it is not a host or URL")
	}
	return u, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && addr.IsLoopback()
}
