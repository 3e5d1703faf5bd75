package main

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// drain is the default of deliverer.drain; exitGrace is what an end may take on top: the last acknowledgements, the last
// commit, leaving.
const (
	drain     = 5 * time.Second
	exitGrace = 4 * time.Second
)

// sigterm: a deliverer is asked to end at full load. All that is in flight ends within the drain, so nothing is sent
// twice.
func sigterm(ctx context.Context, in *installation) error {
	r, err := in.terminate(ctx, in.scale(5000), func(hit) answer {
		return answer{After: rand.N(4 * time.Second)}
	})
	if err != nil {
		return err
	}
	in.wantZero(r.Receipts-r.Required, "sent twice, with requests of 0 to 4 s")
	return nil
}

// sigtermSlow: requests take 30 s, which no drain waits for. They are cut off and repeated; nothing is lost.
func sigtermSlow(ctx context.Context, in *installation) error {
	r, err := in.terminate(ctx, in.scale(600), func(hit) answer { return answer{After: 30 * time.Second} })
	if err != nil {
		return err
	}
	in.tell("sent again because they were cut off, with requests of 30 s", "%d", r.Receipts-r.Required)
	return nil
}

// terminate ends one of two deliverers at full load.
func (in *installation) terminate(ctx context.Context, events int, script func(hit) answer) (*history.Report, error) {
	like := patient
	like.Timeout = time.Minute
	all := in.tenants(24, 1, like)
	if err := in.apply(ctx, all); err != nil {
		return nil, err
	}
	in.endpoints.answerWith(script)
	roles, err := in.StartReady(ctx, "router", "retry", "deliver", "deliver")
	if err != nil {
		return nil, err
	}
	if err := in.balanced(ctx); err != nil {
		return nil, err
	}
	if err := in.produce(ctx, events, all); err != nil {
		return nil, err
	}
	// Full load: every lane of the one that ends has all the requests in flight that it may have.
	if err := rig.Pause(ctx, 3*time.Second); err != nil {
		return nil, err
	}
	inFlight, err := roles[2].Metric(ctx, "postrider_deliverer_in_flight")
	if err != nil {
		return nil, err
	}
	code, took, err := roles[2].Term(ctx)
	if err != nil {
		return nil, err
	}
	in.tell("in flight at SIGTERM", "%.0f", inFlight)
	in.want(code == 0, "exit code", "0", "%d", code)
	in.want(took <= drain+exitGrace, "time to exit", "≤ "+(drain+exitGrace).String(), "%s", took.Round(10*time.Millisecond))
	if err := in.drained(ctx, 3*time.Minute); err != nil {
		return nil, err
	}
	if err := in.settled(ctx, 15*time.Second); err != nil {
		return nil, err
	}
	if err := in.harvest(ctx); err != nil {
		return nil, err
	}
	return in.judge(history.Rules{Crashed: true}), nil
}
