package palette

import (
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// Secret holds the value of an API key. Printing it with any fmt verb and logging it
// with slog shows [REDACTED]; marshaling it returns [ErrSecretNotEncoded]. Only
// [Secret.Reveal] returns the value. The zero Secret holds no value.
//
// Two secrets are equal (==) if their values are.
type Secret struct {
	// masked is the value combined with pad. Packages that print unexported fields by
	// reflection show it instead of the value.
	masked string
}

// pad is random for each process.
var pad = func() (pad [256]byte) {
	_, _ = rand.Read(pad[:]) // never fails
	return pad
}()

// NewSecret returns a Secret that holds value. If value is empty, it returns the zero
// Secret.
func NewSecret(value string) Secret { return Secret{masked: mask(value)} }

// Reveal returns the value. Do not print or log it.
func (s Secret) Reveal() string { return mask(s.masked) }

// mask masks a value, or unmasks a masked one.
func mask(value string) string {
	var masked strings.Builder
	masked.Grow(len(value))
	for i := range len(value) {
		masked.WriteByte(value[i] ^ pad[i%len(pad)])
	}
	return masked.String()
}

// IsZero reports whether s holds no value.
func (s Secret) IsZero() bool { return s.masked == "" }

// String returns [REDACTED].
func (Secret) String() string { return redacted }

// Format implements [fmt.Formatter]. It writes [REDACTED] for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue implements [slog.LogValuer]. It returns [REDACTED].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements [encoding.TextMarshaler], which JSON, XML and YAML encoders
// use. It returns [ErrSecretNotEncoded], so that no file silently keeps a placeholder
// for the only copy of a key.
func (Secret) MarshalText() ([]byte, error) { return nil, ErrSecretNotEncoded }
