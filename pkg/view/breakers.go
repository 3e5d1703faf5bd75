package view

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

// Breaker is the circuit breaker of an endpoint, as its owner last said.
type Breaker struct {
	Subscription ident.ID
	// Until is when an open one lets a probe through; zero of one that is closed.
	Until time.Time
	// Since is when it was first said to be open; zero if that is not known. [Redis.SetBreakers] does not look at it.
	Since time.Time
}

// breakersKept is how long an open breaker is remembered after the time at which it lets a probe through. It stays open while
// nothing is sent to the endpoint; after so long nobody waits for that.
const breakersKept = 7 * 24 * time.Hour

// breakersKey is a sorted set of the open breakers: the 16 bytes of the subscription by the time of the next probe, ms.
func (r *Redis) breakersKey() string { return "{" + r.conf.Prefix + "breakers}" }

// breakersSinceKey is a sorted set of the same by the time at which they were first said to be open, ms.
func (r *Redis) breakersSinceKey() string { return r.breakersKey() + ":since" }

// SetBreakers notes how breakers are now, those that have closed among them. After an error any part may have been noted.
func (r *Redis) SetBreakers(ctx context.Context, all []Breaker) error {
	if len(all) == 0 {
		return nil
	}
	var open, since []redis.Z
	var closed []any
	now := time.Now()
	for _, b := range all {
		member := string(b.Subscription[:])
		if b.Until.IsZero() {
			closed = append(closed, member)
			continue
		}
		open = append(open, redis.Z{Score: float64(b.Until.UnixMilli()), Member: member})
		since = append(since, redis.Z{Score: float64(now.UnixMilli()), Member: member})
	}
	key, sinceKey, pipe := r.breakersKey(), r.breakersSinceKey(), r.client.Pipeline()
	if len(open) > 0 {
		pipe.ZAdd(ctx, key, open...)
		pipe.ZAddNX(ctx, sinceKey, since...)
	}
	if len(closed) > 0 {
		pipe.ZRem(ctx, key, closed...)
		pipe.ZRem(ctx, sinceKey, closed...)
	}
	old := pipe.ZRemRangeByScore(ctx, key, "-inf", strconv.FormatInt(now.Add(-breakersKept).UnixMilli(), 10))
	_, err := pipe.Exec(ctx)
	if err == nil && old.Val() > 0 { // of those that are in both, the times in the second
		err = r.client.ZInterStore(ctx, sinceKey, &redis.ZStore{Keys: []string{key, sinceKey}, Weights: []float64{0, 1}}).Err()
	}
	if err := r.done(err); err != nil {
		return fmt.Errorf("noting breakers: %w", err)
	}
	return nil
}

// AllBreakers returns the open breakers of all subscriptions, those that stay open longest first; most bounds them, 1 or more. It is
// two round trips.
func (r *Redis) AllBreakers(ctx context.Context, most int) ([]Breaker, error) {
	found, err := r.client.ZRevRangeWithScores(ctx, r.breakersKey(), 0, int64(most)-1).Result()
	if err := r.done(err); err != nil {
		return nil, fmt.Errorf("reading breakers: %w", err)
	}
	if len(found) == 0 {
		return nil, nil
	}
	members := make([]string, len(found))
	for i, z := range found {
		members[i], _ = z.Member.(string)
	}
	since, err := r.client.ZMScore(ctx, r.breakersSinceKey(), members...).Result()
	if err := r.done(err); err != nil {
		return nil, fmt.Errorf("reading breakers: %w", err)
	}
	out := make([]Breaker, len(found))
	for i, z := range found {
		copy(out[i].Subscription[:], members[i])
		out[i].Until = time.UnixMilli(int64(z.Score)).UTC()
		if i < len(since) && since[i] > 0 {
			out[i].Since = time.UnixMilli(int64(since[i])).UTC()
		}
	}
	return out, nil
}

// OpenBreakers returns when those of the subscriptions' breakers that are open let a probe through. A time that is over means that
// the next delivery is the probe. It is one round trip.
func (r *Redis) OpenBreakers(ctx context.Context, subs ...ident.ID) (map[ident.ID]time.Time, error) {
	if len(subs) == 0 {
		return nil, nil
	}
	members := make([]string, len(subs))
	for i, sub := range subs {
		members[i] = string(sub[:])
	}
	found, err := r.client.ZMScore(ctx, r.breakersKey(), members...).Result()
	if err := r.done(err); err != nil {
		return nil, fmt.Errorf("reading breakers: %w", err)
	}
	out := map[ident.ID]time.Time{}
	for i, until := range found {
		if until > 0 {
			out[subs[i]] = time.UnixMilli(int64(until)).UTC()
		}
	}
	return out, nil
}
