//go:build unix

package palette_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
)

// The second attempt would wait for another writer of the FIFO, beyond every deadline.
func TestAPIKeyFileThatIsAFIFO(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "fifo")
	require.NoError(t, syscall.Mkfifo(path, 0o600))

	requireInvalidOptions(t, "WithAPIKeyFile is invalid: credential: "+path+" is not a regular file", palette.WithAPIKeyFile(path))
}
