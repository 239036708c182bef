package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// create creates a key and writes its value. It opens the file before there is a key.
func create(ctx context.Context, in *invocation) error {
	if in.name == "" {
		return usagef("create: -name is required: see palette-keys help create")
	}
	out, err := os.Stdout, error(nil)
	if in.out != "" {
		if out, err = os.OpenFile(in.out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return usagef("create: no key was created: %w", err)
		}
	}
	req := palette.CreateAPIKeyRequest{
		Metadata: palette.ObjectMetaInput{Name: in.name},
		Spec:     palette.APIKeyCreateSpec{Expiry: in.expires, UserUID: in.user},
	}
	if in.description != "" {
		req.Metadata.Annotations = map[string]string{palette.AnnotationDescription: in.description}
	}
	created, err := in.client.APIKeys.Create(ctx, req)
	if err == nil {
		err = writeKey(ctx, out, in, created)
	}
	if err != nil && in.out != "" {
		_ = os.Remove(in.out) // it has no key
	} else if err == nil && !in.json {
		notef("created the key with the uid %s", escape(created.UID, ""))
	}
	return err
}

// writeKey writes the value of a key. If that fails, it deletes the key.
func writeKey(ctx context.Context, out *os.File, in *invocation, created *palette.CreateAPIKeyResponse) error {
	// Otherwise a closed pipe would end the program before it can delete the key.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	text := created.APIKey.Reveal() + "\n"
	if in.json {
		doc := map[string]any{"apiKey": created.APIKey.Reveal(), "uid": created.UID, "name": in.name}
		if !in.expires.IsZero() {
			doc["expiry"] = in.expires.UTC().Truncate(time.Millisecond)
		}
		text = toJSON(doc)
	}
	_, err := out.WriteString(text)
	if in.out != "" {
		err = errors.Join(err, out.Sync(), out.Close())
	}
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	if deleteErr := in.client.APIKeys.Delete(ctx, created.UID); deleteErr != nil {
		return fmt.Errorf("create: write the key: %w\ndelete the key %s, its value is lost: %w", err, created.UID, deleteErr)
	}
	return fmt.Errorf("create: write the key: %w; the key was deleted", err)
}

func list(ctx context.Context, in *invocation) error {
	keys, err := in.client.APIKeys.List(ctx)
	if err != nil {
		return err
	}
	return writeKeys(in, map[string]any{"items": keys}, keys...)
}

func get(ctx context.Context, in *invocation) error {
	key, err := in.client.APIKeys.Get(ctx, in.args[0])
	if err != nil {
		return err
	}
	return writeKeys(in, key, *key)
}

func revoke(ctx context.Context, in *invocation) error {
	return changeAll(ctx, os.Stdout, "revoked", in.args, in.client.APIKeys.Revoke)
}

func deleteKeys(ctx context.Context, in *invocation) error {
	return changeAll(ctx, os.Stdout, "deleted", in.args, in.client.APIKeys.Delete)
}

// changeAll changes keys, one after the other. A key that fails does not stop the others,
// unless they would fail as well.
func changeAll(ctx context.Context, w io.Writer, done string, uids []string, do func(context.Context, string) error) error {
	var errs []error
	changed := 0
	for _, uid := range uids {
		err := do(ctx, uid)
		if err == nil {
			changed++
			fmt.Fprintf(w, "%s %s (%d of %d)\n", done, uid, changed, len(uids))
			continue
		}
		errs = append(errs, fmt.Errorf("%s: %w", uid, err))
		if isFinal(ctx, err) {
			break
		}
	}
	if len(errs) > 0 {
		errs = append(errs, fmt.Errorf("%s %d of %d keys", done, changed, len(uids)))
	}
	return errors.Join(errs...)
}

// isFinal reports whether err is an interrupt, or says that the credential does not work.
func isFinal(ctx context.Context, err error) bool {
	return err != nil && (ctx.Err() != nil || errors.Is(err, palette.ErrUnauthorized))
}

// offboard shows the keys of a user, asks, revokes all of them, and then deletes them.
func offboard(ctx context.Context, in *invocation) error {
	user := in.args[0]
	keys, err := keysOf(ctx, in.client, user)
	switch {
	case err != nil:
		return err
	case len(keys) == 0:
		return fmt.Errorf("offboard: the credential can see no key of the user %s", user)
	}
	err = writeKeys(in, nil, keys...)
	if err == nil && !in.yes {
		err = confirm(ctx, fmt.Sprintf("Revoke and delete these keys of the user %s: %d? Type yes: ", user, len(keys)))
	}
	if err != nil {
		return err
	}
	err = revokeAndDelete(ctx, in.client, keys)
	left, listErr := keysOf(ctx, in.client, user) // the user may have created keys in the meantime
	if listErr == nil && len(left) == 0 {
		return writeResult(fmt.Sprintf("revoked and deleted %d keys of the user %s\n", len(keys), user))
	}
	advice := "run the same command again"
	if errors.Is(listErr, palette.ErrUnauthorized) {
		advice = "run the same command with the credential of another user"
	}
	return errors.Join(cmp.Or(err, listErr), errors.New("offboard: not finished: "+advice))
}

func keysOf(ctx context.Context, client *palette.Client, user string) ([]palette.APIKey, error) {
	keys, err := client.APIKeys.List(ctx)
	return slices.DeleteFunc(keys, func(key palette.APIKey) bool { return key.Spec.User.UID != user }), err
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
			return usagef("offboard: nothing was changed: standard input is not a terminal, use -yes")
		} else if strings.TrimSpace(line) == "yes" {
			return nil
		}
	}
	return errors.New("offboard: nothing was changed")
}

// revokeAndDelete revokes all keys before it deletes the first, so that access ends early.
func revokeAndDelete(ctx context.Context, client *palette.Client, keys []palette.APIKey) error {
	var active, all []string
	for _, key := range keys {
		all = append(all, key.Metadata.UID)
		if key.Status.IsActive {
			active = append(active, key.Metadata.UID)
		}
	}
	err := changeAll(ctx, os.Stderr, "revoked", active, client.APIKeys.Revoke)
	if isFinal(ctx, err) {
		return err
	}
	return errors.Join(err, changeAll(ctx, os.Stderr, "deleted", all, client.APIKeys.Delete))
}
