package pipeline

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/topics"
)

// Sender puts deliveries back to work by hand.
type Sender struct {
	Topics Topics
	Out    Producer
}

// Redrive puts a dead letter back into deliveries and returns its delivery. The trigger stays what it was and the pass
// rises, so a dead letter that is redriven twice is sent once; attempts count on, and the retry policy starts anew. It
// waits until Kafka has the record.
func (s Sender) Redrive(ctx context.Context, deadLetter *kafka.Record) (*delivery.Delivery, error) {
	dead, err := decode(deadLetter)
	if err != nil {
		return nil, fmt.Errorf("reading dead letter %s: %w", position(deadLetter), err)
	}
	d := copyFor(dead, outcome.ReasonRedrive)
	d.Base, d.Parks = d.Attempts, 0
	d.First, d.Due = time.Time{}, time.Time{}
	return d, s.send(ctx, d)
}

// Resend sends the delivery of a record once more, whatever became of it, and returns it. Every call has a trigger of
// its own, so asking twice sends twice; the delivery id stays what it is. It waits until Kafka has the record.
func (s Sender) Resend(ctx context.Context, r *kafka.Record) (*delivery.Delivery, error) {
	old, err := decode(r)
	if err != nil {
		return nil, fmt.Errorf("reading delivery %s: %w", position(r), err)
	}
	d := again(old, delivery.Trigger{Kind: delivery.TriggerResend, ID: ident.New().UUID()})
	return d, s.send(ctx, d)
}

func (s Sender) send(ctx context.Context, d *delivery.Delivery) error {
	if err := produceSync(ctx, s.Out, encode(s.Topics.Name(topics.Deliveries), d)); err != nil {
		return fmt.Errorf("writing delivery: %w", err)
	}
	return nil
}
