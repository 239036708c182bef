package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

type offboardCommand struct {
	user string
	yes  bool
}

func (c *offboardCommand) declare(flags *flag.FlagSet) { flags.BoolVar(&c.yes, "yes", false, "") }

func (c *offboardCommand) check(args, _ []string) error {
	c.user = append(args, "")[0]
	return checkArgs(args, 1, 1)
}

// run shows the keys of a user, asks, revokes all of them, and then deletes them.
func (c *offboardCommand) run(ctx context.Context, client *palette.Client) error {
	keys, err := c.keys(ctx, client)
	switch {
	case err != nil:
		return err
	case len(keys) == 0:
		return fmt.Errorf("offboard: the credential can see no key of the user %s", c.user)
	}
	writeKeys(keys...)
	if !c.yes {
		if err := confirm(ctx, fmt.Sprintf("Revoke and delete these keys of the user %s: %d? Type yes: ", c.user, len(keys))); err != nil {
			return err
		}
	}
	revoked, deleted, err := revokeAndDelete(ctx, client, keys)
	return c.finish(ctx, client, fmt.Sprintf("revoked %d and deleted %d keys of the user %s", revoked, deleted, c.user), err)
}

// finish reports what was done. It looks once more, because the user may have created keys
// in the meantime; but an empty list does not make up for requests that failed.
func (c *offboardCommand) finish(ctx context.Context, client *palette.Client, done string, err error) error {
	left, listErr := c.keys(ctx, client)
	rest := fmt.Sprintf("%d keys are left: run the same command again", len(left))
	switch {
	case errors.Is(listErr, palette.ErrUnauthorized):
		rest = "not finished: run the same command with the credential of another user"
	case listErr != nil:
		rest = "not finished: run the same command again"
	case err == nil && len(left) == 0:
		out.result(done + "\n")
		return nil
	}
	return errors.Join(cmp.Or(err, listErr), fmt.Errorf("offboard: %s; %s", done, rest))
}

func (c *offboardCommand) keys(ctx context.Context, client *palette.Client) ([]palette.APIKey, error) {
	keys, err := client.APIKeys.List(ctx)
	return slices.DeleteFunc(keys, func(key palette.APIKey) bool { return key.Spec.User.UID != c.user }), err
}

// confirm asks a question on the terminal. It returns nil if the answer is yes.
func confirm(ctx context.Context, question string) error {
	answers := make(chan string, 1)
	if info, err := os.Stdin.Stat(); err != nil || info.Mode()&os.ModeCharDevice == 0 {
		answers <- ""
	} else {
		fmt.Fprint(os.Stderr, question)
		go func() { line, _ := bufio.NewReader(os.Stdin).ReadString('\n'); answers <- line }()
	}
	select {
	case <-ctx.Done():
	case line := <-answers:
		if line == "" { // also from /dev/null, which looks like a terminal
			return usagef("offboard: nothing was changed: there is no terminal to ask on, use -yes")
		} else if strings.TrimSpace(line) == "yes" {
			return nil
		}
	}
	return errors.New("offboard: nothing was changed")
}

// revokeAndDelete revokes all keys before it deletes the first, so that access ends early.
// It returns how many keys it has revoked and deleted.
func revokeAndDelete(ctx context.Context, client *palette.Client, keys []palette.APIKey) (revoked, deleted int, err error) {
	revoke := changeCommand{done: "revoked", change: (*palette.APIKeysService).Revoke, absent: true}
	remove := changeCommand{done: "deleted", change: (*palette.APIKeysService).Delete, absent: true}
	for _, key := range keys {
		remove.uids = append(remove.uids, key.Metadata.UID)
		if key.Status.IsActive {
			revoke.uids = append(revoke.uids, key.Metadata.UID)
		}
	}
	progress := func(text string) { out.note(strings.TrimSpace(text)) }
	revoked, err = revoke.changeAll(ctx, client, progress)
	if isFinal(ctx, err) {
		return revoked, 0, err
	}
	deleted, deleteErr := remove.changeAll(ctx, client, progress)
	return revoked, deleted, errors.Join(err, deleteErr)
}
