// Package world is an installation in virtual time: the roles of the app on an embedded broker, in a bubble of
// testing/synctest. Hours pass in moments, and what happens when is exact.
package world

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// World is an installation in virtual time.
type World struct {
	T *testing.T
	// Conf is the configuration of the processes that are started from now on.
	Conf    config.Config
	Cluster *kfake.Cluster
	Client  *kgo.Client
	Tenant  *subscription.Tenant

	own config.Config // of what the world itself does
	end []func()
}

// partitions is the number of partitions of deliveries.
const partitions = 2

// Secret signs what is sent to the subscriptions of [World.Subscribe].
const Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// Run calls fn in a world with one tenant, acme, in a bubble of virtual time.
func Run(t *testing.T, fn func(t *testing.T, w *World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		defer w.close()
		fn(t, w)
	})
}

func newWorld(t *testing.T) *World {
	t.Helper()
	network := &kfake.VirtualNetwork{}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(1), kfake.Ports(9092), kfake.ListenFn(network.Listen),
		kfake.BrokerConfigs(map[string]string{"log.retention.ms": "-1"}), // kfake's default is one for compacted topics, too
	)
	require.NoError(t, err)
	w := &World{T: t, Cluster: cluster, Conf: config.Default()}
	w.Conf.Kafka.Brokers = []string{"localhost:9092"}
	w.Conf.Kafka.Dial = network.DialContext
	w.Conf.Kafka.SessionTimeout = 10 * time.Second
	// Long waits of idle fetches make virtual time cheap: new records end them at once, and the shortest tier is seen in time.
	w.Conf.Kafka.FetchMaxWait = 900 * time.Millisecond
	w.Conf.Deliverer.Workers = 64
	keyset, err := seal.Generate()
	require.NoError(t, err)
	w.Conf.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	ctx := t.Context()
	err = kafka.EnsureTopics(ctx, w.Conf.Kafka, kafka.PlanOptions{Partitions: partitions})
	require.NoError(t, err)
	w.Client, err = kafka.NewClient(w.Conf.Kafka)
	require.NoError(t, err)
	w.own = w.Conf
	w.Tenant = &subscription.Tenant{ID: ident.Derive("test", "acme"), UID: "acme", Name: "Acme", Profile: "standard"}
	w.Put(registry.PutTenant(w.Tenant))
	return w
}

func (w *World) close() {
	for _, end := range slices.Backward(w.end) {
		end()
	}
	w.Client.Close()
	w.Cluster.Close()
}

// Finally calls fn when the world ends, before what was there earlier ends.
func (w *World) Finally(fn func()) { w.end = append(w.end, fn) }

// Put changes the registry, as a command does, and returns when that is acknowledged. Nothing is told of it.
func (w *World) Put(changes ...registry.Change) {
	w.T.Helper()
	untold := app.StoreUse{Journal: func(audit.Actor, time.Time, []registry.Applied) ([]registry.Record, error) { return nil, nil }}
	err := app.WithStore(w.T.Context(), &w.own, untold, func(ctx context.Context, s *registry.Store) error {
		_, err := s.Apply(ctx, audit.Actor{Kind: audit.ActorSystem, Name: "test"}, changes...)
		return err
	})
	require.NoError(w.T, err)
}

// Subscribe adds a subscription to every event type.
func (w *World) Subscribe(name string, change ...func(*subscription.Subscription)) *subscription.Subscription {
	w.T.Helper()
	s := &subscription.Subscription{
		ID: ident.Derive("test", name), Tenant: w.Tenant.ID, UID: name, Name: name, URL: "https://" + name + ".example.com/in",
		Secrets: []string{Secret}, Generation: 1,
	}
	for _, c := range change {
		c(s)
	}
	w.Put(registry.PutSubscription(s))
	return s
}

// Subscription returns a subscription as it is in the registry.
func (w *World) Subscription(id ident.ID) *subscription.Subscription {
	w.T.Helper()
	keyset, err := app.NeedKeyset(&w.own)
	require.NoError(w.T, err)
	view, done, err := app.OpenView(w.T.Context(), &w.own, keyset)
	require.NoError(w.T, err)
	defer done()
	now, ok := view.Snapshot().Subscription(id)
	require.True(w.T, ok)
	return now
}

// Send puts n events on the events topic and waits until the broker has them.
func (w *World) Send(n int, prefix string) {
	w.T.Helper()
	for i := range n {
		w.Event(fmt.Sprintf("%s-%d", prefix, i), "contact.updated", "", fmt.Sprintf(`{"n":%d}`, i))
	}
}

// Event puts one event of the tenant on the events topic.
func (w *World) Event(id, kind, channels, data string) {
	w.T.Helper()
	value := map[string]any{"specversion": "1.0", "id": id, "source": "test", "type": kind, "tenant": "acme", "data": json.RawMessage(data)}
	if channels != "" {
		value["channels"] = channels
	}
	text, err := json.Marshal(value)
	require.NoError(w.T, err)
	w.Produce(w.Tenant.UID, text)
}

// Produce puts CloudEvents in structured mode on the events topic, all at once, and waits until the broker has them. Those of
// one key come in order; without a key they go to any partition.
func (w *World) Produce(key string, values ...[]byte) {
	w.T.Helper()
	records := make([]*kgo.Record, len(values))
	for i, value := range values {
		records[i] = &kgo.Record{
			Topic: w.Topic(topics.Events), Value: value,
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
		}
		if key != "" {
			records[i].Key = []byte(key)
		}
	}
	require.NoError(w.T, w.Client.ProduceSync(w.T.Context(), records...).FirstErr())
}

// Topic returns the whole name of one of Postrider's topics.
func (w *World) Topic(name string) string { return w.Conf.Kafka.Prefix + name }

// Read calls fn for every record of a topic.
func (w *World) Read(topic string, fn func(*kgo.Record)) {
	w.T.Helper()
	reader := kafka.NewReader(w.Conf.Kafka)
	for p := range int32(64) {
		_, err := reader.Range(w.T.Context(), w.Topic(topic), p, 0, func(r *kafka.Record) error { fn(r); return nil })
		if err != nil {
			require.Positive(w.T, p)
			return
		}
	}
}

// Last returns the last record of a topic.
func (w *World) Last(topic string) (last *kgo.Record) {
	w.T.Helper()
	w.Read(topic, func(r *kgo.Record) { last = r })
	require.NotNil(w.T, last)
	return last
}

// Outcomes reads all outcomes so far.
func (w *World) Outcomes() []outcome.Outcome {
	w.T.Helper()
	var rows []outcome.Outcome
	w.Read(topics.Outcomes, func(r *kgo.Record) {
		var row outcome.Outcome
		require.NoError(w.T, json.Unmarshal(r.Value, &row))
		rows = append(rows, row)
	})
	return rows
}

// Lag returns how many records of a topic a group has not finished.
func (w *World) Lag(group, topic string) int64 {
	w.T.Helper()
	lags, err := kadm.NewClient(w.Client).Lag(w.T.Context(), w.Topic(group))
	require.NoError(w.T, err)
	var n int64
	for _, l := range lags[w.Topic(group)].Lag[w.Topic(topic)] {
		require.NoError(w.T, l.Err)
		n += l.Lag
	}
	return n
}
