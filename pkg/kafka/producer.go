package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/semaphore"
)

// Producer writes records: acknowledged by all in-sync replicas, idempotent, in order within a partition. It gives no
// record up that it took while it is open; such a record ends with an error only when the producer is closed, or Kafka
// refuses it for good.
type Producer struct {
	client *kgo.Client
	room   *semaphore.Weighted // for maxBuffered records
}

// ProducerOptions are what producers differ in. The zero value is the usual one.
type ProducerOptions struct {
	// Pinned are topics to whose records the writer gives the partition. All others go where their key's murmur2 hash puts them,
	// as with Kafka's own clients.
	Pinned []string
	// Linger is how long a record waits for others of its partition; 2 ms by default.
	Linger time.Duration
}

// usualLinger collects the records of many deliveries into one request; a delivery waits seconds for its customer.
const usualLinger = 2 * time.Millisecond

// NewProducer returns a producer.
func NewProducer(conf Config, opts ProducerOptions) (*Producer, error) {
	setDefault(&opts.Linger, usualLinger)
	room := semaphore.NewWeighted(maxBuffered)
	client, err := NewClient(conf, kgo.RecordPartitioner(newPartitioner(opts.Pinned)), kgo.ProducerLinger(opts.Linger), kgo.WithHooks(given{room}))
	if err != nil {
		return nil, err
	}
	return &Producer{client, room}, nil
}

// given gives the room of a record back, whatever became of it.
type given struct{ room *semaphore.Weighted }

// OnProduceRecordUnbuffered implements kgo.HookProduceRecordUnbuffered.
func (g given) OnProduceRecordUnbuffered(*kgo.Record, error) { g.room.Release(1) }

// Produce sends r. It blocks only while 100,000 records are unacknowledged, until ctx ends, which ends the record as well.
// Promise is called once, not from this goroutine, in order for the records of one partition; it must not block and must not
// produce.
//
// The end of ctx does not end a record that was taken: whoever waits for its promise has to look at ctx, too. The client, which does
// not see ctx for that reason, fails with a record everything that waits for the same partition, and that is others', whose contexts go on.
func (p *Producer) Produce(ctx context.Context, r *Record, promise func(*Record, error)) {
	if err := p.room.Acquire(ctx, 1); err != nil {
		go promise(r, err)
		return
	}
	p.client.Produce(context.Background(), r, promise) //nolint:contextcheck // on purpose, see above
}

// maxBuffered is how many records of a client may be unacknowledged.
const maxBuffered = 100_000

// Close waits until everything is acknowledged or ctx ends, and closes the connections.
func (p *Producer) Close(ctx context.Context) error {
	defer p.client.Close()
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("flushing producer: %w", err)
	}
	return nil
}
