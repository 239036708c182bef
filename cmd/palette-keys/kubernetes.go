package main

import (
	"context"
	"flag"
	"os"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/kube"
)

// serviceAccountFolder has the files of the pod's service account. The linker sets another
// one for tests: -ldflags "-X main.serviceAccountFolder=FOLDER".
var serviceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// secretStore is a rotation.Store: a value in a Secret of Kubernetes.
type secretStore struct {
	name   string // of the flag
	secret *kube.Store
}

// secretVar declares -kubernetes-secret.
func secretVar(flags *flag.FlagSet, set func(*secretStore)) {
	flags.Func("kubernetes-secret", "", func(name string) error {
		pod := kube.Pod{
			Folder: serviceAccountFolder,
			Host:   os.Getenv("KUBERNETES_SERVICE_HOST"), Port: os.Getenv("KUBERNETES_SERVICE_PORT"),
		}
		secret, err := kube.New(pod, name)
		set(&secretStore{name, secret})
		return err
	})
}

func (s *secretStore) Load(ctx context.Context) (palette.Secret, error) {
	value, err := s.secret.Load(ctx)
	return palette.NewSecret(value), err
}

func (s *secretStore) Save(ctx context.Context, key palette.Secret) error {
	return s.secret.Save(ctx, key.Reveal())
}

// requireEmpty returns an error if the Secret cannot take a first key.
func (s *secretStore) requireEmpty(ctx context.Context) error {
	key, err := s.Load(ctx)
	if err == nil && !key.IsZero() {
		err = usagef("the Secret %s has a value already: use rotate, or remove the value", s.name)
	}
	return err
}
