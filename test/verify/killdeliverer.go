package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// killEvery is the time between two kills: more than the session, so that every one leads to a failover.
const killEvery = 10 * time.Second

// kill is one kill -9 of a deliverer.
type kill struct {
	at    time.Time
	owned []int32 // partitions
}

// killDeliverer: one of two deliverers dies every 10 s under load, while some endpoints fail for phases, so that
// breakers are open and deliveries parked.
func killDeliverer(ctx context.Context, in *installation) error {
	if err := in.Configure("deliverer: {breaker: {open_for: 2s, max_open: 4s}}\n"); err != nil {
		return err
	}
	all := in.tenants(16, 3, patient)
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	failing := in.phases(all)
	roles, err := in.StartReady(ctx, "router", "retry", "deliver", "deliver")
	if err != nil {
		return err
	}
	if err := in.balanced(ctx); err != nil {
		return err
	}
	end, commits := in.steady(ctx, 300, all), in.watchCommits(ctx)
	kills, err := in.killInTurn(ctx, roles[2:], in.scaleRounds(6))
	failing.stop()
	if err := errorsOf(err, end()); err != nil {
		return err
	}
	stopped := time.Now()
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
	in.tell("commits seen", "%d", len(in.history.Commits))
	in.tell("kills", "%d; what the dead had in flight and had received in their last second bounds the repeats", len(kills))
	r := in.judge(history.Rules{Repeats: in.repeatBound(kills), Crashed: true})
	in.ages(kills)
	parked := 0
	for _, o := range in.history.Outcomes {
		if o.Verdict == "parked" {
			parked++
		}
	}
	in.want(parked > 0, "deliveries were parked meanwhile", "some", "%d", parked)
	in.failover(kills, stopped)
	return in.reconcile(ctx, r)
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// scaleRounds shortens a number of rounds for --short.
func (in *installation) scaleRounds(n int) int {
	if in.short {
		return max(1, n/3)
	}
	return n
}

// phases lets a quarter of the subscriptions fail for 6 s of every 12 s, until it is stopped.
type phases struct{ in *installation }

func (in *installation) phases(all []rig.Tenant) phases {
	ill := map[string]bool{}
	n := 0
	for _, t := range all {
		for _, s := range t.Subscriptions {
			if n++; n%4 == 0 {
				ill[s.ID] = true
			}
		}
	}
	begin := time.Now()
	in.endpoints.answerWith(func(h hit) answer {
		if ill[h.Subscription] && int(time.Since(begin).Seconds())%12 < 6 {
			return answer{Status: 503}
		}
		return answer{After: 20 * time.Millisecond}
	})
	return phases{in}
}

func (p phases) stop() { p.in.endpoints.answerWith(func(hit) answer { return answer{} }) }

// killInTurn kills the deliverers in turn and starts another one at once.
func (in *installation) killInTurn(ctx context.Context, ps []*rig.Process, rounds int) ([]kill, error) {
	ps = slices.Clone(ps)
	var kills []kill
	for i := range rounds {
		if err := rig.Pause(ctx, killEvery); err != nil {
			return nil, err
		}
		victim := ps[i%len(ps)]
		owned, err := in.owned(ctx, victim)
		if err != nil {
			return nil, err
		}
		victim.Kill(ctx)
		kills = append(kills, kill{at: time.Now(), owned: owned})
		if ps[i%len(ps)], err = in.Start(ctx, "deliver"); err != nil {
			return nil, err
		}
	}
	// The last failover belongs to the load, too.
	return kills, rig.Pause(ctx, killEvery)
}

// owned returns the partitions of deliveries that a deliverer has.
func (in *installation) owned(ctx context.Context, p *rig.Process) ([]int32, error) {
	owners, err := in.owners(ctx)
	return owners[p.Name], err
}

// owners returns the partitions of deliveries by the name of the process that has them.
func (in *installation) owners(ctx context.Context) (map[string][]int32, error) {
	groups, err := in.Admin.DescribeGroups(ctx, in.Topic("deliverer"))
	if err != nil {
		return nil, fmt.Errorf("asking for the members of the group: %w", err)
	}
	out := map[string][]int32{}
	for _, m := range groups[in.Topic("deliverer")].Members {
		assigned, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, t := range assigned.Topics {
			name := strings.TrimSuffix(m.ClientID, "-deliverer") // the client of the group, not that of the producer
			out[name] = append(out[name], t.Partitions...)
		}
	}
	return out, nil
}

// balanced waits until two deliverers share the partitions.
func (in *installation) balanced(ctx context.Context) error { return in.shared(ctx, 2) }

// shared waits until so many deliverers share the partitions.
func (in *installation) shared(ctx context.Context, deliverers int) error {
	var owners map[string][]int32
	err := rig.Await(ctx, 30*time.Second, func() (bool, error) {
		var err error
		if owners, err = in.owners(ctx); err != nil {
			return false, err
		}
		total := 0
		for _, ps := range owners {
			total += len(ps)
		}
		return len(owners) == deliverers && total == partitions, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for %d deliverers to share the partitions, now %v: %w", deliverers, owners, err)
	}
	return nil
}

// repeatBound is how many requests may be repeated: for every kill what was in flight to the victim's subscriptions
// then, and what they received in the second before, which may not have been committed.
func (in *installation) repeatBound(kills []kill) (n int) {
	partition := in.partitionOf()
	for _, k := range kills {
		for i := range in.history.Receipts {
			r := &in.history.Receipts[i]
			if slices.Contains(k.owned, partition[r.Subscription]) && !r.At.After(k.at) &&
				(r.Answered.IsZero() || r.Answered.After(k.at.Add(-time.Second))) && r.At.After(k.at.Add(-time.Minute)) {
				n++
			}
		}
	}
	return n
}

// ages tells how long before its kill a delivery had been accepted that was sent again after it. More than the second
// between two commits would mean that finished work was not remembered. A delivery that was accepted after the failover
// and then again had two records: the dead had parked it and not committed that.
func (in *installation) ages(kills []kill) {
	accepted, told := map[history.Pair]time.Time{}, map[history.Pair]bool{}
	var ages []time.Duration
	later := 0
	for i := range in.history.Receipts {
		r := &in.history.Receipts[i]
		if first, again := accepted[r.Pair]; again && !told[r.Pair] {
			told[r.Pair] = true
			if k, ok := killBetween(kills, first.Add(-commitEach), r.At); ok && k.at.After(first.Add(-afterKill)) {
				ages = append(ages, k.at.Sub(first))
			} else {
				later++
			}
		}
		if r.Status == 200 && !told[r.Pair] {
			accepted[r.Pair] = r.Answered
		}
	}
	slices.Sort(ages)
	oldest := time.Duration(0)
	if len(ages) > 0 {
		oldest = ages[len(ages)-1]
	}
	in.want(oldest <= commitEach+afterKill, "accepted before the kill, of what was sent again", "≤ "+(commitEach+afterKill).String(),
		"at most %s, %d deliveries", round(oldest), len(ages))
	in.tell("deliveries sent again that were accepted after the failover", "%d", later)
}

// commitEach is the time between two commits.
const commitEach = time.Second

// killBetween returns the first kill between two times.
func killBetween(kills []kill, from, to time.Time) (kill, bool) {
	for _, k := range kills {
		if k.at.After(from) && k.at.Before(to) {
			return k, true
		}
	}
	return kill{}, false
}

// partitionOf returns the partition of every subscription, as the outcomes tell it.
func (in *installation) partitionOf() map[string]int32 {
	out := map[string]int32{}
	for i := range in.history.Outcomes {
		out[in.history.Outcomes[i].Subscription] = in.history.Outcomes[i].Record.Partition
	}
	return out
}

// afterKill keeps apart what a dead process had sent and the endpoints read late.
const afterKill = 250 * time.Millisecond

// failover tells how long the partitions of the dead stood still.
func (in *installation) failover(kills []kill, until time.Time) {
	partition := in.partitionOf()
	times := map[int32][]time.Time{}
	for i := range in.history.Receipts {
		r := &in.history.Receipts[i]
		if r.At.Before(until) {
			p := partition[r.Subscription]
			times[p] = append(times[p], r.At)
		}
	}
	var firsts []time.Duration
	var stall time.Duration
	for _, k := range kills {
		var first time.Duration
		for _, p := range k.owned {
			for _, t := range times[p] {
				if took := t.Sub(k.at); took > afterKill && (first == 0 || took < first) {
					first = took
				}
			}
		}
		firsts = append(firsts, first)
	}
	for _, p := range slices.Sorted(maps.Keys(times)) {
		slices.SortFunc(times[p], time.Time.Compare)
		for i := 1; i < len(times[p]); i++ {
			stall = max(stall, times[p][i].Sub(times[p][i-1]))
		}
	}
	for i := range firsts {
		firsts[i] = firsts[i].Round(100 * time.Millisecond)
	}
	in.tell("session timeout", "%s", rig.SessionTimeout)
	in.tell("failover, from kill to the first request of a partition of the dead", "%v", firsts)
	in.tell("longest stall of a partition under load", "%s", stall.Round(100*time.Millisecond))
}
