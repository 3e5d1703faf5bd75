package kafka_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/kafka"
)

// Where records of a time begin, where a topic ends, what a group has committed: by partition.
func TestOffsets(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, "events", "other"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	conf := kafka.Config{Brokers: cluster.ListenAddrs()}
	client, err := kafka.NewClient(conf, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	noon := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for i := range 10 {
		r := &kgo.Record{Topic: "events", Partition: 1, Timestamp: noon.Add(time.Duration(i) * time.Hour)}
		require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
	}
	reader := kafka.NewReader(conf)
	for at, want := range map[time.Time]kafka.Ends{
		{}: {Start: 0, End: 10}, noon: {Start: 0, End: 10}, noon.Add(time.Minute): {Start: 1, End: 10},
		noon.Add(24 * time.Hour): {Start: 10, End: 10},
	} {
		ends, err := reader.Since(t.Context(), "events", at)
		require.NoError(t, err)
		require.Equal(t, map[int32]kafka.Ends{0: {}, 1: want}, ends, at)
	}
	_, err = reader.Since(t.Context(), "gone", time.Time{})
	require.ErrorContains(t, err, "gone")

	none, err := reader.Committed(t.Context(), "readers")
	require.NoError(t, err)
	require.Empty(t, none)
	commits := kadm.Offsets{}
	commits.AddOffset("events", 1, 7, -1)
	_, err = kadm.NewClient(client).CommitOffsets(t.Context(), "readers", commits)
	require.NoError(t, err)
	some, err := reader.Committed(t.Context(), "readers")
	require.NoError(t, err)
	require.Equal(t, map[string]map[int32]int64{"events": {1: 7}}, some)

	names, err := reader.Topics(t.Context(), func(topic string) bool { return strings.HasPrefix(topic, "e") })
	require.NoError(t, err)
	require.Equal(t, []string{"events"}, names)
}

// A key's partition is the one that a producer gives it.
func TestPartitionOf(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(7, "keyed"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	client, err := kafka.NewClient(kafka.Config{Brokers: cluster.ListenAddrs()})
	require.NoError(t, err)
	defer client.Close()
	seen := map[int32]bool{}
	for i := range 50 {
		key := fmt.Appendf(nil, "key-%d", i)
		r, err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "keyed", Key: key}).First()
		require.NoError(t, err)
		require.Equal(t, r.Partition, kafka.PartitionOf(key, 7))
		seen[r.Partition] = true
	}
	require.Len(t, seen, 7)
}

// A tail has what was there and what comes, of all partitions; who syncs waits for what is there, and no longer.
func TestTail(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "tasks"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	conf := kafka.Config{Brokers: cluster.ListenAddrs()}
	client, err := kafka.NewClient(conf, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	tail, err := kafka.OpenTail(conf, "tasks")
	require.NoError(t, err)
	defer tail.Close()
	require.NoError(t, tail.Sync(t.Context()), "nothing is there")
	write := func(n int) {
		for i := range n {
			r := &kgo.Record{Topic: "tasks", Partition: int32(i % 2), Value: []byte("v")}
			require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
		}
	}
	write(10)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, tail.Sync(ended), context.Canceled, "nobody polls")
	ends, err := tail.Ends(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[int32]kafka.Ends{0: {End: 5}, 1: {End: 5}, 2: {}}, ends)
	require.EqualValues(t, 10, tail.Left(ends))
	require.ErrorIs(t, tail.Poll(ended, func(*kafka.Record) {}), context.Canceled)

	ctx, stop := context.WithCancel(t.Context())
	got := make(chan int64, 100)
	polled := make(chan error, 1)
	go func() {
		for {
			if err := tail.Poll(ctx, func(r *kafka.Record) { got <- r.Offset }); err != nil {
				polled <- err
				return
			}
		}
	}()
	require.NoError(t, tail.Sync(t.Context()))
	require.Len(t, got, 10)
	require.Zero(t, tail.Left(ends))
	write(4)
	require.NoError(t, tail.Sync(t.Context()))
	require.Len(t, got, 14)
	stop()
	require.ErrorIs(t, <-polled, context.Canceled)
}
