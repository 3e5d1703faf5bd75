package kafka

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Tail reads all partitions of a topic from their starts, and goes on with what is written. One goroutine calls
// [Tail.Poll]; the other methods may be called concurrently. Close it.
type Tail struct {
	topic  string
	client *kgo.Client
	admin  *kadm.Client

	mu    sync.Mutex
	next  map[int32]int64 // after the last record that Poll returned
	moved chan struct{}   // closed when next changes
}

// OpenTail returns a tail. Nothing is read before the first [Tail.Poll].
func OpenTail(conf Config, topic string) (*Tail, error) {
	client, err := NewClient(conf,
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords(), kgo.FetchMaxWait(logWait),
	)
	if err != nil {
		return nil, err
	}
	return &Tail{topic: topic, client: client, admin: kadm.NewClient(client), next: map[int32]int64{}, moved: make(chan struct{})}, nil
}

// Poll calls fn for each of the records that are next, those of a partition in order. It blocks until there are some or
// ctx ends, and returns an error only then, or for what the brokers refuse.
func (t *Tail) Poll(ctx context.Context, fn func(*Record)) error {
	fetches := t.client.PollFetches(ctx)
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := readError(fetches); err != nil {
		return fmt.Errorf("reading topic %s: %w", t.topic, err)
	}
	next := map[int32]int64{}
	for it := fetches.RecordIter(); !it.Done(); {
		r := it.Next()
		if !r.Attrs.IsControl() {
			fn(r)
		}
		next[r.Partition] = r.Offset + 1
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.Copy(t.next, next)
	close(t.moved)
	t.moved = make(chan struct{})
	return nil
}

// Sync blocks until Poll has handed over what the topic has at this moment. The last record of each partition must exist:
// what compaction keeps of a log ends with it, unless that is a tombstone.
func (t *Tail) Sync(ctx context.Context) error {
	starts, err := t.admin.ListStartOffsets(ctx, t.topic)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return fmt.Errorf("listing start offsets of %s: %w", t.topic, err)
	}
	ends, err := t.admin.ListCommittedOffsets(ctx, t.topic)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("listing end offsets of %s: %w", t.topic, err)
	}
	for {
		behind := false
		t.mu.Lock()
		moved := t.moved
		ends.Each(func(end kadm.ListedOffset) {
			start, _ := starts.Lookup(t.topic, end.Partition)
			behind = behind || end.Offset > start.Offset && t.next[end.Partition] < end.Offset
		})
		t.mu.Unlock()
		if !behind {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// Close gives the connections back.
func (t *Tail) Close() { t.client.Close() }
