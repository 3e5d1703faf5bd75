package registry_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

var (
	_ registry.Log      = (*kafka.Log)(nil)
	_ registry.Appender = (*kafka.LogWriter)(nil)
)

const topic = "postrider.registry"

type cluster struct {
	*kfake.Cluster
	cfg kafka.Config
}

func newCluster(t *testing.T) cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(c.Close)
	cfg := kafka.Config{Brokers: c.ListenAddrs()}
	client, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	defer client.Close()
	compacted := "compact"
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, map[string]*string{"cleanup.policy": &compacted}, topic)
	require.NoError(t, err)
	return cluster{Cluster: c, cfg: cfg}
}

// view opens a view and follows the log until the test ends.
func (c cluster) view(t *testing.T) *registry.View {
	t.Helper()
	log, err := kafka.OpenLog(c.cfg, topic)
	require.NoError(t, err)
	v, err := registry.Open(t.Context(), log, registry.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		log.Close()
	})
	return v
}

func (c cluster) writer(t *testing.T, v *registry.View) *registry.Writer {
	t.Helper()
	w, err := registry.OpenWriter(t.Context(), v, func(ctx context.Context) (registry.Appender, error) {
		return kafka.OpenLogWriter(ctx, c.cfg, topic, "registry")
	})
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

// TestTwoWritersLoseNothing lets two writers fence each other over and over while each adds to one counter by
// compare-and-set. The counter ends at the number of acknowledged additions.
func TestTwoWritersLoseNothing(t *testing.T) {
	c := newCluster(t)
	id := ident.New()
	var wg sync.WaitGroup
	var mu sync.Mutex
	acknowledged := 0
	for range 2 {
		wg.Go(func() {
			v := c.view(t)
			for range 5 {
				w := c.writer(t, v)
				for range 5 {
					next := subscription.Tenant{ID: id, Name: "x"}
					if now, ok := v.Snapshot().Tenant(id); ok {
						next.Version, next.Name = now.Version, now.Name+"x"
					}
					if _, err := w.Apply(t.Context(), registry.PutTenant(&next)); err != nil {
						break
					}
					mu.Lock()
					acknowledged++
					mu.Unlock()
				}
				w.Close()
			}
		})
	}
	wg.Wait()
	got, ok := c.view(t).Snapshot().Tenant(id)
	require.True(t, ok)
	require.Len(t, got.Name, acknowledged)
	require.Positive(t, acknowledged)
}

func TestCompactedLogReplaysToTheSame(t *testing.T) {
	c := newCluster(t)
	v := c.view(t)
	w := c.writer(t, v)
	tenants := make([]subscription.Tenant, 5)
	for i := range tenants {
		tenants[i] = subscription.Tenant{ID: ident.New(), UID: fmt.Sprint(i)}
	}
	for round := range 10 {
		for i := range tenants {
			tenants[i].Name = fmt.Sprint(round)
			_, err := w.Apply(t.Context(), registry.PutTenant(&tenants[i]).Anyway())
			require.NoError(t, err)
		}
	}
	_, err := w.Apply(t.Context(), registry.Delete(registry.Key{Kind: registry.KindTenant, ID: tenants[2].ID}, registry.Any))
	require.NoError(t, err)
	c.Compact()
	require.NoError(t, v.Sync(t.Context()))
	followed, replayed := v.Snapshot(), c.view(t).Snapshot()
	require.Equal(t, followed.Version(), replayed.Version())
	require.Equal(t, slices.Collect(followed.Tenants()), slices.Collect(replayed.Tenants()))
	require.Len(t, slices.Collect(replayed.Tenants()), 4)
}

// TestChangeIsSeen is what a deliverer depends on: an acknowledged change comes by itself, and later confirmations too.
func TestChangeIsSeen(t *testing.T) {
	c := newCluster(t)
	reader, v := c.view(t), c.view(t)
	w := c.writer(t, v)
	for range 5 {
		version, err := w.Apply(t.Context(), registry.PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.NoError(t, err)
		require.NoError(t, reader.Wait(t.Context(), version))
	}
	wrote := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !reader.ConfirmedAt().After(wrote) {
		require.NoError(t, ctx.Err())
		require.NoError(t, reader.Sync(ctx))
	}
}
