package pipeline

import (
	"context"
	"errors"
	"fmt"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// Sender sends deliveries again by hand.
type Sender struct {
	Topics Topics
	Out    Producer
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

// ErrExpired says that Kafka does not have the event any more.
var ErrExpired = errors.New("the event is not in Kafka any more")

// Resender sends events of the index to a subscription once more.
type Resender struct {
	Sender Sender
	// Decoder returns the decoder of a source topic, the router's.
	Decoder func(topic string) *event.Decoder
	Records RecordFetcher
}

// ResendEvent sends an event to a subscription, whether it was sent to it before or not, and returns the delivery: its id is
// what it was, or would have been. Every call has a trigger of its own, so asking twice sends twice. It waits until Kafka has
// the record; the error is [ErrExpired] or Kafka's.
func (r *Resender) ResendEvent(
	ctx context.Context, tenant *subscription.Tenant, sub *subscription.Subscription, entry view.EventEntry,
) (*delivery.Delivery, error) {
	place := kafka.Place(entry.Position)
	found, _, err := r.Records.Fetch(ctx, []kafka.Place{place}, 1)
	if err != nil {
		return nil, fmt.Errorf("reading event: %w", err)
	}
	rec := found[place]
	if rec == nil {
		return nil, ErrExpired
	}
	d, err := r.delivery(rec, tenant, sub)
	if err != nil || d.Message != entry.Message {
		return nil, ErrExpired // the topic was made anew, and another record is in its place
	}
	d = again(d, delivery.Trigger{Kind: delivery.TriggerResend, ID: ident.New().UUID()})
	return d, r.Sender.send(ctx, d)
}

// delivery makes the delivery of an event's record to sub, as the router would.
func (r *Resender) delivery(
	rec *kafka.Record, tenant *subscription.Tenant, sub *subscription.Subscription,
) (*delivery.Delivery, error) {
	if rec.Topic != r.Sender.Topics.Name(topics.Deliveries) {
		ev, err := readEvent(r.Decoder(rec.Topic), rec)
		if err != nil {
			return nil, err
		}
		return Expand(ev, tenant, sub, position(rec), max(tenant.Version, sub.Version)), nil
	}
	d, err := decode(rec) // it was sent to one endpoint alone, perhaps another
	if err != nil {
		return nil, err
	}
	d.ID, d.Subscription, d.Registry = delivery.ID(d.Message, sub.ID), sub.ID, max(tenant.Version, sub.Version)
	return d, nil
}

// again returns a delivery as it was before its first attempt, under another trigger.
func again(old *delivery.Delivery, trigger delivery.Trigger) *delivery.Delivery {
	return &delivery.Delivery{
		ID: old.ID, Message: old.Message, Subscription: old.Subscription, Tenant: old.Tenant,
		EventID: old.EventID, EventType: old.EventType, EventSource: old.EventSource, EventTime: old.EventTime, Channels: old.Channels,
		ContentType: old.ContentType, TraceParent: old.TraceParent, TraceState: old.TraceState, Trace: old.Trace, Source: old.Source, Registry: old.Registry,
		Trigger: trigger, Data: old.Data,
	}
}

// againIf is [again] of a record's delivery; nil if that is another one, because its topic was made anew.
func againIf(rec *kafka.Record, id ident.ID, trigger delivery.Trigger) *delivery.Delivery {
	d, err := decode(rec)
	if err != nil || d.ID != id {
		return nil
	}
	return again(d, trigger)
}
