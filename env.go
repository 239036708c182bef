package palette

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strconv"
)

// WithEnv makes the client read these environment variables for what no other option
// sets:
//
//   - PALETTE_API_KEY or SPECTROCLOUD_APIKEY: the API key
//   - PALETTE_API_KEY_FILE: a file that holds the API key, as [WithAPIKeyFile]
//   - PALETTE_AUTH_TOKEN: a JWT, as [WithAuthToken]
//   - PALETTE_HOST or SPECTROCLOUD_HOST: the host or base URL
//   - PALETTE_CA_FILE: a file of PEM certificates to trust instead of the system's
//   - PALETTE_INSECURE_SKIP_VERIFY: a boolean, as [WithInsecureSkipVerify]
//
// A PALETTE_ variable takes precedence over its alias. An empty variable counts as not
// set. More than one credential is an error. The last two variables are not read if
// [WithRootCAs] or [WithInsecureSkipVerify] is given, and are an error together with
// [WithHTTPClient].
func WithEnv() Option {
	return func(c *config) error { c.env = true; return nil }
}

// readEnv reads the environment for what no option sets.
func (c *config) readEnv() error {
	var errs []error
	if len(c.credentials) == 0 {
		errs = append(errs, c.readCredentialEnv())
	}
	if name, host := firstEnv("PALETTE_HOST", "SPECTROCLOUD_HOST"); host != "" && c.baseURL == nil {
		errs = append(errs, c.setBaseURL(name, host))
	}
	if c.rootCAs == nil && !c.skipVerify {
		errs = append(errs, c.readTLSEnv())
	}
	return errors.Join(errs...)
}

func (c *config) readCredentialEnv() error {
	var errs []error
	if name, key := firstEnv("PALETTE_API_KEY", "SPECTROCLOUD_APIKEY"); key != "" {
		errs = append(errs, c.setCredential(name, fixedCredential(headerAPIKey, key), checkAPIKey(key)))
	}
	if path := os.Getenv("PALETTE_API_KEY_FILE"); path != "" {
		file, err := fileCredential(path)
		errs = append(errs, c.setCredential("PALETTE_API_KEY_FILE", file, err))
	}
	if token := os.Getenv("PALETTE_AUTH_TOKEN"); token != "" {
		errs = append(errs, c.setCredential("PALETTE_AUTH_TOKEN", fixedCredential(headerAuthToken, token), checkCredential(token)))
	}
	return errors.Join(errs...)
}

func (c *config) readTLSEnv() (err error) {
	if file := os.Getenv("PALETTE_CA_FILE"); file != "" {
		if c.rootCAs, err = readCertPool(file); err != nil {
			return fmt.Errorf("PALETTE_CA_FILE is invalid: %w", err)
		}
	}
	if value := os.Getenv("PALETTE_INSECURE_SKIP_VERIFY"); value != "" {
		if c.skipVerify, err = strconv.ParseBool(value); err != nil {
			return errors.New("PALETTE_INSECURE_SKIP_VERIFY must be true or false")
		}
	}
	return nil
}

func readCertPool(file string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	pem, err := os.ReadFile(file)
	if err == nil && !pool.AppendCertsFromPEM(pem) {
		err = fmt.Errorf("%s has no PEM certificate", file)
	}
	return pool, err
}

// firstEnv returns the first of the variables that is set, and its value.
func firstEnv(names ...string) (name, value string) {
	for _, name = range names {
		if value = os.Getenv(name); value != "" {
			break
		}
	}
	return name, value
}
