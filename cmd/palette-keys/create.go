package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/kube"
)

type createCommand struct {
	name, description, user, out string
	secret                       *secretStore
	expires                      time.Time
	json                         bool
}

func (c *createCommand) declare(flags *flag.FlagSet) {
	flags.StringVar(&c.name, "name", "", "")
	flags.StringVar(&c.description, "description", "", "")
	flags.StringVar(&c.out, "out", "-", "")
	secretVar(flags, func(s *secretStore) { c.secret = s })
	flags.BoolVar(&c.json, "json", false, "")
	uidVar(flags, &c.user, "user")
	expiryVar(flags, &c.expires, "expires")
}

func (c *createCommand) check(in *invocation) error {
	switch {
	case c.name == "" && len(in.args) > 0:
		return fmt.Errorf("-name is required: use -name %q", in.args[0])
	case c.name == "":
		return errors.New("-name is required")
	case c.out != "-" && c.secret != nil:
		return errors.New("either -out or -kubernetes-secret, not both")
	}
	return nil
}

// run creates a key and saves its value. It opens the target before there is a key.
func (c *createCommand) run(ctx context.Context, in *invocation) error {
	file, err := c.open(ctx)
	if err != nil {
		return fmt.Errorf("create: no key was created: %w", err)
	}
	ctx, cancel := withGrace(ctx)
	defer cancel()
	created, err := in.client.APIKeys.Create(ctx, c.request())
	if err != nil {
		c.discard(file)
		return err
	}
	if c.secret != nil {
		err = c.secret.Save(ctx, created.APIKey)
	} else {
		err = c.write(file, created)
	}
	switch {
	case errors.Is(err, kube.ErrOutcomeUnknown): // somebody may use it
		return fmt.Errorf("create: save the key %s: %w; if the Secret does not have a value, delete the key", created.UID, err)
	case err != nil:
		c.discard(file)
		return deleteLost(ctx, in.client, created.UID, err)
	case !c.json:
		out.note("created the key with the uid " + created.UID)
	case c.secret != nil:
		out.result(toJSON(c.fields(created)))
	}
	return nil
}

// open opens the file for the key, which can be standard output. With a Secret, there is none.
func (c *createCommand) open(ctx context.Context) (*os.File, error) {
	switch {
	case c.secret != nil:
		return nil, c.secret.requireEmpty(ctx)
	case c.out == "-" && stdoutIsClosed():
		return nil, usagef("there is no standard output")
	case c.out == "-":
		return os.Stdout, nil
	}
	file, err := os.OpenFile(c.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, usageError{err}
	}
	return file, nil
}

func (c *createCommand) request() palette.CreateAPIKeyRequest {
	req := palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMetaInput{Name: c.name},
		Spec:     palette.APIKeyCreateSpec{Expiry: c.expires, UserUID: c.user},
	}
	if c.description != "" {
		req.Metadata.Annotations = map[string]string{palette.AnnotationDescription: c.description}
	}
	return req
}

// write writes the value of the key alone, or JSON.
func (c *createCommand) write(file *os.File, created *palette.CreateAPIKeyResponse) error {
	text := created.APIKey.Reveal() + "\n"
	if c.json {
		doc := c.fields(created)
		doc["apiKey"] = created.APIKey.Reveal()
		text = toJSON(doc)
	}
	_, err := file.WriteString(text)
	if c.out != "-" {
		err = errors.Join(err, file.Sync(), file.Close())
	}
	return err
}

// fields returns what JSON says about the key, without its value.
func (c *createCommand) fields(created *palette.CreateAPIKeyResponse) map[string]any {
	doc := map[string]any{"uid": created.UID, "name": c.name}
	if !c.expires.IsZero() {
		doc["expiry"] = c.expires.UTC().Truncate(time.Millisecond)
	}
	return doc
}

// deleteLost deletes a key whose value could not be saved.
func deleteLost(ctx context.Context, client *palette.Client, uid string, err error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if deleteErr := client.APIKeys.Delete(ctx, uid); deleteErr != nil {
		return fmt.Errorf("create: save the key: %w\ndelete the key %s, its value is lost: %w", err, uid, deleteErr)
	}
	return fmt.Errorf("create: save the key: %w; the key was deleted", err)
}

// discard removes the file of a key that was not saved.
func (c *createCommand) discard(file *os.File) {
	if c.out != "-" {
		_ = file.Close()
		_ = os.Remove(c.out)
	}
}
