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
	memoryConns   = 4096 * 33 << 10 // the default of egress.max_idle_conns, at the 33 KB of one over TLS
	memoryFlat    = 1.15            // the last third to the second
	// memoryAllowed is what a process may have more than before. The collector lets a heap grow to twice what is in use.
	memoryAllowed = 2 * (memoryBound + memoryConns)
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
	var samples memorySamples
	watching, stop := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- s.watchMemory(watching, &samples) }()
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
	return s.deliverer().Metric(ctx, "process_resident_memory_bytes")
}

// memorySamples are of a deliverer, in bytes.
type memorySamples struct {
	rss  []float64
	held float64 // deliveries in memory by its own account, at most
}

// watchMemory takes samples until ctx ends.
func (s *scene) watchMemory(ctx context.Context, to *memorySamples) error {
	for rig.Pause(ctx, 250*time.Millisecond) == nil {
		rss, err := s.rss(ctx)
		held, err2 := s.deliverer().Metric(ctx, "postrider_deliverer_bytes")
		if err := errors.Join(err, err2); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // the time is over
			}
			return err
		}
		to.rss, to.held = append(to.rss, rss), max(to.held, held)
	}
	return nil
}

func (s *scene) memoryFigures(samples memorySamples, before float64) {
	const mib = 1 << 20
	if len(samples.rss) < 3 {
		s.want(false, "memory", "measured", "%d samples", len(samples.rss))
		return
	}
	third := len(samples.rss) / 3
	first, middle, last := mean(samples.rss[:third]), mean(samples.rss[third:2*third]), mean(samples.rss[2*third:])
	top := slices.Max(samples.rss)
	s.add(top <= before+memoryAllowed, report.Figure{
		What: "memory of the deliverer, at most", Target: fmt.Sprintf("≤ %.0f MiB", (before+memoryAllowed)/mib), Value: top, Unit: "B", Ratio: top / before,
		Measured: fmt.Sprintf("%.0f MiB, %.0f before; %.0f MiB of deliveries, %d are allowed", top/mib, before/mib, samples.held/mib, memoryBound/mib),
	})
	s.want(last <= memoryFlat*middle, "memory over time", fmt.Sprintf("the last third ≤ %.2f × the second", memoryFlat),
		"%.0f, %.0f, %.0f MiB: %.2f ×", first/mib, middle/mib, last/mib, last/middle)
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
