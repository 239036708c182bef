// Create makes an API key and prints it on standard output, alone, so that a
// script can keep it:
//
//	KEY=$(go run ./examples/create -name ci -expires 720h)
//
// Everything else it has to say goes to standard error. It talks to the Palette
// that PALETTE_API_KEY and PALETTE_HOST name, and without them to one in memory.
//
// Exit codes: 0 the key was made, 1 it was not, 2 the flags make no sense.
package main

import (
	"context"
	"fmt"
	"io"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/demo"
)

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := demo.Flags("create", "create [flags]: makes an API key and prints it. Exit codes: 0 made, 1 not made, 2 bad flags", stderr)
	name := flags.String("name", "example", "`name` of the key")
	description := flags.String("description", "", "what the key is for")
	expires := flags.Duration("expires", 24*time.Hour, "how long the key works")
	user := flags.String("user", "", "`uid` of the user to make the key for (default: your own)")
	if code, ok := demo.Parse(flags, args); !ok {
		return code
	}
	if flags.NArg() > 0 || *expires <= 0 {
		fmt.Fprintln(stderr, "create: takes flags alone, and -expires must be above 0; see create -h")
		return 2
	}

	req := palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMeta{Name: *name},
		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().Add(*expires), UserUID: *user},
	}
	if *description != "" {
		req.Metadata.Annotations = map[string]string{"description": *description}
	}
	if err := create(ctx, req, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "create:", err)
		return 1
	}
	return 0
}

func create(ctx context.Context, req palette.CreateAPIKeyRequest, stdout, stderr io.Writer) error {
	client, stop, err := demo.Connect(stderr, nil)
	if err != nil {
		return err
	}
	defer stop()
	created, err := client.APIKeys.Create(ctx, req)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdout, created.APIKey.Reveal()); err != nil {
		return fmt.Errorf("key %s was made but could not be printed: delete it and create another: %w", created.UID, err)
	}
	fmt.Fprintf(stderr, "Made key %q with uid %s; it works until %s.\n",
		req.Metadata.Name, created.UID, req.Spec.Expiry.UTC().Format(time.RFC3339))
	fmt.Fprintln(stderr, "Palette does not show it again: store it now. To use it, put it into PALETTE_API_KEY;")
	fmt.Fprintf(stderr, "to end it early, revoke or delete uid %s.\n", created.UID)
	return nil
}
