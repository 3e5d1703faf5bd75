package main

import (
	"context"
	"time"

	"github.com/postrider/postrider/test/verify/history"
)

// faultFree: nothing goes wrong, so nothing may be lost and nothing sent twice.
func faultFree(ctx context.Context, in *installation) error {
	all := in.tenants(20, 3, patient)
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	roles, err := in.StartReady(ctx, "router", "deliver", "retry")
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := in.produce(ctx, in.scale(100_000), all); err != nil {
		return err
	}
	produced := time.Since(begin)
	if err := in.drained(ctx, 4*time.Minute); err != nil {
		return err
	}
	took := time.Since(begin)
	if err := in.settled(ctx, 10*time.Second); err != nil {
		return err
	}
	n := in.endpoints.accepted.Load()
	in.tell("deliveries/s", "%.0f (events produced in %s, all received after %s)", float64(n)/took.Seconds(),
		produced.Round(10*time.Millisecond), took.Round(10*time.Millisecond))
	for _, p := range roles {
		cpu, err := p.CPU(ctx)
		if err != nil {
			return err
		}
		in.tell("CPU of "+p.Name, "%.1f s, %.0f µs per delivery", cpu, 1e6*cpu/float64(n))
	}
	if err := in.harvest(ctx); err != nil {
		return err
	}
	r := in.judge(history.Rules{})
	in.want(r.Receipts == r.Required, "received", "every event × subscription once", "%d of %d", r.Receipts, r.Required)
	in.wantZero(r.Counts[history.BadSignature], "invalid signatures")
	return in.reconcile(ctx, r)
}
