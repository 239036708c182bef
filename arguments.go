package palette

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// checkUID returns an error if uid cannot be a uid. An empty uid would address all
// keys, and ".." what is above them.
func checkUID(uid string) error {
	switch {
	case uid == "":
		return errors.New("uid is empty")
	case uid == "." || uid == "..":
		return errors.New("uid is a relative path")
	case strings.ContainsFunc(uid, func(r rune) bool { return !isUIDRune(r) }):
		return errors.New("uid contains a character other than letters, digits, '.', '_', '-' and '~'")
	}
	return nil
}

func isUIDRune(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._-~", r)
}

// checkRequest returns an error if Palette cannot store what a request carries.
func checkRequest(meta ObjectMetaInput, expiry time.Time, userUID string) error {
	if strings.TrimSpace(meta.Name) == "" {
		return errors.New("Metadata.Name is empty")
	}
	if err := checkExpiry(expiry); err != nil {
		return err
	}
	valid := utf8.ValidString(meta.Name) && utf8.ValidString(userUID)
	for _, values := range []map[string]string{meta.Annotations, meta.Labels} {
		for key, value := range values {
			valid = valid && utf8.ValidString(key) && utf8.ValidString(value)
		}
	}
	if !valid {
		return errors.New("a name, uid, annotation or label is not UTF-8")
	}
	return nil
}

// checkExpiry returns an error if RFC 3339 cannot express t in UTC.
func checkExpiry(t time.Time) error {
	if year := t.UTC().Year(); year < 1 || year > 9999 {
		return fmt.Errorf("the year of the expiry is %d in UTC, not 1 to 9999", year)
	}
	return nil
}

// normalize returns t as it is sent: in UTC, truncated to milliseconds.
func normalize(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
