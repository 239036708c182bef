// Package version holds the version of this module.
package version

// Version is the version of the SDK and of its programs, without the "v" of its tag.
const Version = "0.1.0"
