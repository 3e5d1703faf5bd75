package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/test/internal/report"
	"github.com/postrider/postrider/test/internal/rig"
)

// Figures of the memory scenario.
const (
	memoryTenants = 100
	memoryFanOut  = 10
	memoryWorkers = 512             // the default
	memoryAnswer  = time.Second     // of the endpoints: what can be delivered a second is memoryWorkers
	memoryFactor  = 10              // times that is sent
	memoryBound   = 64 << 20        // deliverer.max_in_flight_bytes
	memoryHeap    = 3 * memoryBound // of it in the process: the collector lets a heap grow to twice what is in use
	memoryFlat    = 1.15            // the last third to the second
)

// memory: ten times what can be delivered. A deliverer keeps to its bound, and makes all deliveries once it can.
func memory(ctx context.Context, b *bench) (err error) {
	s, err := b.scene(ctx, set{
		hosts: 100, partitions: 8,
		config: fmt.Sprintf("deliverer: {max_in_flight_bytes: %d, workers: %d}\n", memoryBound, memoryWorkers),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }() //nolint:contextcheck // see close
	tenants := s.tenants(memoryTenants, memoryFanOut, 0, func(int) string { return "switch" })
	if err := s.start(ctx, tenants); err != nil {
		return err
	}
	before, err := s.rss(ctx)
	if err != nil {
		return err
	}
	if err := s.sink.turn(ctx, "delay/"+memoryAnswer.String()); err != nil {
		return err
	}
	d := 15 * time.Second
	if s.full {
		d = 2 * time.Minute
	}
	var samples []float64
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- s.watchRSS(watching, &samples) }()
	rate := float64(memoryFactor * memoryWorkers / int(memoryAnswer/time.Second) / memoryFanOut)
	events, err := s.load.steady(ctx, rate, d, tenants)
	stop()
	if err := errors.Join(err, <-watched); err != nil {
		return err
	}
	made, err := s.sink.state(ctx)
	if err != nil {
		return err
	}
	s.tell("load", "%d deliveries in %s; %d made meanwhile", events*memoryFanOut, d, made.Accepted)
	s.memoryFigures(samples, before)
	return s.memoryDrained(ctx, events*memoryFanOut)
}

func (s *scene) rss(ctx context.Context) (float64, error) {
	return s.role("deliver").Metric(ctx, "process_resident_memory_bytes")
}

// watchRSS takes samples until ctx ends.
func (s *scene) watchRSS(ctx context.Context, samples *[]float64) error {
	for rig.Pause(ctx, 250*time.Millisecond) == nil {
		rss, err := s.rss(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the time is over
			}
			return err
		}
		*samples = append(*samples, rss)
	}
	return nil
}

func (s *scene) memoryFigures(samples []float64, before float64) {
	if len(samples) < 3 {
		s.want(false, "memory", "measured", "%d samples", len(samples))
		return
	}
	third := len(samples) / 3
	middle, last, top := mean(samples[third:2*third]), mean(samples[2*third:]), slices.Max(samples)
	s.add(top <= before+memoryHeap, report.Figure{
		What: "memory of the deliverer, at most", Target: fmt.Sprintf("≤ %.0f MiB", (before+memoryHeap)/(1<<20)), Value: top, Unit: "B", Ratio: top / before,
		Measured: fmt.Sprintf("%.0f MiB, %.0f before; %d MiB of data are allowed", top/(1<<20), before/(1<<20), memoryBound>>20),
	})
	s.want(last <= memoryFlat*middle, "memory over time", fmt.Sprintf("the last third ≤ %.2f × the second", memoryFlat),
		"%.0f, %.0f, %.0f MiB: %.2f ×", mean(samples[:third])/(1<<20), middle/(1<<20), last/(1<<20), last/middle)
}

func mean(of []float64) (sum float64) {
	for _, v := range of {
		sum += v
	}
	return sum / float64(len(of))
}

// memoryDrained lets the endpoints answer at once and waits for all that was sent.
func (s *scene) memoryDrained(ctx context.Context, n int) error {
	if err := s.sink.turn(ctx, "ok"); err != nil {
		return err
	}
	begin := time.Now()
	if _, err := s.sink.awaitAccepted(ctx, int64(n), 3*time.Minute); ctx.Err() != nil {
		return err
	}
	took := time.Since(begin)
	all, err := s.sink.receipts(ctx)
	if err != nil {
		return err
	}
	made := len(latenciesOf(all, s.load.times(), 0, func(uint32) bool { return true }))
	parked, diverted, err := s.parked(ctx)
	if err != nil {
		return err
	}
	s.want(made == n, "delivered", "all", "%d of %d, %s after the endpoints were quick again; %.0f parked, %.0f of them diverted",
		made, n, took.Round(100*time.Millisecond), parked, diverted)
	return nil
}
