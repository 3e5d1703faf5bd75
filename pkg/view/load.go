package view

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Load is how much an endpoint was sent of late, and how much of it failed.
type Load struct {
	Subscription       ident.ID
	Attempts, Failures int64
}

const (
	// LoadWindow is how far back loads go: that long, and up to a step more.
	LoadWindow = time.Hour
	loadStep   = 5 * time.Minute
	loadMillis = int64(loadStep / time.Millisecond)
	// loadsKept is how many of a shard are kept of a step that is over, of the busiest and of the sickest: 2,048 of each in all, of
	// which ten are shown. A step has 90 KB then.
	loadsKept = 128
	// loadsRead bounds what is read of a shard and step, bytes: 25,000 entries. Of a step that goes on, 1,400 rows/s that are all of
	// other subscriptions are fewer; of more, the last ones count when the step is over.
	loadsRead = 512 << 10
	// loadsShortened bounds what of a step that is over is made shorter, bytes. What is behind stays as it is.
	loadsShortened = 16 << 20
)

// sickness is the failures times their share of the attempts: an endpoint that fails always is worse off than a busy one that fails
// as often once in a while.
func (l *Load) sickness() float64 {
	return float64(l.Failures) * float64(l.Failures) / float64(max(l.Attempts, 1))
}

// Busiest returns those with the most attempts, the busiest first.
func Busiest(all []Load, most int) []Load {
	return first(all, most, func(l *Load) float64 { return float64(l.Attempts) })
}

// Sickest returns those that failed, by their failures times the share of these among the attempts, the highest first.
func Sickest(all []Load, most int) []Load { return first(all, most, (*Load).sickness) }

// first returns those with the highest marks above 0.
func first(all []Load, most int, mark func(*Load) float64) []Load {
	out := make([]Load, 0, len(all))
	for i := range all {
		if mark(&all[i]) > 0 {
			out = append(out, all[i])
		}
	}
	slices.SortFunc(out, func(a, b Load) int {
		return cmp.Or(cmp.Compare(mark(&b), mark(&a)), slices.Compare(a.Subscription[:], b.Subscription[:]))
	})
	return out[:min(len(out), most)]
}

// loads are sums by subscription.
type loads map[ident.ID]Load

func (l loads) add(one Load) {
	sum := l[one.Subscription]
	l[one.Subscription] = Load{one.Subscription, sum.Attempts + one.Attempts, sum.Failures + one.Failures}
}

// addText adds entries and returns how long the whole ones are together: the last may be cut off.
func (l loads) addText(text []byte) (whole int) {
	for {
		var one Load
		at := whole + copy(one.Subscription[:], text[whole:])
		attempts, n := binary.Uvarint(text[at:])
		failures, m := binary.Uvarint(text[at+max(n, 0):])
		if n <= 0 || m <= 0 {
			return whole
		}
		one.Attempts, one.Failures = int64(attempts), int64(failures) //nolint:gosec // as they were written
		l.add(one)
		whole = at + n + m
	}
}

// append appends entries: 16 bytes of subscription, then attempts and failures as varints.
func (l loads) append(b []byte) []byte {
	for _, one := range l {
		b = append(b, one.Subscription[:]...)
		b = binary.AppendUvarint(b, uint64(one.Attempts)) //nolint:gosec // none is negative
		b = binary.AppendUvarint(b, uint64(one.Failures)) //nolint:gosec // likewise
	}
	return b
}

func (l loads) list() []Load {
	out := make([]Load, 0, len(l))
	for _, one := range l {
		out = append(out, one)
	}
	return out
}

// loadKey is the key of a step below its tag.
func loadKey(tag string, step int64) string { return tag + ":l:" + strconv.FormatInt(step, 10) }

// loadEnds is when a step is read no more, ms.
func loadEnds(step int64) int64 { return (step+1)*loadMillis + (LoadWindow + loadStep).Milliseconds() }

// loadsOf sums up the attempts among rows by step, as far as somebody reads them yet: a rebuild has mostly others.
func loadsOf(rows []*Row, now int64) map[int64]loads {
	out := map[int64]loads{}
	for _, row := range rows {
		step := row.millis() / loadMillis
		if !row.attempted() || loadEnds(step) <= now {
			continue
		}
		of := out[step]
		if of == nil {
			of = loads{}
			out[step] = of
		}
		one := Load{Subscription: row.Subscription, Attempts: 1}
		if row.Result != outcome.ResultSuccess {
			one.Failures = 1
		}
		of.add(one)
	}
	return out
}

// shortenLoads sums up a step that is over, and keeps those that may be shown.
func (r *Redis) shortenLoads(ctx context.Context, key string) error {
	text, err := r.client.GetRange(ctx, key, 0, loadsShortened-1).Bytes()
	if err := r.done(err); err != nil {
		return err
	}
	all, kept := loads{}, loads{}
	n := all.addText(text)
	list := all.list()
	for _, some := range [][]Load{Busiest(list, loadsKept), Sickest(list, loadsKept)} {
		for _, one := range some {
			kept[one.Subscription] = one
		}
	}
	short := kept.append(nil)
	if len(short) >= n {
		return nil
	}
	return r.send(ctx, []*call{{script: shortening, keys: []string{key}, args: []any{n, short}}})
}

// Loads returns what endpoints were sent in the last hour and up to five minutes more, in no order. Of endpoints that are not among
// the 128 busiest or sickest of their shard, which is a sixteenth of all, some or all of it may be missing: it is for finding
// those. It is one round trip to each node.
func (r *Redis) Loads(ctx context.Context) ([]Load, error) {
	now := time.Now().UnixMilli()
	pipe, asked := r.client.Pipeline(), []*redis.StringCmd{}
	for _, tag := range r.tags {
		for step := now / loadMillis; step > (now-LoadWindow.Milliseconds())/loadMillis-1; step-- {
			asked = append(asked, pipe.GetRange(ctx, loadKey(tag, step), 0, loadsRead-1))
		}
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("reading loads: %w", r.done(err))
	}
	all := loads{}
	for _, cmd := range asked {
		text, err := cmd.Bytes()
		if err != nil && !errors.Is(err, redis.Nil) {
			return nil, fmt.Errorf("reading loads: %w", r.done(err))
		}
		all.addText(text)
	}
	return all.list(), r.done(nil)
}
