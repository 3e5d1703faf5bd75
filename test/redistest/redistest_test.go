package redistest_test

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/test/redistest"
)

func TestMain(m *testing.M) {
	redis.SetLogger(silent{})
	os.Exit(redistest.Main(m))
}

// silent drops what the client says about the server that a test has killed.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

func TestRedisSharedAnswers(t *testing.T) {
	t.Parallel()
	addr := redistest.Shared(t)
	require.Equal(t, addr, redistest.Shared(t))
	client := connect(t, addr)
	require.NoError(t, client.Set(t.Context(), "redistest", "here", time.Minute).Err())
	require.Equal(t, "here", client.Get(t.Context(), "redistest").Val())
}

func TestRedisComesBackEmptyAtTheSameAddress(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := connect(t, s.Addr)
	require.NoError(t, client.Set(t.Context(), "view", "1", 0).Err())

	require.NoError(t, s.Kill())
	require.Error(t, client.Ping(t.Context()).Err())
	require.NoError(t, s.Restart())
	require.ErrorIs(t, client.Get(t.Context(), "view").Err(), redis.Nil)
}

func TestRedisThatIsPausedDoesNotAnswer(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := connect(t, s.Addr)
	require.NoError(t, client.Ping(t.Context()).Err())

	require.NoError(t, s.Pause())
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	require.Error(t, client.Ping(short).Err())
	require.NoError(t, s.Resume())
	require.NoError(t, client.Ping(t.Context()).Err())
}

func connect(t *testing.T, addr string) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: addr, MaxRetries: 1, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = client.Close() })
	return client
}
