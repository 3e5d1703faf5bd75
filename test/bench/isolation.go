package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/test/internal/report"
	"github.com/postrider/postrider/test/internal/rig"
)

// Figures of the isolation scenario.
const (
	isolationRatio  = 1.2 // p99 of the healthy with the fault, to that without
	isolationHealed = 30 * time.Second
	fullLoad        = 0.7 // of what the machine does at once
	floodRate       = 10  // events a second to each of the others
	flooded         = 50_000
	floodFor        = 10 * time.Second
)

// fault is something that goes wrong with the last endpoints of a scene.
type fault struct {
	name              string
	endpoints, faulty int
	rate              float64 // events a second to each endpoint; 0: [fullLoad]
	// begin brings it about.
	begin func(ctx context.Context, s *scene, f fault) error
	// flood sends the events of a fault that is one.
	flood func(ctx context.Context, l *load, to []rig.Tenant) error
}

// atOnce is more than the machine can do in the same time, so the processors have no room for the others.
func atOnce(ctx context.Context, l *load, to []rig.Tenant) error { return l.burst(ctx, flooded, to) }

// stream is more than the endpoint takes, see [slow]: what the others feel is it, not the processors.
func stream(ctx context.Context, l *load, to []rig.Tenant) error {
	_, err := l.steady(ctx, flooded/floodFor.Seconds(), floodFor, to)
	return err
}

func slow(ctx context.Context, s *scene, _ fault) error { return s.sink.turn(ctx, "delay/50ms") }

func hang(ctx context.Context, s *scene, _ fault) error { return s.sink.turn(ctx, "delay/30s") }

func refuse(ctx context.Context, s *scene, f fault) error {
	return s.sink.refuse(ctx, f.endpoints-f.faulty, f.endpoints)
}

// isolation: what some endpoints do must not show at the others, although the deliveries of all are in one partition and no
// breaker is open when it begins.
func isolation(ctx context.Context, b *bench) error {
	each := 20.0
	faults := []fault{
		{name: "1 of 10 hangs", endpoints: 10, faulty: 1, rate: each, begin: hang},
		{name: "20 of 100 hang", endpoints: 100, faulty: 20, rate: each, begin: hang},
		{name: "50 of 100 refuse", endpoints: 100, faulty: 50, rate: each, begin: refuse},
	}
	if b.full {
		for _, f := range faults[:3] {
			f.name, f.rate = f.name+", full load", 0
			faults = append(faults, f)
		}
	}
	faults = append(faults,
		fault{name: "1 of 10 is flooded with 50,000 at once", endpoints: 10, faulty: 1, rate: floodRate, flood: atOnce},
		fault{name: "1 of 10 is flooded with 50,000 in 10 s", endpoints: 10, faulty: 1, rate: floodRate, flood: stream, begin: slow})
	for _, f := range faults {
		if err := b.isolate(ctx, f); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}

// isolate measures the healthy endpoints without the fault and with it.
func (b *bench) isolate(ctx context.Context, f fault) (err error) {
	s, err := b.scene(ctx, set{hosts: f.endpoints, partitions: 1})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }() //nolint:contextcheck // see close
	tenants := s.tenants(f.endpoints, 1, 0, func(endpoint int) string {
		if endpoint < f.endpoints-f.faulty {
			return "ok"
		}
		return "switch"
	})
	if err := s.start(ctx, tenants); err != nil {
		return err
	}
	capacity, err := s.capacity(ctx, tenants)
	if err != nil {
		return err
	}
	if f.rate == 0 {
		f.rate = fullLoad * capacity / float64(f.endpoints)
	}
	calm, fault := 6*time.Second, 10*time.Second
	if s.full {
		calm, fault = 30*time.Second, 90*time.Second
	}
	healthy := tenants[:f.endpoints-f.faulty]
	loaded := tenants
	if f.flood != nil {
		loaded = healthy
	}
	without, err := s.healthy(ctx, f.rate, loaded, calm, healthy)
	if err != nil {
		return err
	}
	if f.begin != nil {
		if err := f.begin(ctx, s, f); err != nil {
			return err
		}
	}
	from, flood := s.load.count(), make(chan error, 1)
	go func() {
		if f.flood == nil {
			flood <- nil
			return
		}
		flood <- f.flood(ctx, s.load, tenants[len(healthy):])
	}()
	with, err := s.healthy(ctx, f.rate, loaded, fault, healthy)
	if err := errors.Join(err, <-flood); err != nil {
		return err
	}
	routing, err := s.routing(ctx, from, healthy)
	if err != nil {
		return err
	}
	return s.isolated(ctx, f, capacity, without, with, routing)
}

// capacity sends the endpoints what it can at once and returns the deliveries per second. It opens their connections, too.
func (s *scene) capacity(ctx context.Context, tenants []rig.Tenant) (float64, error) {
	const n = 10_000
	before, err := s.sink.state(ctx)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := s.load.burst(ctx, n, tenants); err != nil {
		return 0, err
	}
	accepted, err := s.sink.awaitAccepted(ctx, before.Accepted+n, time.Minute)
	if err != nil {
		return 0, fmt.Errorf("%d of %d delivered: %w", accepted-before.Accepted, n, err)
	}
	rate := n / time.Since(begin).Seconds()
	return rate, rig.Pause(ctx, 2*time.Second) // the last outcomes and commits
}

// phase is what the healthy endpoints saw for a time.
type phase struct {
	latencies
	want int // deliveries
}

// healthy sends a steady load, each so many a second, and waits for the deliveries of the healthy, who are the first of the tenants.
func (s *scene) healthy(ctx context.Context, each float64, loaded []rig.Tenant, d time.Duration, healthy []rig.Tenant) (p phase, err error) {
	from := s.load.count()
	sent, err := s.load.steady(ctx, each*float64(len(loaded)), d, loaded)
	if err != nil {
		return p, err
	}
	for i := range sent {
		if i%len(loaded) < len(healthy) {
			p.want++
		}
	}
	mine := func(endpoint uint32) bool { return int(endpoint) < len(healthy) }
	deadline := time.Now().Add(isolationHealed)
	for {
		all, err := s.sink.receipts(ctx)
		if err != nil {
			return p, err
		}
		p.latencies = latenciesOf(all, s.load.times(), from, mine)
		if len(p.latencies) >= p.want || time.Now().After(deadline) {
			return p, nil
		}
		if err := rig.Pause(ctx, 250*time.Millisecond); err != nil {
			return p, err
		}
	}
}

// isolated adds the figures.
func (s *scene) isolated(ctx context.Context, f fault, capacity float64, without, with phase, routing latencies) error {
	parked, diverted, err := s.parked(ctx)
	if err != nil {
		return err
	}
	state, err := s.sink.state(ctx)
	if err != nil {
		return err
	}
	before, after := without.at(0.99), with.at(0.99)
	s.add(ratio(after, before) <= isolationRatio, report.Figure{
		What: f.name + ": p99 of the others", Target: fmt.Sprintf("≤ %.1f × without", isolationRatio),
		Value: inMillis(after), Unit: "ms", Ratio: ratio(after, before),
		Measured: fmt.Sprintf("%s, %.2f × %s (p50 %s, was %s)", millis(after), ratio(after, before), millis(before), millis(with.at(0.5)), millis(without.at(0.5))),
	})
	s.want(len(with.latencies) == with.want, "deliveries of the others", "all", "%d of %d within %s", len(with.latencies), with.want, isolationHealed)
	s.tell("of it until the router had it", "p50 %s, p99 %s", millis(routing.at(0.5)), millis(routing.at(0.99)))
	s.tell("load", "%.0f/s to each of %d, %.0f %% of %.0f/s, delivered at once; %d connections, %.0f parked, %.0f of them diverted",
		f.rate, f.endpoints, 100*f.rate*float64(f.endpoints)/capacity, capacity, state.Connections, parked, diverted)
	return nil
}
