package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reader reads known stretches of partitions. Each call makes a client of its own and closes it; how many run at once
// is bounded, so that an owner of many new partitions does not open a connection for each.
type Reader struct {
	conf Config
	slot chan struct{}
}

// concurrentReads bounds the clients of a [Reader]: enough to hide round trips, few enough for any broker.
const concurrentReads = 4

// NewReader returns a reader of the cluster.
func NewReader(conf Config) *Reader {
	return &Reader{conf: conf, slot: make(chan struct{}, concurrentReads)}
}

// Ends are the first offset and the offset after the last record of a partition.
type Ends struct{ Start, End int64 }

// Range calls fn for every committed record of the partition from offset from (or the log's start if that is later;
// negative values count back from the end) up to the committed end at the time of the call, in order. An error of fn ends
// it. It returns the ends it went by.
func (r *Reader) Range(ctx context.Context, topic string, partition int32, from int64, fn func(*Record) error) (Ends, error) {
	select {
	case r.slot <- struct{}{}:
		defer func() { <-r.slot }()
	case <-ctx.Done():
		return Ends{}, ctx.Err()
	}
	opts, err := r.conf.Options()
	if err != nil {
		return Ends{}, err
	}
	client, err := kgo.NewClient(append(opts, kgo.FetchMaxWait(maxRangeWait),
		// Markers are kept, not yielded: the last offset may be one, and the end would never be reached without.
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())...)
	if err != nil {
		return Ends{}, fmt.Errorf("making reader: %w", err)
	}
	defer client.CloseAllowingRebalance()
	ends, err := partitionEnds(ctx, kadm.NewClient(client), topic, partition)
	if err != nil {
		return Ends{}, err
	}
	if from < 0 {
		from += ends.End
	}
	from = max(from, ends.Start)
	if from >= ends.End {
		return ends, nil
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(from)}})
	return ends, readUntil(ctx, client, ends.End, fn)
}

// maxRangeWait bounds how long a broker holds a fetch of a [Reader]; what it reads is there already.
const maxRangeWait = 250 * time.Millisecond

func partitionEnds(ctx context.Context, admin *kadm.Client, topic string, partition int32) (Ends, error) {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return Ends{}, fmt.Errorf("listing start offset of %s: %w", topic, err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, topic)
	if err != nil {
		return Ends{}, fmt.Errorf("listing end offset of %s: %w", topic, err)
	}
	start, ok := starts.Lookup(topic, partition)
	end, ok2 := ends.Lookup(topic, partition)
	switch {
	case !ok || !ok2:
		return Ends{}, fmt.Errorf("topic %s has no partition %d", topic, partition)
	case start.Err != nil:
		return Ends{}, fmt.Errorf("listing start offset of %s/%d: %w", topic, partition, start.Err)
	case end.Err != nil:
		return Ends{}, fmt.Errorf("listing end offset of %s/%d: %w", topic, partition, end.Err)
	}
	return Ends{Start: start.Offset, End: end.Offset}, nil
}

// readUntil polls until the record before end was passed. That record must exist: the stages end what they write to a
// compacted topic with a record that is no tombstone, and compaction keeps the last record of a key.
func readUntil(ctx context.Context, client *kgo.Client, end int64, fn func(*Record) error) error {
	for {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fetches.Err0(); err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		for _, e := range fetches.Errors() {
			return fmt.Errorf("reading %s/%d: %w", e.Topic, e.Partition, e.Err)
		}
		for it := fetches.RecordIter(); !it.Done(); {
			rec := it.Next()
			if rec.Offset >= end {
				return nil
			}
			if !rec.Attrs.IsControl() {
				if err := fn(rec); err != nil {
					return err
				}
			}
			if rec.Offset == end-1 {
				return nil
			}
		}
	}
}
