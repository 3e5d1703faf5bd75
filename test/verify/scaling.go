package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

const (
	scalingRate = 100 // events a second, each for three subscriptions
	// scalingWindow is how long latencies are looked at before and after each step.
	scalingWindow = 10 * time.Second
)

// scaling: deliverers go from one to four to two and routers from one to two to one under a steady load, as an autoscaler lets
// them. Nobody is killed, so nothing may be sent twice.
func scaling(ctx context.Context, in *installation) error {
	all := in.tenants(16, 3, patient)
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	in.endpoints.answerWith(func(hit) answer { return answer{After: 20 * time.Millisecond} })
	roles, err := in.StartReady(ctx, "retry", "router", "deliver")
	if err != nil {
		return err
	}
	s := &scaled{in: in, routers: roles[1:2:2], deliverers: roles[2:]}
	end, commits := in.steady(ctx, scalingRate, all), in.watchCommits(ctx)
	err = s.steps(ctx)
	if err := errors.Join(err, end()); err != nil {
		return err
	}
	if err := in.drained(ctx, time.Minute); err != nil {
		return err
	}
	if err := in.settled(ctx, 15*time.Second); err != nil {
		return err
	}
	if err := commits(); err != nil {
		return err
	}
	if err := in.harvest(ctx); err != nil {
		return err
	}
	r := in.judge(history.Rules{})
	in.want(r.Receipts == r.Required, "received", "every event × subscription once", "%d of %d", r.Receipts, r.Required)
	in.want(len(in.history.Deliveries) == r.Required, "expanded", "every event × subscription once", "%d of %d", len(in.history.Deliveries), r.Required)
	s.tell()
	return in.reconcile(ctx, r)
}

// scaled is what is scaled, and when.
type scaled struct {
	in                  *installation
	routers, deliverers []*rig.Process
	done                []step
}

// step is a change of the number of processes: from its beginning until all had joined or left.
type step struct {
	what     string
	from, to time.Time
}

func (s *scaled) steps(ctx context.Context) error {
	for _, next := range []struct {
		what string
		do   func(context.Context) error
	}{
		{"deliverers 1 to 4", func(ctx context.Context) error { return s.up(ctx, &s.deliverers, "deliver", 4) }},
		{"routers 1 to 2", func(ctx context.Context) error { return s.up(ctx, &s.routers, "router", 2) }},
		{"deliverers 4 to 2", func(ctx context.Context) error { return s.down(ctx, &s.deliverers, 2) }},
		{"routers 2 to 1", func(ctx context.Context) error { return s.down(ctx, &s.routers, 1) }},
	} {
		if err := rig.Pause(ctx, scalingWindow); err != nil {
			return err
		}
		from := time.Now()
		if err := next.do(ctx); err != nil {
			return fmt.Errorf("%s: %w", next.what, err)
		}
		if err := s.in.shared(ctx, len(s.deliverers)); err != nil {
			return err
		}
		s.done = append(s.done, step{next.what, from, time.Now()})
	}
	return rig.Pause(ctx, scalingWindow)
}

// up starts what lacks, all at once.
func (s *scaled) up(ctx context.Context, ps *[]*rig.Process, role string, to int) error {
	more, err := s.in.StartReady(ctx, slices.Repeat([]string{role}, to-len(*ps))...)
	*ps = append(*ps, more...)
	return err
}

// down ends the oldest, which have had partitions for longest, one after the other.
func (s *scaled) down(ctx context.Context, ps *[]*rig.Process, to int) error {
	for len(*ps) > to {
		victim := (*ps)[0]
		code, took, err := victim.Term(ctx)
		if err != nil {
			return err
		}
		s.in.want(code == 0 && took <= drain+exitGrace, "end of "+victim.Name, "exit code 0 within "+(drain+exitGrace).String(),
			"%d after %s", code, took.Round(10*time.Millisecond))
		*ps = (*ps)[1:]
	}
	return nil
}

// tell says how long events took, from their acknowledgement to their reception, before, during and after each step.
func (s *scaled) tell() {
	published := map[string]time.Time{}
	for _, e := range s.in.history.Events {
		published[e.ID] = e.At
	}
	within := func(from, to time.Time) string {
		var took []time.Duration
		for i := range s.in.history.Receipts {
			r := &s.in.history.Receipts[i]
			if at := published[r.Event]; !at.Before(from) && at.Before(to) {
				took = append(took, r.At.Sub(at))
			}
		}
		if len(took) == 0 {
			return "nothing"
		}
		slices.Sort(took)
		return fmt.Sprintf("p50 %s, p99 %s, max %s", took[len(took)/2].Round(time.Millisecond),
			took[len(took)*99/100].Round(time.Millisecond), took[len(took)-1].Round(time.Millisecond))
	}
	for _, d := range s.done {
		s.in.tell(d.what+": "+scalingWindow.String()+" before", "%s", within(d.from.Add(-scalingWindow), d.from))
		s.in.tell(d.what+": the "+d.to.Sub(d.from).Round(10*time.Millisecond).String()+" it took", "%s", within(d.from, d.to))
		s.in.tell(d.what+": "+scalingWindow.String()+" after", "%s", within(d.to, d.to.Add(scalingWindow)))
	}
}
