// Package demo is what the example programs have in common: how they start, and
// the Palette that they talk to.
package demo

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// Main runs a program until it is done, or told to stop by Ctrl-C or SIGTERM, and
// exits with its code.
func Main(run func(ctx context.Context, args []string, stdout, stderr io.Writer) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Flags returns the flag set of a program, with what its help says above them.
func Flags(name, purpose string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, purpose)
		flags.PrintDefaults()
		fmt.Fprintln(stderr, "Palette is where PALETTE_API_KEY and PALETTE_HOST say; without them, one in memory.")
	}
	return flags
}

// Parse parses args. Unless it is ok, the program ends with code: 0 for -h, 2 for
// flags that make no sense, of which flags has said why.
func Parse(flags *flag.FlagSet, args []string) (code int, ok bool) {
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0, false
	case err != nil:
		return 2, false
	}
	return 0, true
}

// Connect returns a client for the Palette that the environment names. Where it
// names none at all, it starts one in memory, lets seed put keys into it, and
// says so on stderr. Call stop when done with the client.
func Connect(stderr io.Writer, seed func(*palettetest.Server), opts ...palette.Option) (client *palette.Client, stop func(), err error) {
	opened, stop := Open(stderr, seed)
	if client, err = opened.Client(opts...); err != nil {
		stop()
		return nil, nil, err
	}
	return client, stop, nil
}

// Palette is one Palette, for programs that need more than one client of it.
type Palette struct {
	place, credential palette.Option
}

// Open finds the Palette that Connect would return a client of.
func Open(stderr io.Writer, seed func(*palettetest.Server)) (opened *Palette, stop func()) {
	if environmentNamesPalette() {
		return &Palette{place: palette.WithEnv()}, func() {}
	}
	server := palettetest.NewServer()
	if seed != nil {
		seed(server)
	}
	fmt.Fprintf(stderr, "PALETTE_API_KEY is not set: this is an in-memory Palette on %s, and nothing leaves this machine.\n", server.URL)
	return &Palette{palette.WithBaseURL(server.URL), palette.WithAPIKey(server.APIKey)}, server.Close
}

// Client returns a client with the credential that the environment holds, or
// with the one of the Palette in memory.
func (p *Palette) Client(opts ...palette.Option) (*palette.Client, error) {
	return palette.NewClient(append(opts, p.place, p.credential)...)
}

// ClientWithKey returns a client of the same Palette with another credential.
func (p *Palette) ClientWithKey(key string, opts ...palette.Option) (*palette.Client, error) {
	return palette.NewClient(append(opts, p.place, palette.WithAPIKey(key))...)
}

// Args returns args, or showcase where a program was started with nothing at all:
// neither arguments nor a Palette in the environment.
func Args(stderr io.Writer, args []string, showcase ...string) []string {
	if len(args) > 0 || environmentNamesPalette() {
		return args
	}
	fmt.Fprintln(stderr, "No arguments: showing what happens with", strings.Join(showcase, " "))
	return showcase
}

// environmentNamesPalette reports whether a real Palette is meant. A host without
// a key is: better an error than a make-believe key in somebody's script.
func environmentNamesPalette() bool {
	for _, name := range []string{"PALETTE_API_KEY", "SPECTROCLOUD_APIKEY", "PALETTE_HOST", "SPECTROCLOUD_HOST"} {
		if os.Getenv(name) != "" {
			return true
		}
	}
	return false
}
