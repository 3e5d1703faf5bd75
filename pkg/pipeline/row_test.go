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
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/profile"
)

// The key and the value share memory, and neither grows into the other.
func TestRowsEncoded(t *testing.T) {
	var e rowEncoder
	sub := subscriptionNamed("one")
	long := &outcome.Outcome{Subscription: sub.ID, Detail: strings.Repeat("x", 2*maxKeptRow)}
	for _, o := range []*outcome.Outcome{{Subscription: sub.ID}, long, {Subscription: sub.ID, Status: 200}} {
		key, value := e.encode(o)
		require.Equal(t, sub.ID.UUID(), string(key))
		want, err := json.Marshal(o)
		require.NoError(t, err)
		_ = append(key, "more"...)
		require.Equal(t, string(want), string(value))
		second, _ := e.encode(&outcome.Outcome{})
		require.NotEqual(t, string(second), string(key))
		require.Equal(t, string(want), string(value), "what was encoded before stays")
	}
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
		row := &d.rowOf(c, &resp, j, v).Outcome
		d.opts.Metrics.attempts.of(j.Result).Inc()
		d.logAttempt(row, nil)
		d.opts.Metrics.verdicts.of(because{row.Verdict, row.Reason}).Inc()
		_, _ = d.rows.encode(row)
	}
}
