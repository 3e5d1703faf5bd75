package api

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/kafka"
)

// inKafka writes what happens from now on to an embedded broker, too, and reads it there.
func (p *past) inKafka() *kadm.Client {
	p.t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(historyPartition+1, "outcomes", "deliveries", "events"))
	require.NoError(p.t, err)
	p.t.Cleanup(cluster.Close)
	conf := kafka.Config{Brokers: cluster.ListenAddrs()}
	client, err := kafka.NewClient(conf, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(p.t, err)
	fetcher, err := kafka.NewFetcher(conf)
	require.NoError(p.t, err)
	p.t.Cleanup(func() {
		fetcher.Close()
		client.Close()
	})
	p.fetcher = fetcher
	p.produce = func(r *kafka.Record) {
		written := *r
		require.NoError(p.t, client.ProduceSync(context.Background(), &written).FirstErr())
		require.Equal(p.t, r.Offset, written.Offset)
	}
	return kadm.NewClient(client)
}

// Rows and payloads are read from Kafka wherever they are; what was cut off the log is said to be gone.
func TestAttemptsInKafka(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	admin := p.inKafka()
	p.tenant("acme")
	s, other := p.endpoint("acme", "crm"), p.endpoint("acme", "erp")
	start := time.Now().Add(-time.Hour)
	for i := range 30 {
		e := p.published("acme", "a.b", fmt.Sprint("e-", i))
		p.tried(s, e, start.Add(time.Duration(i)*time.Minute), answered(200, fmt.Sprint(i)))
		p.tried(other, e, start.Add(time.Duration(i)*time.Minute), answered(503, "other"))
	}
	const attempts, last = "/app/acme/attempt/endpoint/crm", "/app/acme/endpoint/crm/last-attempts?with_payload=true"
	all := p.walk(attempts, "response", 7)
	require.Len(t, all, 30)
	assert.Equal(t, []any{"29", "28"}, all[:2])
	list := p.get(last).json(t)["attempts"].([]any)
	require.Len(t, list, 30)
	assert.Equal(t, map[string]any{"n": "e-0"}, list[29].(map[string]any)["payload"])

	cut := func(topic string, at int64) {
		deleted, err := admin.DeleteRecords(t.Context(), kadm.Offsets{topic: {historyPartition: {Topic: topic, Partition: historyPartition, At: at}}})
		require.NoError(t, err)
		require.NoError(t, deleted.Error())
	}
	cut("deliveries", 20) // of the first ten events
	cut("outcomes", 10)   // of the first five
	got := p.get(attempts)
	assert.Len(t, members(t, got, "id"), 25)
	assert.Contains(t, got.header.Get(viewsHeader), "; expired=5")
	list = p.get(last).json(t)["attempts"].([]any)
	require.Len(t, list, 30)
	assert.Equal(t, true, list[29].(map[string]any)["expired"])
	assert.Equal(t, map[string]any{"expired": true}, list[22].(map[string]any)["payload"])
	assert.Equal(t, map[string]any{"n": "e-10"}, list[19].(map[string]any)["payload"])
}
