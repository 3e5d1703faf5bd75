package pipeline

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tracing"
	"github.com/postrider/postrider/topics"
)

// RouterOptions are the bounds of a router. The zero value of a field but Decoder takes its default.
type RouterOptions struct {
	Topics Topics
	// Decoder returns the decoder of a source topic.
	Decoder func(topic string) *event.Decoder
	// OperationalTenant names the tenant whose subscriptions receive the operational events of all tenants; empty for none.
	OperationalTenant string
	// MaxExpansions is how many deliveries are made before the source offset is committed at the latest, a single event
	// aside; 5,000 by default. As many are under way at most.
	MaxExpansions int
	// Profiles say which disabled subscriptions have deliveries made all the same; nil: none.
	Profiles Profiles
	// Tracer decides what is traced; nil: nothing.
	Tracer  *tracing.Tracer
	Log     *slog.Logger
	Metrics *Metrics
}

// Bounds of the source records of a partition that wait in memory before it is held. What a worker has taken and the fetch
// that is on its way come on top.
const (
	maxBacklog      = 20_000
	maxBacklogBytes = 16 << 20
)

// Router is the stage that expands events into deliveries, one per matching subscription. It implements
// [kafka.Handler]. Source partitions are worked on independently of each other.
type Router struct {
	opts     RouterOptions
	registry Registry
	out      Producer
	fail     func(error)
	// operational is the topic of operational events, which not everybody receives; deliveries the one of deliveries.
	operational, deliveries string

	filters filter.Cache

	mu    sync.Mutex
	parts map[*kafka.Partition]*backlog
}

// backlog is the records of one source partition that wait, and the goroutine that works on them.
type backlog struct {
	mu      sync.Mutex
	records []*kafka.Record
	bytes   int // of their values
	wake    chan struct{}
	stop    chan struct{}
	done    chan struct{}
}

// NewRouter returns a router. fail is called with the first error that it cannot go on with.
func NewRouter(opts RouterOptions, reg Registry, out Producer, fail func(error)) *Router {
	setDefault(&opts.MaxExpansions, 5000)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	return &Router{
		opts: opts, registry: reg, out: out, fail: fail, operational: opts.Topics.Name(topics.Operational),
		deliveries: opts.Topics.Name(topics.Deliveries),
		parts:      map[*kafka.Partition]*backlog{},
	}
}

// Assign starts the partition's worker.
func (r *Router) Assign(p *kafka.Partition) error {
	b := &backlog{wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts[p] = b
	go r.work(p, b)
	return nil
}

// Records adds to the backlog.
func (r *Router) Records(p *kafka.Partition, records []*kafka.Record) {
	r.mu.Lock()
	b := r.parts[p]
	r.mu.Unlock()
	if b == nil {
		return
	}
	b.mu.Lock()
	b.records = append(b.records, records...)
	for _, rec := range records {
		b.bytes += len(rec.Value)
	}
	if len(b.records) > maxBacklog || b.bytes > maxBacklogBytes {
		p.Hold(kafka.HoldBacklog)
	}
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Revoke ends the workers after the chunks that are under way, for which it waits a moment.
func (r *Router) Revoke(ps []*kafka.Partition) {
	limit := time.NewTimer(chunkTimeout)
	defer limit.Stop()
	for _, b := range r.take(ps) {
		select {
		case <-b.done:
		case <-limit.C:
			return // its partition's context ends next, and cuts it off
		}
	}
}

// chunkTimeout is how long a revoke waits for the acknowledgements of chunks.
const chunkTimeout = 5 * time.Second

// Lost ends the workers; what is under way is cut off with the partition's context.
func (r *Router) Lost(ps []*kafka.Partition) { r.take(ps) }

func (r *Router) take(ps []*kafka.Partition) []*backlog {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*backlog
	for _, p := range ps {
		if b := r.parts[p]; b != nil {
			close(b.stop)
			delete(r.parts, p)
			out = append(out, b)
		}
	}
	return out
}

func (b *backlog) take(p *kafka.Partition) []*kafka.Record {
	b.mu.Lock()
	defer b.mu.Unlock()
	records := b.records
	b.records, b.bytes = nil, 0
	p.Release(kafka.HoldBacklog)
	return records
}

// RoutedVersion is the version of the form of a [RoutedRecord].
const RoutedVersion = 1

// RoutedRecord is the value of the routed topic: what became of a range of source records. Ranges of one source
// partition follow each other without gaps but those of the source log itself; a crash repeats the last one.
type RoutedRecord struct {
	Version   int    `json:"version"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// First and Last are the first and last source offset of the range, both included.
	First    int64 `json:"first"`
	Last     int64 `json:"last"`
	Registry int64 `json:"registry_version"`
	// Events is the number of records; Expanded of deliveries; Unmatched of events that nobody wanted; Rejected of
	// records that could not be read as events. Filtered is how many deliveries were not made because of channels and
	// filters: an event all of whose deliveries were filtered is Unmatched as well.
	Events    int `json:"events"`
	Expanded  int `json:"expanded"`
	Filtered  int `json:"filtered,omitempty"`
	Unmatched int `json:"unmatched"`
	Rejected  int `json:"rejected"`
}

func (r *Router) count(routed *RoutedRecord) {
	m := r.opts.Metrics
	m.expansions.Add(float64(routed.Expanded))
	m.events.WithLabelValues("matched").Add(float64(routed.Events - routed.Unmatched - routed.Rejected))
	m.events.WithLabelValues("unmatched").Add(float64(routed.Unmatched))
	m.events.WithLabelValues("rejected").Add(float64(routed.Rejected))
}

func (r *Router) expand(
	ctx context.Context, snap *registry.Snapshot, sel *selector, in incoming, routed *RoutedRecord, acks *acks,
) {
	rec, ev := in.rec, in.ev
	if in.err != nil {
		routed.Rejected++
		r.opts.Log.Warn("event rejected", "source", position(rec).String(), "error", in.err)
		acks.produce(ctx, r.out, r.rejected(rec, in.err))
		return
	}
	made := 0
	for _, to := range in.to {
		span := r.opts.Tracer.Route(ev, to.tenant, position(rec))
		matched, filtered := sel.match(snap, to, ev)
		routed.Filtered += filtered
		if len(matched) > 0 {
			d := Expand(ev, to.tenant, matched[0], position(rec), snap.Version())
			span.Trace(d)
			first := encode(r.deliveries, d)
			for _, sub := range matched[1:] {
				next := delivery.Delivery{ID: delivery.ID(d.Message, sub.ID), Subscription: sub.ID}
				acks.produce(ctx, r.out, encodeNext(first, &next))
			}
			acks.produce(ctx, r.out, first)
		}
		span.Routed(len(matched), filtered)
		made += len(matched)
	}
	routed.Expanded += made
	if made == 0 {
		routed.Unmatched++
	}
}

func (r *Router) read(rec *kafka.Record) (*event.Event, error) {
	return readEvent(r.opts.Decoder(rec.Topic), rec)
}

// readEvent reads a source record with the decoder of its topic; nil is no decoder. All stages that read source topics
// read them this way.
func readEvent(decoder *event.Decoder, rec *kafka.Record) (*event.Event, error) {
	if decoder == nil {
		return nil, fmt.Errorf("no source reads topic %s", rec.Topic)
	}
	ev, err := decoder.Decode(event.Record{
		Key: rec.Key, Value: rec.Value, Headers: headers(rec), Timestamp: rec.Timestamp, Position: sourcePosition(rec),
	})
	// An event without a time of its own has the record's, and a producer that writes microseconds for milliseconds is in
	// the year 50000: a delivery with it could not be read again.
	if err == nil && (ev.Time.Year() < 0 || ev.Time.Year() > 9999) {
		return nil, &event.Error{
			Reason: event.ReasonBadTime, Field: "timestamp",
			Detail: "of the record: want milliseconds since 1970, up to the year 9999",
		}
	}
	return ev, err
}

// Expand makes the delivery of an event for a subscription. The identities depend on nothing but the event's own and
// the subscription, so an expansion done twice gives the same delivery.
func Expand(
	ev *event.Event, tenant *subscription.Tenant, sub *subscription.Subscription, source delivery.Position, version int64,
) *delivery.Delivery {
	message := delivery.MessageID(tenant.ID, ev.Source, ev.ID)
	return &delivery.Delivery{
		ID: delivery.ID(message, sub.ID), Message: message, Subscription: sub.ID, Tenant: tenant.ID,
		EventID: ev.ID, EventType: ev.Type, EventSource: ev.Source, EventTime: ev.Time, Channels: ev.Channels,
		ContentType: ev.ContentType, TraceParent: ev.TraceParent, TraceState: ev.TraceState,
		Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, Source: source, Registry: version, Data: ev.Data,
	}
}

func (r *Router) writeRouted(ctx context.Context, routed *RoutedRecord) error {
	value, err := json.Marshal(routed)
	if err != nil {
		return fmt.Errorf("encoding routed record: %w", err)
	}
	return produceSync(ctx, r.out, &kafka.Record{
		Topic: r.opts.Topics.Name(topics.Routed), Key: []byte(routed.Topic + "/" + strconv.Itoa(int(routed.Partition))),
		Value: value, Timestamp: time.Now(),
	})
}

// acks waits for a number of records that is not known beforehand.
type acks struct {
	pending atomic.Int64 // and one for whoever waits
	mu      sync.Mutex
	first   error
	ended   chan struct{}

	promise func(*kafka.Record, error) // of all of them; made with the first
}

func (a *acks) produce(ctx context.Context, out Producer, r *kafka.Record) {
	if a.promise == nil {
		a.promise, a.ended = a.done, make(chan struct{})
		a.pending.Store(1)
	}
	a.pending.Add(1)
	out.Produce(ctx, r, a.promise)
}

func (a *acks) done(_ *kafka.Record, err error) {
	if err != nil {
		a.mu.Lock()
		if a.first == nil {
			a.first = err
		}
		a.mu.Unlock()
	}
	if a.pending.Add(-1) == 0 {
		close(a.ended)
	}
}

// wait returns nil when all were acknowledged, the first error, or why ctx ended before. It is called once, after all were produced.
func (a *acks) wait(ctx context.Context) error {
	if a.promise == nil {
		return nil
	}
	if a.pending.Add(-1) > 0 {
		select {
		case <-a.ended:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.first
}
