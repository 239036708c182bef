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

// credential is where the value of a credential comes from, and the header that carries it.
type credential struct {
	source string // the option or variable that gives it, and the path of a file
	header string
	fetch  func(context.Context) (string, error) // returns a valid value or an error
}

func fixedCredential(header, value string) credential {
	return credential{header: header, fetch: func(context.Context) (string, error) { return value, nil }}
}

// funcCredential calls f for each attempt and checks what it returns.
func funcCredential(header string, f func(context.Context) (string, error), check func(string) error) credential {
	return credential{header: header, fetch: func(ctx context.Context) (string, error) {
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

// fileCredential reads a file for each attempt. The error says whether it can be read now.
func fileCredential(path string) (credential, error) {
	file := &keyFile{path: path}
	_, err := file.read()
	fetch := func(context.Context) (string, error) { return file.read() }
	return credential{source: " (" + path + ")", header: headerAPIKey, fetch: fetch}, err
}

// fetchFor returns the value for an attempt. The path of the request must not contain it,
// because proxies log paths.
func (c credential) fetchFor(ctx context.Context, path string) (string, error) {
	value, err := c.fetch(ctx)
	if err == nil && len(value) >= minRedacted && strings.Contains(path, value) {
		err = errors.New("the uid is the client's own credential")
	}
	return value, err
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
	content, err := readRegular(f.path)
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

// readRegular reads a regular file. A FIFO would block beyond every deadline.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", path)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(path)
}

// looksLike says what a credential that the server does not accept seems to be, or nothing. It
// is no reason to reject a key before, because the alphabet of keys is not known.
func looksLike(value string) string {
	if strings.HasPrefix(strings.ToLower(value), "apikey:") {
		return `, and starts with "ApiKey:"`
	}
	if first, last := value[0], value[len(value)-1]; first == last && strings.ContainsRune(`"'`, rune(first)) {
		return ", and is in quotation marks"
	}
	if _, err := os.Stat(value); err == nil {
		return ", and is the path of a file: use WithAPIKeyFile or PALETTE_API_KEY_FILE"
	}
	return ""
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
