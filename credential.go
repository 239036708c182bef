package palette

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"unicode"
)

// The headers that carry a credential (spec), in the canonical form of net/http.
const (
	headerAPIKey    = "Apikey"
	headerAuthToken = "Authorization"
)

// credential is where a credential comes from and the header that carries it.
type credential struct {
	header string
	fake   bool                                  // a key of palettetest, which no other server knows
	fetch  func(context.Context) (string, error) // returns a valid credential or an error
}

func fixedCredential(header, value string) credential {
	return credential{header, strings.HasPrefix(value, "palettetest+"), func(context.Context) (string, error) { return value, nil }}
}

// funcCredential calls f for each attempt and checks what it returns.
func funcCredential(header string, f func(context.Context) (string, error), check func(string) error) credential {
	return credential{header, false, func(ctx context.Context) (string, error) {
		value, err := f(ctx)
		if err == nil {
			err = check(value)
		}
		if err != nil {
			return "", fmt.Errorf("credential: %w", err)
		}
		return value, nil
	}}
}

// fetchCredential gets the credential for an attempt.
func (ex *exchange) fetchCredential(ctx context.Context) error {
	secret, err := ex.credential.fetch(ctx)
	if err != nil {
		return &permanentError{err}
	}
	ex.secret = NewSecret(secret)
	if len(secret) >= minRedacted && strings.Contains(ex.op.path, secret) { // proxies log paths
		return &permanentError{errors.New("the uid is the client's own credential")}
	}
	return contextError(ctx)
}

// keyFile is a file that holds an API key.
type keyFile struct {
	path string

	mu   sync.Mutex
	last string // the last valid key
}

// read returns the key in the file, or the last valid one while the file is missing or
// empty, as it is for a moment when some programs replace a file.
func (f *keyFile) read() (string, error) {
	content, err := os.ReadFile(f.path)
	key := strings.TrimSpace(string(content))
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.last != "" && (errors.Is(err, fs.ErrNotExist) || err == nil && key == ""):
		return f.last, nil
	case err != nil:
		return "", fmt.Errorf("credential: %w", err)
	}
	if err := checkAPIKey(key); err != nil {
		return "", fmt.Errorf("credential: file %s: %w", f.path, err)
	}
	f.last = key
	return key, nil
}

// checkAPIKey returns an error if value cannot be an API key.
func checkAPIKey(value string) error {
	if strings.HasPrefix(value, "eyJ") && strings.Count(value, ".") == 2 {
		return errors.New("the API key is a JWT: use WithAuthToken, WithAuthTokenFunc or PALETTE_AUTH_TOKEN")
	}
	return checkCredential(value)
}

// checkCredential returns an error if value cannot be a credential. The length and the
// alphabet of keys are not known.
func checkCredential(value string) error {
	switch {
	case value == "":
		return errors.New("the credential is empty")
	case strings.ContainsFunc(value, unicode.IsSpace):
		return errors.New(`the credential contains white space: trim the newline at the end of a file, and do not add "Bearer"`)
	case strings.ContainsFunc(value, unicode.IsControl):
		return errors.New("the credential contains a control character")
	}
	return nil
}
