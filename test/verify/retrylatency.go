package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// delays of retries, in seconds: as many subscriptions.
const delays = 30

// latencyRate is how many deliveries are made a second, for 10 s. In one burst the first tries would take the deliverer
// seconds, and retries that come due meanwhile would wait for it: that is not the retry path.
const latencyRate = 1020

// retryLatency: 10,000 deliveries wait between 1 and 30 s in retry tiers of one partition each; each comes back on time.
func retryLatency(ctx context.Context, in *installation) error {
	if err := in.onePartitionATier(ctx); err != nil {
		return err
	}
	all := in.tenants(1, delays, patient)
	for i := range all[0].Subscriptions {
		all[0].Subscriptions[i].Retry.Every = time.Duration(i+1) * time.Second
	}
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	in.endpoints.answerWith(func(h hit) answer {
		if h.N == 1 {
			return answer{Status: 400} // is retried, and opens no breaker
		}
		return answer{}
	})
	roles, err := in.StartReady(ctx, "router", "deliver", "retry")
	if err != nil {
		return err
	}
	end := in.steady(ctx, latencyRate/delays, all)
	if err := errorsOf(rig.Pause(ctx, time.Duration(in.scale(10))*time.Second), end()); err != nil {
		return err
	}
	if err := in.drained(ctx, 2*time.Minute); err != nil {
		return err
	}
	rss, err := roles[2].Metric(ctx, "process_resident_memory_bytes")
	if err != nil {
		return err
	}
	if err := in.settled(ctx, 10*time.Second); err != nil {
		return err
	}
	if err := in.harvest(ctx); err != nil {
		return err
	}
	late := in.lateness()
	slices.Sort(late)
	if len(late) == 0 {
		return fmt.Errorf("no retry was received")
	}
	quantile := func(q float64) time.Duration { return late[int(q*float64(len(late)-1))] }
	early, _ := slices.BinarySearch(late, 0)
	in.want(early == 0, "retries that came early", "0", "%d of %d", early, len(late))
	in.want(quantile(0.99) <= time.Second, "late at p99", "≤ 1s", "%s (p50 %s, max %s)", round(quantile(0.99)), round(quantile(0.5)), round(quantile(1)))
	in.tell("memory of the retrier", "%.0f MiB", rss/(1<<20))
	in.judge(history.Rules{})
	return nil
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }

// lateness returns how much after its due each second request was received.
func (in *installation) lateness() (late []time.Duration) {
	due := map[history.Pair]time.Time{}
	for _, o := range in.history.Outcomes {
		if o.Verdict == "retry" && o.Attempt == 1 {
			due[history.Pair{Event: o.Event, Subscription: o.Subscription}] = *o.Due
		}
	}
	requests := map[history.Pair]int{}
	for _, r := range in.history.Receipts {
		if requests[r.Pair]++; requests[r.Pair] == 2 {
			late = append(late, r.At.Sub(due[r.Pair]))
		}
	}
	return late
}

// onePartitionATier makes the retry topics anew with one partition: the order of the records in it is what has to hold.
func (in *installation) onePartitionATier(ctx context.Context) error {
	all, err := in.Admin.ListTopics(ctx)
	if err != nil {
		return fmt.Errorf("listing topics: %w", err)
	}
	var tiers []string
	for name := range all {
		if strings.HasPrefix(name, in.Topic("retry.")) {
			tiers = append(tiers, name)
		}
	}
	if _, err := in.Admin.DeleteTopics(ctx, tiers...); err != nil {
		return fmt.Errorf("deleting retry topics: %w", err)
	}
	if err := in.topicsAre(ctx, tiers, 0); err != nil {
		return fmt.Errorf("waiting for retry topics to go: %w", err)
	}
	size := fmt.Sprint(1<<20 + 128<<10)
	made, err := in.Admin.CreateTopics(ctx, 1, -1, map[string]*string{"max.message.bytes": &size}, tiers...)
	if err == nil {
		err = made.Error()
	}
	if err != nil {
		return fmt.Errorf("making retry topics of one partition: %w", err)
	}
	return in.topicsAre(ctx, tiers, len(tiers))
}

// topicsAre waits until n of the topics are there, with one partition each.
func (in *installation) topicsAre(ctx context.Context, names []string, n int) error {
	return rig.Await(ctx, 20*time.Second, func() (bool, error) {
		topics, err := in.Admin.ListTopics(ctx)
		if err != nil {
			return false, err
		}
		there := 0
		for _, name := range names {
			if topics.Has(name) && len(topics[name].Partitions) == 1 {
				there++
			} else if topics.Has(name) {
				return false, nil
			}
		}
		return there == n, nil
	})
}
