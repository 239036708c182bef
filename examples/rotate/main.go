// Rotate replaces an API key: it makes a successor with the same name, owner,
// annotations and labels, proves that it works, stores it, revokes the old key
// and deletes it.
//
//	go run ./examples/rotate -name ci -out ci.key -expires 2160h
//	go run ./examples/rotate -uid 66e844c44bab2337f20c7471 -grace 24h -- vault kv put secret/ci key=-
//
// The new key goes into the file of -out, which is replaced in one step and which
// its owner alone may read, or to the standard input of the command after --;
// without a newline in both cases. A command that exits with another code than 0
// must not have stored the key, which is deleted then. With -grace, the old key
// stays revoked for that long, so that it can be reactivated, and the first run
// after that deletes it.
//
// The old key works until the new one is stored, and the last line on standard
// error says what exists. After a failure, or when it was killed, run it again with
// the same -uid or -name and the same -out or command: it finds out how far it came
// and finishes. Two annotations of the successor tell it:
//
//	rotatesUid     the old key. Whatever else says so is a leftover without a known
//	               value, and is deleted once the successor is stored
//	rotationStore  a hash of the value, set before the file is replaced, or
//	               "command", set after the command. Without it the value is lost
//
// It can rotate the key it runs with. The next run needs the new one then; with
// -out it takes that from the file when PALETTE_API_KEY no longer works. Two runs
// for one key at the same time can undo each other. It talks to the Palette that
// PALETTE_API_KEY and PALETTE_HOST name, and without them to one in memory, where
// there is a key with the name ci, which it rotates if it gets no arguments at all.
//
// Exit codes: 0 the new key is stored and works, and the old one is revoked or
// deleted, 1 that is not so, 2 the flags make no sense.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/demo"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/keyfile"
	"github.com/seed-804bd3b7/palette-apikeys-go/examples/internal/printable"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func main() { demo.Main(run) }

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	r := rotation{stdout: stdout, stderr: stderr, situation: "this run has changed nothing"}
	flags := demo.Flags("rotate", "rotate (-uid UID | -name NAME) (-out FILE | -- COMMAND ...): replaces an API key. Exit codes: 0 replaced, 1 not yet, 2 bad flags", stderr)
	flags.StringVar(&r.uid, "uid", "", "`uid` of the key to replace")
	flags.StringVar(&r.name, "name", "", "`name` of the key to replace, if only one has it; instead of -uid")
	flags.StringVar(&r.out, "out", "", "`file` to write the new key to; instead of a command after --")
	flags.DurationVar(&r.expires, "expires", 30*24*time.Hour, "how long the new key works")
	flags.DurationVar(&r.grace, "grace", 0, "how long the old key is kept, revoked, before a later run deletes it (default: deleted at once)")
	if code, ok := demo.Parse(flags, demo.Args(stderr, args, "-name", "ci", "--", "cat")); !ok {
		return code
	}
	r.command = flags.Args()
	switch {
	case (r.uid == "") == (r.name == ""), (r.out == "") == (len(r.command) == 0):
		fmt.Fprintln(stderr, "rotate: needs either -uid or -name, and either -out or a command; see rotate -h")
		return 2
	case r.expires <= 0 || r.grace < 0:
		fmt.Fprintln(stderr, "rotate: -expires must be above 0, and -grace not below; see rotate -h")
		return 2
	}

	opened, stop := demo.Open(stderr, func(s *palettetest.Server) { s.AddKey(palettetest.Key{Name: "ci", Active: true}) })
	defer stop()
	r.palette = opened
	if err := r.rotate(ctx); err != nil {
		r.say("rotate: %v; %s", err, r.situation)
		return 1
	}
	return 0
}

// rotation is one run.
type rotation struct {
	uid, name, out string
	command        []string
	expires, grace time.Duration
	stdout, stderr io.Writer

	palette *demo.Palette
	client  *palette.Client // with the credential that was given
	fresh   *palette.Client // with the new key, once it is proved; else client

	old        *palette.APIKey  // nil: an earlier run deleted it
	successors []palette.APIKey // those that say they replace it
	next       string           // uid of the one whose value is stored, or about to be
	file       *keyfile.Pending // where it goes with -out

	situation string // what exists now and what to do, for the day it fails
}

func (r *rotation) rotate(ctx context.Context) (err error) {
	if r.client, err = r.palette.Client(); err != nil {
		return err
	}
	r.fresh = r.client
	if err := r.look(ctx); err != nil {
		return err
	}
	if r.old != nil {
		r.situation += ": " + r.oldKey()
	}
	if err := r.resume(ctx); err != nil {
		return err
	}
	if r.next == "" {
		if err := r.replace(ctx); err != nil {
			return err
		}
	}
	return r.retire(ctx)
}

// replace makes a successor and stores it. What can be known to fail fails before
// there is a key that could be lost.
func (r *rotation) replace(ctx context.Context) (err error) {
	if r.out != "" {
		r.file, err = keyfile.Prepare(r.out)
		defer r.file.Discard()
	} else {
		_, err = exec.LookPath(r.command[0])
	}
	if err != nil {
		return err
	}
	created, err := r.create(ctx)
	if err != nil {
		return err
	}
	r.next = created.UID
	r.say("Made %s to replace %s.", r.next, r.uid)
	stored, err := r.store(ctx, created.APIKey.Reveal())
	switch {
	case stored:
		r.situation = fmt.Sprintf("%s; its successor %s works, too, and is stored: run again to finish", r.oldKey(), r.next)
	case err != nil:
		r.abandon(ctx)
	}
	return err
}

// create makes the successor. A reply that is lost leaves one without a value,
// which the next look finds; so does a run that was killed. Such leftovers are
// deleted last, unless a create is refused, which may be for their number.
func (r *rotation) create(ctx context.Context) (*palette.CreateAPIKeyResponse, error) {
	req := r.request()
	created, err := r.client.APIKeys.Create(ctx, req)
	if errors.Is(err, palette.ErrOutcomeUnknown) {
		r.situation = r.oldKey() + "; a successor may have been made, without a known value: run again, which deletes it"
		if r.look(ctx) == nil && r.old != nil {
			created, err = r.client.APIKeys.Create(ctx, req)
		}
	}
	if err != nil && len(r.successors) > 0 && r.deleteLeftovers(ctx) == nil {
		created, err = r.client.APIKeys.Create(ctx, req)
	}
	if errors.Is(err, palette.ErrBadRequest) {
		r.situation += "; if the user has as many keys as the tenant allows, 20 by default, delete one first"
	}
	return created, err
}

// request describes a key like the old one. The annotations of the server and of
// an earlier rotation stay behind.
func (r *rotation) request() palette.CreateAPIKeyRequest {
	like := r.old.UpdateRequest().Metadata
	if like.Annotations == nil {
		like.Annotations = map[string]string{}
	}
	owner := cmp.Or(r.old.Spec.User.UID, like.Annotations["ownerUid"])
	for _, name := range []string{"ownerUid", "permissions", "scope", "scopeVisibility", "tenantUid", annotationStore} {
		delete(like.Annotations, name)
	}
	like.Annotations[annotationRotates] = r.uid
	return palette.CreateAPIKeyRequest{
		Metadata: like,
		Spec:     palette.APIKeyCreateSpec{Expiry: time.Now().Add(r.expires), UserUID: owner},
	}
}

// store proves the new key and puts it where it belongs. It reports whether it is
// there, which can be so despite an error.
func (r *rotation) store(ctx context.Context, value string) (stored bool, err error) {
	key, err := r.prove(ctx, value)
	if err != nil {
		return false, err
	}
	if r.out != "" {
		if err := r.mark(ctx, key, hash(value)); err != nil {
			return false, err
		}
		return r.file.Commit(value)
	}
	command := exec.CommandContext(ctx, r.command[0], r.command[1:]...) //nolint:gosec // to run it is what it was given for
	command.Stdin, command.Stdout, command.Stderr = strings.NewReader(value), r.stdout, r.stderr
	if err := command.Run(); err != nil {
		return false, fmt.Errorf("%s: %w", r.command[0], err)
	}
	return true, r.mark(ctx, key, storeCommand)
}

// prove lets the new key read itself. To be let in is the proof: a user who may
// not read keys is refused with another error than an unknown one.
func (r *rotation) prove(ctx context.Context, value string) (*palette.APIKey, error) {
	fresh, err := r.palette.ClientWithKey(value)
	if err != nil {
		return nil, err
	}
	key, err := fresh.APIKeys.Get(ctx, r.next)
	if errors.Is(err, palette.ErrForbidden) {
		key, err = r.client.APIKeys.Get(ctx, r.next)
	}
	if err != nil {
		return nil, fmt.Errorf("the new key was not proved to work: %w", err)
	}
	r.fresh = fresh
	return key, nil
}

// abandon deletes a successor that could not be stored, also after Ctrl-C.
func (r *rotation) abandon(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if err := r.client.APIKeys.Delete(ctx, r.next); err != nil {
		r.situation = fmt.Sprintf("%s; the successor %s exists and is not stored: run again, which replaces it", r.oldKey(), r.next)
		return
	}
	r.situation = fmt.Sprintf("%s; the successor %s was deleted again", r.oldKey(), r.next)
}

// retire revokes the old key and deletes it when its time has come. The order is
// such that a later run finds the old key as long as anything is left to do.
func (r *rotation) retire(ctx context.Context) error {
	revoked := time.Now()
	switch {
	case r.old == nil:
	case !r.old.Status.IsActive:
		revoked = r.old.Metadata.LastModifiedTimestamp
	default:
		r.situation = fmt.Sprintf("%s is stored and works; %s may be revoked already: run again to finish", r.next, r.uid)
		if err := r.end(ctx, (*palette.APIKeysService).Revoke, r.uid); err != nil {
			return err
		}
		r.say("Revoked %s.", r.uid)
	}
	r.situation = fmt.Sprintf("%s is stored and works; %s is revoked: run again, with a key that works, to delete what is left", r.next, r.uid)
	if err := r.deleteLeftovers(ctx); err != nil {
		return err
	}
	until := revoked.Add(r.grace)
	switch {
	case r.old == nil:
		r.say("Done: %s has replaced %s, which is gone.", r.next, r.uid)
		return nil
	case time.Now().Before(until):
		r.say("Done: %s has replaced %s, which is revoked; run again after %s to delete it.", r.next, r.uid, until.UTC().Format(time.RFC3339))
		return nil
	}
	if err := r.end(ctx, (*palette.APIKeysService).Delete, r.uid); err != nil {
		return err
	}
	r.say("Done: %s has replaced %s, which is deleted.", r.next, r.uid)
	return nil
}

// deleteLeftovers deletes the successors whose value nobody has.
func (r *rotation) deleteLeftovers(ctx context.Context) error {
	for _, key := range r.successors {
		if key.Metadata.UID == r.next {
			continue
		}
		if err := r.end(ctx, (*palette.APIKeysService).Delete, key.Metadata.UID); err != nil {
			return err
		}
		r.say("Deleted %s, whose value was lost.", key.Metadata.UID)
	}
	r.successors = nil
	return nil
}

// end revokes or deletes a key, with the new key, which outlives the old one, or
// with the credential that was given where the new key's user may not do that, or
// see it. A key that is gone is fine.
func (r *rotation) end(ctx context.Context, do func(*palette.APIKeysService, context.Context, string) error, uid string) error {
	err := do(r.fresh.APIKeys, ctx, uid)
	if errors.Is(err, palette.ErrForbidden) || errors.Is(err, palette.ErrNotFound) {
		if given := do(r.client.APIKeys, ctx, uid); !errors.Is(given, palette.ErrUnauthorized) {
			err = given
		}
	}
	if errors.Is(err, palette.ErrNotFound) {
		return nil
	}
	return err
}

// oldKey says how the old key is.
func (r *rotation) oldKey() string {
	switch {
	case r.old == nil:
		return "key " + r.uid + " is gone"
	case !r.old.Status.IsActive:
		return "key " + r.uid + " was inactive before"
	case r.old.Expired(time.Now()):
		return "key " + r.uid + " has expired"
	}
	return "key " + r.uid + " still works"
}

// say writes a line, whatever the server puts into its uids.
func (r *rotation) say(format string, args ...any) {
	fmt.Fprintln(r.stderr, printable.Text(fmt.Sprintf(format, args...)))
}
