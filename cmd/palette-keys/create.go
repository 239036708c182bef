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
	name, description, user, out, secret string
	expires                              time.Time
	json                                 bool
}

func (c *createCommand) declare(flags *flag.FlagSet) {
	flags.StringVar(&c.name, "name", "", "")
	flags.StringVar(&c.description, "description", "", "")
	flags.StringVar(&c.out, "out", "-", "")
	secretVar(flags, &c.secret)
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
	case c.out == "":
		return errors.New("-out is empty")
	case c.out != "-" && c.secret != "":
		return errors.New("either -out or -kubernetes-secret, not both")
	}
	return nil
}

// run creates a key and saves its value. It opens the target before there is a key.
func (c *createCommand) run(ctx context.Context, in *invocation) error {
	target, err := c.target(ctx)
	if err != nil {
		return fmt.Errorf("create: no key was created: %w", err)
	}
	ctx, cancel := withGrace(ctx)
	defer cancel()
	created, err := in.client.APIKeys.Create(ctx, c.request())
	if err != nil {
		target.discard()
		return err
	}
	err = target.save(ctx, created.APIKey, c.document(created))
	switch {
	case errors.Is(err, kube.ErrOutcomeUnknown): // somebody may use it
		return fmt.Errorf("create: save the key %s: %w; if the Secret does not have a value, delete the key", created.UID, err)
	case err != nil:
		target.discard()
		return deleteLost(ctx, in.client, created.UID, err)
	case !c.json:
		out.note("created the key with the uid " + created.UID)
	case c.secret != "":
		out.result(toJSON(c.fields(created)))
	}
	return nil
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

// document returns the value of the key alone, or JSON.
func (c *createCommand) document(created *palette.CreateAPIKeyResponse) string {
	if !c.json {
		return created.APIKey.Reveal() + "\n"
	}
	doc := c.fields(created)
	doc["apiKey"] = created.APIKey.Reveal()
	return toJSON(doc)
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

// target is where create saves a key. It is open before there is a key.
type target interface {
	save(ctx context.Context, key palette.Secret, document string) error
	discard() // nothing is saved
}

func (c *createCommand) target(ctx context.Context) (target, error) {
	switch {
	case c.secret != "":
		store, err := newSecretStore(c.secret)
		if err != nil {
			return nil, usageError{err}
		}
		return store, store.open(ctx)
	case c.out != "-":
		file, err := os.OpenFile(c.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, usageError{err}
		}
		return newFile{file}, nil
	case stdoutIsClosed():
		return nil, usageError{errors.New("there is no standard output")}
	}
	return standardOutput{}, nil
}

type standardOutput struct{}

func (standardOutput) save(_ context.Context, _ palette.Secret, document string) error {
	_, err := os.Stdout.WriteString(document)
	return err
}

func (standardOutput) discard() {}

type newFile struct{ *os.File }

func (f newFile) save(_ context.Context, _ palette.Secret, document string) error {
	_, err := f.WriteString(document)
	return errors.Join(err, f.Sync(), f.Close())
}

func (f newFile) discard() {
	_ = f.Close()
	_ = os.Remove(f.Name())
}
