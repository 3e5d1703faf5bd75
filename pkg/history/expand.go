package history

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// expand reads the range and expects the deliveries that its events should have become: with the registry as it was when each
// was routed, and with that of every account of it, since each says that all its deliveries were made. In the first pass it
// also looks for holes and compares what routers counted.
func (r *reconciler) expand(ctx context.Context, first bool) error {
	var done int64
	for _, p := range slices.Sorted(maps.Keys(r.span.Partitions)) {
		st := r.span.Partitions[p]
		x := &expansion{reconciler: r, partition: p, stretch: st, first: first, sweep: sweep{all: r.routed[p]}, report: PartitionReport{p, st.From, st.To, 0}}
		_, err := r.reader.Range(ctx, r.span.Topic, p, st.From, func(rec *kafka.Record) error {
			if rec.Offset >= st.To {
				return errEnough
			}
			r.progress("source", done+rec.Offset-st.From+1, r.span.length())
			return x.record(ctx, rec)
		})
		if err := enough(err); err != nil {
			return fmt.Errorf("reading %s/%d: %w", r.span.Topic, p, err)
		}
		done += st.To - st.From
		x.end()
	}
	return nil
}

// expansion is the expansion of one partition.
type expansion struct {
	*reconciler
	partition int32
	stretch   Stretch
	first     bool
	sweep     sweep
	report    PartitionReport
	hole      *Finding // that grows
	matches   []pipeline.Match
}

func (x *expansion) record(ctx context.Context, rec *kafka.Record) error {
	x.ended(x.sweep.to(rec.Offset))
	if x.first {
		x.report.Records++
		x.out.Events.Records++
		x.earliest(rec.Timestamp)
	}
	old := rec.Timestamp.Before(x.horizon)
	switch covered, known := x.covered(x.partition, rec.Offset); {
	case !covered:
		x.uncovered(rec, old)
		return nil
	case !known:
		x.event(&x.out.Events.Unprovable)
		x.cannot(RegistryCompacted)
		x.each(func(t *tally) { t.unsure = true })
		return nil
	}
	ev, err := x.matcher.Read(rec)
	if err != nil {
		x.event(&x.out.Events.Rejected)
		x.each(func(t *tally) { t.counted.events++; t.counted.rejected++ })
		x.ledger.expect(rejection(position(rec).String()), ident.ID{}, x.partition, rec.Offset, old)
		return nil //nolint:nilerr // a record that is no event is something to account for
	}
	return x.expanded(ctx, rec, ev, old)
}

// expanded expects what an event becomes under every account of it.
func (x *expansion) expanded(ctx context.Context, rec *kafka.Record, ev *event.Event, old bool) error {
	matched := false
	for i := range x.sweep.active {
		t := &x.sweep.active[i]
		snap, err := x.past.At(ctx, t.registry)
		if err != nil {
			return err
		}
		var filtered int
		x.matches, filtered = x.matcher.Append(x.matches[:0], snap, rec.Topic, ev)
		for _, m := range x.matches {
			message := delivery.MessageID(m.Tenant.ID, ev.Source, ev.ID)
			x.ledger.expect(delivery.ID(message, m.Subscription.ID), m.Subscription.ID, x.partition, rec.Offset, old)
		}
		t.counted.events++
		t.counted.expanded += len(x.matches)
		t.counted.filtered += filtered
		if len(x.matches) == 0 {
			t.counted.unmatched++
		}
		if x.first && i == len(x.sweep.active)-1 {
			x.out.Filtered += filtered
		}
		matched = matched || len(x.matches) > 0
	}
	if matched {
		x.event(&x.out.Events.Matched)
	} else {
		x.event(&x.out.Events.Unmatched)
	}
	return nil
}

// event counts a record once, in the first pass.
func (x *expansion) event(n *int) {
	if x.first {
		*n++
	}
}

func (x *expansion) cannot(c Cause) {
	if x.first {
		x.out.cannot(c, 1)
	}
}

func (x *expansion) each(change func(*tally)) {
	for i := range x.sweep.active {
		change(&x.sweep.active[i])
	}
}

// uncovered deals with a record that no router accounts for.
func (x *expansion) uncovered(rec *kafka.Record, old bool) {
	switch {
	case !x.commits[groupRouter][rec.Topic][x.partition].Covers(rec.Offset):
		x.event(&x.out.Events.Unprovable)
		x.cannot(NotRouted)
	case old:
		x.event(&x.out.Events.Unprovable)
		x.cannot(RecordsExpired)
	case !x.first:
	case x.hole != nil && x.hole.Last == rec.Offset-1:
		x.out.Events.InHoles++
		x.hole.Last = rec.Offset
	default:
		x.closeHole()
		x.out.Events.InHoles++
		x.hole = &Finding{
			Kind: Hole, Partition: x.partition, First: rec.Offset, Last: rec.Offset,
			Detail: "the routers have passed these records, and no routed record accounts for them",
		}
	}
}

func (x *expansion) closeHole() {
	if x.hole != nil {
		x.out.find(*x.hole)
		x.hole = nil
	}
}

// ended compares the accounts that ended with what there is.
func (x *expansion) ended(all []tally) {
	if !x.first {
		return
	}
	for _, t := range all {
		whole := t.first >= x.stretch.From && t.last < x.stretch.To && !t.unsure
		switch c := t.counted; {
		case !whole:
		case c.events < t.events:
			x.out.cannot(SourceGone, int64(t.events-c.events)) // the log was compacted: whether they matched is not known
		case c.events != t.events || c.expanded != t.expanded || c.filtered != t.filtered || c.unmatched != t.unmatched || c.rejected != t.rejected:
			x.out.find(Finding{Kind: Counts, Partition: x.partition, First: t.first, Last: t.last, Detail: fmt.Sprintf(
				"routed at registry version %d counts %s; there are %s", t.registry, t.account, c)})
		}
	}
}

func (a account) String() string {
	return fmt.Sprintf("%d events, %d expanded, %d filtered, %d unmatched, %d rejected", a.events, a.expanded, a.filtered, a.unmatched, a.rejected)
}

func (x *expansion) end() {
	x.ended(x.sweep.to(x.stretch.To))
	x.closeHole()
	if x.first {
		x.out.Partitions = append(x.out.Partitions, x.report)
		if x.stretch.Cut {
			x.out.cannot(SourceGone, 1)
		}
	}
}

func position(rec *kafka.Record) delivery.Position {
	return delivery.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
}

// horizon is how far back Postrider's own topics still have what there was: the timestamp of the oldest record of those that
// have lost some. The zero time is all the way.
func horizon(ctx context.Context, o *Options, reader *kafka.Reader) (at int64, err error) {
	for _, name := range []string{topics.Routed, topics.Deliveries, topics.Outcomes} {
		ends, err := kafka.TopicEnds(ctx, o.Kafka, o.topic(name))
		if err != nil {
			return 0, err
		}
		for p, e := range ends {
			if e.Start == 0 {
				continue
			}
			_, err := reader.Range(ctx, o.topic(name), p, 0, func(rec *kafka.Record) error {
				at = max(at, rec.Timestamp.UnixMilli())
				return errEnough
			})
			if err := enough(err); err != nil {
				return 0, fmt.Errorf("reading the start of %s/%d: %w", o.topic(name), p, err)
			}
		}
	}
	return at, nil
}
