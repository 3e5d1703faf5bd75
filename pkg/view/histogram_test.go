package view_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// histogramOf asks what a row of that duration is counted as, by its counters' only way out.
func histogramOf(d time.Duration) (h view.Histogram) {
	h.Observe(d)
	return h
}

func TestQuantiles(t *testing.T) {
	var h view.Histogram
	require.Zero(t, h.Quantile(0.5))
	require.Zero(t, h.Mean())
	random := rand.New(rand.NewPCG(1, 1))
	var all []time.Duration
	var sum time.Duration
	for range 20_000 {
		d := time.Duration(random.ExpFloat64()*float64(80*time.Millisecond)).Truncate(time.Microsecond) + 10*time.Millisecond
		all, sum = append(all, d), sum+d
		h.Observe(d)
	}
	slices.Sort(all)
	require.EqualValues(t, len(all), h.Count())
	require.Equal(t, sum/time.Duration(len(all)), h.Mean())
	for _, q := range []float64{0.01, 0.5, 0.95, 0.99, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		require.InEpsilon(t, float64(want), float64(h.Quantile(q)), 0.3, "p%v", q*100)
	}
	var twice view.Histogram
	twice.Add(&h)
	twice.Add(&h)
	require.Equal(t, h.Quantile(0.95), twice.Quantile(0.95))

	for _, d := range []time.Duration{0, time.Millisecond, 100 * time.Second, time.Hour} {
		var edge view.Histogram
		edge.Observe(d)
		require.EqualValues(t, 1, edge.Count(), d)
		require.LessOrEqual(t, edge.Quantile(0.5), 2*time.Minute)
	}
}

// Every value has a code: one without would read as unknown.
func TestEveryValueHasACode(t *testing.T) {
	_, r := now(t, view.Config{})
	var rows []view.Row
	verdicts := []outcome.Verdict{outcome.Delivered, outcome.Retry, outcome.Dead, outcome.Cancelled, outcome.Parked}
	for i, reason := range outcome.Reasons() {
		row := view.Row{
			Offset: int64(i), Subscription: subscriptionOf(1), Message: messageOf(1), EventType: "a", At: time.Now(), Reason: reason,
			Result: outcome.Results()[i%len(outcome.Results())], Verdict: verdicts[i%len(verdicts)],
		}
		rows = append(rows, row)
	}
	require.GreaterOrEqual(t, len(rows), len(outcome.Results()))
	addRows(t, r, 0, rows)
	page, err := r.Attempts(t.Context(), view.AttemptQuery{Subscription: subscriptionOf(1), AllRows: true, OldestFirst: true, Limit: 100})
	require.NoError(t, err)
	require.Len(t, page.Attempts, len(rows))
	for i, a := range page.Attempts {
		require.Equal(t, rows[i].Reason, a.Reason)
		require.Equal(t, rows[i].Result, a.Result)
		require.Equal(t, rows[i].Verdict, a.Verdict)
	}
}
