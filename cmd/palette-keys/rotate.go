package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// rotate replaces a key with package rotation.
func rotate(ctx context.Context, in *invocation) error {
	if err := checkRotate(in); err != nil {
		return err
	}
	store := rotation.FileStore(in.out)
	if in.program != nil {
		store = &commandStore{save: in.program, load: in.load}
	}
	key := rotation.Key{Name: in.name, UserUID: in.user, UID: strings.Join(in.args, "")}
	result, err := rotation.Rotate(ctx, in.client, key, store, in.policy)
	if result.Rotated {
		return errors.Join(writeResult(describe(result)), err)
	}
	if err != nil {
		return err
	}
	return writeResult(describe(result))
}

func checkRotate(in *invocation) error {
	switch {
	case (len(in.args) == 1) == (in.name != ""), in.user != "" && in.name == "":
		return usagef("rotate: either a uid or -name is required, and -user needs -name")
	case (in.out != "") == (in.program != nil), in.load != "" && in.program == nil:
		return usagef("rotate: either -out or -- COMMAND is required, and -load needs -- COMMAND")
	case in.program != nil:
		if _, err := exec.LookPath(in.program[0]); err != nil {
			return usagef("rotate: %w", err)
		}
	}
	return nil
}

func describe(r rotation.Result) string {
	switch {
	case r.Rotated && r.OldExpiry.IsZero():
		return fmt.Sprintf("rotated: the new key %s is saved, the old key %s was deleted\n", r.NewUID, r.OldUID)
	case r.Rotated:
		return fmt.Sprintf("rotated: the new key %s is saved, the old key %s works until %s\n",
			r.NewUID, r.OldUID, utc(r.OldExpiry))
	}
	return fmt.Sprintf("not due: the key %s expires: %s\n", r.OldUID, utc(r.OldExpiry))
}

// commandStore is a store that runs the user's commands.
type commandStore struct {
	save []string
	load string // for the shell; "" if there is none
}

// Load returns what the load command prints. Without one, it is not known what is saved.
func (s *commandStore) Load(ctx context.Context) (palette.Secret, error) {
	if s.load == "" {
		return palette.Secret{}, errors.ErrUnsupported
	}
	var stdout bytes.Buffer
	cmd := newProgram(ctx, []string{"sh", "-c", s.load})
	cmd.Stdout = &stdout
	if err := cmd.Run(); err != nil {
		return palette.Secret{}, fmt.Errorf("load command: %w", err)
	}
	return palette.NewSecret(strings.TrimSpace(stdout.String())), nil
}

// Save gives the key to the save command, on standard input.
func (s *commandStore) Save(ctx context.Context, key palette.Secret) error {
	cmd := newProgram(ctx, s.save)
	cmd.Stdin = strings.NewReader(key.Reveal())
	if err := cmd.Run(); err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return fmt.Errorf("save command: %w", err)
	}
	return nil
}
