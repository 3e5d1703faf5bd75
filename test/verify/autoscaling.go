package main

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"slices"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// scalingValues are over the chart's own: thresholds of an installation as small as this, one process at least, and no others.
const scalingValues = `
autoscaling: {enabled: true}
defaults: {autoscaling: {enabled: true, minReplicas: 1}}
roles: {deliver: {autoscaling: {lag: 300, oldestUnfinishedSeconds: 5}}, router: {autoscaling: {lag: 300}}}
config: {kafka: {prefix: %q}, deliverer: {workers: 64}}
`

const (
	// waitingRetries wait in the retry tiers, for longer than the check lasts.
	waitingRetries = 2000
	// wantWithin is how long it may take until a change is seen: a scrape a second, rates over two minutes aside.
	wantWithin = time.Minute
)

// autoscaling: the questions of the chart's ScaledObjects are put to a Prometheus that scrapes the running processes. What waits in
// the retry tiers asks for no process; endpoints that become slow do, by each of the three signals, and no more once they are mended.
func autoscaling(ctx context.Context, in *installation) error {
	if err := in.Configure("deliverer: {workers: 64}\n"); err != nil {
		return err
	}
	all := in.tenants(6, 1, patient)
	all[0].Subscriptions[0].Retry = rig.Retry{Every: time.Hour, MaxTries: 2}
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	waits := all[0].Subscriptions[0].ID
	refuse := answer{Status: http.StatusBadRequest} // which opens no breaker
	well := func(h hit) answer {
		if h.Subscription == waits {
			return refuse
		}
		return answer{After: 10 * time.Millisecond}
	}
	in.endpoints.answerWith(well)
	roles, err := in.StartReady(ctx, "router", "retry", "deliver")
	if err != nil {
		return err
	}
	k, err := in.autoscaler(ctx, fmt.Sprintf(scalingValues, in.Prefix), roles)
	if err != nil {
		return err
	}
	if err := in.produce(ctx, waitingRetries, all[:1]); err != nil {
		return err
	}
	if err := in.failed(ctx, waits, waitingRetries); err != nil {
		return err
	}
	waiting, err := in.Lag(ctx, "retrier")
	if err != nil {
		return err
	}
	in.want(waiting >= waitingRetries, "records that wait in the retry tiers", fmt.Sprint(waitingRetries), "%d", waiting)
	if err := k.quiet(ctx, "deliverers wanted while these wait"); err != nil {
		return err
	}
	in.endpoints.answerWith(func(h hit) answer {
		if h.Subscription == waits {
			return refuse
		}
		return answer{After: 5 * time.Second}
	})
	if err := in.produce(ctx, 2*waitingRetries, all[1:]); err != nil {
		return err
	}
	if err := k.busy(ctx); err != nil {
		return err
	}
	in.endpoints.answerWith(well)
	if err := in.settled(ctx, 2*time.Minute); err != nil {
		return err
	}
	if err := k.quiet(ctx, "deliverers wanted once all is delivered"); err != nil {
		return err
	}
	if err := in.harvest(ctx); err != nil {
		return err
	}
	// What waits has an hour to go; the others are judged.
	in.history.Subscriptions = slices.DeleteFunc(in.history.Subscriptions, func(s history.Subscription) bool { return s.ID == waits })
	in.history.Receipts = slices.DeleteFunc(in.history.Receipts, func(r history.Receipt) bool { return r.Subscription == waits })
	in.history.Outcomes = slices.DeleteFunc(in.history.Outcomes, func(o history.Outcome) bool { return o.Subscription == waits })
	in.judge(history.Rules{})
	return nil
}

// quiet waits until one process of each role is enough.
func (k *autoscaler) quiet(ctx context.Context, what string) error {
	var asked map[string]wanted
	err := rig.Await(ctx, wantWithin, func() (enough bool, err error) {
		if asked, err = k.ask(ctx); err != nil {
			return false, err
		}
		return !slices.ContainsFunc(k.triggers, func(t trigger) bool { return asked[t.title()].processes > 1 }), nil
	})
	k.in.want(err == nil, what, "1 within "+wantWithin.String(), "%v", asked)
	return ctx.Err()
}

// busy waits until each signal of the deliverers has asked for more than one process.
func (k *autoscaler) busy(ctx context.Context) error {
	most := map[string]wanted{}
	signals := []string{"deliver lag", "deliver oldest-unfinished", "deliver utilisation"}
	// What was not so in time stands in the figures.
	_ = rig.Await(ctx, wantWithin, func() (bool, error) {
		asked, err := k.ask(ctx)
		if err != nil {
			return false, err
		}
		for _, s := range signals {
			if asked[s].processes > most[s].processes {
				most[s] = asked[s]
			}
		}
		return !slices.ContainsFunc(signals, func(s string) bool { return most[s].processes <= 1 }), nil
	})
	for _, s := range signals {
		k.in.want(most[s].processes > 1, s+" of endpoints that are slow", "more than 1 process within "+wantWithin.String(), "%s", most[s])
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return nil
}

// wanted is what a signal is, and how many processes it asks for.
type wanted struct {
	value     float64
	processes int
}

func (w wanted) String() string { return fmt.Sprintf("%d at %.4g", w.processes, w.value) }

// tolerance is by how much the autoscaler of Kubernetes lets a ratio differ from one before it acts.
const tolerance = 0.1

// want is how many processes the HorizontalPodAutoscaler makes of a value, as KEDA sets it up, while there is one.
func (t trigger) want(value float64) wanted {
	n := int(math.Ceil(value / t.Threshold)) // AverageValue: the value is of all processes, the threshold for each
	if ratio := value / t.Threshold; math.Abs(ratio-1) <= tolerance {
		n = 1
	}
	return wanted{value, min(max(n, t.Min), t.Max)} // Value is the same for one process
}
