// Package palettetest is an in-memory server of Palette's API keys, /v1/apiKeys,
// to test clients against: no tenant, no network beyond loopback, no state left
// behind. It knows nothing of any client, the one in this module included.
//
//	srv := palettetest.NewServer()
//	defer srv.Close()
//
//	req, _ := http.NewRequest(http.MethodGet, srv.URL+"/v1/apiKeys", nil)
//	req.Header.Set("ApiKey", srv.APIKey)
//
// Everything is kept: a key that was created authenticates at once, and gets 401
// from the moment it is revoked, deleted or expired. [Server.AddKey] puts keys
// there that no client could create, [Server.Keys] shows the books, and
// [Server.Requests] what arrived, without credentials.
//
// # Faults
//
// [Server.Inject] makes chosen requests fail: with any reply, late, with the
// connection cut before or after the work, or with a body that does not end.
// Two requests that get 503 and the wish to be left alone for a second:
//
//	srv.Inject(palettetest.Fault{
//		Method: http.MethodGet, Path: "/v1/apiKeys/{uid}", Times: 2,
//		Status: http.StatusServiceUnavailable, RetryAfter: "1",
//	})
//
// A key that is made while its creator never learns of it:
//
//	srv.Inject(palettetest.Fault{Method: http.MethodPost, Cut: palettetest.CutAfter})
//
// # What is known and what is assumed
//
// From the contract that Spectro Cloud publishes, or from its documentation:
// paths, methods, success statuses and field names; the two credential headers,
// ApiKey, and Authorization with a token of 15 minutes and without "Bearer"; both
// shapes of errors, with a string or a number for a code; the annotations that
// the server adds; the zero time 0001-01-01T00:00:00.000Z for what is unset; that
// an update replaces annotations and labels and cannot change the owner; that an
// admin has all keys and a user their own; the limit of 20 keys.
//
// Assumed, since nothing public says so:
//   - The uid in the reply to a create is the key's. (The contract describes it
//     as the user's; most evidence is for the key.)
//   - PATCH of a key and PUT of its state do the same. Without isActive they mean
//     false; an inactive key reads "status":{}.
//   - An update without a name or an expiry, or with a zero one, keeps the old. It
//     may not move the expiry into the past, nor may a create: 400.
//   - An expired key cannot be activated: 400.
//   - A create needs a name, and the name may be taken. Left out, the owner is the
//     caller; one who does not exist is 400.
//   - Above the key limit: 400, code ResourceLimitExceeded. Above the rate limit:
//     429, code TooManyRequests.
//   - Somebody else's key: 403, code ResOperationForbidden. Creating for somebody
//     else: 403, code OperationForbidden.
//   - Unknown paths and methods are refused before the credential is looked at,
//     bodies after it. A write without a body is 422, above 1 MiB 413. Unknown
//     fields are ignored.
//   - There is one page, in the order of creation; see [WithPageSize].
//   - Of two credentials in one request, the ApiKey header counts.
//
// # By hand
//
// The server needs no client but curl. Here URL and KEY hold the two fields of a
// started server. Long replies are broken over lines, and <…> stands for what
// differs from run to run.
//
//	$ JSON='Content-Type: application/json' STATUS='%{http_code}\n'
//	$ curl -s -w "$STATUS" -H "ApiKey: $KEY" -H "$JSON" $URL/v1/apiKeys \
//	    -d '{"metadata":{"name":"ci"},"spec":{"expiry":"2098-01-31T12:00:00Z"}}'
//	{"apiKey":"<value>","uid":"<uid>"}
//	201
//	$ KEY_UID='<uid>' VALUE='<value>'
//	$ curl -s -w "$STATUS" -H "ApiKey: $VALUE" $URL/v1/apiKeys/$KEY_UID
//	{"metadata":{
//	    "annotations":{
//	        "ownerUid":"<admin>",
//	        "permissions":"apiKey.create,apiKey.delete,apiKey.get,apiKey.list,apiKey.update,tag.update",
//	        "scope":"tenant","scopeVisibility":"20","tenantUid":"<tenant>"},
//	    "creationTimestamp":"<time>",
//	    "deletionTimestamp":"0001-01-01T00:00:00.000Z",
//	    "lastModifiedTimestamp":"<time>",
//	    "name":"ci","uid":"<uid>"},
//	"spec":{
//	    "expiry":"2098-01-31T12:00:00.000Z",
//	    "user":{"firstName":"Tenant","lastName":"Admin","uid":"<admin>"}},
//	"status":{"isActive":true}}
//	200
//	$ curl -s -w "$STATUS" -H "ApiKey: $KEY" -H "$JSON" -X PUT $URL/v1/apiKeys/$KEY_UID \
//	    -d '{"metadata":{"name":"ci-2","annotations":{"description":"builds"}},"spec":{}}'
//	204
//	$ curl -s -w "$STATUS" -H "ApiKey: $KEY" -H "$JSON" -X PUT $URL/v1/apiKeys/$KEY_UID/state \
//	    -d '{"isActive":false}'
//	204
//	$ curl -s -w "$STATUS" -H "ApiKey: $VALUE" $URL/v1/apiKeys
//	{"code":"UnAuthorizedAccess",
//	"message":"The credential is missing, unknown or no longer valid",
//	"details":{},"ref":"<ref>"}
//	401
//	$ curl -s -w "$STATUS" -H "ApiKey: $KEY" -H "$JSON" -X PATCH $URL/v1/apiKeys/$KEY_UID \
//	    -d '{"isActive":true}'
//	204
//	$ curl -s -w "$STATUS" -H "ApiKey: $VALUE" -X DELETE $URL/v1/apiKeys/$KEY_UID
//	204
//	$ curl -s -w "$STATUS" -H "ApiKey: $KEY" $URL/v1/apiKeys/$KEY_UID
//	{"code":"ResourceNotFound",
//	"message":"API key '<uid>' was not found",
//	"details":{},"ref":"<ref>"}
//	404
//	$ curl -s -w "$STATUS" -H "ApiKey: $KEY" $URL/v1/apiKeys
//	{"items":[]}
//	200
//	$ curl -s -w "$STATUS" -H "ApiKey: $KEY" $URL/v1/apikeys
//	{"code":404,"message":"path /v1/apikeys was not found"}
//	404
//	$ curl -s -w "$STATUS" -H "ApiKey: $KEY" -X DELETE $URL/v1/apiKeys
//	{"code":405,"message":"method DELETE is not allowed, but [GET,POST] are"}
//	405
package palettetest
