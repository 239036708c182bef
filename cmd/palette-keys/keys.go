package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

type listCommand struct{ json bool }

func (c *listCommand) declare(flags *flag.FlagSet) { flags.BoolVar(&c.json, "json", false, "") }

func (*listCommand) check(args, _ []string) error { return checkArgs(args, 0, 0) }

func (c *listCommand) run(ctx context.Context, client *palette.Client) error {
	keys, err := client.APIKeys.List(ctx)
	switch {
	case err != nil:
		return err
	case c.json:
		out.result(toJSON(map[string]any{"items": keys}))
	default:
		writeKeys(keys...)
	}
	return nil
}

type getCommand struct {
	uid  string
	json bool
}

func (c *getCommand) declare(flags *flag.FlagSet) { flags.BoolVar(&c.json, "json", false, "") }

func (c *getCommand) check(args, _ []string) error {
	c.uid = append(args, "")[0]
	return checkArgs(args, 1, 1)
}

func (c *getCommand) run(ctx context.Context, client *palette.Client) error {
	key, err := client.APIKeys.Get(ctx, c.uid)
	switch {
	case err != nil:
		return err
	case c.json:
		out.result(toJSON(key))
	default:
		writeKeys(*key)
	}
	return nil
}

// updateCommand holds what is changed; nil is kept.
type updateCommand struct {
	uid               string
	name, description *string
	expires           time.Time
}

func (c *updateCommand) declare(flags *flag.FlagSet) {
	flags.Func("name", "", func(s string) error { c.name = &s; return nil })
	flags.Func("description", "", func(s string) error { c.description = &s; return nil })
	expiryVar(flags, &c.expires, "expires")
}

func (c *updateCommand) check(args, _ []string) error {
	c.uid = append(args, "")[0]
	switch err := checkArgs(args, 1, 1); {
	case err != nil:
		return err
	case c.name == nil && c.description == nil && c.expires.IsZero():
		return errors.New("-name, -description or -expires is required")
	case c.name != nil && *c.name == "":
		return errors.New("-name is empty")
	}
	return nil
}

func (c *updateCommand) run(ctx context.Context, client *palette.Client) error {
	before, err := client.APIKeys.Get(ctx, c.uid)
	if err != nil {
		return err
	}
	req := c.request(*before)
	if err := client.APIKeys.Update(ctx, c.uid, req); err != nil {
		return err
	}
	after, err := client.APIKeys.Get(ctx, c.uid) // a server can ignore the expiry, or activate the key
	switch {
	case err != nil:
		return fmt.Errorf("update: the key was updated, but not read back: %w", err)
	case after.Spec.Expiry.Sub(req.Spec.Expiry).Abs() >= time.Second:
		return fmt.Errorf("update: the key expires: %s, although the update asked for: %s", utc(after.Spec.Expiry), utc(req.Spec.Expiry))
	case after.Status.IsActive != before.Status.IsActive:
		return fmt.Errorf("update: the key is now %s, but was %s", activeText(*after), activeText(*before))
	}
	out.result("updated " + c.uid + "\n")
	return nil
}

func (c *updateCommand) request(key palette.APIKey) palette.UpdateAPIKeyRequest {
	req := key.UpdateRequest()
	if c.name != nil {
		req.Metadata.Name = *c.name
	}
	if c.description != nil {
		req.Metadata.Annotations[palette.AnnotationDescription] = *c.description
	}
	if !c.expires.IsZero() {
		req.Spec.Expiry = c.expires
	}
	return req
}

func activeText(key palette.APIKey) string {
	return map[bool]string{true: "active", false: "inactive"}[key.Status.IsActive]
}

// changeCommand is revoke, reactivate or delete.
type changeCommand struct {
	done   string // "revoked"
	change func(*palette.APIKeysService, context.Context, string) error
	uids   []string
	absent bool // a key that does not exist is no error
}

func (*changeCommand) declare(*flag.FlagSet) {}

func (c *changeCommand) check(args, _ []string) error {
	c.uids = args
	return checkArgs(args, 1, len(args))
}

func (c *changeCommand) run(ctx context.Context, client *palette.Client) error {
	_, err := c.changeAll(ctx, client, out.result)
	return err
}

// changeAll changes keys, one after the other, and returns how many. A key that fails does
// not stop the others, unless they would fail as well.
func (c *changeCommand) changeAll(ctx context.Context, client *palette.Client, progress func(string)) (changed int, err error) {
	var errs []error
	for _, uid := range c.uids {
		err := c.change(client.APIKeys, ctx, uid)
		if err == nil {
			changed++
			progress(fmt.Sprintf("%s %s (%d of %d)\n", c.done, uid, changed, len(c.uids)))
		} else if !c.absent || !errors.Is(err, palette.ErrNotFound) {
			errs = append(errs, fmt.Errorf("%s: %w", uid, err))
		}
		if isFinal(ctx, err) {
			break
		}
	}
	if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("%s %d of %d keys", c.done, changed, len(c.uids)))
	}
	return changed, errors.Join(errs...)
}

// isFinal reports whether err is an interrupt, or says that the credential does not work.
func isFinal(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, palette.ErrUnauthorized))
}
