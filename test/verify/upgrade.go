package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// Figures of the upgrade check.
const (
	upgradeRate = 60 // events a second
	// together is how long both releases share the work of a role before a process of the other one ends.
	together = 3 * time.Second
	// alone is how long one release has all the work, before and after each change: longer than the longest of the ladder's
	// delays but the last, so that these begin and end in it, too.
	alone = 12 * time.Second
)

// upgradeOrder is the order in which the roles change, and how many processes each has.
var upgradeOrder = []struct {
	role      string
	processes int
}{{"router", 1}, {"deliver", 2}, {"retry", 1}, {"recorder", 1}, {"api", 1}}

// ladder makes deliveries wait at several tiers, the last for longer than a change of all roles takes.
var ladder = rig.Retry{
	Delays: []time.Duration{time.Second, 3 * time.Second, 8 * time.Second, 20 * time.Second, 45 * time.Second}, MaxTries: 6,
}

// upgrade: the previous release has all roles, under load. Process by process this one takes over, gives back and takes over
// again, while some endpoints are down for all that time, which holds their breakers open and parks their deliveries, and others
// refuse events several times, which then wait at the steps of their ladder.
func upgrade(ctx context.Context, in *installation) error {
	if err := in.Configure("deliverer: {breaker: {open_for: 2s, max_open: 20s}}\n"); err != nil {
		return err
	}
	u := &upgrading{in: in, fleet: map[string][]*member{}}
	if err := u.subscribe(ctx); err != nil {
		return err
	}
	if err := u.begin(ctx); err != nil {
		return err
	}
	end, commits := in.steady(ctx, in.scaleRounds(upgradeRate), u.tenants), in.watchCommits(ctx)
	err := u.changes(ctx)
	in.endpoints.answerWith(func(hit) answer { return answer{} })
	if err := errorsOf(err, end()); err != nil {
		return err
	}
	if err := in.drained(ctx, 3*time.Minute); err != nil {
		return err
	}
	if err := in.settled(ctx, time.Minute); err != nil {
		return err
	}
	if err := commits(); err != nil {
		return err
	}
	if err := in.harvest(ctx); err != nil {
		return err
	}
	r := in.judge(history.Rules{})
	in.tell("received again, in all of it", "%d of %d", r.Repeats, r.Receipts)
	if err := u.crossed(ctx); err != nil {
		return err
	}
	if in.records != "" {
		if err := in.keepRecords(ctx, in.records, in.before.Name, u.spans[0].to); err != nil {
			return err
		}
	}
	if err := in.reconcile(ctx, r); err != nil {
		return err
	}
	return u.viewed(ctx)
}

// upgrading is the processes of two releases.
type upgrading struct {
	in      *installation
	tenants []rig.Tenant
	down    []string // subscriptions whose endpoints are down
	fleet   map[string][]*member
	spans   []span
	edits   int
}

// member is a process and what is needed to end it.
type member struct {
	*rig.Process
	api *apiProcess // of that role
}

// span is a time in which one release alone made attempts.
type span struct {
	release  string
	from, to time.Time
}

// subscribe makes three subscriptions for each tenant: to an endpoint that is well, to one that refuses a quarter of the events
// one to five times, and to one that is down, for the first half of the tenants.
func (u *upgrading) subscribe(ctx context.Context) error {
	in := u.in
	u.tenants = in.tenants(8, 3, patient)
	refusing, down := map[string]bool{}, map[string]bool{}
	for i, t := range u.tenants {
		t.Subscriptions[1].Retry = ladder
		refusing[t.Subscriptions[1].ID] = true
		if i < len(u.tenants)/2 {
			down[t.Subscriptions[2].ID] = true
		}
	}
	u.down = slices.Sorted(maps.Keys(down))
	if err := in.apply(ctx, u.tenants); err != nil {
		return err
	}
	in.endpoints.answerWith(func(h hit) answer {
		switch {
		case down[h.Subscription]:
			return answer{Status: http.StatusServiceUnavailable}
		case refusing[h.Subscription] && h.N <= refusals(h.Event):
			return answer{Status: http.StatusBadRequest} // is tried again, and opens no breaker
		}
		return answer{After: 10 * time.Millisecond}
	})
	return nil
}

// refusals is how often an event is refused: three of four never, the others one to five times.
func refusals(event string) int {
	n := 0
	_, _ = fmt.Sscanf(event, "e-%d", &n)
	if n /= 8; n%4 != 0 { // the tenants have every eighth
		return 0
	}
	return 1 + n/4%len(ladder.Delays)
}

// begin starts all roles of the previous release.
func (u *upgrading) begin(ctx context.Context) error {
	for _, o := range upgradeOrder {
		for range o.processes {
			m, err := u.start(ctx, o.role)
			if err != nil {
				return err
			}
			u.fleet[o.role] = append(u.fleet[o.role], m)
		}
	}
	return u.in.balanced(ctx)
}

func (u *upgrading) start(ctx context.Context, role string) (*member, error) {
	if role == "api" {
		api, err := u.in.startAPI(ctx)
		if err != nil {
			return nil, err
		}
		return &member{Process: api.Process, api: api}, nil
	}
	all, err := u.in.StartReady(ctx, role)
	if err != nil {
		return nil, err
	}
	return &member{Process: all[0]}, nil
}

// changes is all that happens under load.
func (u *upgrading) changes(ctx context.Context) error {
	in := u.in
	in.tell("releases", "from %s", in.before.Name)
	if err := u.rest(ctx, in.before); err != nil {
		return err
	}
	for i, to := range []rig.Release{in.now, in.before, in.now} {
		in.Binary = to.Binary
		if to == in.now { // as the chart's job does before an upgrade, and not before a rollback
			if _, err := in.Run(ctx, "topics", "apply", "--partitions", fmt.Sprint(partitions)); err != nil {
				return err
			}
		}
		begin := time.Now()
		if err := u.change(ctx); err != nil {
			return fmt.Errorf("change %d, to %s: %w", i+1, to.Name, err)
		}
		in.tell(fmt.Sprintf("change %d, to %s, took", i+1, to.Name), "%s", time.Since(begin).Round(time.Second))
		if err := u.rest(ctx, to); err != nil {
			return err
		}
	}
	return nil
}

// rest lets one release work alone for a while.
func (u *upgrading) rest(ctx context.Context, r rig.Release) error {
	from := time.Now()
	err := rig.Pause(ctx, alone)
	u.spans = append(u.spans, span{r.Name, from, time.Now()})
	return err
}

// change replaces every process by one of the other release: that one starts, both work, then the former ends.
func (u *upgrading) change(ctx context.Context) error {
	for _, o := range upgradeOrder {
		for i, old := range u.fleet[o.role] {
			m, err := u.start(ctx, o.role)
			if err != nil {
				return err
			}
			if err := rig.Pause(ctx, together); err != nil {
				return err
			}
			if err := u.both(ctx, old, m); err != nil {
				return err
			}
			code, took, err := old.Term(ctx)
			if err != nil {
				return err
			}
			if code != 0 || took > drain+exitGrace {
				u.in.want(false, "end of "+old.Name, "exit code 0", "%d after %s", code, took)
			}
			u.fleet[o.role][i] = m
		}
	}
	return nil
}

// both wants both processes at work.
func (u *upgrading) both(ctx context.Context, old, m *member) error {
	switch m.Role {
	case "deliver":
		for _, p := range []*member{old, m} {
			owned, err := u.in.owned(ctx, p.Process)
			if err != nil {
				return err
			}
			u.in.want(len(owned) > 0, "partitions of "+p.Name+" beside the other release", "1 or more", "%d", len(owned))
		}
	case "api":
		return errors.Join(u.edit(ctx, old.api, m.api), u.edit(ctx, m.api, old.api))
	}
	return nil
}

// edit changes a subscription at one API, and wants to see that at the other. It does not change what is delivered.
func (u *upgrading) edit(ctx context.Context, at, other *apiProcess) error {
	token, err := u.in.key(ctx)
	if err != nil {
		return err
	}
	u.edits++
	path := "/app/" + u.tenants[0].UID + "/endpoint/" + u.tenants[0].Subscriptions[0].ID
	want := fmt.Sprintf("edit %d", u.edits)
	var got *apiAnswer
	// A key that was made just now is not known yet, and the writer that the other API fenced starts again.
	err = rig.Await(ctx, 15*time.Second, func() (bool, error) {
		got, err = at.call(ctx, token, http.MethodPatch, path, map[string]any{"description": want}, "")
		return err == nil && got.status == http.StatusOK, err
	})
	if err != nil {
		return fmt.Errorf("changing a subscription: %v: %w", got, err)
	}
	err = rig.Await(ctx, 15*time.Second, func() (bool, error) {
		seen, err := other.call(ctx, token, http.MethodGet, path, nil, "")
		return err == nil && seen.etag == got.etag && string(seen.body) == string(got.body), err
	})
	said := "yes"
	if err != nil {
		said = err.Error()
	}
	u.in.want(err == nil, "a change at "+at.Name+" is the same at "+other.Name, "yes", "%s", said)
	return ctx.Err()
}
