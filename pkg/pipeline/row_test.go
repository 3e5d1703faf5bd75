package pipeline

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
)

// The key and the value share memory, and neither grows into the other. What an acknowledged row leaves behind is nowhere in the
// next; a long one's memory is not kept.
func TestRowsServeAgain(t *testing.T) {
	var rs rows
	sub := subscriptionNamed("one")
	long := outcome.Outcome{Subscription: sub.ID, Detail: strings.Repeat("x", 2*maxKeptRow)}
	for _, o := range []outcome.Outcome{long, {Subscription: sub.ID}, {Subscription: sub.ID, Status: 200}} {
		r := rs.get(nil)
		r.Outcome = o
		record := r.encode("outcomes", 3)
		require.Equal(t, sub.ID.UUID(), string(record.Key))
		want, err := json.Marshal(o)
		require.NoError(t, err)
		_ = append(record.Key, "more"...)
		require.Equal(t, string(want), string(record.Value))
		record.Offset, record.ProducerID = 7, 7
		rs.put(r)
		again := rs.get(nil)
		require.LessOrEqual(t, cap(again.text), maxKeptRow)
		require.Equal(t, &kafka.Record{Topic: "outcomes", Partition: 2, Key: []byte(sub.ID.UUID()), Value: want}, again.with(o).encode("outcomes", 2))
		rs.put(again)
	}
}

func (r *row) with(o outcome.Outcome) *row {
	r.Outcome = o
	return r
}

// Every counter counts, whoever asks for it first.
func TestCounters(t *testing.T) {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "verdicts_total", Help: "Of a test."}, []string{"verdict", "reason"})
	c := byVerdict(vec)
	shown := func() int {
		ch := make(chan prometheus.Metric, 100)
		vec.Collect(ch)
		return len(ch)
	}
	require.Zero(t, shown(), "none is shown before it counts")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for _, r := range outcome.Reasons() {
				c.of(because{outcome.Dead, r}).Inc()
			}
		})
	}
	wg.Wait()
	require.Equal(t, len(outcome.Reasons()), shown())
	for _, r := range outcome.Reasons() {
		require.InDelta(t, 8, figure(t, vec.WithLabelValues("dead", string(r))), 0)
	}
}

// BenchmarkRow makes the outcome of an attempt, counts it, and encodes its record.
func BenchmarkRow(b *testing.B) {
	sub := subscriptionNamed("one")
	out := newSink(b)
	d := NewDeliverer(DelivererOptions{}, &registered{snap: snapshotOf(b, sub), confirmed: time.Now}, profilesForTest(b),
		answers(func(context.Context, *attempt.Request) (attempt.Response, error) { return response(200), nil }), out, out,
		func(err error) { b.Error(err) })
	standard, ok := d.profiles.Get("standard")
	require.True(b, ok)
	it := &item{d: deliveryOf(sub, 1), at: delivery.Position{Topic: "deliveries", Offset: 7}, arrived: time.Now()}
	resp := attempt.Response{
		Result: outcome.ResultSuccess, Status: 200, Started: time.Now(), Duration: 12_345 * time.Microsecond, FirstByte: 12 * time.Millisecond,
		Headers: "content-type: text/plain; charset=utf-8\ndate: Sun, 01 Mar 2026 12:00:30 GMT\ncontent-length: 2\n", Body: []byte("ok"),
	}
	j := profile.Judgement{Success: true, Result: outcome.ResultSuccess}
	v := verdict{Verdict: outcome.Delivered, reason: outcome.ReasonDelivered}
	b.ReportAllocs()
	for b.Loop() {
		c := &candidate{item: it, decision: &decision{sub: sub, tenant: acme, profile: standard}, started: resp.Started, digest: strings.Repeat("0a", 32)}
		r := d.rowOf(c, &resp, j, v)
		d.opts.Metrics.attempts.of(j.Result).Inc()
		d.logAttempt(&r.Outcome, nil)
		d.opts.Metrics.verdicts.of(because{r.Verdict, r.Reason}).Inc()
		r.encode(d.outcomes, 0)
		d.rows.put(r)
	}
}
