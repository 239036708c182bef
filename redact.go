package palette

import (
	"encoding/hex"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// redacted replaces a credential in a text.
const redacted = "[REDACTED]"

// minRedacted is the minimum length of a credential that is redacted. A shorter one
// would make ordinary text unreadable.
const minRedacted = 8

// Limits of texts, in runes.
const (
	maxWord = 200
	maxText = 500
)

// redactor removes a credential from texts of the server or of a transport, which may
// repeat it. It protects against accidents: both have the credential anyway.
type redactor struct{ value string } // "": nothing is redacted

func newRedactor(value string) redactor {
	if len(value) < minRedacted {
		return redactor{}
	}
	return redactor{value}
}

// text returns s without the credential, on one line, and shortened to limit runes. A text
// that contains the credential in a URL's, JSON's or HTML's encoding is redacted as a whole.
func (r redactor) text(s string, limit int) string {
	if r.value != "" {
		s = strings.ReplaceAll(s, r.value, redacted)
	}
	if r.finds(s) {
		s = redacted
	}
	printable := strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, s)
	runes := []rune(strings.Join(strings.Fields(printable), " "))
	if len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return string(runes)
}

// finds reports whether s contains the credential, verbatim or encoded.
func (r redactor) finds(s string) bool {
	if r.value == "" {
		return false
	}
	forms := []string{s, decodeURL(s), decodeJSON(s), html.UnescapeString(s)}
	forms = append(forms, html.UnescapeString(decodeJSON(decodeURL(s))))
	for _, form := range forms {
		if strings.Contains(form, r.value) {
			return true
		}
	}
	return false
}

var (
	urlEscape  = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)
	jsonEscape = regexp.MustCompile(`\\(u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)`) // \U is Go's
)

func decodeURL(s string) string {
	return urlEscape.ReplaceAllStringFunc(s, func(escape string) string {
		decoded, _ := hex.DecodeString(escape[1:]) // two digits
		return string(decoded)
	})
}

func decodeJSON(s string) string {
	return jsonEscape.ReplaceAllStringFunc(s, func(escape string) string {
		decoded, _, _, err := strconv.UnquoteChar(escape, 0)
		if err != nil { // such as \/ and \"
			return escape[1:]
		}
		return string(decoded)
	})
}
