package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// PartitionOf returns the partition that a record with this key has in a topic of that many, as [Producer] and Kafka's own
// clients place it.
func PartitionOf(key []byte, partitions int32) int32 {
	p := kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: key}, int(partitions))
	return int32(p) //nolint:gosec // one of partitions
}

// Since returns for every partition of a topic the offset of the first record that was written at or after a time, and
// the committed end. Without such a record both are the end; the zero time stands for the start of the log.
func (r *Reader) Since(ctx context.Context, topic string, at time.Time) (map[int32]Ends, error) {
	ends, err := TopicEnds(ctx, r.conf, topic)
	if err != nil || at.IsZero() {
		return ends, err
	}
	first, err := OffsetsAt(ctx, r.conf, topic, at)
	if err != nil {
		return nil, err
	}
	for partition, e := range ends {
		start, ok := first[partition]
		if !ok || start < 0 {
			start = e.End
		}
		ends[partition] = Ends{Start: min(start, e.End), End: e.End}
	}
	return ends, nil
}

// Committed returns what a consumer group has committed, by topic and partition. What it has not is left out; so is
// everything of a group that does not exist.
func (r *Reader) Committed(ctx context.Context, group string) (map[string]map[int32]int64, error) {
	commits, err := GroupCommits(ctx, r.conf, group)
	if err != nil {
		return nil, err
	}
	out := map[string]map[int32]int64{}
	for topic, partitions := range commits {
		out[topic] = map[int32]int64{}
		for id, c := range partitions {
			out[topic][id] = c.Offset
		}
	}
	return out, nil
}

// Topics returns the names of the topics that match lets through, without those of the brokers themselves.
func (r *Reader) Topics(ctx context.Context, match func(topic string) bool) ([]string, error) {
	return withAdmin(ctx, r.conf, func(ctx context.Context, admin *kadm.Client) ([]string, error) {
		all, err := admin.ListTopics(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing topics: %w", err)
		}
		var names []string
		for _, name := range all.Names() {
			if match(name) {
				names = append(names, name)
			}
		}
		return names, nil
	})
}
