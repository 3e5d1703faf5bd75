package history

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// mark reads what became of the expected deliveries from a time on, or all of it.
func (r *reconciler) mark(ctx context.Context, since time.Time) error {
	for _, one := range []struct {
		topic string
		fn    func(*kafka.Record) error
	}{
		{topics.Deliveries, r.delivery}, {topics.Outcomes, r.outcome}, {topics.DeadLetters, r.deadLetter}, {topics.Rejected, r.rejected},
	} {
		from, err := r.startsAt(ctx, r.opts.topic(one.topic), since)
		if err != nil {
			return err
		}
		if err := r.readAll(ctx, one.topic, from, one.topic, one.fn); err != nil {
			return err
		}
	}
	for _, tier := range r.opts.Router.Topics.RetryTopics() {
		if err := r.readTopic(ctx, tier, r.unfinished(tier), "retry tiers", r.waiting); err != nil {
			return err
		}
	}
	return nil
}

// unfinished returns where the unfinished records of a retry tier begin.
func (r *reconciler) unfinished(tier string) map[int32]int64 {
	from := map[int32]int64{}
	for p, c := range r.commits[groupRetrier][tier] {
		from[p] = c.Offset
	}
	return from
}

// delivery marks what was written to be delivered, and notes what should not have been.
func (r *reconciler) delivery(rec *kafka.Record) error {
	d, err := pipeline.DecodeDelivery(rec)
	if err != nil {
		return nil // its owner buried it; the dead letter says of what delivery, if it can be told
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.ledger.mine(d.ID) {
		return nil
	}
	finished := r.commits[groupDeliverer][rec.Topic][rec.Partition].Covers(rec.Offset)
	known := r.ledger.note(d.ID, func(e *expected) {
		e.written = true
		if !finished {
			e.opened(d)
		}
	})
	if !known && d.Trigger.Kind == delivery.TriggerEvent && r.span.holds(d.Source.Topic, d.Source.Partition, d.Source.Offset) {
		if _, judgeable := r.covered(d.Source.Partition, d.Source.Offset); judgeable {
			r.extras[d.ID] = extra{place: d.Source, sub: d.Subscription, registry: d.Registry}
		}
	}
	return nil
}

// waiting marks what waits in a retry tier.
func (r *reconciler) waiting(rec *kafka.Record) error {
	if r.commits[groupRetrier][rec.Topic][rec.Partition].Covers(rec.Offset) {
		return nil
	}
	d, err := pipeline.DecodeDelivery(rec)
	if err != nil {
		return nil // as above, once it comes back
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.note(d.ID, func(e *expected) { e.opened(d) })
	return nil
}

// opened notes an unfinished record.
func (e *expected) opened(d *delivery.Delivery) {
	if pass := short(d.Pass); pass >= e.open {
		e.open = pass
		e.parked = d.Parks > 0
	}
}

// row is what a reconciliation reads of an outcome.
type row struct {
	Version  int             `json:"version"`
	Delivery string          `json:"delivery"`
	Verdict  outcome.Verdict `json:"verdict"`
	Pass     int             `json:"pass"`
}

func (r *reconciler) outcome(rec *kafka.Record) error {
	var o row
	if err := form.Read(rec.Value, &o, &o.Version, outcome.Version); err != nil {
		return fmt.Errorf("reading outcome %d/%d: %w", rec.Partition, rec.Offset, err)
	}
	id, err := ident.ParseBase62(delivery.IDPrefix, o.Delivery)
	if err != nil {
		return fmt.Errorf("reading outcome %d/%d: %w", rec.Partition, rec.Offset, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.note(id, func(e *expected) { e.ended(o.Verdict, o.Pass) })
	return nil
}

// ended notes an outcome. A repeat that comes after the delivery changes nothing for who received it.
func (e *expected) ended(v outcome.Verdict, pass int) {
	if e.verdict != isDelivered {
		e.verdict, e.pass = codeOf(v), short(pass)
	}
}

func (r *reconciler) deadLetter(rec *kafka.Record) error {
	id, err := ident.ParseBase62(delivery.IDPrefix, header(rec, delivery.HeaderDelivery))
	if err != nil || isMark(rec, delivery.HeaderReason) {
		return nil // what carries no id was no delivery of Postrider's
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.note(id, func(e *expected) { e.buried = true })
	return nil
}

func (r *reconciler) rejected(rec *kafka.Record) error {
	if isMark(rec, letter.HeaderRejectReason) {
		return nil
	}
	place := header(rec, letter.HeaderRejectSource)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ledger.note(rejection(place), func(e *expected) { e.verdict = isDelivered })
	return nil
}

func header(rec *kafka.Record, name string) string {
	for _, h := range rec.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
