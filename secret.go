package palette

import (
	crand "crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
)

const redacted = "[REDACTED]"

// Secret holds the value of an API key. Printing it with any fmt verb and logging it
// with slog shows [REDACTED]; marshaling it returns [ErrSecretNotEncoded]. Only
// [Secret.Reveal] returns the value. The zero Secret holds no value.
//
// Two secrets are equal (==) if their values are.
type Secret struct {
	// masked is the value combined with a key stream of this process. Packages that
	// print unexported fields by reflection show it instead of the value.
	masked string
}

// maskSeed is the seed of the key stream.
var maskSeed = func() (seed [32]byte) {
	_, _ = crand.Read(seed[:]) // never fails
	return seed
}()

// NewSecret returns a Secret that holds value. If value is empty, it returns the zero
// Secret.
func NewSecret(value string) Secret { return Secret{masked: mask(value)} }

// Reveal returns the value. Do not print or log it.
func (s Secret) Reveal() string { return mask(s.masked) }

// mask masks a value, or unmasks a masked one.
func mask(value string) string {
	stream := make([]byte, len(value))
	_, _ = rand.NewChaCha8(maskSeed).Read(stream) // never fails
	for i := range stream {
		stream[i] ^= value[i]
	}
	return string(stream)
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
