package view

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Statuses returns the last attempt of every event type that was ever attempted at a subscription, by event type. Where its row is
// older than attempts are kept, the position is zero.
func (r *Redis) Statuses(ctx context.Context, sub ident.ID) ([]TypeStatus, error) {
	written, err := r.statusesOf(ctx, sub)
	if err != nil {
		return nil, fmt.Errorf("reading statuses: %w", err)
	}
	// What was attempted in another hour would have been written.
	oldest := time.Now().Add(-r.conf.EventRetention).UnixMilli() / dayMillis
	var days []int64
	for _, e := range written {
		if day := e.at / dayMillis; day >= oldest && !slices.Contains(days, day) {
			days = append(days, day)
		}
	}
	found, err := r.digests(ctx, sub, days)
	if err != nil {
		return nil, fmt.Errorf("reading statuses: %w", err)
	}
	out := make([]TypeStatus, 0, len(written))
	for name, e := range written {
		s := TypeStatus{EventType: name, Attempt: e.attempt("", 0)}
		s.Position = delivery.Position{}
		for _, d := range found {
			if l := d.lists[uint64(typeHash(name))]; l != nil && !e.after(&l.latest) {
				e, s.Attempt = l.latest, l.latest.attempt(r.conf.Prefix+outcomesTopic, d.partition)
			}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b TypeStatus) int { return cmp.Compare(a.EventType, b.EventType) })
	return out, nil
}

// LastAttempts returns the n last attempts of a subscription, newest first, of one event type or, if that is "", of all. There are
// [KeptAttempts] at most. Rows that are no attempt are not among them.
func (r *Redis) LastAttempts(ctx context.Context, sub ident.ID, eventType string, n int) (out []Attempt, err error) {
	typ := uint64(allTypes)
	if eventType != "" {
		typ = uint64(typeHash(eventType))
	}
	n = min(n, KeptAttempts)
	now := time.Now()
	days := daysBack(now.Add(-r.conf.EventRetention), now)
	// Most often the last days have enough.
	for _, some := range [][]int64{days[:min(3, len(days))], days[min(3, len(days)):]} {
		found, err := r.digests(ctx, sub, some)
		if err != nil {
			return nil, fmt.Errorf("reading the last attempts: %w", err)
		}
		for _, d := range found {
			l := d.lists[typ]
			if l == nil {
				continue
			}
			for _, e := range slices.Backward(l.kept()) {
				if len(out) == n {
					return out, nil
				}
				out = append(out, e.attempt(r.conf.Prefix+outcomesTopic, d.partition))
			}
		}
	}
	return out, nil
}

// daysBack are the days between two times, the last one first: it may be of a clock that is ahead.
func daysBack(from, to time.Time) (days []int64) {
	for day := (to.UnixMilli() + hourMillis) / dayMillis; day >= max(from.UnixMilli(), 0)/dayMillis; day-- {
		days = append(days, day)
	}
	return days
}

// MessageAttempts returns where the rows of a message are, those that are no attempt among them, of all its subscriptions, by
// partition and offset. Since is a time before the first of them, from which on to look: that of the event's entry; zero is
// as far back as there is. The message id names its tenant too. A few positions may be of another message: the record tells.
func (r *Redis) MessageAttempts(ctx context.Context, message ident.ID, since time.Time) ([]delivery.Position, error) {
	at, now, from := placeOfMessage(message), time.Now(), since
	if oldest := now.Add(-r.conf.EventRetention); from.Before(oldest) {
		from = oldest
	}
	pipe := r.client.Pipeline()
	var days []*redis.StringCmd
	for _, day := range daysBack(from, now) {
		days = append(days, pipe.Get(ctx, bucketKey(r.tags[at.shard], day, at.bucket)))
	}
	if len(days) == 0 {
		return nil, nil
	}
	if err := r.read(ctx, pipe); err != nil {
		return nil, fmt.Errorf("reading the attempts of a message: %w", err)
	}
	var out []delivery.Position
	for _, day := range days {
		p := packed{rest: []byte(day.Val())}
		for len(p.rest) > 0 {
			mine := bytes.HasPrefix(p.rest, at.rest[:])
			p.rest = p.rest[min(len(at.rest), len(p.rest)):]
			pos := delivery.Position{Topic: r.conf.Prefix + outcomesTopic}
			pos.Partition, pos.Offset = int32(p.number()), int64(p.number()) //nolint:gosec // as they were written
			if mine && !p.bad {
				out = append(out, pos)
			}
		}
		if p.bad {
			return nil, errEntry
		}
	}
	slices.SortFunc(out, func(a, b delivery.Position) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return out, nil
}

// Health returns how an endpoint did, without the rows that the recorder has not seen yet: see [Redis.Progress].
func (r *Redis) Health(ctx context.Context, q HealthQuery) (Health, error) {
	step := q.Step.Milliseconds()
	switch {
	case q.Step != time.Minute && q.Step != time.Hour:
		return Health{}, fmt.Errorf("step: %s: want 1m or 1h", q.Step)
	case q.To.Before(q.From) || q.To.Sub(q.From) > maxHealthSteps*q.Step:
		return Health{}, fmt.Errorf("from, to: %s: want 0 to %d steps of %s", q.To.Sub(q.From), maxHealthSteps, q.Step)
	}
	from, to := max(q.From.UnixMilli(), 0)/step*step, (q.To.UnixMilli()+step-1)/step*step
	var days []int64
	for day := from / dayMillis; day*dayMillis < to; day++ {
		days = append(days, day)
	}
	found, err := r.digests(ctx, q.Subscription, days)
	if err != nil {
		return Health{}, fmt.Errorf("reading health: %w", err)
	}
	h, counts := Health{Step: q.Step}, map[int64]*Counts{}
	for i, d := range found {
		for field, n := range d.counts {
			minute, result, bucket := counterOf(field)
			at := (days[i]*dayMillis + minute*minuteMillis) / step * step
			if at < from || at >= to {
				continue
			}
			if counts[at] == nil {
				counts[at] = &Counts{Results: map[outcome.Result]int64{}}
			}
			counts[at].addCounter(result, bucket, n)
		}
	}
	for _, at := range slices.Sorted(maps.Keys(counts)) {
		h.Total.Add(counts[at])
		h.Series = append(h.Series, HealthStep{Start: time.UnixMilli(at).UTC(), Counts: *counts[at]})
	}
	return h, nil
}

func (c *Counts) addCounter(result uint64, bucket int, n int64) {
	if result != 0 {
		c.Results[valueOf(resultCodes, result, unknown)] += n
		c.Durations.Buckets[bucket] += n
		return
	}
	switch bucket {
	case counterSum:
		c.Durations.Sum += time.Duration(min(n, math.MaxInt64/1000)) * time.Microsecond
	case counterParked:
		c.Parked += n
	case counterCancelled:
		c.Cancelled += n
	case counterNotSent:
		c.NotSent += n
	case counterDead:
		c.Dead += n
	}
}

// ForgetOutcomes deletes what was made of outcomes, by this version or an earlier one, an earlier version's index of events, and how far
// the recorder was: the rest adds up by itself. It looks at every key, so it takes a second or so for a million of them.
func (r *Redis) ForgetOutcomes(ctx context.Context) error {
	forget := func(ctx context.Context, node redis.Cmdable) error {
		for _, pattern := range []string{viewsTag, "sub.", "msg.", "events."} {
			if err := r.forget(ctx, node, "{"+globbed(r.conf.Prefix)+pattern+"*"); err != nil {
				return err
			}
		}
		return nil
	}
	var err error
	if cluster, ok := r.client.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return forget(ctx, node) })
	} else {
		err = forget(ctx, r.client)
	}
	if err == nil {
		err = r.client.Del(ctx, r.progressKey()).Err()
	}
	if err := r.done(err); err != nil {
		return fmt.Errorf("deleting the views of outcomes: %w", err)
	}
	return nil
}

// globbed quotes what a pattern gives a meaning to.
func globbed(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(s)
}

// forgetAtOnce is how many keys are looked at in one call.
const forgetAtOnce = 1000

func (r *Redis) forget(ctx context.Context, node redis.Cmdable, pattern string) error {
	for cursor := uint64(0); ; {
		keys, next, err := node.Scan(ctx, cursor, pattern, forgetAtOnce).Result()
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			pipe := node.Pipeline()
			for _, key := range keys {
				pipe.Unlink(ctx, key)
			}
			if _, err := pipe.Exec(ctx); err != nil {
				return err
			}
		}
		if cursor = next; cursor == 0 {
			return nil
		}
	}
}
