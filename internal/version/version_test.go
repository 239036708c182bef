package version_test

import (
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
)

// The newest section of the changelog is that of the version, dated or not.
func TestVersionIsTheNewestOfTheChangelog(t *testing.T) {
	t.Parallel()
	changelog, err := os.ReadFile("../../CHANGELOG.md")
	require.NoError(t, err)

	newest := regexp.MustCompile(`(?m)^## \[(.+)\] - (Unreleased|\d{4}-\d\d-\d\d)$`).FindSubmatch(changelog)

	require.NotNil(t, newest, "no section with a version")
	require.Equal(t, version.Version, string(newest[1]))
}
