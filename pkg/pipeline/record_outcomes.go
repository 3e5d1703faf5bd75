package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// OutcomeViews are the views of attempts; [view.Redis] has them.
type OutcomeViews interface {
	// AddRows adds rows of a partition of outcomes, in the order of their offsets. Rows that are there change nothing; after an
	// error the same rows again add the rest.
	AddRows(ctx context.Context, partition int32, rows []view.Row) error
	// Changed returns those of the rows whose statuses are to be written: all that AddStatus does not have.
	Changed(ctx context.Context, seen *view.Seen, rows []view.Row) ([]*view.Row, error)
	// AddStatus adds last attempts of event types, which were written, unless later ones are known.
	AddStatus(ctx context.Context, rows []*view.Row) error
}

// recordOutcomes adds rows of outcomes to the views, then writes the statuses that have changed, then adds these to the views. If it
// is cut off in between, the rows come again, and change nothing but say once more which statuses these are: what the views do not
// have may not have been written.
func (r *Recorder) recordOutcomes(ctx context.Context, p *kafka.Partition, records []*kafka.Record) error {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	rows, reader := make([]view.Row, 0, len(records)), newRowReader()
	for _, rec := range records {
		row := view.Row{Offset: rec.Offset}
		switch err := reader.read(rec.Value, &row); {
		case errors.Is(err, form.ErrNewer):
			return fmt.Errorf("offset %d: %w", rec.Offset, err)
		case err != nil:
			r.unreadable(rec, err)
			continue
		}
		rows = append(rows, row)
	}
	if len(rows) == 0 {
		return nil
	}
	if err := r.views.AddRows(ctx, p.ID, rows); err != nil {
		return err
	}
	seen := r.seenOf(p) //nolint:contextcheck // it lives as long as the partition
	changed, err := r.views.Changed(ctx, seen, rows)
	if err != nil {
		return err
	}
	if err := r.writeStatuses(ctx, p, changed); err != nil {
		return fmt.Errorf("writing statuses: %w", err)
	}
	if err := r.views.AddStatus(ctx, changed); err != nil {
		return err
	}
	seen.Wrote(changed)
	r.opts.Metrics.recordedRows.Add(float64(len(rows)))
	r.tenants.add(rows)
	return nil
}

// seenOf is what is remembered of a partition as long as it is assigned: when it comes back, others may have recorded.
func (r *Recorder) seenOf(p *kafka.Partition) *view.Seen {
	of, known := r.seen.LoadOrStore(p, &view.Seen{})
	if !known {
		context.AfterFunc(p.Context(), func() { r.seen.Delete(p) })
	}
	seen, _ := of.(*view.Seen)
	return seen
}

func (r *Recorder) unreadable(rec *kafka.Record, err error) {
	r.opts.Metrics.unreadableRows.Inc()
	r.opts.Log.Warn("record cannot be read; it is not in the views", "record", position(rec).String(), "error", err)
}

// writeStatuses returns when all of them are acknowledged.
func (r *Recorder) writeStatuses(ctx context.Context, p *kafka.Partition, rows []*view.Row) error {
	var written acks
	for _, row := range rows {
		s := outcome.Status{
			Version: outcome.Version, Tenant: row.Tenant, Subscription: row.Subscription, EventType: row.EventType, At: row.At,
			Verdict: row.Verdict, Reason: row.Reason, Result: row.Result, Status: row.Status,
			Outcome: delivery.Position{Topic: p.Topic, Partition: p.ID, Offset: row.Offset},
		}
		text, err := json.Marshal(s)
		if err != nil {
			return err
		}
		written.produce(ctx, r.out, &kafka.Record{Topic: r.statuses, Key: []byte(s.Key()), Value: text})
	}
	return written.wait(ctx)
}

// recordStatuses adds statuses to the views: of event types whose last attempt has left outcomes, they are all there is.
func (r *Recorder) recordStatuses(ctx context.Context, records []*kafka.Record) error {
	var rows []*view.Row
	for _, rec := range records {
		s, err := outcome.ReadStatus(rec.Value)
		if errors.Is(err, form.ErrNewer) {
			return fmt.Errorf("offset %d: %w", rec.Offset, err)
		}
		if err != nil || s.Subscription.IsZero() || s.EventType == "" {
			r.unreadable(rec, errors.Join(err, errors.New("no status: want subscription and event_type")))
			continue
		}
		rows = append(rows, &view.Row{
			Offset: s.Outcome.Offset, Tenant: s.Tenant, Subscription: s.Subscription, EventType: s.EventType, At: s.At,
			Status: s.Status, Result: s.Result, Verdict: s.Verdict, Reason: s.Reason,
		})
	}
	if len(rows) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	return r.views.AddStatus(ctx, rows)
}
