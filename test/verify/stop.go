package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// stop: a subscription with a backlog is disabled; the time of the last request after the acknowledged change counts.
// The case without a connection to the registry is that of test/flow, see the package.
func stop(ctx context.Context, in *installation) error {
	if err := in.Configure("deliverer: {lane_concurrency: 4}\n"); err != nil {
		return err
	}
	all := in.tenants(3, 1, patient)
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	in.endpoints.answerWith(func(hit) answer { return answer{After: 20 * time.Millisecond} })
	if _, err := in.StartReady(ctx, "router", "retry", "deliver", "deliver"); err != nil {
		return err
	}
	if err := in.balanced(ctx); err != nil {
		return err
	}
	if err := in.produce(ctx, in.scale(12_000)+2000, all); err != nil {
		return err
	}
	if err := rig.Pause(ctx, 2*time.Second); err != nil {
		return err
	}
	stopped := &all[0].Subscriptions[0]
	stopped.Disabled = true
	if err := in.Apply(ctx, all); err != nil {
		return err
	}
	acknowledged, err := in.lastChange(ctx)
	if err != nil {
		return err
	}
	in.history.Subscriptions[0].Lives[0].To = acknowledged
	// Those that go on have to drain; what was stopped stays away meanwhile.
	if err := in.settled(ctx, 2*time.Minute); err != nil {
		return err
	}
	if err := in.harvest(ctx); err != nil {
		return err
	}
	var last time.Time
	for _, r := range in.history.Receipts {
		if r.Subscription == stopped.ID && r.At.After(last) {
			last = r.At
		}
	}
	r := in.judge(history.Rules{})
	in.want(last.Sub(acknowledged) <= stopWithin, "last request after the change was written", "≤ "+stopWithin.String(), "%s", round(last.Sub(acknowledged)))
	in.want(r.Cancelled > 0, "cancelled of its backlog", "some", "%d", r.Cancelled)
	return nil
}

// lastChange returns when the last record of the registry was written, which is before its acknowledgement.
func (in *installation) lastChange(ctx context.Context) (last time.Time, err error) {
	err = in.Read(ctx, "registry", func(r *kgo.Record) error {
		last = r.Timestamp
		return nil
	})
	if err == nil && last.IsZero() {
		err = fmt.Errorf("the registry is empty")
	}
	return last, err
}
