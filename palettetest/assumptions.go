package palettetest

import "time"

// differences are what the server does unlike the assumptions of this package.
type differences struct {
	createStatus        int
	uidOfUser           bool
	longValues          bool
	uniqueNames         bool
	tenantAsOwner       bool
	strictUserUID       bool
	noSlashes           bool
	expiryInSeconds     bool
	pastExpiry          bool
	defaultExpiry       time.Duration
	fixedLabels         bool
	mergedUpdates       bool
	erasedAnnotations   bool
	clearedExpiry       bool
	activatingUpdates   bool
	expiredKeysAccepted bool
	ignoredPatch        bool
	nullStatus          bool
	revokedKeysAccepted bool
	finalRevocation     bool
	deletedKeysAccepted bool
	repeatedDelete      bool
	numericNotFound     bool
	repeatedCredential  bool
	lenientBodies       bool
	noUsersInfo         bool
	keyDelay, listDelay time.Duration
	ignoredExpiry       bool
}

// WithCreateStatus sets the status code of a successful create request. The default is
// 201 (spec; row C1 of palette-conformance).
func WithCreateStatus(status int) Option {
	return func(c *config) { c.createStatus = status }
}

// WithUIDOfUser makes the response to a create request contain the uid of the owner. The
// default is the uid of the key (assumed: C2).
func WithUIDOfUser() Option {
	return func(c *config) { c.uidOfUser = true }
}

// WithLongValues makes new keys have values of 200 characters. The default is 44
// characters of base64, as in newer samples (assumed: C3).
func WithLongValues() Option {
	return func(c *config) { c.longValues = true }
}

// WithUniqueNames makes a create request get 409 if the owner has a key of that name. The
// default is that names need not be unique (assumed: C6).
func WithUniqueNames() Option {
	return func(c *config) { c.uniqueNames = true }
}

// WithTenantAsOwner makes the tenant, [TenantUID], the owner of a key that is created
// without userUid. The default is the caller (assumed: C7).
func WithTenantAsOwner() Option {
	return func(c *config) { c.tenantAsOwner = true }
}

// WithStrictUserUID makes a create request with the uid of the tenant as userUid fail, as
// with every unknown user. The default is that the owner is the caller (assumed: C8).
func WithStrictUserUID() Option {
	return func(c *config) { c.strictUserUID = true }
}

// WithoutSlashAnnotations makes the server drop annotations whose names contain a slash.
// The default is that it keeps them (assumed: C9).
func WithoutSlashAnnotations() Option {
	return func(c *config) { c.noSlashes = true }
}

// WithExpiryInSeconds makes the server truncate expiries to seconds. The default is
// milliseconds (assumed: C10).
func WithExpiryInSeconds() Option {
	return func(c *config) { c.expiryInSeconds = true }
}

// WithPastExpiry makes the server accept an expiry in the past. The default is that it
// responds with 400 (assumed: C11).
func WithPastExpiry() Option {
	return func(c *config) { c.pastExpiry = true }
}

// WithDefaultExpiry makes a key that is created without an expiry expire after d. The
// default is that it never expires (assumed: C12).
func WithDefaultExpiry(d time.Duration) Option {
	return func(c *config) { c.defaultExpiry = d }
}

// WithFixedLabels makes an update keep the labels of the key. The default is that it
// replaces them (assumed: U1).
func WithFixedLabels() Option {
	return func(c *config) { c.fixedLabels = true }
}

// WithMergedUpdates makes an update keep annotations and labels that the request does not
// contain. The default is that it erases them (assumed: U2).
func WithMergedUpdates() Option {
	return func(c *config) { c.mergedUpdates = true }
}

// WithErasedAnnotations makes an update erase the annotations that the server adds. The
// default is that clients cannot change them (assumed: U3).
func WithErasedAnnotations() Option {
	return func(c *config) { c.erasedAnnotations = true }
}

// WithClearedExpiry makes an update without an expiry clear that of the key. The default is
// that the key keeps it (assumed: U4).
func WithClearedExpiry() Option {
	return func(c *config) { c.clearedExpiry = true }
}

// WithActivatingUpdates makes an update activate an inactive key. The default is that the
// key stays inactive (assumed: U5).
func WithActivatingUpdates() Option {
	return func(c *config) { c.activatingUpdates = true }
}

// WithExpiredKeysAccepted makes expired keys work as credentials. The default is 401
// (assumed: U6).
func WithExpiredKeysAccepted() Option {
	return func(c *config) { c.expiredKeysAccepted = true }
}

// WithIgnoredExpiry makes an update keep the expiry of the key, whatever the request
// contains. The default is that an update changes the expiry (doc; U7).
func WithIgnoredExpiry() Option {
	return func(c *config) { c.ignoredExpiry = true }
}

// WithIgnoredPatch makes PATCH of a key have no effect. The default is the same effect as
// PUT of its state (assumed: S1).
func WithIgnoredPatch() Option {
	return func(c *config) { c.ignoredPatch = true }
}

// WithNullStatus makes the status of an inactive key null. The default is {} (assumed: S2).
func WithNullStatus() Option {
	return func(c *config) { c.nullStatus = true }
}

// WithRevokedKeysAccepted makes inactive keys work as credentials. The default is 401
// (assumed: S3).
func WithRevokedKeysAccepted() Option {
	return func(c *config) { c.revokedKeysAccepted = true }
}

// WithFinalRevocation makes the activation of an inactive key get 400. The default is that
// it works again (assumed: S4).
func WithFinalRevocation() Option {
	return func(c *config) { c.finalRevocation = true }
}

// WithDeletedKeysAccepted makes deleted keys work as credentials. The default is 401
// (assumed: D1).
func WithDeletedKeysAccepted() Option {
	return func(c *config) { c.deletedKeysAccepted = true }
}

// WithRepeatedDelete makes the deletion of a key that does not exist succeed. The default is
// 404 (assumed: D2).
func WithRepeatedDelete() Option {
	return func(c *config) { c.repeatedDelete = true }
}

// WithNumericNotFound makes the error for an unknown uid have the number 404 as its code.
// The default is the text ResourceNotFound (assumed: E1).
func WithNumericNotFound() Option {
	return func(c *config) { c.numericNotFound = true }
}

// WithRepeatedCredential makes an unknown credential get 404 with a text that repeats the
// credential, as others have seen. The default is 401 without it (assumed: E2).
func WithRepeatedCredential() Option {
	return func(c *config) { c.repeatedCredential = true }
}

// WithLenientBodies makes the server ignore a field of the wrong type. The default is 422
// (assumed: E3).
func WithLenientBodies() Option {
	return func(c *config) { c.lenientBodies = true }
}

// WithoutUsersInfo makes GET /v1/users/info respond with 404. The default is that it accepts
// every credential (assumed: W1).
func WithoutUsersInfo() Option {
	return func(c *config) { c.noUsersInfo = true }
}
