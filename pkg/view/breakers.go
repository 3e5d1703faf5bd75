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
}

// breakersKept is how long an open breaker is remembered after the time at which it lets a probe through. It stays open while
// nothing is sent to the endpoint; after so long nobody waits for that.
const breakersKept = 7 * 24 * time.Hour

// breakersKey is a sorted set of the open breakers: the 16 bytes of the subscription by the time of the next probe, ms.
func (r *Redis) breakersKey() string { return "{" + r.conf.Prefix + "breakers}" }

// SetBreakers notes how breakers are now, those that have closed among them. After an error any part may have been noted.
func (r *Redis) SetBreakers(ctx context.Context, all []Breaker) error {
	if len(all) == 0 {
		return nil
	}
	var open []redis.Z
	var closed []any
	for _, b := range all {
		if b.Until.IsZero() {
			closed = append(closed, string(b.Subscription[:]))
		} else {
			open = append(open, redis.Z{Score: float64(b.Until.UnixMilli()), Member: string(b.Subscription[:])})
		}
	}
	key, pipe := r.breakersKey(), r.client.Pipeline()
	if len(open) > 0 {
		pipe.ZAdd(ctx, key, open...)
	}
	if len(closed) > 0 {
		pipe.ZRem(ctx, key, closed...)
	}
	pipe.ZRemRangeByScore(ctx, key, "-inf", strconv.FormatInt(time.Now().Add(-breakersKept).UnixMilli(), 10))
	_, err := pipe.Exec(ctx)
	if err := r.done(err); err != nil {
		return fmt.Errorf("noting breakers: %w", err)
	}
	return nil
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
