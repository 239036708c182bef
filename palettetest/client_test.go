package palettetest_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
)

func TestClient(t *testing.T) {
	t.Parallel()
	overBothProtocols(t, func(t *testing.T, s *testServer) {
		s.AddKey(palettetest.Key{Name: "admin"})
		s.create(aliceKey, `{"metadata":{"name":"alice"}}`)

		all, err := s.Client().APIKeys.List(t.Context())
		require.NoError(t, err)
		assert.Len(t, all, 2)

		own, err := s.Client(palette.WithAPIKey(aliceKey)).APIKeys.List(t.Context())
		require.NoError(t, err)
		require.Len(t, own, 1)
		assert.Equal(t, "alice", own[0].Metadata.Name)
	})
}

func TestClientRetriesWithoutAWait(t *testing.T) {
	t.Parallel()
	s := newTestServer(t)
	s.Inject(palettetest.Fault{Status: 503, Times: 3})
	client := s.Client()
	start := time.Now()

	for range 60 { // more than a burst of the default rate limit
		_, err := client.APIKeys.List(t.Context())
		require.NoError(t, err)
	}

	assert.Less(t, time.Since(start), time.Second)
}

func TestClientWithAnInvalidOption(t *testing.T) {
	t.Parallel()
	failed := &failedTest{TB: t}
	server := palettetest.Start(failed)
	program := palettetest.NewServer()
	t.Cleanup(program.Close)
	const want = "palette: NewClient: invalid argument: WithTimeout"

	assert.PanicsWithValue(t, failed, func() { server.Client(palette.WithTimeout(-1)) })
	err, _ := failed.err.(error)
	require.ErrorContains(t, err, want)
	assert.PanicsWithError(t, err.Error(), func() { program.Client(palette.WithTimeout(-1)) })
}
