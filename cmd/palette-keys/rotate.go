package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os/exec"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

type rotateCommand struct {
	uid, name, user string
	policy          rotation.Policy
	dryRun, json    bool
	out, load       string
	save            []string
}

func (c *rotateCommand) declare(flags *flag.FlagSet) {
	flags.StringVar(&c.name, "name", "", "")
	uidVar(flags, &c.user, "user")
	durationVar(flags, &c.policy.Overlap, "overlap", 10*time.Minute)
	durationVar(flags, &c.policy.RenewBefore, "renew-before", 0)
	durationVar(flags, &c.policy.Validity, "valid-for", 0)
	flags.BoolVar(&c.dryRun, "dry-run", false, "")
	flags.BoolVar(&c.json, "json", false, "")
	flags.StringVar(&c.out, "out", "", "")
	flags.StringVar(&c.load, "load", "", "")
}

func (c *rotateCommand) check(args, program []string) error {
	c.uid, c.save = append(args, "")[0], program
	switch {
	case c.name != "" && len(args) > 0:
		return errors.New("either a UID or -name is required, not both")
	case c.name == "" && len(args) == 0:
		return errors.New("a UID or -name is required")
	case c.user != "" && c.name == "":
		return errors.New("-user requires -name")
	}
	return errors.Join(checkArgs(args, 0, 1), c.checkStore())
}

// checkStore checks that the flags name one store.
func (c *rotateCommand) checkStore() error {
	switch {
	case c.out == "-":
		return errors.New("-out must be a file: a key on standard output cannot be read again")
	case c.out != "" && (c.load != "" || c.save != nil):
		return errors.New("either -out or -load with -- COMMAND is required, not both")
	case c.out != "":
		return nil
	case c.load == "" && c.save == nil:
		return errors.New("-out, or -load with -- COMMAND, is required")
	case c.load == "":
		return errors.New("-load is required: without it, nobody knows which key is saved")
	case len(c.save) == 0:
		return errors.New("-- COMMAND, which saves the key, is required")
	}
	_, err := exec.LookPath(c.save[0])
	return err
}

func (c *rotateCommand) store() rotation.Store {
	if c.out != "" {
		return rotation.FileStore(c.out)
	}
	return &commandStore{load: c.load, save: c.save}
}

// run replaces a key with package rotation.
func (c *rotateCommand) run(ctx context.Context, client *palette.Client) error {
	uid := c.uid
	if c.name != "" {
		key, err := rotation.Find(ctx, client, c.name, c.user)
		if err != nil {
			return err
		}
		uid = key.Metadata.UID
	}
	result, err := rotation.Rotate(ctx, client, uid, c.store(), c.policy)
	if err != nil {
		return err
	}
	out.result(describe(result))
	return nil
}

func describe(r rotation.Result) string {
	switch {
	case r.Rotated && r.OldExpiry.IsZero():
		return fmt.Sprintf("rotated: the new key %s is saved, the old key %s was deleted\n", r.NewUID, r.OldUID)
	case r.Rotated:
		return fmt.Sprintf("rotated: the new key %s is saved, the old key %s works until %s\n",
			r.NewUID, r.OldUID, utc(r.OldExpiry))
	case r.NewUID != "": // from an annotation, which anybody may have written
		return fmt.Sprintf("not rotated: the key %s was replaced by the key %s before\n", r.OldUID, escape(r.NewUID, ""))
	}
	return fmt.Sprintf("not due: the key %s expires: %s\n", r.OldUID, utc(r.OldExpiry))
}
