package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// findingNames are the findings of an audit, as -ignore names them.
var findingNames = []string{"expiring", "expired", "noexpiry", "inactive", "unlisted"}

func parseFindings(list string) ([]string, error) {
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(findingNames, name) {
			return nil, fmt.Errorf("%q is not one of %s", name, strings.Join(findingNames, ", "))
		}
	}
	return names, nil
}

// readOwners reads a file with a uid on each line. It ignores what follows the uid.
func readOwners(path string) (map[string]bool, error) {
	content, err := os.ReadFile(path)
	owners := map[string]bool{}
	for line := range strings.Lines(string(content)) {
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(fields[0], "#") {
			continue
		}
		if err := checkUIDs(fields[0]); err != nil {
			return nil, err
		}
		owners[fields[0]] = true
	}
	return owners, err
}

// audited is a key with its findings.
type audited struct {
	palette.APIKey
	Findings []string `json:"findings"`
}

// audit writes the keys with findings, or metrics of all keys.
func audit(ctx context.Context, in *invocation) error {
	if in.json && in.prometheus {
		return usagef("audit: -json and -prometheus cannot be combined")
	}
	keys, err := in.client.APIKeys.List(ctx)
	if err != nil {
		return err
	}
	slices.SortStableFunc(keys, func(a, b palette.APIKey) int { return a.Spec.Expiry.Compare(b.Spec.Expiry) })
	found := []audited{}
	rows := [][]string{append(header, "FINDINGS")}
	for _, key := range keys {
		if findings := inspect(key, in); len(findings) > 0 {
			found = append(found, audited{key, findings})
			rows = append(rows, append(keyRow(key), strings.Join(findings, ", ")))
		}
	}
	switch {
	case in.prometheus:
		err = writeResult(metrics(keys))
	case in.json:
		err = writeResult(toJSON(map[string]any{"items": found}))
	default:
		notef("%d of %d keys have findings", len(found), len(keys))
		err = writeResult(table(rows))
	}
	if err == nil && len(found) > 0 {
		return exitCode(codeFindings)
	}
	return err
}

// inspect returns the findings of a key.
func inspect(key palette.APIKey, in *invocation) []string {
	now := time.Now()
	findings := map[string]bool{
		"expiring": !key.Expired(now) && key.Expired(now.Add(in.within)),
		"expired":  key.Expired(now),
		"noexpiry": key.Spec.Expiry.IsZero(),
		"inactive": !key.Status.IsActive,
		"unlisted": in.owners != nil && !in.owners[key.Spec.User.UID],
	}
	return slices.DeleteFunc(slices.Clone(findingNames), func(name string) bool {
		return !findings[name] || slices.Contains(in.ignored, name)
	})
}

// metrics returns metrics of keys in the text format of Prometheus.
func metrics(keys []palette.APIKey) string {
	var expirations, states strings.Builder
	for _, key := range keys {
		// The format can escape newlines, quotes and backslashes only, in the same way as Go.
		labels := fmt.Sprintf("{uid=%q,name=%q,owner=%q}",
			escape(key.Metadata.UID, "\n"), escape(key.Metadata.Name, "\n"), escape(key.Spec.User.UID, "\n"))
		expiration, active := "+Inf", map[bool]int{true: 1}[key.Status.IsActive]
		if !key.Spec.Expiry.IsZero() {
			expiration = strconv.FormatInt(key.Spec.Expiry.Unix(), 10)
		}
		fmt.Fprintf(&expirations, "palette_api_key_expiration_timestamp_seconds%s %s\n", labels, expiration)
		fmt.Fprintf(&states, "palette_api_key_active%s %d\n", labels, active)
	}
	return `# HELP palette_api_key_expiration_timestamp_seconds When the API key expires; +Inf if never.
# TYPE palette_api_key_expiration_timestamp_seconds gauge
` + expirations.String() + `# HELP palette_api_key_active 1 if the API key is active, 0 if it is not.
# TYPE palette_api_key_active gauge
` + states.String()
}
