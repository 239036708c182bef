package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// out is what the tool writes. A result that cannot be written does not stop the work:
// run reports it in the end.
var out output

type output struct {
	json bool  // messages on standard error are JSON, one document each
	err  error // the first error of a result
}

// result writes to standard output.
func (o *output) result(text string) {
	if _, err := os.Stdout.WriteString(text); o.err == nil {
		o.err = err
	}
}

// note writes a message that is no error to standard error.
func (o *output) note(text string) {
	o.message(text, map[string]any{"kind": "note", "message": text})
}

// report writes an error to standard error.
func (o *output) report(kind string, err error) {
	doc := map[string]any{"kind": kind, "message": err.Error()}
	if apiErr, ok := errors.AsType[*palette.APIError](err); ok {
		doc["code"], doc["status"], doc["ref"] = apiErr.Code, apiErr.StatusCode, apiErr.Ref
	}
	o.message("palette-keys: "+err.Error(), doc)
}

func (o *output) message(text string, doc map[string]any) {
	if o.json {
		fmt.Fprint(os.Stderr, toJSON(doc))
	} else {
		fmt.Fprintln(os.Stderr, escape(text, "\n"))
	}
}

// retryNotices is a slog.Handler that shows the warnings of calls that take a second or
// more. It does not show shorter retries, because cron would send a mail.
type retryNotices struct {
	slog.Handler
	note    func(string)
	started time.Time // when the call was started
}

func (*retryNotices) Enabled(context.Context, slog.Level) bool { return true }

func (h *retryNotices) Handle(_ context.Context, r slog.Record) error {
	attrs, text := map[string]any{}, strings.TrimPrefix(r.Message, "palette: ")
	r.Attrs(func(a slog.Attr) bool {
		attrs[a.Key] = a.Value.Any()
		text += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		return true
	})
	if duration, ok := attrs["duration"].(time.Duration); ok && attrs["attempt"] == int64(1) {
		h.started = r.Time.Add(-duration)
	}
	wait, _ := attrs["wait"].(time.Duration)
	if r.Level >= slog.LevelWarn && r.Time.Add(wait).Sub(h.started) >= time.Second {
		h.note(text)
	}
	return nil
}

// stdoutIsClosed reports whether the tool was started without a standard output. Go then
// opens the null device, for reading and writing; a shell opens it only for writing.
func stdoutIsClosed() bool {
	stdout, err := os.Stdout.Stat()
	null, nullErr := os.Stat(os.DevNull)
	if err != nil || nullErr != nil || !os.SameFile(stdout, null) {
		return err != nil
	}
	_, err = os.Stdout.Read(make([]byte, 1))
	return errors.Is(err, io.EOF)
}

// replaceFile replaces the content of a file atomically and keeps its mode. If the path is
// not a regular file, such as /dev/stdout, it is written directly.
func replaceFile(path, text string) error {
	mode := os.FileMode(0o666) // minus the umask: it holds no secret
	if info, err := os.Stat(path); err == nil {
		if mode = info.Mode(); !mode.IsRegular() {
			return os.WriteFile(path, []byte(text), mode.Perm())
		}
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return err
		}
	}
	replacement := fmt.Sprintf("%s.new%d", path, os.Getpid())
	err := os.WriteFile(replacement, []byte(text), mode.Perm())
	if err == nil {
		err = os.Rename(replacement, path)
	}
	if err != nil {
		_ = os.Remove(replacement)
	}
	return err
}

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
func writeKeys(asJSON bool, doc any, keys ...palette.APIKey) {
	if asJSON {
		out.result(toJSON(doc))
		return
	}
	rows := [][]string{header}
	for _, key := range keys {
		rows = append(rows, keyRow(key))
	}
	out.result(table(rows))
}

// table returns rows with aligned columns.
func table(rows [][]string) string {
	var text bytes.Buffer
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	_ = w.Flush() // a bytes.Buffer does not fail
	return text.String()
}

// escape escapes control characters, but not those in keep, because they could control
// the terminal.
func escape(s, keep string) string {
	var text strings.Builder
	for _, r := range s {
		if unicode.IsPrint(r) || strings.ContainsRune(keep, r) {
			text.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&text, `\u%04x`, unit)
		}
	}
	return text.String()
}

// toJSON returns v as a JSON document. It escapes also what encoding/json does not, such
// as U+009B, with which commands of some terminals start.
func toJSON(v any) string {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	_ = encoder.Encode(v) // all types can be encoded
	return escape(text.String(), "\n")
}
