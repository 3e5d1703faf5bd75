package history

import (
	"fmt"
	"slices"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// written notes a record of deliveries, of a retry tier or of the dead letters.
func (x *explainer) written(rec *kafka.Record) error {
	message := header(rec, delivery.HeaderMessage)
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.lives[message]
	if l == nil {
		return nil
	}
	if isMark(rec, delivery.HeaderReason) {
		m := closed(rec)
		m.Subscription = string(rec.Key)
		l.Moments = append(l.Moments, m)
		return nil
	}
	d, err := pipeline.DecodeDelivery(rec)
	if err != nil {
		l.Notes = append(l.Notes, fmt.Sprintf("%s cannot be read as a delivery: %v", position(rec), err))
		return nil
	}
	if x.theirs(d.Tenant) {
		return nil
	}
	m := Moment{
		At: rec.Timestamp, Place: position(rec), Delivery: d.ID.Base62(delivery.IDPrefix), Subscription: d.Subscription.UUID(),
		Trigger: d.Trigger.String(), Attempt: d.Attempts, Pass: d.Pass, Reason: d.Reason,
	}
	e := l.end(d.ID, d.Subscription)
	switch {
	case rec.Topic == x.opts.topic(topics.DeadLetters):
		m.Kind, m.Result, m.Detail = MomentBuried, header(rec, delivery.HeaderResult), header(rec, delivery.HeaderDetail)
		e.buried = true
	case slices.Contains(x.opts.Router.Topics.RetryTopics(), rec.Topic):
		m.Kind, m.Due = MomentWaits, d.Due
		if !x.commits[groupRetrier][rec.Topic][rec.Partition].Covers(rec.Offset) {
			e.opened(d)
		}
	default:
		e.written = true
		if !x.commits[groupDeliverer][rec.Topic][rec.Partition].Covers(rec.Offset) {
			e.opened(d)
		}
		switch {
		case d.Reason == string(outcome.ReasonRedrive):
			m.Kind = MomentRedriven
		case d.Pass == 0:
			m.Kind, m.Registry = MomentMade, d.Registry
		default:
			m.Kind, m.Due = MomentDue, d.Due
		}
	}
	l.Moments = append(l.Moments, m)
	return nil
}

// isMark reports whether a record of the dead letters, or of what was rejected, is none but closes one. Those have a reason.
func isMark(rec *kafka.Record, reason string) bool {
	return header(rec, letter.HeaderMark) != "" && header(rec, reason) == ""
}

// closed is what a mark says.
func closed(rec *kafka.Record) Moment {
	return Moment{
		At: rec.Timestamp, Kind: MomentClosed, Place: position(rec), Delivery: header(rec, delivery.HeaderDelivery), Reason: header(rec, letter.HeaderMark),
		Detail: header(rec, letter.HeaderMarkBy),
	}
}

// outcome notes what an attempt came to, or what was decided without one.
func (x *explainer) outcome(rec *kafka.Record) error {
	o, err := outcome.Read(rec.Value)
	if err != nil {
		return fmt.Errorf("reading outcome %d/%d: %w", rec.Partition, rec.Offset, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	l := x.lives[o.Message]
	if l == nil || x.theirs(o.Tenant) {
		return nil
	}
	id, err := ident.ParseBase62(delivery.IDPrefix, o.Delivery)
	if err != nil {
		return fmt.Errorf("reading outcome %d/%d: %w", rec.Partition, rec.Offset, err)
	}
	l.end(id, o.Subscription).ended(o.Verdict, o.Pass)
	m := Moment{
		At: o.At, Kind: MomentOutcome, Place: position(rec), Delivery: o.Delivery, Subscription: o.Subscription.UUID(),
		Trigger: delivery.Trigger{Kind: o.Trigger, ID: o.TriggerID}.String(), Attempt: o.Attempt, Pass: o.Pass, Verdict: string(o.Verdict),
		Reason: string(o.Reason), Result: string(o.Result), Status: o.Status, DurationMS: o.DurationMS, Detail: o.Detail,
	}
	if o.Due != nil {
		m.Due = *o.Due
	}
	l.Moments = append(l.Moments, m)
	return nil
}
