package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

const (
	// failedDeliveries of one endpoint are recovered, at recoverRate a second.
	failedDeliveries = 50_000
	recoverRate      = 10_000 // the most there is, so that the kills come at any moment of a step
)

// recoverAfterKills: an endpoint has refused everything for a while; what failed is recovered in the background, and the API's
// process that does it is killed again and again.
func recoverAfterKills(ctx context.Context, in *installation) error {
	all := in.tenants(1, 2, rig.Subscription{Retry: rig.Retry{Every: time.Second, MaxTries: 1}})
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	ill := all[0].Subscriptions[0].ID
	in.endpoints.answerWith(func(h hit) answer {
		if h.Subscription == ill && h.N == 1 {
			return answer{Status: http.StatusBadRequest}
		}
		return answer{}
	})
	if _, err := in.StartReady(ctx, "router", "deliver", "retry"); err != nil {
		return err
	}
	since, n := time.Now(), in.scale(failedDeliveries)
	if err := in.produce(ctx, n, all); err != nil {
		return err
	}
	if err := in.failed(ctx, ill, n); err != nil {
		return err
	}
	token, err := in.key(ctx)
	if err != nil {
		return err
	}
	r := &recovery{in: in, token: token, n: n}
	for range 2 {
		p, err := in.startAPI(ctx)
		if err != nil {
			return err
		}
		r.apis = append(r.apis, p)
	}
	if err := r.start(ctx, "/app/"+all[0].UID+"/endpoint/"+ill+"/background-task", since); err != nil {
		return err
	}
	kills := 3
	for i := range kills {
		if err := r.killAt(ctx, n*(i+1)/(kills+1)); err != nil {
			return err
		}
	}
	if err := r.finish(ctx); err != nil {
		return err
	}
	if err := in.settled(ctx, time.Minute); err != nil {
		return err
	}
	for i := range in.history.Events {
		in.history.Resends[history.Pair{Event: in.history.Events[i].ID, Subscription: ill}] = 1
	}
	if err := in.harvest(ctx); err != nil {
		return err
	}
	in.judge(history.Rules{})
	return r.account(ctx, ill)
}

// failed waits until so many requests were made to an endpoint, and all is settled.
func (in *installation) failed(ctx context.Context, subscription string, n int) error {
	err := rig.Await(ctx, 3*time.Minute, func() (bool, error) { return in.endpoints.requests(subscription) >= n, nil })
	if err != nil {
		return fmt.Errorf("waiting for %d requests, now %d: %w", n, in.endpoints.requests(subscription), err)
	}
	return in.settled(ctx, time.Minute)
}

// recovery is a task and the processes that may carry it out.
type recovery struct {
	in    *installation
	apis  []*apiProcess
	token string
	n     int
	begun time.Time
	last  taskProgress
	// stalls are how long nothing was done after a kill; memory is the most that an owner had, bytes.
	stalls []time.Duration
	memory float64
}

// taskProgress is what the API says of a task.
type taskProgress struct {
	ID, Status, Error              string
	Counted, Done, Failed, Resumed int
}

func (r *recovery) start(ctx context.Context, path string, since time.Time) error {
	r.begun = time.Now()
	got, err := r.apis[0].call(ctx, r.token, http.MethodPost, path, map[string]any{
		"task": "endpoint.recover", "since": since.UTC(), "perSecond": recoverRate,
	}, "")
	if err != nil {
		return err
	}
	if got.status != http.StatusAccepted {
		return fmt.Errorf("starting a task: %d %s", got.status, got.body)
	}
	return json.Unmarshal(got.body, &r.last)
}

// look asks the first process how far the task is.
func (r *recovery) look(ctx context.Context) error {
	got, err := r.apis[0].call(ctx, r.token, http.MethodGet, "/background-task/"+r.last.ID+"/progress", nil, "")
	if err != nil {
		return err
	}
	if got.status != http.StatusOK {
		return fmt.Errorf("asking for a task: %d %s", got.status, got.body)
	}
	if err := json.Unmarshal(got.body, &r.last); err != nil {
		return err
	}
	if r.last.Error != "" {
		return fmt.Errorf("the task failed: %s", r.last.Error)
	}
	return nil
}

// killAt waits until so many are done and kills the process that did it; another one is started.
func (r *recovery) killAt(ctx context.Context, done int) error {
	err := rig.Await(ctx, 2*time.Minute, func() (bool, error) { return r.last.Done >= done, r.look(ctx) })
	if err != nil {
		return fmt.Errorf("waiting until %d are done, now %+v: %w", done, r.last, err)
	}
	for i, p := range r.apis {
		running, err := p.Metric(ctx, "postrider_tasks_running")
		if err != nil {
			return err
		}
		if running == 0 {
			continue
		}
		memory, err := p.Metric(ctx, "process_resident_memory_bytes")
		if err != nil {
			return err
		}
		r.memory = max(r.memory, memory)
		p.Kill(ctx)
		killed := time.Now()
		other := r.apis[1-i]
		started, err := r.in.startAPI(ctx)
		if err != nil {
			return err
		}
		r.apis = []*apiProcess{other, started}
		at := r.last.Done
		if err := rig.Await(ctx, time.Minute, func() (bool, error) { return r.last.Done > at, r.look(ctx) }); err != nil {
			return fmt.Errorf("waiting for another process to go on: %w", err)
		}
		r.stalls = append(r.stalls, time.Since(killed).Round(100*time.Millisecond))
		return nil
	}
	return fmt.Errorf("no process carries the task out: %+v", r.last)
}

func (r *recovery) finish(ctx context.Context) error {
	err := rig.Await(ctx, 2*time.Minute, func() (bool, error) { return r.last.Status != "running", r.look(ctx) })
	took := time.Since(r.begun)
	r.in.want(r.last.Status == "finished", "the task", "finished", "%s: %+v", r.last.Status, r.last)
	r.in.want(r.last.Done == r.n && r.last.Failed == 0, "recovered", fmt.Sprint(r.n), "%d, %d failed", r.last.Done, r.last.Failed)
	r.in.tell("time, with its rate of "+fmt.Sprint(recoverRate)+"/s", "%s", took.Round(100*time.Millisecond))
	r.in.tell("kills, and how long nothing was done after each", "%d, %v", len(r.stalls), r.stalls)
	r.in.tell("found written by the next owner and not written again", "%d", r.last.Resumed)
	r.in.tell("resident memory of an owner", "at most %.0f MiB", r.memory/(1<<20))
	return err
}

// account counts what was written and what was received.
func (r *recovery) account(ctx context.Context, subscription string) error {
	records, deliveries, back := 0, map[string]bool{}, map[string]int{}
	err := r.in.Read(ctx, "deliveries", func(rec *kgo.Record) error {
		d := record(rec)
		switch written := slices.ContainsFunc(rec.Headers, func(h kgo.RecordHeader) bool { return h.Key == delivery.HeaderTask }); {
		case written:
			records++
			deliveries[d.Delivery] = true
		case strings.HasPrefix(d.Trigger, "recover/"): // a retrier's, of one that was put off
			back[d.Reason]++
		}
		return nil
	})
	if err != nil {
		return err
	}
	more := 0
	for i := range r.in.history.Events {
		if got := r.in.endpoints.count(history.Pair{Event: r.in.history.Events[i].ID, Subscription: subscription}); got != 2 {
			more++
		}
	}
	r.in.want(len(deliveries) == r.n, "deliveries written again", fmt.Sprint(r.n), "%d", len(deliveries))
	r.in.wantZero(records-len(deliveries), "written more than once")
	r.in.tell("put off, by reason", "%v", back)
	r.in.wantZero(more, "not sent exactly once more")
	return nil
}
