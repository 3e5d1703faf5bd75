package main

import (
	"context"
	"fmt"
	"iter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// Bounds of the wait for what is due. settleFor is above the longest ladder of the demo: four tries of 2 s with 1, 2 and
// 5 s in between. What waits behind a breaker that stays open may take longer; it is counted as waiting.
const (
	settleFor   = 20 * time.Second
	settleEvery = 100 * time.Millisecond
)

// settle waits until every delivery came to its end, within bounds. Ctrl-C ends it.
func (d *dev) settle(ctx context.Context, roles *devRoles) {
	if d.opts.noDemo {
		return
	}
	d.say("waiting for what is due")
	if ctx.Err() == nil {
		d.console.Say(fmt.Sprintf("no more events; waiting for what is due, at most %s (Ctrl-C: no longer)", d.opts.settle))
	}
	ctx, cancel := context.WithTimeout(ctx, d.opts.settle)
	defer cancel()
	t := time.NewTicker(settleEvery)
	defer t.Stop()
	for d.tally.Unsettled() > 0 {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		case <-roles.ended:
			return
		}
	}
}

// summarize compares what was sent with what became of it, once nothing moves any more.
func (d *dev) summarize(ctx context.Context) error {
	if d.opts.noDemo {
		_, err := fmt.Fprintln(d.out, d.board.Line(d.frame()))
		return err
	}
	// The last outcomes may have been written after the console stopped reading. Reading some of them again does no harm.
	err := tailOutcomes(ctx, d.conf.Kafka, time.Now().Add(-catchUp), false, func(value []byte) error {
		return d.outcome(value, d.tally.Outcome)
	})
	if err != nil {
		return err
	}
	if err := d.findWaiting(ctx); err != nil {
		return err
	}
	s := d.tally.Summary()
	if _, err := fmt.Fprintf(d.out, "\n%s\nData in %s, log in %s\n", s, d.dir.Path, d.dir.Log.Name()); err != nil {
		return err
	}
	if !s.OK() {
		return exitCode(1)
	}
	return nil
}

// catchUp is how far back the outcomes are read again at the end: far more than the console can be behind.
const catchUp = time.Minute

// findWaiting tells the tally what Kafka still has to be read: events the router has not committed, and deliveries that
// deliverer and retrier have not. A commit is the lowest offset that is not finished, so this may name a delivery that is
// done, and never misses one that is not.
func (d *dev) findWaiting(ctx context.Context) error {
	names := pipeline.Topics{Prefix: d.conf.Kafka.Prefix}
	for _, system := range d.systems {
		err := d.uncommitted(ctx, "router", []string{system.Topic}, func(r *kafka.Record) {
			if ev, err := system.Decode(r.Value, headersOf(r)); err == nil {
				d.tally.WaitingEvent(ev.ID)
			}
		})
		if err != nil {
			return err
		}
	}
	waiting := func(r *kafka.Record) { d.tally.Waiting(header(r, delivery.HeaderDelivery)) }
	if err := d.uncommitted(ctx, "deliverer", []string{names.Name(topics.Deliveries)}, waiting); err != nil {
		return err
	}
	return d.uncommitted(ctx, "retrier", names.RetryTopics(), waiting)
}

// uncommitted calls each for the records of topics from a role's commits on.
func (d *dev) uncommitted(ctx context.Context, role string, names []string, each func(*kafka.Record)) error {
	client, err := kafka.NewClient(d.conf.Kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	commits, err := admin.FetchOffsets(ctx, d.conf.Kafka.Prefix+role)
	if err != nil {
		return fmt.Errorf("reading commits of %s: %w", role, err)
	}
	ends, err := admin.ListEndOffsets(ctx, names...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return fmt.Errorf("reading ends of topics: %w", err)
	}
	reader := kafka.NewReader(d.conf.Kafka)
	for _, end := range ends.Offsets().Sorted() {
		from := int64(0)
		if commit, ok := commits.Lookup(end.Topic, end.Partition); ok {
			from = max(commit.At, 0)
		}
		if from >= end.At {
			continue
		}
		_, err := reader.Range(ctx, end.Topic, end.Partition, from, func(r *kafka.Record) error { each(r); return nil })
		if err != nil {
			return err
		}
	}
	return nil
}

func headersOf(r *kafka.Record) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, h := range r.Headers {
			if !yield(h.Key, h.Value) {
				return
			}
		}
	}
}

func header(r *kafka.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
