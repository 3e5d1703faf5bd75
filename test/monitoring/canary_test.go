package monitoring_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/canary"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// lines are the lines of a log.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// The canary reaches the API's own listener on the loopback interface, where nobody may send to; a subscription of a tenant that has
// the same URL, however it came into the registry, and one of the canary's tenant do not.
func TestTheCanaryAloneReachesTheAPI(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	conf := config.Default()
	conf.Kafka.Brokers, conf.Redis.Addresses = cluster.ListenAddrs(), []string{miniredis.RunT(t).Addr()}
	conf.API.Listen = freeAddress(t)
	conf.Canary = config.Canary{Interval: time.Second, URL: "http://" + conf.API.Listen + canary.Path, LostAfter: time.Minute}
	keyset, err := seal.Generate()
	require.NoError(t, err)
	conf.Encryption.Keyset, err = keyset.JSON()
	require.NoError(t, err)
	require.NoError(t, conf.Validate())
	ctx, cancel := context.WithCancel(context.Background())
	require.NoError(t, kafka.EnsureTopics(ctx, conf.Kafka, kafka.PlanOptions{Partitions: 1}))
	thief := curious(t, &conf)

	metrics := prometheus.NewRegistry()
	views, err := app.OpenViews(&conf, metrics)
	require.NoError(t, err)
	log := &lines{}
	a, err := app.New(ctx, &conf, app.Options{Metrics: metrics, Presence: views, Views: views, Log: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	for _, add := range []func(context.Context) error{a.AddRouter, a.AddDeliverer, a.AddAPI} {
		require.NoError(t, add(ctx))
	}
	require.NoError(t, a.AddRetrier())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, views.Close())
	})
	require.Eventually(t, func() bool { return came(t, metrics) >= 2 }, time.Minute, 50*time.Millisecond)

	client, err := kafka.NewClient(conf.Kafka)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	for tenant := range thief {
		value := `{"specversion":"1.0","id":"1","source":"test","type":"contact.updated","tenant":"` + tenant.UUID() + `","data":1}`
		require.NoError(t, client.ProduceSync(ctx, &kgo.Record{
			Topic: conf.Kafka.Prefix + topics.Events, Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: "content-type", Value: []byte("application/cloudevents+json")}},
		}).FirstErr())
	}
	blocked := map[ident.ID]bool{}
	require.Eventually(t, func() bool {
		_, err := kafka.NewReader(conf.Kafka).Range(ctx, conf.Kafka.Prefix+topics.Outcomes, 0, 0, func(r *kafka.Record) error {
			var row outcome.Outcome
			if err := json.Unmarshal(r.Value, &row); err != nil {
				return err
			}
			if row.Subscription == canary.Subscription {
				require.Equal(t, http.StatusNoContent, row.Status, row.Detail)
				return nil
			}
			require.Equal(t, thief[row.Tenant], row.Subscription)
			require.Equal(t, outcome.ResultBlocked, row.Result, "%s %s", row.Result, row.Detail)
			blocked[row.Tenant] = true
			return nil
		})
		return err == nil && len(blocked) == len(thief)
	}, time.Minute, 100*time.Millisecond)
	log.mu.Lock()
	defer log.mu.Unlock()
	require.NotContains(t, log.b.String(), "whsec_")
}

// curious makes subscriptions with the canary's URL, of a tenant and of the canary's own tenant, by tenant.
func curious(t *testing.T, conf *config.Config) map[ident.ID]ident.ID {
	t.Helper()
	acme, ids := ident.Derive("test", "acme"), map[ident.ID]ident.ID{}
	changes := []registry.Change{
		registry.PutTenant(&subscription.Tenant{ID: acme, UID: "acme"}),
		registry.PutTenant(&subscription.Tenant{ID: canary.Tenant, UID: canary.UID}),
	}
	for _, tenant := range []ident.ID{acme, canary.Tenant} {
		ids[tenant] = ident.Derive("test", tenant.UUID())
		changes = append(changes, registry.PutSubscription(&subscription.Subscription{
			ID: ids[tenant], Tenant: tenant, URL: conf.Canary.URL, EventTypes: []string{"contact.updated"}, Generation: 1,
			Secrets: []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
		}))
	}
	err := app.WithStore(t.Context(), conf, app.StoreUse{}, func(ctx context.Context, s *registry.Store) error {
		_, err := s.Apply(ctx, audit.Actor{Kind: audit.ActorSystem, Name: "test"}, changes...)
		return err
	})
	require.NoError(t, err)
	return ids
}

// came is how many events of the canary were received.
func came(t *testing.T, metrics prometheus.Gatherer) float64 {
	t.Helper()
	families, err := metrics.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "postrider_canary_events_total" && m.GetLabel()[0].GetValue() == "received" {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
