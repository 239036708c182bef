package rotation

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// note adds an error to r.problem.
func (r *run) note(err error) {
	if r.problem != nil && err != nil {
		err = fmt.Errorf("%w; %w", r.problem, err)
	}
	r.problem = cmp.Or(err, r.problem)
}

// describeKeys lists the keys that work, for errors.
func (r *run) describeKeys() string {
	var texts []string
	for _, key := range r.keys {
		if !works(key, time.Now()) {
			continue
		}
		end := "without expiry"
		if !key.Spec.Expiry.IsZero() {
			end = "until " + key.Spec.Expiry.Format(time.RFC3339)
		}
		texts = append(texts, fmt.Sprintf("%s (%s, %s)", key.Metadata.UID, r.roleOf(key), end))
	}
	if len(texts) == 0 {
		return ""
	}
	return "; keys that work: " + strings.Join(texts, ", ") + "; do not delete any by hand: later runs do"
}

// roleOf says who may have the value of a key.
func (r *run) roleOf(key palette.APIKey) string {
	uid, inStore := key.Metadata.UID, r.current.Metadata.UID
	if r.result.Rotated {
		inStore = r.result.NewUID
	}
	switch {
	case !isSaved(key):
		return "harmless: nobody has its value"
	case uid == inStore && (r.seen || r.result.Rotated):
		return "stored"
	case isRetired(key):
		return "retired"
	case key.Metadata.CreationTimestamp.After(r.current.Metadata.CreationTimestamp):
		return "may be stored"
	}
	return "may be in use"
}
