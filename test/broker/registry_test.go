package broker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/kafkatest"
)

// registryTopic is a registry of its own in the shared cluster.
type registryTopic struct {
	cfg   kafka.Config
	topic string
	admin *kadm.Client
}

func newRegistryTopic(t *testing.T, configs map[string]string) registryTopic {
	t.Helper()
	r := registryTopic{cfg: kafka.Config{Brokers: kafkatest.Shared(t)}, topic: "registry-" + uuid.NewString()}
	client, err := kafka.NewClient(r.cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	r.admin = kadm.NewClient(client)
	all := map[string]*string{"cleanup.policy": new("compact")}
	for k, v := range configs {
		all[k] = &v
	}
	_, err = r.admin.CreateTopic(t.Context(), 1, 1, all, r.topic)
	require.NoError(t, err)
	return r
}

// view replays the registry and follows it until the test ends.
func (r registryTopic) view(t *testing.T) *registry.View {
	t.Helper()
	log, err := kafka.OpenLog(r.cfg, r.topic)
	require.NoError(t, err)
	v, err := registry.Open(t.Context(), log, registry.Options{})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- v.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		log.Close()
	})
	return v
}

func (r registryTopic) open(ctx context.Context) (registry.Appender, error) {
	return kafka.OpenLogWriter(ctx, r.cfg, r.topic, r.topic+"-writer")
}

func (r registryTopic) writer(t *testing.T, v *registry.View) *registry.Writer {
	t.Helper()
	w, err := registry.OpenWriter(t.Context(), v, r.open)
	require.NoError(t, err)
	t.Cleanup(w.Close)
	return w
}

// TestKafkaRegistryWritersLoseNothing lets three writers take the registry from each other while each adds to one name
// by compare-and-set. Every acknowledged addition is there in the end, and nothing that was refused.
func TestKafkaRegistryWritersLoseNothing(t *testing.T) {
	r := newRegistryTopic(t, nil)
	id := ident.New()
	var mu sync.Mutex
	var acknowledged []string
	var wg sync.WaitGroup
	for i := range 3 {
		wg.Go(func() {
			v := r.view(t)
			for round := range 8 {
				w, err := registry.OpenWriter(t.Context(), v, r.open)
				if err != nil { // fenced while it was opening
					continue
				}
				for n := range 10 {
					mark := fmt.Sprintf("%d.%d.%d ", i, round, n)
					next := subscription.Tenant{ID: id, Name: mark}
					if now, ok := v.Snapshot().Tenant(id); ok {
						next.Version, next.Name = now.Version, now.Name+mark
					}
					if _, err := w.Apply(t.Context(), registry.PutTenant(&next)); err != nil {
						break
					}
					mu.Lock()
					acknowledged = append(acknowledged, mark)
					mu.Unlock()
				}
				w.Close()
			}
		})
	}
	wg.Wait()
	require.NotEmpty(t, acknowledged)
	got, ok := r.view(t).Snapshot().Tenant(id)
	require.True(t, ok)
	total := 0
	for _, mark := range acknowledged {
		require.Contains(t, got.Name, mark)
		total += len(mark)
	}
	require.Len(t, got.Name, total)
	t.Logf("%d of %d additions were acknowledged", len(acknowledged), 3*8*10)
}

// TestKafkaRegistryFence leaves a transaction open, as a crash does, and takes over: the rest of the predecessor is
// aborted before the successor reads, and what it tries later fails.
func TestKafkaRegistryFence(t *testing.T) {
	r := newRegistryTopic(t, nil)
	zombie, err := kafka.NewClient(r.cfg, kgo.TransactionalID(r.topic+"-writer"))
	require.NoError(t, err)
	defer zombie.Close()
	require.NoError(t, zombie.BeginTransaction())
	late := &kgo.Record{Topic: r.topic, Key: []byte("tenant/late"), Value: []byte("{")}
	require.NoError(t, zombie.ProduceSync(t.Context(), late).FirstErr())

	v := r.view(t)
	require.Zero(t, v.Snapshot().Version(), "an open transaction is above the committed end")
	w := r.writer(t, v)
	require.EqualValues(t, 2, v.Snapshot().Version(), "the record and the marker of its abort")
	again := &kgo.Record{Topic: r.topic, Key: []byte("tenant/late"), Value: []byte("{")}
	produced := zombie.ProduceSync(t.Context(), again).FirstErr()
	ended := zombie.EndTransaction(t.Context(), kgo.TryCommit)
	require.True(t, produced != nil || ended != nil, "the zombie wrote on")

	second := r.writer(t, v)
	_, err = w.Apply(t.Context(), registry.PutTenant(&subscription.Tenant{ID: ident.New(), Name: "x"}))
	require.ErrorIs(t, err, registry.ErrFenced)
	_, err = second.Apply(t.Context(), registry.PutTenant(&subscription.Tenant{ID: ident.New(), Name: "y"}))
	require.NoError(t, err)
	all := slices.Collect(r.view(t).Snapshot().Tenants())
	require.Len(t, all, 1)
	require.Equal(t, "y", all[0].Name)
}

// compaction is how long the broker's cleaner may take to come round: it looks every 15 s.
const compaction = 5 * time.Minute

// TestKafkaRegistryAfterCompaction has the broker compact all it may, tombstones and markers included. A replay of what
// is left reaches the committed end and gives what a view that followed has.
func TestKafkaRegistryAfterCompaction(t *testing.T) {
	r := newRegistryTopic(t, map[string]string{
		"segment.ms": "100", "min.cleanable.dirty.ratio": "0.001", "delete.retention.ms": "100",
		"min.compaction.lag.ms": "0", "max.compaction.lag.ms": "100",
	})
	v := r.view(t)
	w := r.writer(t, v)
	tenants := make([]subscription.Tenant, 4)
	for i := range tenants {
		tenants[i] = subscription.Tenant{ID: ident.New(), UID: fmt.Sprint("t", i), Name: "first"}
	}
	put := func(i int, name string) {
		t.Helper()
		tenants[i].Name = name
		_, err := w.Apply(t.Context(), registry.PutTenant(&tenants[i]).Anyway())
		require.NoError(t, err)
	}
	for round := range 20 {
		for i := range tenants {
			put(i, fmt.Sprint("round ", round))
		}
	}
	_, err := w.Apply(t.Context(), registry.Delete(registry.Key{Kind: registry.KindTenant, ID: tenants[3].ID}, registry.Any))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), compaction)
	defer cancel()
	look := time.NewTicker(time.Second) // the cleaner has no other sign than its effect
	defer look.Stop()
	for left := r.offsets(ctx, t); len(left) > 20; left = r.offsets(ctx, t) {
		require.NoError(t, ctx.Err(), "nothing was compacted: %d offsets left", len(left))
		put(0, time.Now().String()) // so that segments roll
		<-look.C
	}
	require.NoError(t, v.Sync(t.Context()))
	followed, replayed := v.Snapshot(), r.view(t).Snapshot()
	require.Equal(t, followed.Version(), replayed.Version())
	require.Equal(t, slices.Collect(followed.Tenants()), slices.Collect(replayed.Tenants()))
	require.Len(t, slices.Collect(replayed.Tenants()), 3)
}

// offsets returns the offsets of the records that the log still has.
func (r registryTopic) offsets(ctx context.Context, t *testing.T) []int64 {
	t.Helper()
	log, err := kafka.OpenLog(r.cfg, r.topic)
	require.NoError(t, err)
	defer log.Close()
	end, err := log.End(ctx)
	require.NoError(t, err)
	var found []int64
	for at := int64(0); at < end; {
		at, err = log.Read(ctx, at, func(offset int64, _, _ []byte) { found = append(found, offset) })
		require.NoError(t, err)
	}
	return found
}

// TestKafkaRegistryChangeIsSeenAtOnce is what the deliverer's promise to stop rests on: nobody waits for a poll to end,
// which takes as long as tens of transactions. The medians stand for all, as a busy machine may hold up any one.
func TestKafkaRegistryChangeIsSeenAtOnce(t *testing.T) {
	r, other := newRegistryTopic(t, nil), newRegistryTopic(t, nil)
	reader, v := r.view(t), r.view(t)
	w := r.writer(t, v)
	plain, err := kafka.NewClient(r.cfg, kgo.TransactionalID(other.topic+"-writer"))
	require.NoError(t, err)
	defer plain.Close()
	var transactions, seen []time.Duration
	for range 20 {
		began := time.Now()
		require.NoError(t, plain.BeginTransaction())
		require.NoError(t, plain.ProduceSync(t.Context(), &kgo.Record{Topic: other.topic, Key: []byte("x"), Value: []byte("{}")}).FirstErr())
		require.NoError(t, plain.EndTransaction(t.Context(), kgo.TryCommit))
		transactions = append(transactions, time.Since(began))

		began = time.Now()
		version, err := w.Apply(t.Context(), registry.PutTenant(&subscription.Tenant{ID: ident.New(), Name: "x"}))
		require.NoError(t, err)
		require.NoError(t, reader.Wait(t.Context(), version))
		seen = append(seen, time.Since(began))
	}
	slices.Sort(transactions)
	slices.Sort(seen)
	transaction, change := transactions[len(transactions)/2], seen[len(seen)/2]
	t.Logf("a transaction takes %s, a change until another view has it %s", transaction, change)
	require.Less(t, change, 10*transaction)
}

// TestKafkaRegistryIsNotConfirmedWhileTheBrokerIsAway freezes the only broker: the confirmed instant stands still, so
// that deliverers stop, and moves again when the broker is back.
func TestKafkaRegistryIsNotConfirmedWhileTheBrokerIsAway(t *testing.T) {
	cluster := kafkatest.Start(t, kafkatest.Options{})
	r := registryTopic{cfg: kafka.Config{Brokers: cluster.Brokers()}, topic: "registry"}
	client, err := kafka.NewClient(r.cfg)
	require.NoError(t, err)
	defer client.Close()
	_, err = kadm.NewClient(client).CreateTopic(t.Context(), 1, 1, nil, r.topic)
	require.NoError(t, err)
	v := r.view(t)
	require.NoError(t, cluster.Pause(0))
	select { // three times what a deliverer tolerates
	case <-time.After(4500 * time.Millisecond):
	case <-t.Context().Done():
	}
	// A question may still be answered while the signal takes its way; then the instant stands still.
	require.Greater(t, time.Since(v.ConfirmedAt()), 3*time.Second)
	require.NoError(t, cluster.Resume(0))
	resumed := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for !v.ConfirmedAt().After(resumed) {
		require.NoError(t, ctx.Err(), "not confirmed since the broker is back")
		_ = v.Sync(ctx)
	}
	t.Logf("confirmed again %s after the broker was back", time.Since(resumed))
}
