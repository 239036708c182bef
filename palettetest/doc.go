// Package palettetest provides an in-memory server for the API keys of Spectro Cloud
// Palette (/v1/apiKeys), for tests of programs that use them.
//
// # Quick start
//
//	func TestCleanUp(t *testing.T) {
//		server := palettetest.Start(t)
//		server.AddKey(palettetest.Key{Name: "old", Active: true, Expiry: time.Now().Add(-time.Hour)})
//
//		err := cleanUp(t.Context(), server.Client())
//
//		require.NoError(t, err)
//		require.Empty(t, server.Keys())
//	}
//
// [Server.Client] returns a client that is ready for a test. Programs call [NewServer] and
// [Server.Close] instead of [Start]. The server works with any HTTP client:
//
//	curl -H "ApiKey: $KEY" "$URL/v1/apiKeys"
//
// A created key works as a credential at once. A key that is revoked, inactive, expired
// or deleted gets 401. The values of keys start with "palettetest+", so that nobody
// mistakes them for real ones. [Server.AddKey] stores a key, [Server.Keys] returns the
// stored keys, and [Server.Requests] the requests that arrived, without credentials.
//
// # Faults
//
// [Server.Inject] makes requests fail:
//
//	// Two requests get 503 with a Retry-After header.
//	server.Inject(palettetest.Fault{Path: "/v1/apiKeys/{uid}", Times: 2, Status: 503, RetryAfter: "1"})
//	// An update gets one of Palette's own errors.
//	server.Inject(palettetest.Fault{Method: "PUT", Status: 404, Code: "ResourceNotFound"})
//	// The response to a create is lost.
//	server.Inject(palettetest.Fault{Method: "POST", Cut: palettetest.CutAfter})
//	// A gateway responds with 502 although the key was created.
//	server.Inject(palettetest.Fault{Method: "POST", Status: 502, After: true})
//
// With the default options, a client waits for seconds before a retry. The client of
// [Server.Client] waits for milliseconds. For virtual time, see [Server.ServeHTTP].
//
// # What is documented and what is assumed
//
// Palette's contract or manual documents: paths, methods, status codes of success and
// field names; the headers ApiKey and Authorization (a token for 15 minutes, without
// "Bearer"); the fields of errors; the annotations that the server adds;
// 0001-01-01T00:00:00.000Z for times that are not set; that an update replaces
// annotations and labels and does not change the owner; that an administrator has access
// to all keys and a user to their own; the limit of 20 keys.
//
// Not documented, but reported by others: the code of an error is a string or a number.
//
// The following is assumed, because it is not documented. Each id is a row of
// palette-conformance, which compares a real Palette with these assumptions; each option makes
// the server do the opposite. [WithCreateStatus] (C1) and [WithIgnoredExpiry] (U7) contradict
// what is documented.
//   - C2: the uid in the response to a create request is that of the key
//     ([WithUIDOfUser]). C3: a value is 44 characters of base64 ([WithLongValues]).
//   - C4, C5: a new key works at once, and a list shows every change at once
//     ([WithKeyDelay], [WithListDelay]).
//   - C6: a name need not be unique ([WithUniqueNames]).
//   - C7, C8: without userUid, the owner is the caller ([WithTenantAsOwner]), as with the uid
//     of the tenant, which the official SDK's helper sends ([WithStrictUserUID]).
//   - C9, U1 to U3: annotations and labels are stored as they are sent
//     ([WithoutSlashAnnotations], [WithFixedLabels]); an update erases the others
//     ([WithMergedUpdates]), but not the annotations of the server ([WithErasedAnnotations]).
//   - C10 to C12: an expiry has milliseconds ([WithExpiryInSeconds]); one in the past is
//     rejected with 400 ([WithPastExpiry]); a key without one never expires
//     ([WithDefaultExpiry]).
//   - U4, U5: an update without an expiry keeps the old one ([WithClearedExpiry]); one of an
//     inactive key does not activate it ([WithActivatingUpdates]).
//   - U6, S3, D1: a key that is expired, revoked or deleted gets 401
//     ([WithExpiredKeysAccepted], [WithRevokedKeysAccepted], [WithDeletedKeysAccepted]).
//   - S1, S2, S4: PATCH of a key and PUT of its state have the same effect
//     ([WithIgnoredPatch]); the status of an inactive key is {} ([WithNullStatus]); it can be
//     activated again ([WithFinalRevocation]).
//   - D2, E1: the error for a key that does not exist has the status 404 and a text as its
//     code ([WithRepeatedDelete], [WithNumericNotFound]).
//   - E2: an unknown credential gets 401 ([WithRepeatedCredential]). E3: a field of the wrong
//     type gets 422 ([WithLenientBodies]).
//   - L1: a list has one page, whatever its parameters ([WithPageSize]).
//   - W1: GET /v1/users/info accepts every credential ([WithoutUsersInfo]).
//
// Not documented either, and not compared:
//   - A missing isActive means false. A create request needs a name; an update without one
//     keeps the old name.
//   - An expiry in a year above 9999 in UTC gets 400. So does the activation of an expired
//     key, and an owner that does not exist.
//   - A create request above the limit of keys gets 400 and the code ResourceLimitExceeded.
//   - A request for the key of another user gets 403 and the code ResOperationForbidden, a
//     create request for another user 403 and OperationForbidden.
//   - Path, method, credential, uid and body are checked in this order. A missing body
//     gets 422, a body of more than 1 MiB gets 413. Unknown fields are ignored, as are uid
//     and timestamps in the metadata of a request.
//   - Lists are in the order of creation.
//   - If a request has both credential headers, only ApiKey counts.
//
// # Limits
//
// The server has one tenant, [TenantUID], and no resource besides API keys but GET
// /v1/users/info. It has no login (see [Server.AuthToken]) and ignores the ProjectUid header.
// The rate limit counts the requests of all clients together.
package palettetest
