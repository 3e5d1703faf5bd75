package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// ErrNotFound is wrapped by errors of [Explain] that found no such event.
var ErrNotFound = errors.New("no such event")

// Explain returns the whole life of the events that a question is about: one, unless an id was used for more. It reads
// Postrider's topics from the time of the event on, whatever they hold of others, so it takes as long as that is much.
func Explain(ctx context.Context, opts Options, q Question) ([]*Life, error) {
	log, err := kafka.OpenLog(opts.Kafka, opts.topic(topics.Registry))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	x := &explainer{
		logs: logs{opts: opts, reader: kafka.NewReader(opts.Kafka)}, question: q, past: registry.NewPast(log),
		matcher: pipeline.NewMatcher(opts.Router), lives: map[string]*life{},
	}
	end, err := log.End(ctx)
	if err != nil {
		return nil, err
	}
	snap, err := x.past.At(ctx, end)
	if err != nil {
		return nil, err
	}
	if err := x.resolve(snap); err != nil {
		return nil, err
	}
	if err := x.find(ctx); err != nil {
		return nil, err
	}
	lives, err := x.explain(ctx)
	if err == nil && len(lives) == 0 {
		return nil, fmt.Errorf("%q: %w since %s; further back with an earlier start", q.ID, ErrNotFound, q.Since.UTC().Format(time.RFC3339))
	}
	return lives, err
}

// explainer is an explanation on its way.
type explainer struct {
	logs
	question Question
	tenant   *subscription.Tenant // nil for any
	newest   *registry.Snapshot
	past     *registry.Past
	matcher  *pipeline.Matcher

	found []found
	// orphan is the message that is asked for, if its source record was not found.
	orphan    ident.ID
	commits   map[string]kafka.Commits
	knownFrom int64

	// The lock of logs guards what follows.
	lives map[string]*life // by message, or by the place of what could not be read
}

// life is a [Life] in the making.
type life struct {
	Life
	of     []found
	routed []account
	ends   map[ident.ID]*expected
	subs   map[ident.ID]ident.ID // of the ends
}

func (x *explainer) explain(ctx context.Context) ([]*Life, error) {
	var err error
	if x.commits, err = x.groupCommits(ctx, groupDeliverer, groupRetrier); err != nil {
		return nil, err
	}
	if x.knownFrom, err = x.known(ctx, x.past); err != nil {
		return nil, err
	}
	if len(x.found) == 0 && x.orphan.IsZero() {
		return nil, nil
	}
	since := x.question.Since
	for _, f := range x.found {
		x.born(f)
		if before := f.rec.Timestamp.Add(-clockSkew); before.Before(since) || f.rec == x.found[0].rec {
			since = before
		}
	}
	if len(x.found) == 0 {
		x.unborn()
	}
	if err := x.follow(ctx, since); err != nil {
		return nil, err
	}
	var out []*Life
	for _, l := range x.lives {
		if len(l.Moments) == 0 {
			continue
		}
		if err := x.choose(ctx, l); err != nil {
			return nil, err
		}
		l.conclude()
		out = append(out, &l.Life)
	}
	slices.SortFunc(out, func(a, b *Life) int { return a.Moments[0].At.Compare(b.Moments[0].At) })
	return out, nil
}

// born starts the life of a source record, or adds it to that of the same event.
func (x *explainer) born(f found) {
	at := position(f.rec)
	key := at.String()
	if !f.message.IsZero() {
		key = f.message.Base62(delivery.MessagePrefix)
	}
	l := x.lives[key]
	if l == nil {
		l = &life{ends: map[ident.ID]*expected{}, subs: map[ident.ID]ident.ID{}}
		x.lives[key] = l
	}
	l.of, l.Places = append(l.of, f), append(l.Places, at)
	l.Moments = append(l.Moments, Moment{At: f.rec.Timestamp, Kind: MomentReceived, Place: at})
	if f.ev == nil {
		l.Rejected, l.Bytes = f.err.Error(), len(f.rec.Value)
		return
	}
	l.EventID, l.EventType, l.Source, l.EventTime = f.ev.ID, f.ev.Type, f.ev.Source, f.ev.Time
	l.Tenant, l.Channels, l.Bytes = f.ev.Tenant, f.ev.Channels, len(f.ev.Data)
	if f.tenant != nil {
		l.Message, l.TenantID = key, f.tenant.ID.UUID()
	}
}

// unborn starts the life of a message whose source record was not found.
func (x *explainer) unborn() {
	key := x.orphan.Base62(delivery.MessagePrefix)
	l := &life{ends: map[ident.ID]*expected{}, subs: map[ident.ID]ident.ID{}}
	l.Message = key
	l.Notes = append(l.Notes, "its source record was not found: it has expired, no source of the configuration reads its topic, or the event was sent to "+
		"one endpoint alone")
	x.lives[key] = l
}

// maxUnmatched bounds the subscriptions that are listed for not matching.
const maxUnmatched = 1000

// choose says which subscriptions get the event and why others do not, with the registry it was routed with.
func (x *explainer) choose(ctx context.Context, l *life) error {
	if len(l.of) == 0 {
		return nil
	}
	f := l.of[len(l.of)-1]
	snap := x.newest
	slices.SortFunc(l.routed, func(a, b account) int { return cmp.Compare(a.registry, b.registry) })
	for _, a := range l.routed {
		switch {
		case a.registry < x.knownFrom:
			l.Notes = append(l.Notes, fmt.Sprintf("the registry of version %d, with which it was routed, may have been compacted: "+
				"subscriptions are told as they are now", a.registry))
		default:
			var err error
			if snap, err = x.past.At(ctx, a.registry); err != nil {
				return err
			}
		}
	}
	if l.Registry = snap.Version(); len(l.routed) == 0 {
		l.Notes = append(l.Notes, "no routed record accounts for it: the router has not come to it, or it is a hole; "+
			"subscriptions are told as they are now")
	}
	if f.ev == nil {
		return nil
	}
	tenant, ok := snap.ResolveTenant(f.ev.Tenant)
	switch {
	case !ok:
		l.Notes = append(l.Notes, fmt.Sprintf("the registry had no tenant %q: no subscription could match", f.ev.Tenant))
		return nil
	case f.rec.Topic != x.opts.topic(topics.Operational) && !match.Covers(tenant.EventTypes, f.ev.Type):
		l.Notes = append(l.Notes, fmt.Sprintf("the tenant has not activated the event type %q: no subscription could match", f.ev.Type))
	}
	matches, _ := x.matcher.Append(nil, snap, f.rec.Topic, f.ev)
	in, filters := filter.NewInput(f.ev), &filter.Cache{}
	for sub := range snap.SubscriptionsOf(tenant.ID, ident.ID{}) {
		c := Choice{Subscription: sub.ID, UID: sub.UID}
		c.Matched = slices.ContainsFunc(matches, func(m pipeline.Match) bool { return m.Subscription.ID == sub.ID })
		if !c.Matched {
			c.Why = cmp.Or(WhyNot(sub, f.ev, in, filters), "its tenant does not receive the event")
			if l.More++; l.More > maxUnmatched {
				continue
			}
		} else if len(l.routed) > 0 {
			l.end(delivery.ID(f.message, sub.ID), sub.ID)
		}
		l.Choices = append(l.Choices, c)
	}
	l.More = max(0, l.More-maxUnmatched)
	return nil
}

// end returns what is known of a delivery.
func (l *life) end(id, sub ident.ID) *expected {
	e := l.ends[id]
	if e == nil {
		e = &expected{open: none}
		l.ends[id], l.subs[id] = e, sub
	}
	return e
}

// conclude brings the moments into the order of time and says what became of each delivery.
func (l *life) conclude() {
	slices.SortStableFunc(l.Moments, func(a, b Moment) int {
		return cmp.Or(a.At.Compare(b.At), cmp.Compare(rank(a.Kind), rank(b.Kind)), cmp.Compare(a.Delivery, b.Delivery))
	})
	waits := map[string]bool{} // hops between tiers are one wait
	l.Moments = slices.DeleteFunc(l.Moments, func(m Moment) bool {
		if m.Kind != MomentWaits {
			return false
		}
		key := fmt.Sprint(m.Delivery, m.Trigger, m.Pass)
		again := waits[key]
		waits[key] = true
		return again
	})
	for id, e := range l.ends {
		l.Ends = append(l.Ends, End{Delivery: id.Base62(delivery.IDPrefix), Subscription: l.subs[id], State: e.state().String()})
	}
	slices.SortFunc(l.Ends, func(a, b End) int { return match.Compare(a.Subscription, b.Subscription) })
	slices.Sort(l.Notes)
	l.Notes = slices.Compact(l.Notes)
}

// rank orders what happened in the same millisecond.
func rank(k MomentKind) int {
	return slices.Index([]MomentKind{
		MomentReceived, MomentRejected, MomentMade, MomentRouted, MomentRedriven, MomentDue, MomentOutcome, MomentWaits, MomentBuried,
		MomentClosed,
	}, k)
}

// follow reads what happened to the lives from a time on.
func (x *explainer) follow(ctx context.Context, since time.Time) error {
	read := map[string]func(*kafka.Record) error{
		x.opts.topic(topics.Routed): x.routed, x.opts.topic(topics.Rejected): x.rejected, x.opts.topic(topics.Deliveries): x.written,
		x.opts.topic(topics.Outcomes): x.outcome, x.opts.topic(topics.DeadLetters): x.written,
	}
	for _, tier := range x.opts.Router.Topics.RetryTopics() {
		read[tier] = x.written
	}
	for topic, fn := range read {
		from, err := x.startsAt(ctx, topic, since)
		if err != nil {
			return err
		}
		if err := x.readTopic(ctx, topic, from, topic, fn); err != nil {
			return err
		}
	}
	return nil
}

func (x *explainer) routed(rec *kafka.Record) error {
	var v pipeline.RoutedRecord
	if err := form.Read(rec.Value, &v, &v.Version, pipeline.RoutedVersion); err != nil {
		return fmt.Errorf("reading routed record %d/%d: %w", rec.Partition, rec.Offset, err)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, l := range x.lives {
		for _, at := range l.Places {
			if at.Topic == v.Topic && at.Partition == v.Partition && v.First <= at.Offset && at.Offset <= v.Last {
				l.routed = append(l.routed, account{first: v.First, last: v.Last, registry: v.Registry})
				l.Moments = append(l.Moments, Moment{At: rec.Timestamp, Kind: MomentRouted, Place: position(rec), Registry: v.Registry})
			}
		}
	}
	return nil
}

func (x *explainer) rejected(rec *kafka.Record) error {
	place := header(rec, letter.HeaderRejectSource)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, l := range x.lives {
		if !slices.ContainsFunc(l.Places, func(at delivery.Position) bool { return at.String() == place }) {
			continue
		}
		if isMark(rec, letter.HeaderRejectReason) {
			l.Moments = append(l.Moments, closed(rec))
		} else {
			l.Moments = append(l.Moments, Moment{
				At: rec.Timestamp, Kind: MomentRejected, Place: position(rec), Reason: header(rec, letter.HeaderRejectReason),
				Detail: header(rec, letter.HeaderRejectDetail),
			})
		}
	}
	return nil
}
