// Package palette is a client for the API keys of Spectro Cloud Palette.
//
// It covers every operation of the /v1/apiKeys resource. Where this documentation says
// (spec), the fact is from Palette's OpenAPI contract; (doc) is from Palette's manual;
// (assumed) is from neither.
//
// # Quick start
//
// Create a client with [NewClient] and call the methods of [Client.APIKeys]:
//
//	client, err := palette.NewClient(palette.WithEnv()) // PALETTE_API_KEY, PALETTE_HOST
//	if err != nil {
//		return err
//	}
//	key, err := client.APIKeys.Create(ctx, palette.CreateAPIKeyRequest{
//		Metadata: palette.ObjectMetaInput{Name: "ci"},
//		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().AddDate(0, 0, 30)},
//	})
//	if err != nil {
//		return err
//	}
//	// Palette returns the value of a key only once. Store it now.
//	return store(key.UID, key.APIKey.Reveal())
//
// # Authentication
//
// A client uses exactly one credential: an API key ([WithAPIKey], [WithAPIKeyFile],
// [WithAPIKeyFunc]) or a JWT ([WithAuthToken], [WithAuthTokenFunc]). [WithEnv] reads it
// from the environment. The client sends the credential only to the scheme and host of
// the base URL and does not follow redirects.
//
// A file or a function is read before each attempt. If the server responds with 401 and
// the credential has changed in the meantime, the call is retried with the new one, up to
// [WithMaxRetries] times, but at least once.
//
// # Errors
//
// If the server responds with an error status, the method returns an [*APIError]. Use
// errors.Is to test for a class of errors and errors.AsType for the details:
//
//	if errors.Is(err, palette.ErrForbidden) {
//		// the user of the credential lacks a permission
//	}
//	if apiErr, ok := errors.AsType[*palette.APIError](err); ok {
//		log.Print(apiErr.StatusCode, apiErr.Code, apiErr.Message)
//	}
//
// The classes are:
//
//	ErrInvalidArgument     an argument or option is invalid; no request was sent
//	ErrBadRequest          400, 422
//	ErrUnauthorized        401, or a 404 whose message repeats the credential
//	ErrForbidden           403
//	ErrNotFound            404 with one of Palette's own error codes
//	ErrConflict            409
//	ErrRateLimited         429, or the wait for the rate limiter would be too long
//	ErrServer              500 to 599
//	ErrRedirect            300 to 399
//	ErrUnexpectedResponse  the response is not the documented one, or a 404 is not from Palette
//	ErrOutcomeUnknown      Create failed and the key may exist; possibly in addition to another class
//
// Other 4xx statuses are an [*APIError] of no class. Errors of the context, the network
// and TLS are wrapped: use errors.Is and errors.AsType for them, too. If the file or the
// function of the credential fails, the error is of no class, and the attempt sent no
// request.
//
// # Retries
//
// Requests that fail for a temporary reason are retried up to three times, with
// exponential backoff and jitter. With the rate limiter, which is the default, they are
// retried up to twelve times after a 429. [WithMaxRetries] and [WithBackoff] change this.
// This table may change in minor releases:
//
//	operation        retried on
//	all but Create   failures to connect, reset or truncated responses, attempt timeouts,
//	                 408, 429, 502, 503, 504
//	Create           429, failures in which the server did not process the request (see
//	                 Connections)
//	none             500 (Palette uses it for business errors), all other statuses, invalid
//	                 responses, invalid certificates, a canceled context
//
// The client waits at least as long as a Retry-After header asks. If that is longer
// than the maximum backoff, or if the context would end first, the call returns
// without another attempt. [APIError.RetryAfter] is the value of the header.
//
// Create is not retried if the server may have processed the request, because a second
// request could create a second key. If Create fails and the key may exist, the error
// is [ErrOutcomeUnknown]: look for the key with [APIKeysService.FindByName] before
// creating another. With a transport of your own that retries requests, one Create
// can create two keys.
//
// If Delete is retried after an attempt that the server may have processed, and the key
// does not exist, Delete returns nil.
//
// After a 408 or a 5xx, the server may have processed the request: a proxy can send these
// statuses after the work was done.
//
// # Connections
//
// The default transport is a clone of [http.DefaultTransport] with at most 64 connections
// per host. It closes idle connections after 50 seconds, before load balancers do. If
// http.DefaultTransport was replaced by another type, it is used as it is.
//
// If there was no response, the server did not process the request if the connection, the
// TLS handshake or the proxy failed before the request was sent, or if an HTTP/2 server
// refused the stream (REFUSED_STREAM, GOAWAY). In all other cases it may have processed the
// request. If a transport of your own calls no hook of [net/http/httptrace], the client
// assumes that the request was sent.
//
// If a connection goes dead, at most one attempt of a call fails: HTTP/2 connections are
// checked with pings, and after an attempt timeout the client closes its idle connections.
//
// # Rate limit
//
// Palette allows 10 requests per second and bursts of 50 for each source address (doc). By
// default, a client sends at most 9 per second and bursts of 45, over all goroutines;
// [WithRateLimit] and [WithoutRateLimit] change that. Retries count against the limit.
// [WithTimeout] does not include the wait for the rate limiter. If a call would have to wait
// until after the deadline of its context, it fails immediately with an error that is
// [ErrRateLimited] and [context.DeadlineExceeded].
//
// The limiter adapts to the server. If the server responds with 429, or with a 503 that is
// not from Palette, the limiter pauses all calls for the Retry-After duration, at most the
// maximum backoff. It also halves the rate, down to a tenth of the configured one, and
// disables bursts until the full rate is back. Later responses raise the rate again, by 5 %
// of the configured one for each second.
//
// # Secrets
//
// A created key is a [Secret]. Printing or logging it shows [REDACTED], and marshaling
// it returns [ErrSecretNotEncoded]. Only [Secret.Reveal] returns the value.
//
// The client's own credential is not part of errors, log records or the printed
// client. It is redacted from the server's texts, unless it is shorter than 8
// characters.
//
// # Concurrency
//
// A [Client] is immutable and safe for concurrent use. Share one client, so that all
// goroutines share its connections and its rate limiter.
package palette
