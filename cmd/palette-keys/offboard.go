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

type offboardCommand struct{ yes bool }

func (c *offboardCommand) declare(flags *flag.FlagSet) { flags.BoolVar(&c.yes, "yes", false, "") }

func (*offboardCommand) check(*invocation) error { return nil }

// run shows the keys of a user, asks, revokes all of them, and then deletes them.
func (c *offboardCommand) run(ctx context.Context, in *invocation) error {
	user := in.args[0]
	keys, err := keysOf(ctx, in.client, user)
	switch {
	case err != nil:
		return err
	case len(keys) == 0:
		return fmt.Errorf("offboard: the credential can see no key of the user %s", user)
	}
	writeKeys(false, nil, keys...)
	if !c.yes {
		if err := confirm(ctx, fmt.Sprintf("Revoke and delete these keys of the user %s: %d? Type yes: ", user, len(keys))); err != nil {
			return err
		}
	}
	done, err := revokeAndDelete(ctx, in.client, keys)
	return finishOffboarding(ctx, in.client, user, done, err)
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
// It returns what it has done. A key that no longer exists is no error.
func revokeAndDelete(ctx context.Context, client *palette.Client, keys []palette.APIKey) (done string, err error) {
	var active, all []string
	for _, key := range keys {
		all = append(all, key.Metadata.UID)
		if key.Status.IsActive {
			active = append(active, key.Metadata.UID)
		}
	}
	revoked, err := revoke.all(ctx, client, active, palette.ErrNotFound)
	deleted := 0
	if !isFinal(ctx, err) {
		var deleteErr error
		deleted, deleteErr = remove.all(ctx, client, all, palette.ErrNotFound)
		err = errors.Join(err, deleteErr)
	}
	return fmt.Sprintf("revoked %d and deleted %d keys", revoked, deleted), err
}

// finishOffboarding reports what was done. It looks once more, because the user may have
// created keys in the meantime. If a request failed, an empty list is no success.
func finishOffboarding(ctx context.Context, client *palette.Client, user, done string, err error) error {
	left, listErr := keysOf(ctx, client, user)
	rest := fmt.Sprintf("%d left: run the same command again", len(left))
	switch {
	case errors.Is(listErr, palette.ErrUnauthorized):
		rest = "not finished: run the same command with the credential of another user"
	case listErr != nil:
		rest = "not finished: run the same command again"
	case err == nil && len(left) == 0:
		out.result(fmt.Sprintf("%s of the user %s\n", done, user))
		return nil
	case len(left) == 0:
		rest = "none left"
	}
	return errors.Join(cmp.Or(err, listErr), fmt.Errorf("offboard: %s of the user %s; %s", done, user, rest))
}

func keysOf(ctx context.Context, client *palette.Client, user string) ([]palette.APIKey, error) {
	keys, err := client.APIKeys.List(ctx)
	return slices.DeleteFunc(keys, func(key palette.APIKey) bool { return key.Spec.User.UID != user }), err
}
