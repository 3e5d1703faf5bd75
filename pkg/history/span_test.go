package history

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/kafka"
)

func TestParseBound(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]Bound{
		"":                     {},
		"2026-11-22T00:00:00Z": {At: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)},
		"90m":                  {At: now.Add(-90 * time.Minute)},
		"0:12":                 {Offsets: map[int32]int64{0: 12}},
		"0:12, 3:0":            {Offsets: map[int32]int64{0: 12, 3: 0}},
	} {
		got, err := ParseBound(text, now)
		require.NoError(t, err, text)
		require.Equal(t, want, got, text)
	}
	for _, text := range []string{"yesterday", "-1h", "12", "0:-1", "-1:0", "0:1,", "0:1,x:2", "4294967296:0"} {
		_, err := ParseBound(text, now)
		require.ErrorContains(t, err, "want a time", text)
	}
}

func TestResolve(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, "events"))
	require.NoError(t, err)
	defer cluster.Close()
	conf := kafka.Config{Brokers: cluster.ListenAddrs()}
	client, err := kgo.NewClient(kgo.SeedBrokers(conf.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	defer client.Close()
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range 10 {
		for p := range int32(2) { // partition 2 stays empty
			r := &kgo.Record{Topic: "events", Partition: p, Value: []byte("v"), Timestamp: begin.Add(time.Duration(i) * time.Minute)}
			require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
		}
	}
	for name, c := range map[string]struct {
		from, to Bound
		want     map[int32]Stretch
	}{
		"all": {Bound{}, Bound{}, map[int32]Stretch{0: {From: 0, To: 10}, 1: {From: 0, To: 10}}},
		"by time": {
			Bound{At: begin.Add(150 * time.Second)},
			Bound{At: begin.Add(5 * time.Minute)},
			map[int32]Stretch{0: {From: 3, To: 5}, 1: {From: 3, To: 5}},
		},
		"by offset":   {Bound{Offsets: map[int32]int64{1: 4}}, Bound{Offsets: map[int32]int64{0: 3, 1: 99}}, map[int32]Stretch{1: {From: 4, To: 10}}},
		"mixed":       {Bound{At: begin.Add(8 * time.Minute)}, Bound{}, map[int32]Stretch{0: {From: 8, To: 10}, 1: {From: 8, To: 10}}},
		"upside down": {Bound{Offsets: map[int32]int64{0: 4}}, Bound{Offsets: map[int32]int64{0: 4}}, map[int32]Stretch{}},
	} {
		span, err := Resolve(t.Context(), conf, "events", c.from, c.to)
		require.NoError(t, err, name)
		require.Equal(t, c.want, span.Partitions, name)
	}
	_, err = Resolve(t.Context(), conf, "events", Bound{Offsets: map[int32]int64{7: 0}}, Bound{})
	require.ErrorContains(t, err, "has no partition 7")
	_, err = Resolve(t.Context(), conf, "nothing", Bound{}, Bound{})
	require.Error(t, err)
	s := Span{Topic: "events", Partitions: map[int32]Stretch{1: {From: 4, To: 6}}}
	require.True(t, s.holds("events", 1, 4))
	require.False(t, s.holds("events", 1, 6))
	require.False(t, s.holds("other", 1, 4))
	require.False(t, s.holds("events", 0, 4))
}
