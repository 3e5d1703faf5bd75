package view

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Statuses returns the last attempt of every event type that was ever attempted at a subscription, by event type. Where its
// record has left the log, and none of the subscription came since, the position is zero.
func (r *Redis) Statuses(ctx context.Context, sub ident.ID) ([]TypeStatus, error) {
	fields, err := r.client.HGetAll(ctx, r.subKeys(sub).statuses()).Result()
	if err := r.done(err); err != nil {
		return nil, fmt.Errorf("reading statuses: %w", err)
	}
	partition, known := int32(0), false
	if guard, ok := fields[guardField]; ok {
		if partition, err = guardPartition(guard); err != nil {
			return nil, err
		}
		known = true
		delete(fields, guardField)
	}
	out := make([]TypeStatus, 0, len(fields))
	for name, entry := range fields {
		if len(entry) != entryBytes {
			return nil, errEntry
		}
		p := parseTimed([]byte(entry))
		s := TypeStatus{EventType: name, Attempt: p.attempt(r.conf.Prefix+outcomesTopic, partition)}
		if !known {
			s.Position = delivery.Position{}
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b TypeStatus) int { return cmp.Compare(a.EventType, b.EventType) })
	return out, nil
}

// AddStatus adds the last attempt of an event type, as the topic of statuses has it, unless a later one is known.
func (r *Redis) AddStatus(ctx context.Context, rows []Row) error {
	b := newBatch(r, 0, nil, time.Now())
	script := redis.NewScript(addStatusScript)
	groups := make([]*group, len(rows))
	for i := range rows {
		row := &rows[i]
		groups[i] = &group{
			script: script, keys: []string{r.subKeys(row.Subscription).statuses()},
			args: []any{row.EventType, row.appendTimed(nil), row.millis() + statusKept.Milliseconds()},
		}
	}
	if err := b.send(ctx, groups); err != nil {
		return fmt.Errorf("adding statuses to the views: %w", err)
	}
	return nil
}

// MessageAttempts returns where the rows of a message are, those that are no attempt among them, of all its subscriptions, by
// partition and offset. Since is a time before the first of them, from which on to look: that of the event's entry; zero is
// as far back as there is. The message id names its tenant too. A few positions may be of another message: the record tells.
func (r *Redis) MessageAttempts(ctx context.Context, message ident.ID, since time.Time) ([]delivery.Position, error) {
	at, now := placeOfMessage(message), time.Now()
	first := max(now.Add(-r.conf.EventRetention).UnixMilli(), since.UnixMilli()) / dayMillis
	pipe := r.client.Pipeline()
	var days []*redis.StringCmd
	for day := first; day <= (now.UnixMilli()+hourMillis)/dayMillis; day++ { // clocks differ
		days = append(days, pipe.Get(ctx, bucketKey(r.messageTag(at.tag), day, at.bucket)))
	}
	_, err := pipe.Exec(ctx)
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("reading the attempts of a message: %w", r.done(err))
	}
	var out []delivery.Position
	for _, day := range days {
		text, err := day.Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("reading the attempts of a message: %w", r.done(err))
		}
		for entry := range slices.Chunk(text, messageBytes) {
			if len(entry) < messageBytes {
				return nil, errEntry
			}
			if [6]byte(entry[:6]) == at.rest {
				var offset [8]byte
				copy(offset[2:], entry[8:])
				out = append(out, delivery.Position{
					Topic: r.conf.Prefix + outcomesTopic, Partition: int32(binary.BigEndian.Uint16(entry[6:])),
					Offset: int64(binary.BigEndian.Uint64(offset[:])), //nolint:gosec // six bytes
				})
			}
		}
	}
	slices.SortFunc(out, func(a, b delivery.Position) int {
		return cmp.Or(cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return out, r.done(nil)
}

// Health returns how an endpoint did, without the rows that the recorder has not seen yet: see [Redis.Progress].
func (r *Redis) Health(ctx context.Context, q HealthQuery) (Health, error) {
	steps, key, of := hoursOfDay, r.subKeys(q.Subscription).hours, dayMillis
	if q.Step == time.Minute {
		steps, key, of = minutesOfHour, r.subKeys(q.Subscription).minutes, hourMillis
	}
	step := of / int64(steps)
	from, to := max(q.From.UnixMilli(), 0)/step*step, (q.To.UnixMilli()+step-1)/step*step
	switch {
	case q.Step != time.Minute && q.Step != time.Hour:
		return Health{}, fmt.Errorf("step: %s: want 1m or 1h", q.Step)
	case q.To.Before(q.From) || q.To.Sub(q.From) > maxHealthSteps*q.Step:
		return Health{}, fmt.Errorf("from, to: %s: want 0 to %d steps of %s", q.To.Sub(q.From), maxHealthSteps, q.Step)
	}
	pipe := r.client.Pipeline()
	var hashes []*redis.MapStringStringCmd
	for n := from / of; n*of < to; n++ {
		hashes = append(hashes, pipe.HGetAll(ctx, key(n)))
	}
	if len(hashes) > 0 {
		_, err := pipe.Exec(ctx)
		if err := r.done(err); err != nil {
			return Health{}, fmt.Errorf("reading health: %w", err)
		}
	}
	h := Health{Step: q.Step}
	for i, hash := range hashes {
		start := (from/of + int64(i)) * of
		counts, err := readCounters(hash.Val(), steps)
		if err != nil {
			return Health{}, err
		}
		for n := range counts {
			at := start + int64(n)*step
			if counts[n] == nil || at < from || at >= to {
				continue
			}
			h.Total.Add(counts[n])
			h.Series = append(h.Series, HealthStep{Start: time.UnixMilli(at).UTC(), Counts: *counts[n]})
		}
	}
	return h, nil
}

// readCounters reads a hash of counters, by step; steps without any are nil.
func readCounters(hash map[string]string, steps int) ([]*Counts, error) {
	out := make([]*Counts, steps)
	for name, text := range hash {
		field, err := strconv.ParseUint(name, 10, 31)
		n, err2 := strconv.ParseInt(text, 10, 64)
		if err != nil || err2 != nil {
			return nil, errEntry
		}
		result, bucket, step := counterOf(int(field), steps)
		if out[step] == nil {
			out[step] = &Counts{Results: map[outcome.Result]int64{}}
		}
		out[step].addCounter(result, bucket, n)
	}
	return out, nil
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

// ForgetOutcomes deletes what was made of outcomes and how far the recorder was: the rest adds up by itself. It looks at
// every key, so it takes a second or so for a million of them.
func (r *Redis) ForgetOutcomes(ctx context.Context) error {
	forget := func(ctx context.Context, node redis.Cmdable) error {
		for _, pattern := range []string{subTag, msgTag} {
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
