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

// Figures of the tenant scenario.
const (
	tenantSubscriptions = 5000             // of the big tenant
	tenantFanOut        = 10               // of them want each event
	tenantOthers        = 10               // other tenants, with one subscription each
	tenantShare         = 0.9              // of the load, of the big one
	tenantRatio         = 2.0              // p99 of the others beside it, to that without
	tenantDrained       = 10 * time.Minute // for what is left of twice what is possible, of a minute
)

// many is what makes most of the load: its event i goes to one of its tenants.
type many struct {
	tenant, eventType func(i int) string
}

// tenant: one makes 90 % of the load, over 5,000 subscriptions. What of it the others feel is told beside what they feel of the same
// load where 500 tenants make it.
func tenant(ctx context.Context, b *bench) (err error) {
	s, err := b.scene(ctx, set{hosts: 1000, partitions: 8})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }() //nolint:contextcheck // see close
	others := s.tenants(tenantOthers, 1, 0, fine)
	big := s.tenants(1, tenantSubscriptions, tenantOthers, fine)[0]
	big.UID = "big"
	for i := range big.Subscriptions {
		big.Subscriptions[i].Types = []string{bigType(i / tenantFanOut)}
	}
	even := s.tenants(tenantSubscriptions/tenantFanOut, tenantFanOut, tenantOthers, fine)
	for i := range even {
		even[i].UID = fmt.Sprintf("even-%d", i)
	}
	if err := s.start(ctx, slices.Concat(others, even, []rig.Tenant{big})); err != nil {
		return err
	}
	one := many{tenant: func(int) string { return big.UID }, eventType: bigType}
	all := many{tenant: func(i int) string { return even[i%len(even)].UID }, eventType: func(int) string { return rig.EventType }}
	capacity, err := s.capacity(ctx, others)
	if err != nil {
		return err
	}
	for _, of := range []many{one, all} { // opens their connections
		if err := s.flood(ctx, of, 4*time.Second, 20*time.Second, tenantSubscriptions); err != nil {
			return err
		}
	}
	d := 8 * time.Second
	totals := []float64{1000, fullLoad * capacity}
	if s.full {
		d = time.Minute
		totals = []float64{1000, fullLoad * capacity, 2 * capacity}
	}
	for _, total := range totals {
		if err := s.tenantAt(ctx, total, capacity, d, others, one, all); err != nil {
			return err
		}
	}
	return nil
}

// bigType is the event type of event i of the big tenant. As many of its subscriptions want it as the fan-out is, each at
// another host.
func bigType(i int) string {
	return fmt.Sprintf("order.kind%d", i%(tenantSubscriptions/tenantFanOut))
}

// beside measures the others while many or one make the rest of a load.
func (s *scene) beside(ctx context.Context, each float64, d time.Duration, others []rig.Tenant, of many, n int) (phase, error) {
	done := make(chan error, 1)
	go func() { done <- s.flood(ctx, of, d, tenantDrained, n) }()
	p, err := s.healthy(ctx, each, others, d, others)
	return p, errors.Join(err, <-done)
}

// tenantAt measures the others at a load, in deliveries a second: without the part that is not theirs, where many make that, and
// where one does.
func (s *scene) tenantAt(ctx context.Context, total, capacity float64, d time.Duration, others []rig.Tenant, one, all many) error {
	each, rest := total*(1-tenantShare)/float64(len(others)), int(total*tenantShare*d.Seconds())
	without, err := s.healthy(ctx, each, others, d, others)
	if err != nil {
		return err
	}
	spread, err := s.beside(ctx, each, d, others, all, rest)
	if err != nil {
		return err
	}
	from := s.load.count()
	a := s.account()
	if err := a.begin(); err != nil {
		return err
	}
	connections, err := s.sink.state(ctx)
	if err != nil {
		return err
	}
	with, err := s.beside(ctx, each, d, others, one, rest)
	if err != nil {
		return err
	}
	used, took, err := a.end()
	if err != nil {
		return err
	}
	routing, err := s.routing(ctx, from, others)
	if err != nil {
		return err
	}
	state, err := s.sink.state(ctx)
	if err != nil {
		return err
	}
	parked, diverted, err := s.parked(ctx)
	if err != nil {
		return err
	}
	before, after := without.at(0.99), with.at(0.99)
	what := fmt.Sprintf("90 %% of %.0f/s", total)
	s.add(ratio(after, before) <= tenantRatio, report.Figure{
		What: what + ": p99 of the others", Target: fmt.Sprintf("≤ %.0f × without", tenantRatio),
		Value: inMillis(after), Unit: "ms", Ratio: ratio(after, before),
		Measured: fmt.Sprintf("%s, %.2f × %s (p50 %s, was %s)", millis(after), ratio(after, before), millis(before), millis(with.at(0.5)), millis(without.at(0.5))),
	})
	s.tell("the same load of 500 tenants", "%s, one is %.2f × that (p50 %s)", millis(spread.at(0.99)), ratio(after, spread.at(0.99)), millis(spread.at(0.5)))
	s.want(len(with.latencies) == with.want, "deliveries of the others", "all", "%d of %d within %s", len(with.latencies), with.want, isolationHealed)
	s.tell("of it until the router had it", "p50 %s, p99 %s", millis(routing.at(0.5)), millis(routing.at(0.99)))
	n := int(state.Accepted - connections.Accepted)
	s.tell("meanwhile", "%d deliveries in %s, %s each, %s, Kafka %s, %d new connections", n, took.Round(100*time.Millisecond),
		micros(per(s.product(used), n)), spent(a, used, n, "router", "deliver"), micros(per(used["Kafka"], n)), state.Connections-connections.Connections)
	s.tell("load", "%.0f %% of the %.0f/s that were delivered at once; %.0f parked, %.0f of them diverted", 100*total/capacity, capacity, parked, diverted)
	return nil
}

// flood sends n deliveries over a time and waits until they are made, for at most limit.
func (s *scene) flood(ctx context.Context, of many, d, limit time.Duration, n int) error {
	events := n / tenantFanOut
	pacing, stop := context.WithTimeout(ctx, d)
	defer stop()
	sent := 0
	rig.Pace(pacing, float64(events)/d.Seconds(), func(i int) {
		s.load.event(ctx, of.tenant(i), of.eventType(i))
		if sent++; sent >= events {
			stop()
		}
	})
	if err := s.load.end(); err != nil {
		return err
	}
	return s.idle(ctx, limit)
}

// idle waits until nothing is left to do.
func (s *scene) idle(ctx context.Context, limit time.Duration) error {
	err := rig.Await(ctx, limit, func() (bool, error) {
		for _, group := range []string{"router", "deliverer"} {
			if lag, err := s.Lag(ctx, group); lag > 0 || err != nil {
				return false, err
			}
		}
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("waiting until all is done: %w", err)
	}
	return nil
}
