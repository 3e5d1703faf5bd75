package pipeline

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/view"
)

// EventIndex is where the recorder puts what it read; [view.Redis] is one.
type EventIndex interface {
	// AddEvents adds events. Those that are there stay as they are.
	AddEvents(ctx context.Context, events []view.EventEntry) error
}

// RecorderOptions are what a recorder may have. Decoder is needed.
type RecorderOptions struct {
	// Decoder returns the decoder of a source topic, the router's.
	Decoder func(topic string) *event.Decoder
	Log     *slog.Logger
	Metrics *Metrics
}

// Recorder is the stage that fills the index of events from the source topics. It implements [kafka.Handler]. Offsets are
// finished when Redis has the events; while it is away nothing is read on. Reading a topic again changes nothing, so an
// index that was lost is made again by reading all of them from the start; see [kafka.ForgetGroup].
type Recorder struct {
	batches
	opts     RecorderOptions
	registry Registry
	index    EventIndex
}

const (
	// recordBatch is how many events go to Redis in one call.
	recordBatch = 500
	// recordTimeout bounds a call: Redis answers within milliseconds, or is away.
	recordTimeout = 10 * time.Second
)

// NewRecorder returns a recorder.
func NewRecorder(opts RecorderOptions, reg Registry, index EventIndex) *Recorder {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	r := &Recorder{opts: opts, registry: reg, index: index}
	r.batches = batches{
		do: r.record, most: recordBatch, log: opts.Log, retries: opts.Metrics.recordRetries,
		away: "Redis is away; events are recorded when it is back", back: "Redis is back; events are recorded",
	}
	return r
}

// record adds the events of some source records to the index. What cannot be read, or is of no tenant, is the router's
// business: it has rejected or ignored it.
func (r *Recorder) record(ctx context.Context, _ *kafka.Partition, records []*kafka.Record) error {
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
		if err := r.index.AddEvents(ctx, entries); err != nil {
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
