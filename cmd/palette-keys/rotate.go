package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

type rotateCommand struct {
	name, user   string
	policy       rotation.Policy
	dryRun, json bool
	load         string
	stores       []rotation.Store // must be one
}

func (c *rotateCommand) declare(flags *flag.FlagSet) {
	flags.StringVar(&c.name, "name", "", "")
	uidVar(flags, &c.user, "user")
	durationVar(flags, &c.policy.Overlap, "overlap", 10*time.Minute)
	durationVar(flags, &c.policy.RenewBefore, "renew-before", 0)
	durationVar(flags, &c.policy.Validity, "valid-for", 0)
	flags.BoolVar(&c.dryRun, "dry-run", false, "")
	flags.BoolVar(&c.json, "json", false, "")
	flags.Func("out", "", func(path string) error {
		c.stores = append(c.stores, rotation.FileStore(path))
		if path == "" || path == "-" {
			return errors.New("it must be a file, which can be read again")
		}
		return nil
	})
	secretVar(flags, func(s *secretStore) { c.stores = append(c.stores, s) })
	flags.StringVar(&c.load, "load", "", "")
}

func (c *rotateCommand) check(in *invocation) error {
	if c.load != "" || in.program != nil {
		c.stores = append(c.stores, &commandStore{load: c.load, save: in.program})
	}
	switch {
	case c.name != "" && len(in.args) > 0:
		return errors.New("either a UID or -name is required, not both")
	case c.name == "" && len(in.args) == 0:
		return errors.New("a UID or -name is required")
	case c.user != "" && c.name == "":
		return errors.New("-user requires -name")
	case c.policy.Validity > 0 && c.policy.Validity <= max(c.policy.RenewBefore, c.policy.Overlap):
		return errors.New("-valid-for must be more than -renew-before and -overlap")
	case len(c.stores) != 1:
		return errors.New("one of -out, -kubernetes-secret, and -load with -- COMMAND is required")
	case c.load == "" && in.program != nil:
		return errors.New("-load is required: without it, nobody knows which key is saved")
	case c.load != "" && len(in.program) == 0:
		return errors.New("-- COMMAND, which saves the key, is required")
	case c.load == "":
		return nil
	}
	_, err := exec.LookPath(in.program[0])
	return err
}

// run replaces a key with package rotation.
func (c *rotateCommand) run(ctx context.Context, in *invocation) error {
	key := rotation.Key{Name: c.name, UserUID: c.user, UID: strings.Join(in.args, "")}
	if c.dryRun {
		return c.preview(ctx, in.client, key)
	}
	result, err := rotation.Rotate(ctx, in.client, key, c.stores[0], c.policy)
	if err != nil && !result.Rotated {
		return err
	}
	doc := map[string]any{"rotated": result.Rotated, "oldUid": result.OldUID, "newUid": result.NewUID}
	c.write(describe(result), doc, result.OldExpiry)
	return err // after a rotation, it says what needs attention
}

func (c *rotateCommand) write(text string, doc map[string]any, oldExpiry time.Time) {
	if !c.json {
		out.result(text + "\n")
		return
	}
	if !oldExpiry.IsZero() {
		doc["oldExpiry"] = oldExpiry.UTC()
	}
	out.result(toJSON(doc))
}

func describe(r rotation.Result) string {
	switch {
	case r.Rotated && r.OldExpiry.IsZero():
		return fmt.Sprintf("rotated: the new key %s is saved, the old key %s was deleted", r.NewUID, r.OldUID)
	case r.Rotated:
		return fmt.Sprintf("rotated: the new key %s is saved, the old key %s works until %s", r.NewUID, r.OldUID, utc(r.OldExpiry))
	}
	return fmt.Sprintf("not due: the key %s expires: %s", r.OldUID, utc(r.OldExpiry))
}

// preview says what a run would do. It lets rotation run with a client that changes nothing.
func (c *rotateCommand) preview(ctx context.Context, client *palette.Client, key rotation.Key) error {
	old, err := rotation.Find(ctx, client, key, c.stores[0])
	if err != nil {
		return err
	}
	changes := &refusedChanges{}
	client, err = newClient(palette.WithTransportWrapper(func(base http.RoundTripper) http.RoundTripper {
		changes.base = base
		return changes
	}))
	if err != nil {
		return err
	}
	text := "not due"
	_, err = rotation.Rotate(ctx, client, key, c.stores[0], c.policy)
	switch {
	case slices.Contains(changes.methods, http.MethodPost):
		text = "would rotate"
	case err != nil && !slices.Contains(changes.methods, http.MethodPut): // no refused request is the reason
		return err
	case len(changes.methods) > 0:
		text = "would finish an interrupted rotation"
	}
	text += fmt.Sprintf(": the key %s expires: %s", old.Metadata.UID, utc(old.Spec.Expiry))
	c.write(text, map[string]any{"wouldRotate": len(changes.methods) > 0, "oldUid": old.Metadata.UID}, old.Spec.Expiry)
	return nil
}

// refusedChanges is middleware that sends no request that would change something, and records
// their methods. A delete seems to succeed, because a rotation goes on after it; all others
// seem to be forbidden.
type refusedChanges struct {
	base    http.RoundTripper
	methods []string
}

func (c *refusedChanges) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method == http.MethodGet {
		return c.base.RoundTrip(req)
	}
	c.methods = append(c.methods, req.Method)
	if req.Method == http.MethodDelete {
		return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
	}
	body := io.NopCloser(strings.NewReader(`{"code":"DryRun","message":"nothing is changed"}`))
	return &http.Response{StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"application/json"}}, Body: body}, nil
}
