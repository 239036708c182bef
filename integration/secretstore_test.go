package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1 "k8s.io/client-go/kubernetes/typed/core/v1"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// secretStore is a rotation.Store: the value apiKey of a Secret.
type secretStore struct {
	secrets corev1.SecretInterface // clientset.CoreV1().Secrets("apps")
	name    string
	version string // that Load has seen
}

func (s *secretStore) Load(ctx context.Context) (palette.Secret, error) {
	secret, err := s.secrets.Get(ctx, s.name, metav1.GetOptions{})
	if err != nil {
		return palette.Secret{}, err
	}
	s.version = secret.ResourceVersion
	key := palette.NewSecret(strings.TrimSpace(string(secret.Data["apiKey"])))
	return key, s.patch(ctx, "dry-run", metav1.DryRunAll) // create no key that cannot be saved
}

func (s *secretStore) Save(ctx context.Context, key palette.Secret) error {
	return s.patch(ctx, key.Reveal())
}

// patch replaces the value, unless the Secret has changed since Load.
func (s *secretStore) patch(ctx context.Context, value string, dryRun ...string) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]string{"resourceVersion": s.version},
		"data":     map[string][]byte{"apiKey": []byte(value)},
	})
	if err != nil {
		return err
	}
	_, err = s.secrets.Patch(ctx, s.name, types.MergePatchType, patch, metav1.PatchOptions{DryRun: dryRun})
	if reason := apierrors.ReasonForError(err); reason != metav1.StatusReasonUnknown {
		err = fmt.Errorf("patch the Secret %s: %s", s.name, reason)
	}
	return err
}

func listWithMountedKey(ctx context.Context) error {
	client, err := palette.NewClient(palette.WithAPIKeyFile("/etc/palette/apiKey"), palette.WithEnv()) // WithEnv: PALETTE_HOST
	if err != nil {
		return err
	}
	_, err = client.APIKeys.List(ctx) // with the key that the file has now
	return err
}
