// Offboard ends all API keys of one user, such as one who was removed through
// SSO, with whom the keys do not go.
//
//	go run ./examples/offboard -user 66e844c44bab2337f20c7471        # shows them
//	go run ./examples/offboard -user 66e844c44bab2337f20c7471 -yes   # revokes all, then deletes all
//
// It revokes every key before it deletes the first, so that access ends early.
// A key that fails does not stop the others, and a second run finishes what the
// first has left. It needs the key of a tenant administrator who is somebody
// else: one of the user's own keys would take its own access away. It talks to
// the Palette that PALETTE_API_KEY and PALETTE_HOST name, and without them to one
// in memory, where 66e844c44bab2337f20c7471 has keys, which go if it gets no
// arguments at all.
//
// Exit codes: 0 the user has no key (any more), 1 some are left, 2 the keys could
// not be listed, or the flags make no sense.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/demo"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/printable"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

// Palette's own limit for this resource: 10 requests a second, 50 at once.
const (
	defaultRate = 10
	burst       = 50
)

// workers is how many requests wait for their replies at the same time. The rate
// limit holds for all of them together.
const workers = 16

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := demo.Flags("offboard", "offboard -user UID [-yes]: shows or ends all API keys of a user. Exit codes: 0 none is left, 1 some are, 2 failure or bad flags", stderr)
	user := flags.String("user", "", "`uid` of the user whose keys shall go")
	yes := flags.Bool("yes", false, "revoke and delete the keys, instead of showing them")
	perSecond := flags.Float64("rate", defaultRate, fmt.Sprintf("`requests` a second, after the first %d", burst))
	if code, ok := demo.Parse(flags, demo.Args(stderr, args, "-user", demoUser, "-yes")); !ok {
		return code
	}
	if flags.NArg() > 0 || *user == "" || !(*perSecond > 0) {
		fmt.Fprintln(stderr, "offboard: needs -user, takes flags alone, and -rate must be above 0; see offboard -h")
		return 2
	}

	client, stop, err := demo.Connect(stderr, seed, palette.WithRateLimit(*perSecond, burst))
	if err != nil {
		fmt.Fprintln(stderr, "offboard:", err)
		return 2
	}
	defer stop()
	keys, err := keysOf(ctx, client, *user)
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "offboard:", err)
		return 2
	case len(keys) == 0:
		fmt.Fprintf(stdout, "There is no key of user %s that this credential may see.\n", printable.Text(*user))
		return 0
	case !*yes:
		show(stdout, keys)
		fmt.Fprintf(stderr, "offboard: nothing was changed; -yes revokes and deletes these keys: %d\n", len(keys))
		return 1
	}
	o := &offboarding{client: client, stderr: stderr, failed: map[string]error{}}
	return o.finish(ctx, *user, keys, stdout)
}

// keysOf lists the keys of a user, whom Palette may no longer know by name.
func keysOf(ctx context.Context, client *palette.Client, user string) ([]palette.APIKey, error) {
	var keys []palette.APIKey
	for key, err := range client.APIKeys.All(ctx) {
		if err != nil {
			return nil, err
		}
		if cmp.Or(key.Spec.User.UID, key.Metadata.Annotations["ownerUid"]) == user {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

func show(w io.Writer, keys []palette.APIKey) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NAME\tUID\tACTIVE\tEXPIRY")
	for _, key := range keys {
		active, expiry := "yes", "never"
		if !key.Status.IsActive {
			active = "no"
		}
		if !key.Spec.Expiry.IsZero() {
			expiry = key.Spec.Expiry.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", printable.Text(key.Metadata.Name), printable.Text(key.Metadata.UID), active, expiry)
	}
	_ = table.Flush()
}

// offboarding is one run that changes something.
type offboarding struct {
	client *palette.Client
	stderr io.Writer

	mu     sync.Mutex
	failed map[string]error // by uid: why the last thing done to a key failed
}

// finish revokes and deletes keys, and looks what is left.
func (o *offboarding) finish(ctx context.Context, user string, keys []palette.APIKey, stdout io.Writer) int {
	var active []palette.APIKey
	for _, key := range keys {
		if key.Status.IsActive {
			active = append(active, key)
		}
	}
	revoked := o.each(ctx, "revoked", active, o.client.APIKeys.Revoke)
	deleted := o.each(ctx, "deleted", keys, o.client.APIKeys.Delete)
	fmt.Fprintf(stdout, "Revoked %d of %d, deleted %d of %d.\n", revoked, len(active), deleted, len(keys))

	left, err := keysOf(ctx, o.client, user)
	switch {
	case err != nil && deleted < len(keys):
		fmt.Fprintf(o.stderr, "offboard: keys left, as far as known: %d; run again: %v\n", len(keys)-deleted, err)
		return 1
	case err != nil:
		fmt.Fprintln(o.stderr, "offboard: all is done, but it could not be checked; run again:", err)
		return 2
	case len(left) == 0:
		return 0
	}
	for _, key := range left {
		why := cmp.Or(o.failed[key.Metadata.UID], errors.New("it was made in the meantime"))
		fmt.Fprintf(o.stderr, "offboard: left: %s (%s): %v\n", printable.Text(key.Metadata.Name), printable.Text(key.Metadata.UID), why)
	}
	fmt.Fprintf(o.stderr, "offboard: keys left: %d; run again\n", len(left))
	return 1
}

// each does one thing to every key and returns for how many that went well. A key
// that is gone is fine. A credential that stopped working ends it: all that
// follows would fail.
func (o *offboarding) each(ctx context.Context, done string, keys []palette.APIKey, do func(context.Context, string) error) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	p := &progress{w: o.stderr, updating: isTerminal(o.stderr), what: done, total: len(keys)}
	defer p.end()
	queue := make(chan palette.APIKey)
	var group sync.WaitGroup
	for range min(workers, len(keys)) {
		group.Go(func() {
			for key := range queue {
				err := do(ctx, key.Metadata.UID)
				if errors.Is(err, palette.ErrUnauthorized) {
					cancel()
				}
				o.mu.Lock()
				if err == nil || errors.Is(err, palette.ErrNotFound) {
					p.step()
				} else {
					o.failed[key.Metadata.UID] = err
				}
				o.mu.Unlock()
			}
		})
	}
	for _, key := range keys {
		queue <- key
	}
	close(queue)
	group.Wait()
	return p.done
}

// progress tells how far it is: on a terminal in one line that changes, elsewhere
// with a line for every tenth of the way.
type progress struct {
	w           io.Writer
	updating    bool
	what        string
	done, total int
}

func (p *progress) step() {
	p.done++
	switch {
	case p.updating:
		fmt.Fprintf(p.w, "\r%s %d of %d", p.what, p.done, p.total)
	case p.done*10/p.total != (p.done-1)*10/p.total:
		fmt.Fprintf(p.w, "%s %d of %d\n", p.what, p.done, p.total)
	}
}

func (p *progress) end() {
	if p.updating && p.done > 0 {
		fmt.Fprintln(p.w)
	}
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

const demoUser = "66e844c44bab2337f20c7471"

// seed gives a user who is gone some keys in the Palette in memory.
func seed(server *palettetest.Server) {
	for i := range 12 {
		server.AddKey(palettetest.Key{
			Name:    fmt.Sprintf("left-behind-%02d", i+1),
			UserUID: demoUser,
			Active:  i%4 != 0,
			Expiry:  time.Now().Add(time.Duration(i+1) * 240 * time.Hour),
		})
	}
}
