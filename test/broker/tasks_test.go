package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/topics"
)

// severable is a network that is cut at once and for good, as by kill -9.
type severable struct {
	net.Dialer
	mu    sync.Mutex
	cut   bool
	conns []net.Conn
}

var errCut = errors.New("the network is cut")

func (s *severable) dial(ctx context.Context, network, host string) (net.Conn, error) {
	conn, err := s.DialContext(ctx, network, host)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil && s.cut {
		return nil, errors.Join(errCut, conn.Close())
	}
	s.conns = append(s.conns, conn)
	return conn, err
}

func (s *severable) sever() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
	for _, c := range s.conns {
		if c != nil {
			_ = c.Close()
		}
	}
}

// failedDeliveries makes an installation with one subscription to which n deliveries are dead.
func failedDeliveries(t *testing.T, n int) (*config.Config, *subscription.Subscription) {
	t.Helper()
	c := config.Default()
	c.Kafka = kafka.Config{Brokers: kafkatest.Shared(t), Prefix: fmt.Sprintf("tasks-%s.", uuid.NewString()[:8]), SessionTimeout: 6 * time.Second}
	keyset, err := seal.Generate()
	require.NoError(t, err)
	c.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	require.NoError(t, kafka.EnsureTopics(t.Context(), c.Kafka, kafka.PlanOptions{Partitions: 4}))
	tenant := &subscription.Tenant{ID: ident.New(), UID: "acme", Name: "Acme", Profile: "standard"}
	sub := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID, URL: "https://example.com/in", Secrets: []string{secret}}
	require.NoError(t, app.WithStore(t.Context(), &c, app.StoreUse{}, func(ctx context.Context, s *registry.Store) error {
		_, err := s.Apply(ctx, audit.Actor{Kind: audit.ActorSystem}, registry.PutTenant(tenant), registry.PutSubscription(sub))
		return err
	}))
	client, err := kafka.NewClient(c.Kafka)
	require.NoError(t, err)
	defer client.Close()
	key := []byte(sub.ID.UUID())
	records := make([]*kgo.Record, n)
	for i := range records {
		message := delivery.MessageID(tenant.ID, "test", fmt.Sprint(i))
		d := &delivery.Delivery{
			ID: delivery.ID(message, sub.ID), Message: message, Subscription: sub.ID, Tenant: tenant.ID, EventID: fmt.Sprint(i),
			EventType: "contact.updated", Trigger: delivery.Trigger{Kind: delivery.TriggerEvent},
			Source: delivery.Position{Topic: c.Kafka.Prefix + topics.Events},
		}
		records[i] = &kgo.Record{Topic: c.Kafka.Prefix + topics.Deliveries, Key: key, Value: []byte(`{}`)}
		for name, v := range d.Headers() {
			records[i].Headers = append(records[i].Headers, kgo.RecordHeader{Key: name, Value: []byte(v)})
		}
	}
	require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	rows := make([]*kgo.Record, n)
	for i, r := range records {
		value, err := json.Marshal(outcome.Outcome{
			Version: outcome.Version, Delivery: headerOf(r, delivery.HeaderDelivery), Subscription: sub.ID, EventType: "contact.updated",
			Verdict: outcome.Dead, Reason: outcome.ReasonExhausted, At: time.Now(),
			Record: delivery.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset},
		})
		require.NoError(t, err)
		rows[i] = &kgo.Record{Topic: c.Kafka.Prefix + topics.Outcomes, Key: key, Value: value}
	}
	require.NoError(t, client.ProduceSync(t.Context(), rows...).FirstErr())
	return &c, sub
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// carryOut starts a process that carries out tasks. The returned function ends it.
func carryOut(t *testing.T, c config.Config) (*pipeline.TaskLog, func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	a, err := app.New(ctx, &c, app.Options{})
	require.NoError(t, err)
	log, err := a.AddTasks(ctx, nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	return log, sync.OnceValue(func() error { cancel(); return <-done })
}

// progress waits until a task is as it should be.
func progress(t *testing.T, log *pipeline.TaskLog, id ident.ID, is func(*task.Task) bool) *task.Task {
	t.Helper()
	tick, limit := time.NewTicker(10*time.Millisecond), time.NewTimer(5*time.Minute)
	defer tick.Stop()
	defer limit.Stop()
	for {
		now, ok, err := log.Get(t.Context(), id)
		require.NoError(t, err)
		require.True(t, ok)
		if is(now) {
			return now
		}
		select {
		case <-tick.C:
		case <-limit.C:
			require.Fail(t, "the task is not as it should be", "%+v", now.Progress)
		}
	}
}

// A process that recovers 5,000 deliveries is cut off in the middle; another one goes on, and each is written again once.
func TestKafkaRecoverGoesOnInAnotherProcess(t *testing.T) {
	const n = 5000
	c, sub := failedDeliveries(t, n)
	network, dying := &severable{}, *c
	dying.Kafka.Dial = network.dial
	log, end := carryOut(t, dying)
	do, err := log.Start(t.Context(), &task.Task{
		Tenant: sub.Tenant, Subscription: sub.ID, Kind: task.Recover, PerSecond: task.MaxPerSecond / 5,
		Filter: task.Filter{Since: time.Now().Add(-time.Hour)},
	}, audit.Actor{Kind: audit.ActorSystem})
	require.NoError(t, err)
	progress(t, log, do.ID, func(t *task.Task) bool { return t.Progress.Done >= 1500 })
	network.sever()
	other, endOther := carryOut(t, *c)
	now := progress(t, other, do.ID, (*task.Task).Ended)
	require.Equal(t, task.Finished, now.Status, now.Error)
	require.Equal(t, n, now.Progress.Counted)
	require.Equal(t, n, now.Progress.Done)
	t.Logf("%d were written by the first process and not counted", now.Progress.Resumed)
	written := map[string]int{}
	reader := kafka.NewReader(c.Kafka)
	for p := range int32(4) {
		_, err := reader.Range(t.Context(), c.Kafka.Prefix+topics.Deliveries, p, 0, func(r *kafka.Record) error {
			if headerOf(r, delivery.HeaderTask) == do.ID.UUID() {
				written[headerOf(r, delivery.HeaderDelivery)]++
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.Len(t, written, n)
	for id, times := range written {
		require.Equal(t, 1, times, id)
	}
	require.NoError(t, endOther())
	_ = end() // it has nobody to say goodbye to
}
