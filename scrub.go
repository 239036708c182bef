package palette

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// scrubber takes one credential out of texts that others wrote: the server, which
// is known to repeat it, and transports. It is against accidents, since both have
// the credential anyway. The zero scrubber has none to take out.
type scrubber struct{ secret, plain string }

func newScrubber(secret string) scrubber {
	secret = strings.TrimSpace(secret)
	return scrubber{secret, plain(secret)}
}

// clean returns text without the credential. Where that is there in an escaped
// form, nothing of text is kept. Nothing ever is if escapes are all that it has.
func (s scrubber) clean(text string) string {
	if s.secret == "" {
		return text
	}
	text = strings.ReplaceAll(text, s.secret, redacted)
	if strings.Contains(plain(text), s.plain) {
		return redacted
	}
	return text
}

// escape is what JSON and URLs may write for a character. A backslash may be
// before any.
var escape = regexp.MustCompile(`\\+u[0-9a-fA-F]{4}|%[0-9a-fA-F]{2}|\\+`)

// plain is text without its escapes, up to eight inside one another, and without
// white space: two texts that say the same have the same plain form.
func plain(text string) string {
	for range 8 {
		if !strings.ContainsAny(text, `\%&`) {
			break
		}
		inner := html.UnescapeString(escape.ReplaceAllStringFunc(text, unescape))
		if inner == text {
			break
		}
		text = inner
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) && r != ' ' {
			return r
		}
		return -1
	}, text)
}

func unescape(escaped string) string {
	if escaped[0] == '%' {
		octet, _ := hex.DecodeString(escaped[1:])
		return string(octet)
	}
	digits := strings.TrimLeft(escaped, `\u`)
	if digits == "" { // backslashes alone
		return ""
	}
	code, _ := strconv.ParseUint(digits, 16, 16)
	return string(rune(code))
}

// text returns text without the credential, on one line and cut to limit runes.
func (s scrubber) text(text string, limit int) string {
	printable := strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s.clean(text))
	runes := []rune(strings.Join(strings.Fields(printable), " "))
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
