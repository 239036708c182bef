package palette

import (
	"fmt"
	"io"
	"log/slog"
)

const redacted = "[REDACTED]"

// Secret holds the value of an API key. It prints as [REDACTED] under every fmt
// verb, also inside other values, and in slog; encoding it as JSON, XML or any
// other text fails with [ErrSecretNotEncoded], which is also what slog's JSON handler
// shows for a struct that holds one. [Secret.Reveal] is the one way to the value.
// The zero Secret holds nothing.
type Secret struct {
	// What fmt shows where it cannot call Format: in unexported fields, and
	// under verbs such as %p that bypass it.
	shown string
	// A pointer, because fmt prints it as an address wherever it gets to it.
	value *string
}

// NewSecret returns a Secret that holds value. An empty value gives the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{shown: redacted, value: &value}
}

// Reveal returns the value in clear text. Pass it on; do not print or log it.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return *s.value
}

// IsZero reports whether s holds no value.
func (s Secret) IsZero() bool { return s.value == nil }

// Format writes [REDACTED] for every verb; it makes Secret a [fmt.Formatter].
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [REDACTED]; it makes Secret a [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails with [ErrSecretNotEncoded], so that no file silently
// keeps a placeholder for the only copy of a key. JSON, XML and YAML encoders call it.
func (Secret) MarshalText() ([]byte, error) { return nil, ErrSecretNotEncoded }
