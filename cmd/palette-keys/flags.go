package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// invocation is a parsed command line. A command uses only its own flags.
type invocation struct {
	client  *palette.Client // nil if the command is offline
	args    []string
	program []string // after "--"; nil if there is no "--"

	name, description, user, out, load, addr, tls string
	json, prometheus, yes                         bool
	expires                                       time.Time
	within                                        time.Duration
	owners                                        map[string]bool // nil: owners are not checked
	ignored                                       []string
	policy                                        rotation.Policy
	server                                        []palettetest.Option
}

// allFlags declares the flags of all commands.
func (in *invocation) allFlags() *flag.FlagSet {
	all := flag.NewFlagSet("", flag.ContinueOnError)
	for name, p := range map[string]*string{
		"name": &in.name, "description": &in.description, "out": &in.out, "load": &in.load, "addr": &in.addr, "tls": &in.tls,
	} {
		all.StringVar(p, name, *p, "")
	}
	for name, p := range map[string]*bool{"json": &in.json, "prometheus": &in.prometheus, "yes": &in.yes} {
		all.BoolVar(p, name, false, "")
	}
	for name, p := range map[string]*time.Duration{
		"within": &in.within, "overlap": &in.policy.Overlap,
		"renew-before": &in.policy.RenewBefore, "valid-for": &in.policy.Validity,
	} {
		all.Func(name, "", func(s string) (err error) { *p, err = parseDuration(s); return err })
	}
	all.Func("expires", "", func(s string) (err error) { in.expires, err = parseExpiry(s); return err })
	all.Func("user", "", func(s string) error { in.user = s; return checkUIDs(s) })
	all.Func("owners", "", func(s string) (err error) { in.owners, err = readOwners(s); return err })
	all.Func("ignore", "", func(s string) (err error) { in.ignored, err = parseFindings(s); return err })
	all.Func("rate-limit", "", func(s string) (err error) { in.server, err = parseRateLimit(s); return err })
	return all
}

// parse parses a command line. Flags can stand before or after the arguments.
func parse(c command, args []string) (*invocation, error) {
	in := &invocation{addr: "127.0.0.1:0", within: 14 * 24 * time.Hour, policy: rotation.Policy{Overlap: 10 * time.Minute}}
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	in.allFlags().VisitAll(func(f *flag.Flag) {
		if slices.Contains(strings.Fields(c.flags), f.Name) {
			flags.Var(f.Value, f.Name, "")
		}
	})
	var program []string
	if i := slices.Index(args, "--"); i >= 0 {
		args, program = args[:i], args[i+1:]
	}
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if args = flags.Args(); len(args) > 0 {
			in.args, args = append(in.args, args[0]), args[1:]
		}
	}
	if c.program {
		in.program = program
	} else {
		in.args = append(in.args, program...)
	}
	if len(in.args) < c.minArgs || len(in.args) > c.maxArgs || in.program != nil && len(in.program) == 0 {
		return nil, errors.New("wrong number of arguments")
	}
	return in, checkUIDs(in.args...)
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
