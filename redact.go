package palette

import (
	"bytes"
	"encoding/json"
	"html"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// minRedacted is the minimum length of a credential that is redacted. A shorter one
// would make ordinary text unreadable.
const minRedacted = 8

// redactor removes a credential from texts of the server or of a transport, which may
// repeat it. It protects against accidents: both have the credential anyway.
type redactor struct{ replacer *strings.Replacer }

// newRedactor returns a redactor that replaces credential, verbatim and as JSON, Go, URLs
// and HTML encode it, by [REDACTED].
func newRedactor(credential string) redactor {
	if len(credential) < minRedacted {
		return redactor{strings.NewReplacer()}
	}
	quoted, _ := json.Marshal(credential) // a string cannot fail
	inJSON := strings.Trim(string(quoted), `"`)
	var pairs []string
	for _, form := range []string{
		credential, inJSON, strings.ReplaceAll(inJSON, "/", `\/`),
		strings.Trim(strconv.Quote(credential), `"`),
		url.QueryEscape(credential), url.PathEscape(credential), html.EscapeString(credential),
	} {
		pairs = append(pairs, form, redacted)
	}
	return redactor{strings.NewReplacer(pairs...)}
}

// text returns s without the credential, on one line, and shortened to limit runes.
func (r redactor) text(s string, limit int) string {
	printable := strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return ' '
		}
		return c
	}, r.replacer.Replace(s))
	runes := []rune(strings.Join(strings.Fields(printable), " "))
	if len(runes) > limit {
		return string(runes[:limit]) + "…"
	}
	return string(runes)
}

// json returns raw without the credential, as valid JSON. It encodes raw again, because
// JSON has many encodings of a text.
func (r redactor) json(raw json.RawMessage) json.RawMessage {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	if decoder.Decode(&value) != nil {
		return nil // there is none; an empty json.RawMessage cannot be marshaled
	}
	encoded, _ := json.Marshal(value) // what was decoded can be encoded
	clean := json.RawMessage(r.replacer.Replace(string(encoded)))
	if !json.Valid(clean) { // the credential was not inside a string
		return json.RawMessage(`"` + redacted + `"`)
	}
	return clean
}

// changes reports whether s contains the credential.
func (r redactor) changes(s string) bool { return r.replacer.Replace(s) != s }
