package kafka_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/kafka"
)

// gather returns the values of gauges by name.
func gather(t *testing.T, from prometheus.Gatherer) map[string][]float64 {
	t.Helper()
	families, err := from.Gather()
	require.NoError(t, err)
	values := map[string][]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] = append(values[f.GetName()], m.GetGauge().GetValue())
		}
	}
	return values
}

// The lag is what is not finished and what is not read; the age is that of the oldest that was read.
func TestLagAndAge(t *testing.T) {
	inGroupWorld(t, func(t *testing.T, w *groupWorld) {
		figures := prometheus.NewRegistry()
		var part atomic.Pointer[kafka.Partition]
		g, err := kafka.NewGroup(w.conf, kafka.GroupOptions{
			Name: "g", Topics: []string{work}, Metrics: kafka.NewMetrics(figures),
		}, handler{records: func(p *kafka.Partition, _ []*kafka.Record) { part.Store(p) }})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- g.Run(ctx) }()
		shows := func(lag, age float64) {
			t.Helper()
			got := gather(t, figures)
			require.Equal(t, []float64{lag}, got["postrider_group_lag_records"])
			require.Len(t, got["postrider_group_oldest_unfinished_seconds"], 1)
			require.InDelta(t, age, got["postrider_group_oldest_unfinished_seconds"][0], 1) // known to the second
		}
		time.Sleep(10 * time.Second)
		shows(0, 0)

		for range 3 {
			w.send(1)
			time.Sleep(20 * time.Second)
		}
		shows(3, 60)
		state := g.State(time.Now())
		require.InDelta(t, 60, state.Oldest.Seconds(), 1)
		require.Equal(t, kafka.GroupState{Partitions: 1, Unfinished: 3, Oldest: state.Oldest}, state)
		lags, err := kafka.GroupLags(ctx, w.conf, "g", "nobody")
		require.NoError(t, err)
		require.EqualValues(t, 3, lags["g"].Records())
		require.Equal(t, 1, lags["g"].Members)
		require.Zero(t, lags["nobody"].Records())
		part.Load().Finish(1)
		shows(3, 60) // what is done above it does not make the oldest younger
		part.Load().Finish(0)
		shows(1, 20)
		part.Load().Hold(kafka.HoldBytes)
		time.Sleep(10 * time.Second)
		w.send(2) // not read, and counted
		shows(3, 30)
		part.Load().Release(kafka.HoldBytes)
		time.Sleep(10 * time.Second)
		for offset := range int64(5) {
			part.Load().Finish(offset)
		}
		shows(0, 0)

		cancel()
		require.NoError(t, <-done)
		require.Empty(t, gather(t, figures)["postrider_group_lag_records"], "a member that has left")
	})
}
