// Package kube keeps a value in a Secret of Kubernetes. It is made for programs in a pod: it
// uses the pod's service account, which needs the verbs get and patch on that one Secret.
package kube

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-resty/resty/v2"
)

// ErrOutcomeUnknown reports that a value may or may not have been saved, or that it may be
// saved later.
var ErrOutcomeUnknown = errors.New("the value may have been saved")

// manager names this program in the Secret's managed fields.
const manager = "palette-keys"

// Store is one value of a Secret. It is not safe for concurrent use.
type Store struct {
	namespace, name, key string

	pod    Pod
	url    string
	client *resty.Client

	seen secret // what Load saw
}

// secret is the part of a Secret that matters here. Palette's keys are text.
type secret struct {
	Kind     string `json:"kind"`
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
		OwnerReferences []struct {
			Kind       string `json:"kind"`
			Name       string `json:"name"`
			Controller bool   `json:"controller"`
		} `json:"ownerReferences"`
		ManagedFields []struct {
			Manager   string                                `json:"manager"`
			Operation string                                `json:"operation"`
			Fields    map[string]map[string]json.RawMessage `json:"fieldsV1"`
		} `json:"managedFields"`
	} `json:"metadata"`
	Immutable bool              `json:"immutable"`
	Data      map[string][]byte `json:"data"`
}

var reference = regexp.MustCompile(`^(?:([a-z0-9-]+)/)?([a-z0-9]+(?:[.-]+[a-z0-9]+)*)(?::(\.?[A-Za-z0-9_-][A-Za-z0-9._-]*))?$`)

// New returns the store that ref, "[NAMESPACE/]NAME[:KEY]", names. By default, the namespace
// is the pod's and KEY is apiKey. New sends no request.
func New(pod Pod, ref string) (*Store, error) {
	parts := reference.FindStringSubmatch(ref)
	if parts == nil {
		return nil, fmt.Errorf("kubernetes: %q is not a Secret: use [NAMESPACE/]NAME[:KEY]", ref)
	}
	s := &Store{namespace: parts[1], name: parts[2], key: cmp.Or(parts[3], "apiKey"), pod: pod}
	return s, s.connect()
}

// Load returns the value without surrounding white space, "" if there is none. It tries
// with a dry run whether the value can be replaced, so that nobody creates a key that cannot
// be saved.
func (s *Store) Load(ctx context.Context) (string, error) {
	err := s.load(ctx)
	if isConflict(err) { // somebody changed the Secret after it was read
		err = s.load(ctx)
	}
	return s.value(s.seen), err
}

func (s *Store) load(ctx context.Context) error {
	s.seen = secret{}
	seen, err := s.get(ctx)
	if err == nil {
		err = s.check(seen)
	}
	if err == nil { // with another value, because an immutable Secret accepts the one that it has
		_, err = s.patch(ctx, "patch (dry run)", "?dryRun=All&", seen, "dry-run")
	}
	if err == nil {
		s.seen = seen
	}
	return err
}

// Save replaces the value that Load has seen. If somebody else has replaced it, Save returns
// an error. If the value may have been saved, or may be saved later, the error is
// ErrOutcomeUnknown.
func (s *Store) Save(ctx context.Context, value string) error {
	seen := s.seen
	if seen.Metadata.ResourceVersion == "" {
		return s.errorf("it was not loaded")
	}
	var failed error
	for range 2 {
		saved, err := s.patch(ctx, "patch", "?", seen, value)
		if mayBeSaved(err) {
			err = fmt.Errorf("%w: %w", err, ErrOutcomeUnknown)
		}
		if err == nil {
			s.seen = saved
			return nil
		}
		failed = errors.Join(failed, err)
		if !isConflict(err) && !errors.Is(err, ErrOutcomeUnknown) {
			return failed
		}
		now, err := s.get(ctx)
		switch {
		case err != nil:
			return errors.Join(failed, err)
		case s.value(now) == value: // the response was lost
			s.seen = now
			return nil
		case s.value(now) != s.value(seen):
			return s.errorf("somebody else has replaced the value of %s", s.key)
		}
		seen = now // another field was changed, or the request was lost
	}
	return failed
}

func (s *Store) get(ctx context.Context) (secret, error) {
	return s.send(ctx, "get", "", nil)
}

// patch replaces the value, unless the Secret has changed since it was seen.
func (s *Store) patch(ctx context.Context, verb, query string, seen secret, value string) (secret, error) {
	got, err := s.send(ctx, verb, query+"fieldManager="+manager, map[string]any{
		"metadata": map[string]string{"resourceVersion": seen.Metadata.ResourceVersion},
		"data":     map[string][]byte{s.key: []byte(value)},
	})
	if err == nil && s.value(got) != value {
		err = s.errorf("%s: the API server responded with another value of %s", verb, s.key)
	}
	return got, err
}

// mayBeSaved reports whether a patch that failed with err may have been applied.
func mayBeSaved(err error) bool {
	status, isStatus := errors.AsType[*statusError](err)
	network, isNetwork := errors.AsType[*net.OpError](err)
	_, isFile := errors.AsType[*fs.PathError](err) // the token cannot be read
	switch {
	case err == nil, isFile, isNetwork && network.Op == "dial":
		return false
	case isStatus:
		return status.code >= http.StatusInternalServerError
	}
	return true
}

func isConflict(err error) bool {
	status, ok := errors.AsType[*statusError](err)
	return ok && status.code == http.StatusConflict
}

// check returns an error if the value must not be replaced.
func (s *Store) check(seen secret) error {
	if seen.Immutable {
		return s.errorf("it is immutable: create another Secret")
	}
	for _, owner := range seen.Metadata.OwnerReferences {
		if owner.Controller {
			return s.errorf("%s %s controls it and would put an old key back: use a Secret without a controller", owner.Kind, owner.Name)
		}
	}
	for _, m := range seen.Metadata.ManagedFields {
		_, data := m.Fields["f:data"]["f:"+s.key]
		_, text := m.Fields["f:stringData"]["f:"+s.key]
		if m.Operation == "Apply" && (data || text) {
			return s.errorf("%s applies the value of %s and would put an old key back: remove the value from what it applies", m.Manager, s.key)
		}
	}
	if value := s.value(seen); !utf8.ValidString(value) || strings.ContainsFunc(value, notInKeys) {
		return s.errorf("the value of %s is not an API key: it contains white space or control characters", s.key)
	}
	return nil
}

func notInKeys(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

func (s *Store) value(of secret) string { return strings.TrimSpace(string(of.Data[s.key])) }

func (s *Store) errorf(format string, args ...any) error {
	return fmt.Errorf("kubernetes: Secret "+s.namespace+"/"+s.name+": "+format, args...)
}
