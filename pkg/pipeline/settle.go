package pipeline

import (
	"fmt"
	"strconv"
	"time"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// settle writes what follows from an attempt, in an order that matters: the retry or dead-letter record first, and the
// outcome only when that is acknowledged. The next owner takes an outcome for proof that the delivery was dealt with
// and drops the record when it reads it again; an outcome without its retry record would be a lost delivery.
func (d *Deliverer) settle(c *candidate, resp attempt.Response, j profile.Judgement, h health, v verdict) {
	r := d.rowOf(c, &resp, j, v)
	row := &r.Outcome
	d.opts.Metrics.attempts.of(j.Result).Inc()
	d.opts.Metrics.attemptTime.Observe(resp.Duration.Seconds())
	d.logAttempt(row, c.span)
	c.span.Tried(row, resp.Proto)
	switch {
	case v.reason == outcome.ReasonGone && !d.stop(c, outcome.ReasonGone, h.since):
		return
	case v.reason != outcome.ReasonGone && h.full && !d.stop(c, outcome.ReasonFailing, h.since):
		return
	}
	switch v.Verdict {
	case outcome.Retry:
		next := copyFor(c.d, v.reason)
		next.Attempts++
		next.Parks, next.First, next.Due = 0, r.first, v.due
		c.span.Last(next)
		if !d.write(c.item, d.opts.Topics.waiting(next, time.Now())) {
			return
		}
	case outcome.Dead:
		if !d.write(c.item, d.deadLetter(c, row)) {
			return
		}
	case outcome.Delivered:
		if closesLetters(c.d) && !d.write(c.item, d.opts.Topics.deliveredMark(c.d)) {
			return
		}
	case outcome.Cancelled, outcome.Parked:
	}
	if d.tellSuspension(c, h) && d.tellAttempt(c, row) {
		d.record(c.item, r, c.failure)
	}
}

func (d *Deliverer) deadLetter(c *candidate, row *outcome.Outcome) *kafka.Record {
	dead := *c.d
	dead.Attempts, dead.First, dead.Reason = row.Attempt, c.first(), string(row.Reason)
	dead.Due, dead.Ready, dead.Slot = time.Time{}, time.Time{}, time.Time{}
	c.span.Last(&dead)
	r := encode(d.opts.Topics.Name(topics.DeadLetters), &dead)
	r.Headers = append(r.Headers,
		kafka.Header{Key: delivery.HeaderResult, Value: []byte(row.Result)},
		kafka.Header{Key: delivery.HeaderStatus, Value: []byte(strconv.Itoa(row.Status))},
		kafka.Header{Key: delivery.HeaderDetail, Value: []byte(row.Detail)})
	return r
}

// park puts a delivery back into the retry tiers without an attempt.
func (d *Deliverer) park(it *item, reason outcome.Reason, due time.Time) {
	d.sched.part(it, reason, due)
}

// write produces a follow-up record and waits until it is acknowledged.
func (d *Deliverer) write(it *item, r *kafka.Record) bool {
	return d.written(it, produceSync(it.lane.owner.p.Context(), d.out, r))
}

// written deals with the end of a write that the delivery depends on: after an error it is not finished, and its next
// owner repeats it.
func (d *Deliverer) written(it *item, err error) bool {
	if err == nil {
		return true
	}
	d.refusedByKafka(it.lane.owner, err)
	d.drop(it)
	return false
}

// refusedByKafka ends the process if Kafka refused a record for good: going on would leave the delivery unfinished and
// its partition's commit standing. While the partition is being taken away, errors are expected.
func (d *Deliverer) refusedByKafka(o *owned, err error) {
	if o.p.Context().Err() == nil {
		d.fail(fmt.Errorf("writing for deliveries/%d: %w", o.p.ID, err))
	}
}

// record produces the outcome; when it is acknowledged, the state is folded, under the failure policy that the attempt was
// made with, and the delivery is finished. The row is not the caller's any more.
func (d *Deliverer) record(it *item, r *row, policy *subscription.FailurePolicy) {
	r.item, r.policy = it, policy
	d.opts.Metrics.verdicts.of(because{r.Verdict, r.Reason}).Inc()
	p := it.lane.owner.p
	d.out.Produce(p.Context(), r.encode(d.outcomes, p.ID), r.promise)
}

// acknowledged is called when Kafka has the row, or will not have it.
func (r *row) acknowledged(record *kafka.Record, err error) {
	d, it := r.deliverer, r.item
	o := it.lane.owner
	if err != nil {
		d.refusedByKafka(o, err)
		d.drop(it)
		return // the client may hold on to the record
	}
	d.fold(o, r, record.Offset)
	d.finish(it)
	d.rows.put(r)
}

// finish marks the delivery's offset: everything it promises is acknowledged.
func (d *Deliverer) finish(it *item) {
	it.lane.owner.p.Finish(it.at.Offset)
	d.drop(it)
}

// drop gives back what a dispatched delivery holds, finished or not.
func (d *Deliverer) drop(it *item) {
	o := it.lane.owner
	d.sched.give(it)
	o.settling.Done()
	d.easeBytes()
	if !o.draining.Load() {
		d.eased(o)
	}
}

// abandon drops a delivery that was dispatched and not attempted, or whose attempt was cut off. Its partition is on its
// way to another owner, who repeats it; if it is not, nobody would.
func (d *Deliverer) abandon(it *item) {
	if o := it.lane.owner; !o.draining.Load() && o.ctx.Err() == nil {
		d.fail(fmt.Errorf("attempt of deliveries/%d, offset %d: given up without an end", o.p.ID, it.at.Offset))
	}
	d.opts.Metrics.aborted.Inc()
	d.sched.release(it.lane)
	d.drop(it)
}

// buryUndecodable writes a record that is no delivery to the dead letters, as it is.
func (d *Deliverer) buryUndecodable(o *owned, r *kafka.Record, cause error) {
	dead := carried(d.opts.Topics.Name(topics.DeadLetters), r.Key[:min(len(r.Key), maxCarriedKey)], r)
	dead.Headers = append(dead.Headers,
		kafka.Header{Key: delivery.HeaderReason, Value: []byte(outcome.ReasonUndecodable)},
		kafka.Header{Key: delivery.HeaderDetail, Value: []byte(safeText(cause.Error(), maxDetail))})
	o.settling.Add(1)
	d.opts.Metrics.verdicts.of(because{outcome.Dead, outcome.ReasonUndecodable}).Inc()
	d.opts.Log.Error("record in deliveries is no delivery", "partition", o.p.ID, "offset", r.Offset, "error", cause)
	d.out.Produce(o.p.Context(), dead, func(_ *kafka.Record, err error) {
		defer o.settling.Done()
		if err != nil {
			d.refusedByKafka(o, err)
			return
		}
		o.p.Finish(r.Offset)
		if !o.draining.Load() {
			d.eased(o)
		}
	})
}
