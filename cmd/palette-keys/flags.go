package main

import (
	"errors"
	"flag"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// durationVar declares a flag for a duration such as 30d.
func durationVar(flags *flag.FlagSet, p *time.Duration, name string, value time.Duration) {
	*p = value
	flags.Func(name, "", func(s string) (err error) { *p, err = parseDuration(s); return err })
}

// expiryVar declares a flag for a time in the future.
func expiryVar(flags *flag.FlagSet, p *time.Time, name string) {
	flags.Func(name, "", func(s string) (err error) { *p, err = parseExpiry(s); return err })
}

// uidVar declares a flag for a uid.
func uidVar(flags *flag.FlagSet, p *string, name string) {
	flags.Func(name, "", func(s string) error { *p = s; return checkUIDs(s) })
}

// parseDuration parses a duration such as 30d, 1d12h or 720h.
func parseDuration(s string) (time.Duration, error) {
	if days, rest, found := strings.Cut(s, "d"); found {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			s = fmt.Sprintf("%dh%s", n*24, rest)
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New("it is not a duration such as 30d or 12h")
	}
	return d, nil
}

// parseExpiry parses a time in the future, or a duration until then.
func parseExpiry(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if d, durationErr := parseDuration(s); durationErr == nil {
		t, err = time.Now().Add(d), nil
	}
	if err != nil || !t.After(time.Now()) {
		return t, errors.New("it is not a duration such as 30d, nor a time in the future such as 2030-12-31T18:00:00Z")
	}
	return t, nil
}

// checkArgs checks that there are at least least and at most most arguments, all of them
// uids.
func checkArgs(args []string, least, most int) error {
	switch {
	case len(args) < least:
		return errors.New("a UID is required")
	case len(args) > most:
		return fmt.Errorf("unexpected argument %q", args[most])
	}
	return checkUIDs(args...)
}

var uidPattern = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

// checkUIDs returns an error if a text cannot be a uid, such as an e-mail address.
func checkUIDs(uids ...string) error {
	for _, uid := range uids {
		if !uidPattern.MatchString(uid) {
			return fmt.Errorf("%q is not a uid: a uid has only letters, digits, '.', '_', '-' and '~'", uid)
		}
	}
	return nil
}
