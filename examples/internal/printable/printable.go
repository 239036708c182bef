// Package printable keeps what others wrote from controlling a terminal.
package printable

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns s as it is when every character of it is printable, and quoted and
// escaped otherwise. Empty text and spaces at the ends are quoted as well, since
// they could not be seen.
func Text(s string) string {
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	if s == "" || s != strings.TrimSpace(s) || !utf8.ValidString(s) || strings.ContainsFunc(s, unprintable) {
		return strconv.Quote(s)
	}
	return s
}
