package palette

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unique"

	"golang.org/x/net/html"
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
type scrubber struct{ secret, plain string }

func newScrubber(secret string) scrubber {
	return scrubber{strings.TrimSpace(secret), plain(secret)}
}

// clean returns text without the credential. Where the credential is there in
// another form than its own, nothing of text is kept.
func (s scrubber) clean(text string) string {
	if s.secret == "" {
		return text
	}
	text = strings.ReplaceAll(text, s.secret, redacted)
	if s.plain != "" && strings.Contains(plain(text), s.plain) {
		return redacted
	}
	return text
}

// plain is the form in which texts compare that were escaped in different ways, not
// more than eight times over, and that may be broken into lines.
func plain(text string) string {
	for range 8 {
		before := text
		text = strings.Map(func(r rune) rune {
			if unicode.IsSpace(r) || !unicode.IsPrint(r) {
				return -1
			}
			return r
		}, unescape(before))
		if text == before {
			break
		}
	}
	return strings.ToLower(text)
}

// unescape takes back what JSON, URLs and HTML write for a character. A backslash
// that is before anything else goes as well.
func unescape(text string) string {
	var b strings.Builder
	for {
		i := strings.IndexAny(text, `\%&`)
		if i < 0 {
			return b.String() + text
		}
		b.WriteString(text[:i])
		var char string
		char, text = cutEscape(text[i:])
		b.WriteString(char)
	}
}

// cutEscape takes one escape off the beginning of text.
func cutEscape(text string) (char, rest string) {
	switch text[0] {
	case '%':
		if octet, ok := parseHex(text[1:], 2); ok {
			return string([]byte{byte(octet)}), text[3:]
		}
	case '&':
		if end := strings.IndexByte(text[:min(len(text), 64)], ';'); end > 0 {
			return html.UnescapeString(text[:end+1]), text[end+1:]
		}
	case '\\':
		first, rest, ok := cutUnit(text)
		if second, after, ok := cutUnit(rest); ok {
			if pair := utf16.DecodeRune(first, second); pair != unicode.ReplacementChar {
				return string(pair), after
			}
		}
		if !ok {
			return "", rest
		}
		return string(first), rest
	}
	return text[:1], text[1:]
}

// cutUnit takes backslashes and, if it follows, what JSON writes after them for a
// character.
func cutUnit(text string) (unit rune, rest string, ok bool) {
	rest = strings.TrimLeft(text, `\`)
	if len(rest) == len(text) || !strings.HasPrefix(rest, "u") {
		return 0, rest, false
	}
	if unit, ok = parseHex(rest[1:], 4); ok {
		rest = rest[5:]
	}
	return unit, rest, ok
}

func parseHex(text string, digits int) (rune, bool) {
	if len(text) < digits {
		return 0, false
	}
	n, err := strconv.ParseUint(text[:digits], 16, 32)
	return rune(n), err == nil
}

// text returns text without the credential, on one line and cut to limit runes.
func (s scrubber) text(text string, limit int) string {
	printable := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	runes := []rune(s.clean(strings.Join(strings.Fields(printable), " ")))
	if len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return string(runes)
}

// json returns raw without the credential, as JSON again.
func (s scrubber) json(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return nil // an empty message could not be encoded again
	}
	clean := s.clean(string(raw))
	if !json.Valid([]byte(clean)) { // it stood outside a string
		clean = `"` + redacted + `"`
	}
	return json.RawMessage(clean)
}

// finds reports whether err, or one it wraps, shows the credential.
func (s scrubber) finds(err error) bool {
	if s.secret == "" || err == nil {
		return false
	}
	if shown := fmt.Sprintf("%v %+v %#v", err, err, err); s.clean(shown) != shown {
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
