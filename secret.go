package palette

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf16"
	"unique"
)

const redacted = "[REDACTED]"

// Secret holds the value of an API key. It prints as [REDACTED] under every fmt
// verb and in slog, also inside other values; encoding it as JSON, XML or any
// other text fails with [ErrSecretNotEncoded]. [Secret.Reveal] is the one way to
// the value. Secrets compare with ==, and the zero Secret holds nothing.
type Secret struct {
	// What fmt shows where it cannot call Format: in unexported fields, and
	// under verbs such as %p that bypass it.
	shown string
	// A handle and not a string, because reflection prints it as an address.
	value unique.Handle[string]
}

// NewSecret returns a Secret that holds value. An empty value gives the zero Secret.
func NewSecret(value string) Secret {
	if value == "" {
		return Secret{}
	}
	return Secret{shown: redacted, value: unique.Make(value)}
}

// Reveal returns the value in clear text. Pass it on; do not print or log it.
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return s.value.Value()
}

// IsZero reports whether s holds no value.
func (s Secret) IsZero() bool { return s == Secret{} }

// Format writes [REDACTED] for every verb; it makes Secret a [fmt.Formatter].
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue returns [REDACTED]; it makes Secret a [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText always fails with [ErrSecretNotEncoded], so that no file silently
// keeps a placeholder for the only copy of a key. JSON, XML and YAML encoders call it.
func (Secret) MarshalText() ([]byte, error) { return nil, ErrSecretNotEncoded }

// scrubber takes one credential out of texts that others wrote. The zero
// scrubber has none to take out.
type scrubber struct{ pattern *regexp.Regexp }

// newScrubber returns a scrubber that finds secret in any case, also where JSON, a
// URL or HTML writes a character of it differently, and across white space.
func newScrubber(secret string) scrubber {
	if secret == "" {
		return scrubber{}
	}
	var runes []string
	for _, r := range secret {
		runes = append(runes, `(?:\\*`+regexp.QuoteMeta(string(r))+"|"+escapes(r)+")")
	}
	return scrubber{regexp.MustCompile("(?i)" + strings.Join(runes, `\s*`))}
}

// escapes is a pattern of what JSON, a URL and HTML write for r, also where that is
// escaped once more.
func escapes(r rune) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune{r}) {
		fmt.Fprintf(&b, `\\+u%04x`, unit)
	}
	b.WriteString("|")
	for _, octet := range []byte(string(r)) {
		fmt.Fprintf(&b, `%%(?:25)*%02x`, octet)
	}
	fmt.Fprintf(&b, `|&(?:amp;)*(?:#0*%d|#x0*%x|%s);`, r, r, cmp.Or(entityNames[r], "#0"))
	return b.String()
}

// entityNames are what HTML calls the characters of its own syntax and of base64.
var entityNames = map[rune]string{
	'&': "amp", '<': "lt", '>': "gt", '"': "quot", '\'': "apos", '+': "plus", '/': "sol", '=': "equals",
}

func (s scrubber) clean(text string) string {
	if s.pattern == nil {
		return text
	}
	return s.pattern.ReplaceAllLiteralString(text, redacted)
}

// text returns text without the credential, on one line and cut to limit runes.
func (s scrubber) text(text string, limit int) string {
	printable := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s.clean(text)) // the credential itself may have such characters
	runes := []rune(s.clean(strings.Join(strings.Fields(printable), " ")))
	if len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return string(runes)
}

// json returns raw without the credential, as JSON again.
func (s scrubber) json(raw json.RawMessage) json.RawMessage {
	clean := s.clean(string(raw))
	if clean != "" && !json.Valid([]byte(clean)) { // it stood outside a string
		clean = `"` + redacted + `"`
	}
	return json.RawMessage(clean)
}

// finds reports whether err, or one it wraps, shows the credential.
func (s scrubber) finds(err error) bool {
	if s.pattern == nil || err == nil {
		return false
	}
	if s.pattern.MatchString(fmt.Sprintf("%v %+v %#v", err, err, err)) {
		return true
	}
	switch wrapper := err.(type) { //nolint:errorlint // walks the chain itself
	case interface{ Unwrap() error }:
		return s.finds(wrapper.Unwrap())
	case interface{ Unwrap() []error }:
		return slices.ContainsFunc(wrapper.Unwrap(), s.finds)
	}
	return false
}
