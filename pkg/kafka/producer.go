package kafka

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Producer writes records: acknowledged by all in-sync replicas, idempotent, in order within a partition. It gives no
// record up while it is open; a record ends with an error only when its context ends, the producer is closed, or Kafka
// refuses it for good.
type Producer struct{ client *kgo.Client }

// NewProducer returns a producer. Records go to the partition that their key's murmur2 hash gives, as with Kafka's own
// clients, but for the pinned topics: there the writer sets the record's partition.
func NewProducer(conf Config, pinned ...string) (*Producer, error) {
	client, err := NewClient(conf, kgo.RecordPartitioner(newPartitioner(pinned)))
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
