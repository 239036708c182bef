package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

type auditCommand struct {
	within           time.Duration
	owners           map[string]bool // nil: owners are not checked
	ignored          []string
	json, prometheus bool
	out              string
}

func (c *auditCommand) declare(flags *flag.FlagSet) {
	durationVar(flags, &c.within, "within", 14*24*time.Hour)
	flags.Func("owners", "", c.readOwners)
	flags.Func("ignore", "", c.ignore)
	flags.BoolVar(&c.json, "json", false, "")
	flags.BoolVar(&c.prometheus, "prometheus", false, "")
	flags.StringVar(&c.out, "out", "-", "")
}

func (c *auditCommand) check(*invocation) error {
	switch {
	case c.json && c.prometheus:
		return errors.New("-json and -prometheus cannot be combined")
	case c.out == "":
		return errors.New("-out is empty")
	case c.out != "-" && !c.json && !c.prometheus:
		return errors.New("-out requires -json or -prometheus")
	}
	return nil
}

// findingNames are the findings of an audit, as -ignore names them.
var findingNames = []string{"expiring", "expired", "noexpiry", "inactive", "unlisted"}

func (c *auditCommand) ignore(list string) error {
	c.ignored = strings.Split(list, ",")
	for _, name := range c.ignored {
		if !slices.Contains(findingNames, name) {
			return fmt.Errorf("%q is not one of %s", name, strings.Join(findingNames, ", "))
		}
	}
	return nil
}

// readOwners reads a file with a uid on each line. It ignores what follows the uid.
func (c *auditCommand) readOwners(path string) error {
	content, err := os.ReadFile(path)
	c.owners = map[string]bool{}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		c.owners[fields[0]] = true
		err = cmp.Or(err, checkUIDs(fields[0]))
	}
	return err
}

// audited is a key with its findings.
type audited struct {
	palette.APIKey
	Findings []string `json:"findings"`
}

// run writes the keys with findings, or metrics of all keys.
func (c *auditCommand) run(ctx context.Context, in *invocation) error {
	keys, err := in.client.APIKeys.List(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(keys, func(a, b palette.APIKey) int { return a.Spec.Expiry.Compare(b.Spec.Expiry) })
	found := []audited{}
	for _, key := range keys {
		if findings := c.inspect(key, keys); len(findings) > 0 {
			found = append(found, audited{key, findings})
		}
	}
	if err := c.write(keys, found); err != nil {
		return err
	}
	if len(found) > 0 {
		return exitCode(codeFindings)
	}
	return nil
}

// inspect returns the findings of a key.
func (c *auditCommand) inspect(key palette.APIKey, keys []palette.APIKey) []string {
	now := time.Now()
	planned := rotation.Replaced(key, keys) // its end
	findings := map[string]bool{
		"expiring": !planned && !key.Expired(now) && key.Expired(now.Add(c.within)),
		"expired":  !planned && key.Expired(now),
		"noexpiry": key.Spec.Expiry.IsZero(),
		"inactive": !key.Status.IsActive,
		"unlisted": c.owners != nil && !c.owners[key.Spec.User.UID],
	}
	if findings["inactive"] && slices.Contains(c.ignored, "inactive") {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(findingNames), func(name string) bool {
		return !findings[name] || slices.Contains(c.ignored, name)
	})
}

// write writes a table, JSON or metrics. With -out, JSON and metrics go to a file, beside
// the table.
func (c *auditCommand) write(keys []palette.APIKey, found []audited) error {
	document := ""
	switch {
	case c.json:
		document = toJSON(map[string]any{"items": found})
	case c.prometheus:
		document = metrics(keys)
	}
	if document != "" && c.out == "-" {
		out.result(document)
		return nil
	}
	if len(found) > 0 { // else cron would send a mail
		rows := [][]string{append(slices.Clone(header), "FINDINGS")}
		for _, key := range found {
			rows = append(rows, append(keyRow(key.APIKey), strings.Join(key.Findings, ", ")))
		}
		out.result(table(rows))
		out.note(fmt.Sprintf("%d of %d keys have findings", len(found), len(keys)))
	}
	if c.out == "-" {
		return nil
	}
	if err := replaceFile(c.out, document); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}

// labelEscapes are the escapes of the text format of Prometheus; it has no others.
var labelEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// metrics returns metrics of keys in the text format of Prometheus.
func metrics(keys []palette.APIKey) string {
	var expirations, states strings.Builder
	for _, key := range keys {
		if rotation.Replaced(key, keys) {
			continue
		}
		var labels []any
		for _, value := range []string{key.Metadata.UID, key.Metadata.Name, key.Spec.User.UID} {
			labels = append(labels, labelEscapes.Replace(escape(value, "\n")))
		}
		series := fmt.Sprintf(`{uid="%s",name="%s",owner="%s"}`, labels...)
		expiration, active := "+Inf", map[bool]int{true: 1}[key.Status.IsActive]
		if !key.Spec.Expiry.IsZero() {
			expiration = strconv.FormatInt(key.Spec.Expiry.Unix(), 10)
		}
		fmt.Fprintf(&expirations, "palette_api_key_expiration_timestamp_seconds%s %s\n", series, expiration)
		fmt.Fprintf(&states, "palette_api_key_active%s %d\n", series, active)
	}
	return `# HELP palette_api_key_expiration_timestamp_seconds When the API key expires; +Inf if never.
# TYPE palette_api_key_expiration_timestamp_seconds gauge
` + expirations.String() + `# HELP palette_api_key_active 1 if the API key is active, 0 if it is not.
# TYPE palette_api_key_active gauge
` + states.String()
}
