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
// ctx ends, and returns an error only then, or for what the brokers refuse. What came before the error was handed over.
func (t *Tail) Poll(ctx context.Context, fn func(*Record)) error {
	fetches := t.client.PollFetches(ctx)
	next := map[int32]int64{}
	for it := fetches.RecordIter(); !it.Done(); {
		r := it.Next()
		if !r.Attrs.IsControl() {
			fn(r)
		}
		next[r.Partition] = r.Offset + 1
	}
	t.move(next)
	if err := readError(fetches); err != nil {
		return fmt.Errorf("reading topic %s: %w", t.topic, err)
	}
	return ctx.Err()
}

func (t *Tail) move(next map[int32]int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	maps.Copy(t.next, next)
	close(t.moved)
	t.moved = make(chan struct{})
}

// Ends returns the ends of every partition at this moment, the end being the committed one.
func (t *Tail) Ends(ctx context.Context) (map[int32]Ends, error) {
	return topicEnds(ctx, t.admin, t.topic)
}

// Left returns how many offsets below the ends Poll has not passed yet.
func (t *Tail) Left(ends map[int32]Ends) (n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for partition, e := range ends {
		n += max(0, e.End-max(e.Start, t.next[partition]))
	}
	return n
}

// Sync blocks until Poll has handed over what the topic has at this moment. The last record of each partition must exist:
// what compaction keeps of a log ends with it, unless that is a tombstone.
func (t *Tail) Sync(ctx context.Context) error {
	ends, err := t.Ends(ctx)
	if err != nil {
		return err
	}
	for {
		t.mu.Lock()
		moved := t.moved
		t.mu.Unlock()
		if t.Left(ends) == 0 {
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
