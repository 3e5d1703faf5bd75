package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/topics"
)

// Reconcile proves of every event of a range, and of every subscription, what became of it, or says what is wrong. It takes
// the matching from nobody: it expands the events anew, with the registry as it was at the version that the routed record
// names, and looks for each delivery. The sources must be configured as they were.
func Reconcile(ctx context.Context, opts Options, span Span) (*Report, error) {
	if opts.AtOnce <= 0 {
		opts.AtOnce = 1_000_000
	}
	if err := kafka.Reach(ctx, opts.Kafka, append(opts.ownTopics(), span.Topic)...); err != nil {
		return nil, err
	}
	log, err := kafka.OpenLog(opts.Kafka, opts.topic(topics.Registry))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	r := &reconciler{
		logs: logs{opts: opts, reader: kafka.NewReader(opts.Kafka)}, span: span, past: registry.NewPast(log),
		matcher: pipeline.NewMatcher(opts.Router), out: &Report{Topic: span.Topic},
		bySubscription: map[ident.ID]*DeliveryCounts{},
	}
	if err := r.prepare(ctx); err != nil {
		return nil, err
	}
	r.out.Passes = 1 + r.sortRouted()/opts.AtOnce
	r.ledger = newLedger(r.out.Passes)
	for pass := range r.out.Passes {
		if err := r.pass(ctx, pass); err != nil {
			return nil, err
		}
	}
	r.out.close(r.bySubscription)
	return r.out, nil
}

// reconciler is a reconciliation on its way.
type reconciler struct {
	logs
	span    Span
	past    *registry.Past
	matcher *pipeline.Matcher

	// commits are those of the groups, by role. knownFrom is the lowest registry version that the log still has whole, horizon
	// the oldest time that the other topics have whole.
	commits   map[string]kafka.Commits
	knownFrom int64
	horizon   time.Time
	routed    map[int32][]account

	out            *Report
	bySubscription map[ident.ID]*DeliveryCounts

	// The lock of logs guards what follows.
	ledger *ledger
	extras map[ident.ID]extra
	// began is the earliest timestamp of the range's records and accounts.
	began time.Time
}

// prepare reads what all passes need. The order matters, since the system may be at work: what a group has committed is read
// before what proves it. Whatever a router finished by then has its routed record; whatever a deliverer or retrier had not
// finished by then is still there to be read, and all else has an outcome.
func (r *reconciler) prepare(ctx context.Context) error {
	var err error
	if r.commits, err = r.groupCommits(ctx, groupRouter, groupDeliverer, groupRetrier); err != nil {
		return err
	}
	if r.knownFrom, err = r.known(ctx, r.past); err != nil {
		return err
	}
	at, err := horizon(ctx, &r.opts, r.reader)
	if err != nil {
		return err
	}
	if at > 0 {
		r.horizon = time.UnixMilli(at)
	}
	return r.readRouted(ctx)
}

// clockSkew is how far the clocks of producers, routers and deliverers may be apart for a reading that begins at a time to see
// all that follows from it. Where it does not, everything is read.
const clockSkew = 10 * time.Minute

func (r *reconciler) pass(ctx context.Context, pass int) error {
	r.ledger.begin(pass)
	r.extras = map[ident.ID]extra{}
	if err := r.expand(ctx, pass == 0); err != nil {
		return err
	}
	if r.began.IsZero() {
		return nil // there is nothing in the range
	}
	if err := r.mark(ctx, r.began.Add(-clockSkew)); err != nil {
		return err
	}
	if r.ledger.missing() { // look everywhere before saying so
		if err := r.mark(ctx, time.Time{}); err != nil {
			return err
		}
	}
	r.tell()
	return r.judgeExtras(ctx)
}

// tell counts the pass's deliveries and finds what is missing, in the order of the source.
func (r *reconciler) tell() {
	var gone []ident.ID
	for id, e := range r.ledger.entries {
		s := e.state()
		if s == missing {
			gone = append(gone, id)
		}
		if s == unprovable {
			r.out.cannot(RecordsExpired, 1)
		}
		if e.sub != none {
			r.of(r.ledger.subs[e.sub]).add(s)
		}
	}
	slices.SortFunc(gone, func(a, b ident.ID) int {
		x, y := r.ledger.entries[a], r.ledger.entries[b]
		return cmp.Or(cmp.Compare(x.partition, y.partition), cmp.Compare(x.offset, y.offset), match.Compare(a, b))
	})
	for _, id := range gone {
		e := r.ledger.entries[id]
		f := Finding{Partition: e.partition, First: e.offset, Last: e.offset}
		if e.sub != none {
			f.Delivery, f.Subscription = id.Base62(delivery.IDPrefix), r.ledger.subs[e.sub].UUID()
		}
		switch {
		case e.sub == none:
			f.Kind, f.Detail = Unrejected, "cannot be read as an event, and is not in the rejected topic"
		case e.written:
			f.Kind, f.Detail = Lost, "was made, has no end and waits nowhere"
		case e.verdict != noVerdict:
			f.Kind, f.Detail = Lost, "was tried, has no end and waits nowhere"
		default:
			f.Kind, f.Detail = Missed, "matches the event, and was never made"
		}
		r.out.find(f)
	}
}

func (r *reconciler) of(sub ident.ID) *DeliveryCounts {
	c := r.bySubscription[sub]
	if c == nil {
		c = new(DeliveryCounts)
		r.bySubscription[sub] = c
	}
	return c
}

// earliest notes a timestamp of the range.
func (r *reconciler) earliest(at time.Time) {
	if r.began.IsZero() || at.Before(r.began) {
		r.began = at
	}
}

// String names what the counts are of, for people.
func (c DeliveryCounts) String() string {
	return fmt.Sprintf("%d expected: %d delivered, %d dead, %d cancelled, %d parked, %d waiting, %d missing, %d unprovable",
		c.Expected, c.Delivered, c.Dead, c.Cancelled, c.Parked, c.Waiting, c.Missing, c.Unprovable)
}
