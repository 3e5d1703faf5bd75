package main

import (
	"context"
	"fmt"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
)

// Figures of the idle check.
const (
	idleRecords = 20_000
	idleFor     = 20 * time.Second
	idleShare   = 0.02 // of a core
	settleFor   = 10 * time.Second
)

// idle: 20,000 deliveries wait for an hour, and nobody has anything to do.
func idle(ctx context.Context, in *installation) error {
	hourly := rig.Subscription{Retry: rig.Retry{Every: time.Hour, MaxTries: 2}}
	all := in.tenants(10, 1, hourly)
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	in.endpoints.answerWith(func(hit) answer { return answer{Status: 400} })
	roles, err := in.StartReady(ctx, "router", "deliver", "retry")
	if err != nil {
		return err
	}
	n := in.scale(idleRecords)
	if err := in.produce(ctx, n, all); err != nil {
		return err
	}
	if err := rig.Await(ctx, 2*time.Minute, func() (bool, error) { return in.endpoints.total() >= n, nil }); err != nil {
		return fmt.Errorf("waiting for the first tries: %w", err)
	}
	if err := in.settled(ctx, 15*time.Second); err != nil {
		return err
	}
	if err := rig.Pause(ctx, settleFor); err != nil {
		return err
	}
	before := map[*rig.Process]float64{}
	for _, p := range roles {
		if before[p], err = p.CPU(ctx); err != nil {
			return err
		}
	}
	begin := time.Now()
	if err := rig.Pause(ctx, idleFor); err != nil {
		return err
	}
	for _, p := range roles {
		after, err := p.CPU(ctx)
		if err != nil {
			return err
		}
		rss, err := p.Metric(ctx, "process_resident_memory_bytes")
		if err != nil {
			return err
		}
		share := (after - before[p]) / time.Since(begin).Seconds()
		in.want(share < idleShare, "CPU of "+p.Name+" while "+fmt.Sprint(n)+" deliveries wait", fmt.Sprintf("< %.0f %% of a core", 100*idleShare),
			"%.2f %%, %.0f MiB", 100*share, rss/(1<<20))
	}
	in.want(in.endpoints.total() == n, "requests", fmt.Sprint(n), "%d", in.endpoints.total())
	return nil
}
