package kafka_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider/pkg/kafka"
)

// Scattered places of several partitions are read, whatever batches they are in; what is not there is left out, and what
// is more than the call may read is named.
func TestFetch(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.SeedTopics(3, "events"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	conf := kafka.Config{Brokers: cluster.ListenAddrs()}
	client, err := kafka.NewClient(conf, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	large := strings.Repeat("x", 100<<10)
	for batch := range 10 {
		var records []*kgo.Record
		for partition := range int32(3) {
			for i := range 5 {
				records = append(records, &kgo.Record{
					Topic: "events", Partition: partition, Key: []byte("k"), Value: fmt.Appendf(nil, "%d/%d %s", partition, batch*5+i, large),
					Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}},
				})
			}
		}
		require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	}
	f, err := kafka.NewFetcher(conf)
	require.NoError(t, err)
	defer f.Close()
	ends, err := f.Ends(t.Context(), "events")
	require.NoError(t, err)
	require.Equal(t, map[int32]kafka.Ends{0: {0, 50}, 1: {0, 50}, 2: {0, 50}}, ends)
	_, err = f.Ends(t.Context(), "gone")
	require.ErrorContains(t, err, "gone")
	var places []kafka.Place
	for _, offset := range []int64{49, 0, 3, 4, 17, 17, 33} {
		for partition := range int32(3) {
			places = append(places, kafka.Place{Topic: "events", Partition: partition, Offset: offset})
		}
	}
	absent := []kafka.Place{
		{Topic: "events", Partition: 0, Offset: 50}, {Topic: "events", Partition: 9, Offset: 0}, {Topic: "gone", Partition: 0, Offset: 0},
	}
	for range 2 { // with the leaders asked for, and known
		found, left, err := f.Fetch(t.Context(), append(absent, places...), 1<<30)
		require.NoError(t, err)
		require.Empty(t, left)
		require.Len(t, found, 18)
		for _, p := range places {
			require.True(t, strings.HasPrefix(string(found[p].Value), fmt.Sprintf("%d/%d ", p.Partition, p.Offset)), p)
			require.Equal(t, "v", string(found[p].Headers[0].Value))
		}
	}
	found, left, err := f.Fetch(t.Context(), places, 1)
	require.NoError(t, err)
	require.NotEmpty(t, found)
	require.NotEmpty(t, left)
	require.Equal(t, 18, len(found)+len(left), "each is either there or left")
	found, left, err = f.Fetch(t.Context(), left, 1<<30)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NotEmpty(t, found)

	// The log was cut, and the leaders moved.
	_, err = kadm.NewClient(client).DeleteRecords(t.Context(), kadm.Offsets{"events": {0: {Topic: "events", Partition: 0, At: 10}}})
	require.NoError(t, err)
	cluster.ShufflePartitionLeaders()
	found, _, err = f.Fetch(t.Context(), places, 1<<30)
	require.NoError(t, err)
	require.Len(t, found, 15, "offsets 0, 3 and 4 of partition 0 are gone")

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, _, err = f.Fetch(ended, places, 1<<30)
	require.ErrorIs(t, err, context.Canceled)
}

// Places that are far from each other are read one by one, those that are near together.
func TestFetchFarApart(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	conf := kafka.Config{Brokers: cluster.ListenAddrs()}
	client, err := kafka.NewClient(conf)
	require.NoError(t, err)
	defer client.Close()
	for batch := range 30 {
		var records []*kgo.Record
		for i := range 100 {
			records = append(records, &kgo.Record{Topic: "events", Value: fmt.Append(nil, 100*batch+i)})
		}
		require.NoError(t, client.ProduceSync(t.Context(), records...).FirstErr())
	}
	fetches := 0
	cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		fetches++
		return nil, nil, false
	})
	f, err := kafka.NewFetcher(conf)
	require.NoError(t, err)
	defer f.Close()
	var places []kafka.Place
	offsets := []int64{0, 99, 700, 750, 1300, 2999}
	for _, offset := range offsets {
		places = append(places, kafka.Place{Topic: "events", Offset: offset})
	}
	found, left, err := f.Fetch(t.Context(), places, 1<<20)
	require.NoError(t, err)
	require.Empty(t, left)
	for i, p := range places {
		require.Equal(t, fmt.Sprint(offsets[i]), string(found[p].Value))
	}
	require.Equal(t, 4, fetches)
}

func TestForgetGroup(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	conf := kafka.Config{Brokers: cluster.ListenAddrs()}
	client, err := kafka.NewClient(conf)
	require.NoError(t, err)
	defer client.Close()
	admin := kadm.NewClient(client)
	require.NoError(t, kafka.ForgetGroup(t.Context(), conf, "recorder"), "there is none yet")
	member, err := kgo.NewClient(kgo.SeedBrokers(conf.Brokers...), kgo.ConsumerGroup("recorder"), kgo.ConsumeTopics("events"))
	require.NoError(t, err)
	defer member.Close()
	require.NoError(t, client.ProduceSync(t.Context(), &kgo.Record{Topic: "events", Value: []byte("v")}).FirstErr())
	require.NoError(t, member.PollFetches(t.Context()).Err())
	require.NoError(t, member.CommitUncommittedOffsets(t.Context()))
	require.ErrorContains(t, kafka.ForgetGroup(t.Context(), conf, "recorder"), "it has members: stop them first")
	committed := func() bool {
		offsets, err := admin.FetchOffsets(t.Context(), "recorder")
		_, ok := offsets.Lookup("events", 0)
		return err == nil && ok
	}
	require.True(t, committed())
	member.Close()
	require.NoError(t, kafka.ForgetGroup(t.Context(), conf, "recorder"))
	require.False(t, committed())
}
