package rotation_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

func TestSmoke(t *testing.T) {
	s := newScene(t)
	for range 5 {
		before := s.stored
		result, err := s.rotate(s.own(), rotation.Policy{Validity: 90 * day})
		require.NoError(t, err)
		t.Log(result, s.steps)
		require.NotEqual(t, before, s.stored)
		require.Len(t, s.server.Keys(), 1)
	}
}
