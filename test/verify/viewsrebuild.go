package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/internal/rig"
)

// rebuildRows is how many outcomes each stage of the views-rebuild check adds.
const rebuildRows = 100_000

// viewsRebuild: the recorder is killed under load, which cuts it off between Redis' answer and its commit; then Redis is emptied
// under load and the recorder killed. After each the views are what an undisturbed recorder makes of the topics.
func viewsRebuild(ctx context.Context, in *installation) (err error) {
	v, err := newViewing(ctx, in)
	if err != nil {
		return err
	}
	defer func() { err = joinClose(err, v.close) }()
	p, err := v.start(ctx)
	if err != nil {
		return err
	}
	n := in.scale(rebuildRows)
	for i, stage := range []struct {
		what  string
		after func() error
	}{
		{"the recorder was killed under load", func() error { return nil }},
		{"Redis was emptied under load, the recorder killed, and the views made again", func() error {
			if err := v.client.FlushAll(ctx).Err(); err != nil {
				return err
			}
			return v.rebuild(ctx)
		}},
	} {
		if err := v.disturb(ctx, p, i*n, n, stage.after); err != nil {
			return err
		}
		if p, err = v.start(ctx); err != nil {
			return err
		}
		disturbed, err := v.settled(ctx)
		if err != nil {
			return err
		}
		if _, _, err := p.Term(ctx); err != nil {
			return err
		}
		if err := errors.Join(v.client.FlushAll(ctx).Err(), v.rebuild(ctx)); err != nil {
			return err
		}
		if p, err = v.start(ctx); err != nil {
			return err
		}
		again, err := v.settled(ctx)
		if err != nil {
			return err
		}
		in.wantZero(differences(disturbed, again), fmt.Sprintf("keys of %d that differ from a recomputation after %s", len(again), stage.what))
	}
	return nil
}

// disturb writes rows, kills the recorder when it is in the middle of them, and does something after that.
func (v *viewing) disturb(ctx context.Context, p *rig.Process, from, n int, after func() error) error {
	before, err := p.Metric(ctx, "postrider_recorder_outcomes_total")
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() { written <- v.produce(ctx, from, n) }()
	err = rig.Await(ctx, time.Minute, func() (bool, error) {
		done, err := p.Metric(ctx, "postrider_recorder_outcomes_total")
		return done-before > float64(n)/4, err
	})
	p.Kill(ctx)
	return errors.Join(err, after(), <-written)
}

// rebuild asks until the brokers know that the recorder is gone.
func (v *viewing) rebuild(ctx context.Context) error {
	return rig.Await(ctx, time.Minute, func() (bool, error) {
		_, err := v.in.Run(ctx, append([]string{"views", "rebuild"}, v.set()...)...)
		if err != nil && strings.Contains(err.Error(), "it has members") {
			return false, nil
		}
		return err == nil, err
	})
}

// settled waits until the recorder is done and returns all keys and what they hold.
func (v *viewing) settled(ctx context.Context) (map[string]string, error) {
	err := rig.Await(ctx, viewLimit, func() (bool, error) {
		lag, err := v.in.Lag(ctx, "recorder")
		return lag == 0 && err == nil, nil // a group that is being made has no lag yet
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for the recorder: %w", err)
	}
	out := map[string]string{}
	for keys := v.client.Scan(ctx, 0, "{"+v.in.Prefix+"*", 1000).Iterator(); keys.Next(ctx); {
		if err := keys.Err(); err != nil {
			return nil, err
		}
		key := keys.Val()
		_, kind, _ := strings.Cut(key, "}:")
		if strings.HasPrefix(kind, "l:") {
			continue // loads of the last hour are those of another hour now, and an entry is one of a batch
		}
		if !strings.Contains(key, ".views") || strings.HasPrefix(kind, "s:") || strings.HasPrefix(kind, "d:") {
			continue // what depends on when the recorder looked is compared by what it says
		}
		if out[key], err = v.value(ctx, key); err != nil {
			return nil, fmt.Errorf("reading %s: %w", key, err)
		}
	}
	return out, v.said(ctx, out)
}

// said adds what the views say of each subscription.
func (v *viewing) said(ctx context.Context, out map[string]string) error {
	for n := range viewSubscriptions {
		sub := viewSubscription(n)
		statuses, err := v.views.Statuses(ctx, sub)
		if err != nil {
			return err
		}
		health, err := v.views.Health(ctx, view.HealthQuery{Subscription: sub, From: v.begin, To: v.begin.Add(2 * time.Hour), Step: time.Minute})
		if err != nil {
			return err
		}
		out[sub.UUID()] = fmt.Sprint(statuses, health)
	}
	return nil
}

// value is what a key holds. The rows of a message lie in the order in which they came from different partitions.
func (v *viewing) value(ctx context.Context, key string) (string, error) {
	text, err := v.client.Get(ctx, key).Result()
	if redis.HasErrorPrefix(err, "WRONGTYPE") {
		fields, err := v.client.HGetAll(ctx, key).Result()
		return fmt.Sprint(fields), err // sorted by field
	}
	if strings.Contains(key, "}:m:") {
		const hashBytes = 3 // then partition and offset as varints
		var rows []string
		for b := []byte(text); len(b) > hashBytes; {
			n := hashBytes
			for range 2 {
				_, size := binary.Uvarint(b[n:])
				if size <= 0 {
					return "", fmt.Errorf("%s is cut off", key)
				}
				n += size
			}
			rows, b = append(rows, string(b[:n])), b[n:]
		}
		slices.Sort(rows)
		text = strings.Join(rows, "")
	}
	return text, err
}

// differences counts the keys that one has and the other has not, or has otherwise.
func differences(a, b map[string]string) (n int) {
	for key, value := range a {
		if other, ok := b[key]; !ok || other != value {
			n++
		}
	}
	for key := range b {
		if _, ok := a[key]; !ok {
			n++
		}
	}
	return n
}

func joinClose(err error, closing func() error) error { return errors.Join(err, closing()) }
