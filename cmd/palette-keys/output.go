package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// writeResult writes to standard output.
func writeResult(text string) error {
	_, err := os.Stdout.WriteString(text)
	return err
}

// notef writes a line to standard error.
func notef(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

var header = []string{"NAME", "UID", "ACTIVE", "EXPIRES", "OWNER"}

func keyRow(key palette.APIKey) []string {
	active := map[bool]string{true: "yes", false: "no"}[key.Status.IsActive]
	user := key.Spec.User
	owner := fmt.Sprintf("%s (%s)", user.UID, strings.TrimSpace(user.FirstName+" "+user.LastName))
	owner = strings.TrimSuffix(owner, " ()")
	return []string{escape(key.Metadata.Name, ""), escape(key.Metadata.UID, ""), active, expiry(key), escape(owner, "")}
}

// expiry returns the expiry and the remaining days.
func expiry(key palette.APIKey) string {
	text, left := utc(key.Spec.Expiry), time.Until(key.Spec.Expiry)
	switch {
	case key.Spec.Expiry.IsZero():
		return text
	case left <= 0:
		return text + " (expired)"
	}
	return fmt.Sprintf("%s (%d days left)", text, left/(24*time.Hour))
}

func utc(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

// writeKeys writes doc if JSON is wanted, and otherwise a table of keys.
func writeKeys(in *invocation, doc any, keys ...palette.APIKey) error {
	if in.json {
		return writeResult(toJSON(doc))
	}
	rows := [][]string{header}
	for _, key := range keys {
		rows = append(rows, keyRow(key))
	}
	return writeResult(table(rows))
}

// table returns rows with aligned columns.
func table(rows [][]string) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a bytes.Buffer does not fail
	return out.String()
}

// escape escapes control characters, but not those in keep, because they could control
// the terminal.
func escape(s, keep string) string {
	var out strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) || strings.ContainsRune(keep, r) {
			out.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&out, `\u%04x`, unit)
		}
	}
	return out.String()
}

// toJSON returns v as a JSON document. It escapes also what encoding/json does not, such
// as U+009B, with which commands of some terminals start.
func toJSON(v any) string {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // all types can be encoded
	return escape(out.String(), "\n")
}
