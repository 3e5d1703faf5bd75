package broker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/internal/node"
	"github.com/postrider/postrider/test/redistest"
)

func openRedis(t *testing.T, addresses ...string) *view.Redis {
	t.Helper()
	r, err := view.Open(view.Config{Addresses: addresses, Prefix: uuid.NewString() + "."})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return r
}

// reporting reports a version for a role every 100 ms until the test ends, whatever Redis says.
func reporting(t *testing.T, r *view.Redis, role string, version func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var done sync.WaitGroup
	done.Go(func() {
		ticker := time.NewTicker(100 * time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			_ = r.Report(ctx, role, "i", version())
			select {
			case <-ticker.C:
			case <-ctx.Done():
			}
		}
	})
	t.Cleanup(func() {
		cancel()
		done.Wait()
	})
}

// presence is what a Redis has to promise, one node or many.
func presence(t *testing.T, r *view.Redis) {
	t.Helper()
	ctx := t.Context()
	members, err := r.Live(ctx)
	require.NoError(t, err)
	require.Empty(t, members)
	start := time.Now()
	// Many roles at once: more than there are connections.
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			if err := r.Report(ctx, "router", fmt.Sprintf("%03d", i), int64(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	members, err = r.Live(ctx)
	require.NoError(t, err)
	require.Len(t, members, 40)
	require.Equal(t, view.Member{Role: "router", Instance: "027", Version: 27}, members[27])
	for i := range 39 {
		require.NoError(t, r.Leave(ctx, "router", fmt.Sprintf("%03d", i)))
	}
	require.NoError(t, r.Report(ctx, "router", "039", 1<<53-1))
	members, err = r.Live(ctx)
	require.NoError(t, err)
	require.Equal(t, []view.Member{{Role: "router", Instance: "039", Version: 1<<53 - 1}}, members)

	// It is silent from now on, and gone after five seconds. Nobody is trusted to be all before.
	_, err = r.WaitApplied(ctx, 1<<53-1)
	require.NoError(t, err)
	require.GreaterOrEqual(t, time.Since(start), view.Lifetime-50*time.Millisecond, "two clocks differ a little")
	require.Eventually(t, func() bool {
		members, err := r.Live(ctx)
		return err == nil && len(members) == 0
	}, 3*time.Minute, 50*time.Millisecond, "silence is absence")
}

func TestRedisPresence(t *testing.T) {
	t.Parallel()
	presence(t, openRedis(t, redistest.Start(t).Addr))
}

// TestRedisClusterPresence: a cluster refuses scripts whose keys are on several nodes.
func TestRedisClusterPresence(t *testing.T) {
	t.Parallel()
	presence(t, openRedis(t, startCluster(t)...))
}

// startCluster runs a Redis Cluster of three masters on this machine and returns their addresses.
func startCluster(t *testing.T) []string {
	t.Helper()
	const slots, masters = 16384, 3
	program, err := node.Program(t.Context(), "redis-server", "redis-server")
	require.NoError(t, err)
	ports, err := node.FreePorts(t.Context(), 2*masters)
	require.NoError(t, err)
	var addresses []string
	for i := range masters {
		port, bus := strconv.Itoa(ports[2*i]), strconv.Itoa(ports[2*i+1])
		dir := t.TempDir()
		child := &node.Child{
			Command: []string{
				program, "--bind", "127.0.0.1", "--port", port, "--cluster-port", bus, "--cluster-enabled", "yes", "--save", "", "--dir", dir,
			},
			Dir: dir, LogFile: dir + string(os.PathSeparator) + "redis.log",
		}
		require.NoError(t, child.Start(t.Context()))
		t.Cleanup(func() { require.NoError(t, child.Remove()) })
		addresses = append(addresses, "127.0.0.1:"+port)
	}
	for i, address := range addresses {
		c := redis.NewClient(&redis.Options{Addr: address})
		defer c.Close()
		eventually(t, func() error { return c.Ping(t.Context()).Err() })
		require.NoError(t, c.ClusterAddSlotsRange(t.Context(), i*slots/masters, (i+1)*slots/masters-1).Err())
		for j := range i {
			require.NoError(t, c.Do(t.Context(), "CLUSTER", "MEET", "127.0.0.1", ports[2*j], ports[2*j+1]).Err())
		}
	}
	for _, address := range addresses {
		c := redis.NewClient(&redis.Options{Addr: address})
		defer c.Close()
		eventually(t, func() error {
			info, err := c.ClusterInfo(t.Context()).Result()
			if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_size:3")) {
				err = errors.New(info)
			}
			return err
		})
	}
	return addresses
}

// eventually waits until fn succeeds.
func eventually(t *testing.T, fn func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := fn()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			require.NoError(t, err)
		}
	}
}

func TestRedisIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	r := openRedis(t, server.Addr)
	behind := make(chan struct{})
	reporting(t, r, "router", func() int64 { return 8 })
	reporting(t, r, "deliverer", func() int64 {
		select {
		case <-behind:
			return 8
		default:
			return 7
		}
	})
	live := func(n int) func() bool {
		return func() bool {
			members, err := r.Live(t.Context())
			return err == nil && len(members) == n
		}
	}
	require.Eventually(t, live(2), 3*time.Minute, 20*time.Millisecond)

	require.NoError(t, server.Kill())
	_, err := r.WaitApplied(t.Context(), 8)
	require.ErrorContains(t, err, "redis.addresses: ["+server.Addr+"] cannot be reached: ")
	require.NotContains(t, err.Error(), "\n")

	// It comes back empty. Whoever waits is not told that all have the version because nobody has reported yet.
	require.NoError(t, server.Restart())
	require.Eventually(t, func() bool { _, err := r.Live(t.Context()); return err == nil }, 3*time.Minute, 20*time.Millisecond)
	late := fmt.Errorf("not within %s", 6*view.Lifetime) // both report within one, unless the machine is busy
	ctx, cancel := context.WithTimeoutCause(t.Context(), 6*view.Lifetime, late)
	defer cancel()
	_, err = r.WaitApplied(ctx, 8)
	require.ErrorIs(t, err, late)
	require.ErrorContains(t, err, "deliverer i is at 7")
	require.NotContains(t, err.Error(), "router")

	close(behind)
	members, err := r.WaitApplied(t.Context(), 8)
	require.NoError(t, err)
	require.Equal(t, []view.Member{{Role: "deliverer", Instance: "i", Version: 8}, {Role: "router", Instance: "i", Version: 8}}, members)

	// One that hangs is as good as away, and told so soon.
	require.NoError(t, server.Pause())
	start := time.Now()
	_, err = r.WaitApplied(t.Context(), 8)
	require.ErrorContains(t, err, "cannot be reached")
	require.Less(t, time.Since(start), 30*time.Second)
	require.NoError(t, server.Resume())
	require.Eventually(t, live(2), 3*time.Minute, 20*time.Millisecond)
}
