package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/report"
	"github.com/postrider/postrider/test/internal/rig"
)

// Figures of the recovery scenario.
const (
	recoveryParked = 100_000 // with --full, else a twentieth
	recoveryAnswer = 50 * time.Millisecond
	// laneConcurrency is the default of deliverer.lane_concurrency: requests in flight to one endpoint.
	laneConcurrency = 32
	// The defaults would spread the backlog over half an hour, and look again after up to 15 minutes.
	recoveryConfig = "deliverer: {breaker: {ramp_rate: 1000, max_open: 10s}}\n"
)

// recovery: an endpoint is down while deliveries come, and up again: one probe, a ramp, and everything is delivered.
func recovery(ctx context.Context, b *bench) (err error) {
	s, err := b.scene(ctx, set{hosts: 1, partitions: 1, config: recoveryConfig})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }() //nolint:contextcheck // see close
	n, outage := recoveryParked/20, 8*time.Second
	if s.full {
		n, outage = recoveryParked, time.Minute
	}
	tenants := s.tenants(1, 1, 0, func(int) string { return "switch" })
	tenants[0].Subscriptions[0].Retry = rig.Retry{Every: 2 * time.Second, MaxTries: 100}
	if err := s.start(ctx, tenants); err != nil {
		return err
	}
	if err := s.sink.turn(ctx, "status/503"); err != nil {
		return err
	}
	if err := s.park(ctx, n, tenants); err != nil {
		return err
	}
	if err := s.outage(ctx, n, outage); err != nil {
		return err
	}
	// An answer takes a time, so that what is sent at once can be told from what waits for the one before.
	if err := s.sink.turn(ctx, "delay/"+recoveryAnswer.String()); err != nil {
		return err
	}
	return s.recovered(ctx, n, time.Now())
}

// park sends n deliveries to the endpoint that is down, until all have left deliveries once.
func (s *scene) park(ctx context.Context, n int, tenants []rig.Tenant) error {
	a := s.account()
	if err := a.begin(); err != nil {
		return err
	}
	before, err := s.written(ctx)
	if err != nil {
		return err
	}
	if err := s.load.burst(ctx, n, tenants); err != nil {
		return err
	}
	err = rig.Await(ctx, 3*time.Minute, func() (bool, error) {
		parked, _, err := s.parked(ctx)
		return parked >= 0.99*float64(n), err // some are waiting for their second try
	})
	if err != nil {
		return fmt.Errorf("waiting until all are parked: %w", err)
	}
	used, took, err := a.end()
	if err != nil {
		return err
	}
	after, err := s.written(ctx)
	if err != nil {
		return err
	}
	s.tell(fmt.Sprintf("parking of %d", n), "%s: %.1f records written each, %s, Kafka %s", took.Round(100*time.Millisecond),
		float64(after-before-int64(n))/float64(n), micros(per(s.product(used), n)), micros(per(used["Kafka"], n)))
	return nil
}

// outage waits while the endpoint stays down.
func (s *scene) outage(ctx context.Context, n int, d time.Duration) error {
	a := s.account()
	if err := a.begin(); err != nil {
		return err
	}
	before, err := s.written(ctx)
	if err != nil {
		return err
	}
	requests, err := s.sink.receipts(ctx)
	if err != nil {
		return err
	}
	if err := rig.Pause(ctx, d); err != nil {
		return err
	}
	used, took, err := a.end()
	if err != nil {
		return err
	}
	after, err := s.written(ctx)
	if err != nil {
		return err
	}
	later, err := s.sink.receipts(ctx)
	if err != nil {
		return err
	}
	s.tell(fmt.Sprintf("outage of %s, %d parked", d, n), "%.0f records a second written, %.1f %% of a core, Kafka %.1f %%, Redis %.1f %%; %d requests",
		float64(after-before)/took.Seconds(), percent(s.product(used), took), percent(used["Kafka"], took), percent(used["Redis"], took), len(later)-len(requests))
	return nil
}

func percent(used, of time.Duration) float64 { return 100 * ratio(used, of) }

// written returns how many records are in all topics of the installation.
func (s *scene) written(ctx context.Context) (sum int64, err error) {
	topics, err := s.Admin.ListTopics(ctx)
	if err != nil {
		return 0, fmt.Errorf("listing topics: %w", err)
	}
	for name := range topics {
		if own, ok := strings.CutPrefix(name, s.Prefix); ok {
			end, err := s.End(ctx, own)
			if err != nil {
				return 0, err
			}
			sum += end
		}
	}
	return sum, nil
}

// recovered watches what happens after the endpoint is up.
func (s *scene) recovered(ctx context.Context, n int, up time.Time) error {
	closed, trips := false, 0
	limit := time.Minute + 2*time.Duration(n)*recoveryAnswer/10
	err := rig.Await(ctx, limit, func() (bool, error) {
		open, err := s.deliverer().Metric(ctx, "postrider_deliverer_breakers_open")
		if err != nil {
			return false, err
		}
		if closed && open > 0 {
			trips++
		}
		closed = open == 0
		state, err := s.sink.state(ctx)
		return state.Accepted >= int64(n), err
	})
	if ctx.Err() != nil {
		return err
	}
	took := time.Since(up)
	all, err := s.sink.receipts(ctx)
	if err != nil {
		return err
	}
	windows, first := ramp(all, up)
	s.want(len(windows) > 0 && windows[0] == 1, "requests before the first is answered", "1", "%v in each %s after it, %s after the endpoint was up",
		windows, recoveryAnswer, millis(first))
	s.want(trips == 0, "times that the breaker opened again", "0", "%d", trips)
	least := time.Duration(n) * recoveryAnswer / laneConcurrency
	made := len(latenciesOf(all, s.load.times(), 0, func(uint32) bool { return true }))
	s.add(made == n, report.Figure{
		What: "delivered", Target: "all", Value: took.Seconds(), Unit: "s", Ratio: ratio(took, least),
		Measured: fmt.Sprintf("%d of %d, %s after the endpoint was up, %.1f × what that many requests take; %d twice", made, n,
			took.Round(100*time.Millisecond), ratio(took, least), successes(all)-made),
	})
	return nil
}

// ramp counts the requests in the first windows of an answer's time after the first that was answered well, and how long
// after a time that came.
func ramp(all []receipt, up time.Time) (windows []int, first time.Duration) {
	const shown = 8
	begin := int64(0)
	for _, r := range all {
		if r.Status >= 300 || r.At < up.UnixNano() {
			continue
		}
		if begin == 0 {
			begin = r.At
			windows = make([]int, shown)
		}
		if w := (r.At - begin) / int64(recoveryAnswer); w < shown {
			windows[w]++
		}
	}
	return windows, time.Duration(begin - up.UnixNano())
}

func successes(all []receipt) (n int) {
	for _, r := range all {
		if r.Status < 300 {
			n++
		}
	}
	return n
}
