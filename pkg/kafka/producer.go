package kafka

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes records: acknowledged by all in-sync replicas, idempotent, in order within a partition. It gives no
// record up while it is open; a record ends with an error only when its context ends, the producer is closed, or Kafka
// refuses it for good.
type Producer struct{ client *kgo.Client }

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
	client, err := NewClient(conf, kgo.RecordPartitioner(newPartitioner(opts.Pinned)), kgo.ProducerLinger(opts.Linger))
	if err != nil {
		return nil, err
	}
	return &Producer{client: client}, nil
}

// Produce sends r. It blocks only while 100,000 records are unacknowledged. Promise is called once, not from this
// goroutine, in order for the records of one partition; it must not block and must not produce.
func (p *Producer) Produce(ctx context.Context, r *Record, promise func(*Record, error)) {
	p.client.Produce(ctx, r, promise)
}

// Close waits until everything is acknowledged or ctx ends, and closes the connections.
func (p *Producer) Close(ctx context.Context) error {
	defer p.client.Close()
	if err := p.client.Flush(ctx); err != nil {
		return fmt.Errorf("flushing producer: %w", err)
	}
	return nil
}
