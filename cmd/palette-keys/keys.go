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

func (*listCommand) check(*invocation) error { return nil }

func (c *listCommand) run(ctx context.Context, in *invocation) error {
	keys, err := in.client.APIKeys.List(ctx)
	if err != nil {
		return err
	}
	writeKeys(c.json, map[string]any{"items": keys}, keys...)
	return nil
}

type getCommand struct{ listCommand }

func (c *getCommand) run(ctx context.Context, in *invocation) error {
	key, err := in.client.APIKeys.Get(ctx, in.args[0])
	if err != nil {
		return err
	}
	writeKeys(c.json, key, *key)
	return nil
}

// updateCommand holds what is changed; nil and the zero time are kept.
type updateCommand struct {
	name, description *string
	expires           time.Time
}

func (c *updateCommand) declare(flags *flag.FlagSet) {
	flags.Func("name", "", func(s string) error { c.name = &s; return nil })
	flags.Func("description", "", func(s string) error { c.description = &s; return nil })
	expiryVar(flags, &c.expires, "expires")
}

func (c *updateCommand) check(*invocation) error {
	switch {
	case c.name == nil && c.description == nil && c.expires.IsZero():
		return errors.New("a UID, and -name, -description or -expires are required")
	case c.name != nil && *c.name == "":
		return errors.New("-name is empty")
	}
	return nil
}

func (c *updateCommand) run(ctx context.Context, in *invocation) error {
	uid := in.args[0]
	before, err := in.client.APIKeys.Get(ctx, uid)
	if err != nil {
		return err
	}
	req := c.request(*before)
	if err := in.client.APIKeys.Update(ctx, uid, req); err != nil {
		return err
	}
	after, err := in.client.APIKeys.Get(ctx, uid) // a server can ignore the expiry, or activate the key
	switch {
	case err != nil:
		return fmt.Errorf("update: the key was updated, but not read back: %w", err)
	case after.Spec.Expiry.Sub(req.Spec.Expiry).Abs() >= time.Second:
		return fmt.Errorf("update: the key expires: %s, although the update asked for: %s", utc(after.Spec.Expiry), utc(req.Spec.Expiry))
	case after.Status != before.Status:
		return fmt.Errorf("update: the key is active: %t, but was: %t", after.Status.IsActive, before.Status.IsActive)
	}
	out.result("updated " + uid + "\n")
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

// change is what some commands do with each of their arguments.
type change struct {
	done string
	do   func(*palette.APIKeysService, context.Context, string) error
}

var (
	revoke     = change{"revoked", (*palette.APIKeysService).Revoke}
	reactivate = change{"reactivated", (*palette.APIKeysService).Reactivate}
	remove     = change{"deleted", (*palette.APIKeysService).Delete}
)

func (c change) run(ctx context.Context, in *invocation) error {
	_, err := c.all(ctx, in.client, in.args, nil)
	return err
}

// all changes keys, one after the other, and returns how many. A key that fails does not
// stop the others, unless they would fail as well. accepted is a class of errors that are
// none.
func (c change) all(ctx context.Context, client *palette.Client, uids []string, accepted error) (changed int, err error) {
	var errs []error
	for _, uid := range uids {
		err := c.do(client.APIKeys, ctx, uid)
		if err == nil {
			changed++
			out.result(fmt.Sprintf("%s %s (%d of %d)\n", c.done, uid, changed, len(uids)))
		} else if accepted == nil || !errors.Is(err, accepted) {
			errs = append(errs, fmt.Errorf("%s: %w", uid, err))
		}
		if isFinal(ctx, err) {
			break
		}
	}
	if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("%s %d of %d keys", c.done, changed, len(uids)))
	}
	return changed, errors.Join(errs...)
}

// isFinal reports whether err is an interrupt, or says that the credential does not work.
func isFinal(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, palette.ErrUnauthorized))
}
