package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// harvest reads what the run left in Kafka into the history.
func (in *installation) harvest(ctx context.Context) error {
	h := &in.history
	h.Receipts = in.endpoints.snapshot()
	h.Outcomes, h.Deliveries, h.DeadLetters = nil, nil, nil
	err := in.Read(ctx, "outcomes", func(r *kgo.Record) error {
		var o history.Outcome
		if err := json.Unmarshal(r.Value, &o); err != nil {
			return fmt.Errorf("reading outcome %d/%d: %w", r.Partition, r.Offset, err)
		}
		h.Outcomes = append(h.Outcomes, o)
		return nil
	})
	if err != nil {
		return err
	}
	if err := in.harvestRouted(ctx); err != nil {
		return err
	}
	for topic, list := range map[string]*[]history.Record{"deliveries": &h.Deliveries, "deadletters": &h.DeadLetters} {
		err := in.Read(ctx, topic, func(r *kgo.Record) error {
			if !isMark(r) {
				*list = append(*list, record(r))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// isMark reports whether a record of deadletters is no letter, but what closes one.
func isMark(r *kgo.Record) bool {
	return slices.ContainsFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == "pr-mark" })
}

// stopWithin is how long after the acknowledgement of a change a disabled subscription may still be called.
const stopWithin = 2 * time.Second

// harvestRouted reads the router's accounts.
func (in *installation) harvestRouted(ctx context.Context) error {
	ends, err := in.Admin.ListEndOffsets(ctx, in.Topic("events"))
	if err != nil {
		return fmt.Errorf("listing ends of events: %w", err)
	}
	in.history.Routed, in.history.SourceEnds = nil, map[int32]int64{}
	for p, end := range ends[in.Topic("events")] {
		in.history.SourceEnds[p] = end.Offset
	}
	return in.Read(ctx, "routed", func(r *kgo.Record) error {
		var account struct {
			history.Range
			Topic string `json:"topic"`
		}
		if err := json.Unmarshal(r.Value, &account); err != nil {
			return fmt.Errorf("reading routed record %d/%d: %w", r.Partition, r.Offset, err)
		}
		if account.Topic == in.Topic("events") { // operational events are routed as well
			in.history.Routed = append(in.history.Routed, account.Range)
		}
		return nil
	})
}

func record(r *kgo.Record) history.Record {
	out := history.Record{Position: history.Position{Partition: r.Partition, Offset: r.Offset}}
	out.Subscription = string(r.Key)
	for _, header := range r.Headers {
		switch v := string(header.Value); header.Key {
		case "pr-event":
			out.Event = v
		case "pr-delivery":
			out.Delivery = v
		case "pr-message":
			out.Message = v
		case "pr-trigger":
			out.Trigger = v
		case "pr-reason":
			out.Reason = v
		}
	}
	return out
}

// judge holds the harvested history against the promises and adds the figures that all checks have.
func (in *installation) judge(rules history.Rules) *history.Report {
	rules.StopWithin = stopWithin
	r := history.Check(&in.history, rules)
	in.want(r.Counts[history.Lost] == 0, "lost", "0", "%d of %d", r.Counts[history.Lost], r.Required)
	target := "0"
	if rules.Crashed {
		target = fmt.Sprintf("≤ %d", rules.Repeats)
	}
	in.want(r.Counts[history.Repeated] == 0, "received again after a 2xx", target, "%d", r.Repeats)
	other := 0
	for kind, n := range r.Counts {
		if kind != history.Lost && kind != history.Repeated {
			other += n
		}
	}
	in.wantZero(other, "other broken promises")
	for _, example := range r.Examples {
		in.tell("for example", "%s", example)
	}
	in.tell("outcomes", "%d delivered, %d dead, %d cancelled; %d requests", r.Delivered, r.Dead, r.Cancelled, r.Receipts)
	return r
}

// settled waits until the deliverers' commits have reached the end of deliveries: everything is finished.
func (in *installation) settled(ctx context.Context, limit time.Duration) error {
	var open int64
	err := rig.Await(ctx, limit, func() (bool, error) {
		lag, err := in.Lag(ctx, "deliverer")
		open = lag
		return lag == 0, err
	})
	in.want(err == nil, "commits at the end of deliveries", "within "+limit.String(), "%d behind", open)
	return ctx.Err()
}

// commitEvery is how often commits are looked at: several times as often as they are made.
const commitEvery = 200 * time.Millisecond

// watchCommits notes the deliverers' commits in the background. The returned function ends it.
func (in *installation) watchCommits(ctx context.Context) (end func() error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() {
		for rig.Pause(ctx, commitEvery) == nil {
			offsets, err := in.Admin.FetchOffsets(ctx, in.Topic("deliverer"))
			if err != nil && ctx.Err() == nil {
				done <- fmt.Errorf("watching commits: %w", err)
				return
			}
			offsets.Each(func(o kadm.OffsetResponse) {
				in.history.Commits = append(in.history.Commits, history.Commit{Partition: o.Partition, Offset: o.At})
			})
		}
		done <- nil
	}()
	return sync.OnceValue(func() error { cancel(); return <-done })
}
