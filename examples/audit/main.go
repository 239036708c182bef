// Audit lists all API keys that the credential may see, and marks those that
// somebody should look at: expired, about to expire, without an expiry, inactive.
//
//	go run ./examples/audit -within 720h
//	go run ./examples/audit -json | jq -r '.[] | select(.marks != []) | .uid'
//
// The table and the JSON array are sorted by expiry: keys that never expire come
// first, then the others, the soonest at the top. Names come from outside: what
// could control a terminal is escaped. It talks to the Palette that
// PALETTE_API_KEY and PALETTE_HOST name, and without them to one in memory.
//
// Exit codes, for a job that runs every night: 0 nothing is marked, 1 something
// is, 2 the list could not be read or written, or the flags make no sense. Where
// it could not be read, nothing is printed: half an audit looks like a clean one.
package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"
	"unicode/utf16"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/demo"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/printable"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := demo.Flags("audit", "audit [flags]: lists all API keys and marks those to look at. Exit codes: 0 none is marked, 1 some are, 2 failure or bad flags", stderr)
	within := flags.Duration("within", 30*24*time.Hour, "mark the keys that expire in this time")
	asJSON := flags.Bool("json", false, "print a JSON array")
	if code, ok := demo.Parse(flags, args); !ok {
		return code
	}
	if flags.NArg() > 0 || *within < 0 {
		fmt.Fprintln(stderr, "audit: takes flags alone, and -within must not be below 0; see audit -h")
		return 2
	}

	findings, err := audit(ctx, stderr, *within)
	if err == nil {
		err = write(stdout, findings, *asJSON)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "audit:", err)
		return 2
	case slices.ContainsFunc(findings, func(f finding) bool { return len(f.Marks) > 0 }):
		return 1
	}
	return 0
}

// finding is what there is to say about one key.
type finding struct {
	Name      string     `json:"name"`
	UID       string     `json:"uid"`
	Owner     string     `json:"owner"` // the uid
	OwnerName string     `json:"ownerName"`
	Active    bool       `json:"active"`
	Expiry    *time.Time `json:"expiry"` // null: never
	Marks     []string   `json:"marks"`  // never null

	expiresIn string
}

func audit(ctx context.Context, stderr io.Writer, within time.Duration) ([]finding, error) {
	client, stop, err := demo.Connect(stderr, seed)
	if err != nil {
		return nil, err
	}
	defer stop()
	keys, err := client.APIKeys.List(ctx)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(keys, func(a, b palette.APIKey) int { // no expiry is the zero time
		return cmp.Or(a.Spec.Expiry.Compare(b.Spec.Expiry),
			cmp.Compare(a.Metadata.Name, b.Metadata.Name), cmp.Compare(a.Metadata.UID, b.Metadata.UID))
	})
	findings, now := []finding{}, time.Now()
	for _, key := range keys {
		findings = append(findings, inspect(key, now, within))
	}
	return findings, nil
}

func inspect(key palette.APIKey, now time.Time, within time.Duration) finding {
	f := finding{
		Name:      key.Metadata.Name,
		UID:       key.Metadata.UID,
		Owner:     cmp.Or(key.Spec.User.UID, key.Metadata.Annotations["ownerUid"]),
		OwnerName: strings.TrimSpace(key.Spec.User.FirstName + " " + key.Spec.User.LastName),
		Active:    key.Status.IsActive,
		Marks:     []string{},
		expiresIn: "never",
	}
	if expiry := key.Spec.Expiry.UTC(); !expiry.IsZero() {
		f.Expiry, f.expiresIn = &expiry, span(expiry.Sub(now))
	}
	switch {
	case f.Expiry == nil:
		f.Marks = append(f.Marks, "no-expiry")
	case key.Expired(now):
		f.Marks = append(f.Marks, "expired")
	case key.Expired(now.Add(within)):
		f.Marks = append(f.Marks, "expires-soon")
	}
	if !f.Active {
		f.Marks = append(f.Marks, "inactive")
	}
	return f
}

// span is d in the largest unit that says enough.
func span(d time.Duration) string {
	if d < 0 {
		return span(-d) + " ago"
	}
	switch {
	case d >= 48*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= 2*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

func write(w io.Writer, findings []finding, asJSON bool) error {
	if asJSON {
		return writeJSON(w, findings)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tUID\tOWNER\tACTIVE\tEXPIRES IN\tMARK")
	for _, f := range findings {
		active := "yes"
		if !f.Active {
			active = "no"
		}
		owner := printable.Text(cmp.Or(f.OwnerName, f.Owner))
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", printable.Text(f.Name), printable.Text(f.UID), owner,
			active, f.expiresIn, cmp.Or(strings.Join(f.Marks, ", "), "-"))
	}
	return table.Flush()
}

// writeJSON escapes whatever a terminal would not print: encoding/json leaves,
// for one, U+009B alone, with which a terminal's commands may begin.
func writeJSON(w io.Writer, findings []finding) error {
	encoded, err := json.MarshalIndent(findings, "", "  ")
	if err != nil {
		return err
	}
	var out []byte
	for _, r := range string(encoded) {
		if r == '\n' || unicode.IsPrint(r) {
			out = append(out, string(r)...)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			out = fmt.Appendf(out, `\u%04x`, unit)
		}
	}
	_, err = w.Write(append(out, '\n'))
	return err
}

// seed puts one key of each kind into the Palette in memory.
func seed(server *palettetest.Server) {
	day, now := 24*time.Hour, time.Now()
	for _, key := range []palettetest.Key{
		{Name: "terraform", Active: true, Expiry: now.Add(200*day + time.Hour)},
		{Name: "ci", Active: true, Expiry: now.Add(12*day + time.Hour)},
		{Name: "workshop", Active: true, Expiry: now.Add(-5*day - time.Hour)},
		{Name: "forgotten", Active: true},
		{Name: "leaked", Expiry: now.Add(60*day + time.Hour)},
	} {
		server.AddKey(key)
	}
}
