package rig

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// End returns the sum of a topic's end offsets.
func (in *Installation) End(ctx context.Context, topic string) (sum int64, err error) {
	ends, err := in.Admin.ListEndOffsets(ctx, in.Topic(topic))
	if err != nil {
		return 0, fmt.Errorf("listing ends of %s: %w", topic, err)
	}
	for _, o := range ends[in.Topic(topic)] {
		if o.Err != nil {
			return 0, fmt.Errorf("listing ends of %s: %w", topic, o.Err)
		}
		sum += o.Offset
	}
	return sum, nil
}

// Lag returns how many records of a group's topics are not committed.
func (in *Installation) Lag(ctx context.Context, group string) (int64, error) {
	lags, err := in.Admin.Lag(ctx, in.Topic(group))
	if err != nil {
		return 0, fmt.Errorf("asking for lag of %s: %w", group, err)
	}
	lag := lags[in.Topic(group)]
	if err := lag.Error(); err != nil {
		return 0, fmt.Errorf("asking for lag of %s: %w", group, err)
	}
	return lag.Lag.Total(), nil
}

// Read calls fn for every record of a topic up to its end now.
func (in *Installation) Read(ctx context.Context, topic string, fn func(*kgo.Record) error) error {
	topic = in.Topic(topic)
	ends, err := in.Admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return fmt.Errorf("listing ends of %s: %w", topic, err)
	}
	left := map[int32]int64{}
	from := map[int32]kgo.Offset{}
	for p, end := range ends[topic] {
		if end.Offset > 0 {
			left[p], from[p] = end.Offset, kgo.NewOffset().AtStart()
		}
	}
	if len(left) == 0 {
		return nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(in.Rig.Brokers...),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}), kgo.KeepControlRecords())
	if err != nil {
		return fmt.Errorf("making client: %w", err)
	}
	defer client.Close()
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			r := it.Next()
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
			if r.Attrs.IsControl() {
				continue
			}
			if err := fn(r); err != nil {
				return err
			}
		}
	}
	return nil
}
