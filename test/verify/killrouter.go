package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// fanOut is how many subscriptions want one event.
const fanOut = 1000

// expansionBytes makes an expansion of 1,000 deliveries take long enough to be caught in the middle.
const expansionBytes = 48 << 10

// killRouter: the router dies in the middle of an expansion, after Kafka has acknowledged a part of it, and a deliverer
// dies in the same minute.
func killRouter(ctx context.Context, in *installation) error {
	all := in.tenants(1, fanOut, patient)
	if err := in.apply(ctx, all); err != nil {
		return err
	}
	roles, err := in.StartReady(ctx, "deliver", "deliver", "retry")
	if err != nil {
		return err
	}
	if err := in.balanced(ctx); err != nil {
		return err
	}
	// Slow enough that the deliverer that dies has something in hand.
	in.endpoints.answerWith(func(hit) answer { return answer{After: 200 * time.Millisecond} })
	partial := 0
	var kills []kill
	for round := range in.scaleRounds(5) {
		var victim *rig.Process
		if round == 0 {
			victim = roles[0]
		}
		made, k, err := in.killInExpansion(ctx, all[0].UID, victim)
		if err != nil {
			return err
		}
		kills = append(kills, k...)
		if made > 0 && made < fanOut {
			partial++
		}
	}
	if _, err := in.StartReady(ctx, "router"); err != nil {
		return err
	}
	in.want(partial > 0, "routers killed after a part of an expansion was acknowledged", "1 or more", "%d of %d", partial, in.scaleRounds(5))
	if err := in.drained(ctx, 2*time.Minute); err != nil {
		return err
	}
	if err := in.settled(ctx, 30*time.Second); err != nil {
		return err
	}
	if err := in.harvest(ctx); err != nil {
		return err
	}
	r := in.judge(history.Rules{Repeats: in.repeatBound(kills), Crashed: true})
	twice := len(in.history.Deliveries) - r.Required
	in.want(twice > 0, "deliveries that were expanded twice", "1 or more", "%d", twice)
	in.wantZero(r.Counts[history.BadIdentity], "ids that differ")
	return in.reconcile(ctx, r)
}

// killInExpansion starts a router, gives it one event and kills it as soon as the end of deliveries moves, and with it
// the victim if there is one. It returns how many deliveries of the event were acknowledged by then.
func (in *installation) killInExpansion(ctx context.Context, tenant string, victim *rig.Process) (made int, kills []kill, err error) {
	router, err := in.StartReady(ctx, "router")
	if err != nil {
		return 0, nil, err
	}
	// What an earlier router left undone comes first, and must not be taken for this event's.
	if err := rig.Await(ctx, 30*time.Second, func() (bool, error) {
		lag, err := in.Lag(ctx, "router")
		return lag == 0, err
	}); err != nil {
		return 0, nil, fmt.Errorf("waiting for the router to finish what its predecessor left: %w", err)
	}
	before, err := in.End(ctx, "deliveries")
	if err != nil {
		return 0, nil, err
	}
	if victim != nil {
		owned, err := in.owned(ctx, victim)
		if err != nil {
			return 0, nil, err
		}
		kills = append(kills, kill{owned: owned})
	}
	l := &load{in: in, pad: noise(expansionBytes)}
	e := l.event(ctx, tenant)
	if err := l.end(); err != nil {
		return 0, nil, err
	}
	for now := before; now == before; {
		if ctx.Err() != nil {
			return 0, nil, context.Cause(ctx)
		}
		if now, err = in.End(ctx, "deliveries"); err != nil {
			return 0, nil, err
		}
	}
	router[0].Kill(ctx)
	if victim != nil {
		if err := rig.Pause(ctx, 100*time.Millisecond); err != nil {
			return 0, nil, err
		}
		victim.Kill(ctx)
		kills[0].at = time.Now()
		if _, err := in.Start(ctx, "deliver"); err != nil {
			return 0, nil, err
		}
	}
	seen := map[string]bool{}
	err = in.Read(ctx, "deliveries", func(r *kgo.Record) error {
		if d := record(r); d.Event == e.ID {
			seen[d.Subscription] = true
		}
		return nil
	})
	return len(seen), kills, err
}

// noise is text that does not compress.
func noise(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return base64.StdEncoding.EncodeToString(b)
}
