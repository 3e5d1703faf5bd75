package pipeline

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/topics"
)

// EventIndex is where the recorder puts the events that it read; [view.Redis] is one.
type EventIndex interface {
	// AddEvents adds events. Those that are there stay as they are.
	AddEvents(ctx context.Context, events []view.EventEntry) error
}

// Views are all that the recorder fills; [view.Redis] is one.
type Views interface {
	EventIndex
	OutcomeViews
	// Advance notes that all records of a partition from an offset up to next, left out, are in the views.
	Advance(ctx context.Context, topic string, partition int32, from, next int64, at time.Time) error
}

// RecorderOptions are what a recorder may have. Decoder and Topics are needed.
type RecorderOptions struct {
	// Decoder returns the decoder of a source topic, the router's.
	Decoder func(topic string) *event.Decoder
	Topics  Topics
	Log     *slog.Logger
	Metrics *Metrics
}

// Recorder is the stage that fills the views in Redis: the index of events from the source topics, those of attempts from
// outcomes and statuses. One group reads all of them, so that one reset makes all of them again. It implements
// [kafka.Handler]. Offsets are finished when Redis has the records; while it is away nothing is read on. Reading a topic again
// changes nothing, so views that were lost are made again by reading all of them from the start; see [kafka.ForgetGroup].
type Recorder struct {
	batches
	opts               RecorderOptions
	registry           Registry
	views              Views
	out                Producer
	outcomes, statuses string   // names of the topics
	seen               sync.Map // *kafka.Partition to *view.Seen
	tenants            *tenantCounts
}

const (
	// recordBatch is how many records are recorded at a time: the more, the more rows of a subscription one script adds.
	recordBatch = 3000
	// recordGather is how long the views may be late for that: nobody sees it, and a busy installation has a fifth of the work.
	recordGather = 200 * time.Millisecond
	// recordQueue is how many records of a partition may wait: a fetch or two, so that reading and recording overlap.
	recordQueue = 8000
	// recordTimeout bounds what is done of a batch at a time: Redis answers within milliseconds, or is away.
	recordTimeout = 10 * time.Second
)

// NewRecorder returns a recorder. It writes statuses to out.
func NewRecorder(opts RecorderOptions, reg Registry, views Views, out Producer) *Recorder {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	r := &Recorder{
		opts: opts, registry: reg, views: views, out: out,
		outcomes: opts.Topics.Name(topics.Outcomes), statuses: opts.Topics.Name(topics.Statuses), tenants: newTenantCounts(reg),
	}
	r.batches = batches{
		do: r.record, most: recordBatch, queue: recordQueue, gather: recordGather, log: opts.Log, retries: opts.Metrics.recordRetries,
		away: "Redis is away; the views wait until it is back", back: "Redis is back; the views are filled",
	}
	return r
}

// Collector shows how many attempts tenants have: postrider_recorder_tenant_attempts.
func (r *Recorder) Collector() prometheus.Collector { return r.tenants }

// record records a batch, and notes how far its partition is.
func (r *Recorder) record(ctx context.Context, p *kafka.Partition, records []*kafka.Record) (err error) {
	switch p.Topic {
	case r.outcomes:
		err = r.recordOutcomes(ctx, p, records)
	case r.statuses:
		err = r.recordStatuses(ctx, records)
	default:
		err = r.recordEvents(ctx, records)
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	last := records[len(records)-1]
	return r.views.Advance(ctx, p.Topic, p.ID, records[0].Offset, last.Offset+1, last.Timestamp)
}

// recordEvents adds the events of some source records to the index. What cannot be read, or is of no tenant, is the router's
// business: it has rejected or ignored it.
func (r *Recorder) recordEvents(ctx context.Context, records []*kafka.Record) error {
	snap := r.registry.Snapshot()
	entries := make([]view.EventEntry, 0, len(records))
	counts := map[string]int{}
	for _, rec := range records {
		entry, result := r.entry(snap, rec)
		if counts[result]++; result == resultRecorded {
			entries = append(entries, entry)
		}
	}
	if len(entries) > 0 {
		ctx, cancel := context.WithTimeout(ctx, recordTimeout)
		defer cancel()
		if err := r.views.AddEvents(ctx, entries); err != nil {
			return err
		}
	}
	for result, n := range counts {
		r.opts.Metrics.recorded.WithLabelValues(result).Add(float64(n))
	}
	return nil
}

// What becomes of a source record.
const (
	resultRecorded = "recorded"
	resultRejected = "rejected"
	resultNoTenant = "no_tenant"
)

func (r *Recorder) entry(snap *registry.Snapshot, rec *kafka.Record) (view.EventEntry, string) {
	ev, err := readEvent(r.opts.Decoder(rec.Topic), rec)
	if err != nil {
		return view.EventEntry{}, resultRejected
	}
	tenant, ok := snap.ResolveTenant(ev.Tenant)
	if !ok {
		return view.EventEntry{}, resultNoTenant
	}
	return view.EventEntry{
		Tenant: tenant.ID, Message: delivery.MessageID(tenant.ID, ev.Source, ev.ID), Position: position(rec),
		Time: rec.Timestamp, Type: ev.Type, Channels: ev.Channels, Tags: tagsOf(rec),
	}, resultRecorded
}

// tagsOf reads the tags of a CloudEvent in binary mode; events in other forms have none.
func tagsOf(rec *kafka.Record) []string {
	for _, h := range rec.Headers {
		if h.Key == headerTags && len(h.Value) > 0 && len(h.Value) <= maxTagBytes {
			return strings.Split(string(h.Value), ",")
		}
	}
	return nil
}
