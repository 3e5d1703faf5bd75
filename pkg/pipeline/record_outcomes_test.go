package pipeline

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// outcomes are n records of a partition, of 5 subscriptions with 3 event types; every tenth attempt fails and every eleventh
// row is no attempt.
func outcomeRecords(t *testing.T, n int) (out []*kafka.Record) {
	t.Helper()
	start := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	for i := range n {
		o := anOutcome("ok")
		o.Message = delivery.MessageID(acme.ID, "s", fmt.Sprint(i/7)).Base62(delivery.MessagePrefix)
		o.Subscription, o.EventType = ident.Derive("sub", fmt.Sprint(i%5)), fmt.Sprintf("type.%d", i%3)
		o.At = start.Add(time.Duration(i) * time.Second)
		switch {
		case i%11 == 0:
			o.Verdict, o.Reason, o.Result, o.Status = outcome.Cancelled, outcome.ReasonDisabled, outcome.ResultNone, 0
		case i%10 != 0:
			o.Verdict, o.Reason, o.Result, o.Status = outcome.Delivered, outcome.ReasonDelivered, outcome.ResultSuccess, 200
		}
		text, err := json.Marshal(o)
		require.NoError(t, err)
		out = append(out, &kafka.Record{Topic: "outcomes", Partition: 3, Offset: int64(i), Value: text, Timestamp: o.At})
	}
	return out
}

// assigned hands records to a recorder, as an owner of their partition.
func (p *publishing) assigned(t *testing.T, r *Recorder, topic string, records []*kafka.Record) *kafka.Partition {
	t.Helper()
	part := kafka.NewPartition(t.Context(), topic, 3, offset.NewTracker(records[0].Offset, offset.Set{}))
	require.NoError(t, r.Assign(part))
	t.Cleanup(func() { r.Revoke([]*kafka.Partition{part}) })
	hand(t, r, part, records)
	return part
}

func (p *publishing) recorder(t *testing.T) *Recorder {
	t.Helper()
	return NewRecorder(RecorderOptions{Decoder: eventsDecoder(t)}, &registered{snap: snapshotOf(t), confirmed: time.Now}, p.views, p.b)
}

func whole(t *testing.T, part *kafka.Partition, end int64) {
	t.Helper()
	require.Eventually(t, func() bool { return finished(part) == end }, time.Minute, time.Millisecond)
}

func TestRecorderFillsTheViewsOfAttempts(t *testing.T) {
	p := newPublishing(t)
	r := p.recorder(t)
	records := outcomeRecords(t, 900)
	records[450].Value = []byte("{}")
	whole(t, p.assigned(t, r, "outcomes", records), 900)
	require.InDelta(t, 899, figure(t, r.opts.Metrics.recordedRows), 0)
	require.Empty(t, r.tenants.current.of, "they are an hour old")
	require.InDelta(t, 1, figure(t, r.opts.Metrics.unreadableRows), 0)
	page, err := p.views.Attempts(t.Context(), view.AttemptQuery{Subscription: ident.Derive("sub", "1"), AllRows: true, Limit: 1000})
	require.NoError(t, err)
	require.Len(t, page.Attempts, 180)
	require.Equal(t, delivery.Position{Topic: "outcomes", Partition: 3, Offset: 896}, page.Attempts[0].Position)
	progress, err := p.views.Progress(t.Context(), "outcomes")
	require.NoError(t, err)
	require.Equal(t, []view.Progress{{Partition: 3, From: 0, Next: 900, Time: records[899].Timestamp}}, progress)

	statuses, err := p.views.Statuses(t.Context(), ident.Derive("sub", "1"))
	require.NoError(t, err)
	require.Len(t, statuses, 3)
	require.GreaterOrEqual(t, len(p.b.acknowledged("statuses")), 15, "each event type of each subscription at least once")
}

// What a crash between Redis' answer and the commit repeats, in other batches, changes nothing; nor do statuses that come back.
// And what is lost is made again the same.
func TestRecorderRepeats(t *testing.T) {
	p := newPublishing(t)
	records := outcomeRecords(t, 700)
	p.b.change(func() {
		p.b.refuse = func(rec *kafka.Record) error {
			if rec.Topic == "statuses" {
				return errors.New("no leader")
			}
			return nil
		}
	})
	first := p.recorder(t)
	part := p.assigned(t, first, "outcomes", records[:500])
	require.Eventually(t, func() bool { return figure(t, first.opts.Metrics.recordRetries) > 1 }, time.Minute, time.Millisecond)
	require.Zero(t, finished(part), "the statuses are not written")
	first.Revoke([]*kafka.Partition{part})
	require.Empty(t, p.b.acknowledged("statuses"))
	p.b.change(func() { p.b.refuse = nil })

	whole(t, p.assigned(t, p.recorder(t), "outcomes", records), 700)
	statuses := p.b.acknowledged("statuses")
	require.GreaterOrEqual(t, len(statuses), 15, "those that were not written, too")
	for i, rec := range statuses {
		rec.Offset = int64(i)
	}
	dump := func() string {
		for _, key := range p.redis.Keys() {
			if key == "{progress}" || strings.Contains(key, "}:l:") { // entries of loads are those of batches
				p.redis.Del(key)
			}
		}
		return p.redis.Dump()
	}
	want := dump()
	second := p.recorder(t)
	whole(t, p.assigned(t, second, "statuses", statuses), int64(len(statuses)))
	whole(t, p.assigned(t, second, "outcomes", records[300:600]), 600)
	require.Equal(t, want, dump())

	p.redis.FlushAll()
	again := p.recorder(t)
	whole(t, p.assigned(t, again, "statuses", statuses), int64(len(statuses)))
	whole(t, p.assigned(t, again, "outcomes", records), 700)
	require.Equal(t, want, dump())
}
