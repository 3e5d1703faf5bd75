package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

// scriptsPerTrip is how many scripts are sent at a time: their answers come within one call's timeout also where the
// embedded Redis interprets them.
const scriptsPerTrip = 256

// maxBatch is how many rows are added at a time: Lua hands a call at most 8000 arguments, two for each event type of a
// subscription.
const maxBatch = 3000

// AddRows adds rows of one partition of outcomes to the views, in the order of their offsets. Rows that are there change
// nothing, whatever the batches were in which they came. It returns the rows whose status belongs into the topic of
// statuses: those that changed from success to failure or back, and the first of an hour. After an error any part may have
// been added; the same rows again add the rest.
func (r *Redis) AddRows(ctx context.Context, partition int32, rows []Row) (changed []*Row, err error) {
	for some := range slices.Chunk(rows, maxBatch) {
		more, err := r.addRows(ctx, partition, some)
		if err != nil {
			return nil, err
		}
		changed = append(changed, more...)
	}
	return changed, nil
}

func (r *Redis) addRows(ctx context.Context, partition int32, rows []Row) (changed []*Row, err error) {
	b := newBatch(r, partition, rows, time.Now())
	subs, messages := b.groups()
	for len(subs) > 0 || len(messages) > 0 {
		if err := b.send(ctx, subs, messages); err != nil {
			return nil, fmt.Errorf("adding outcomes to the views: %w", err)
		}
		var again []*group
		for _, g := range subs {
			part, err := b.answered(g, &changed)
			if err != nil {
				return nil, fmt.Errorf("adding outcomes to the views: %w", err)
			}
			again = append(again, part...)
		}
		subs, again = again, nil
		for _, g := range messages {
			part, err := b.messagesAnswered(g)
			if err != nil {
				return nil, fmt.Errorf("adding outcomes to the views: %w", err)
			}
			again = append(again, part...)
		}
		messages = again
	}
	b.seal(ctx)
	r.metrics.rows.Add(float64(len(rows)))
	return changed, nil
}

// batch is a call of AddRows.
type batch struct {
	r         *Redis
	partition int32
	rows      []Row
	now       time.Time
	// oldest are the first hours whose rows, and whose minutes' counters, are kept, and the first day.
	oldest, oldestMinutes, oldestDay int64
	full                             []string // what nothing is appended to any more
}

func newBatch(r *Redis, partition int32, rows []Row, now time.Time) *batch {
	kept := now.Add(-r.conf.EventRetention).UnixMilli()
	return &batch{
		r: r, partition: partition, rows: rows, now: now,
		oldest: kept / hourMillis, oldestDay: kept / dayMillis,
		oldestMinutes: now.Add(time.Hour-minutesKept).UnixMilli() / hourMillis, // not those that are about to expire
	}
}

// group is one call of a script: the rows of a subscription, or of the messages of a hash tag.
type group struct {
	rows   []*Row
	script *redis.Script
	keys   []string
	args   []any
	cmd    *redis.Cmd
	types  []*Row          // of a subscription: the last attempt of each event type, in the order of the arguments
	fills  []func() string // for each key that something is appended to: the one before it
}

// groups are the calls that the rows need.
func (b *batch) groups() (subs, messages []*group) {
	bySub := make(map[ident.ID]*group, len(b.rows)/4)
	var byTag [messageTags]*group
	for i := range b.rows {
		row := &b.rows[i]
		g := bySub[row.Subscription]
		if g == nil {
			g = &group{}
			bySub[row.Subscription] = g
			subs = append(subs, g)
		}
		g.rows = append(g.rows, row)
		tag := placeOfMessage(row.Message).tag
		if byTag[tag] == nil {
			byTag[tag] = &group{rows: make([]*Row, 0, 2*len(b.rows)/messageTags+4)}
			messages = append(messages, byTag[tag])
		}
		byTag[tag].rows = append(byTag[tag].rows, row)
	}
	for _, g := range subs {
		b.prepareRows(g)
	}
	for _, g := range messages {
		b.prepareMessages(g)
	}
	return subs, messages
}

// split makes two groups of one: the rows up to an offset, which are there, and the others.
func (b *batch) split(g *group, guard int64, prepare func(*group)) []*group {
	n := 0
	for n < len(g.rows) && g.rows[n].Offset <= guard {
		n++
	}
	parts := []*group{{rows: g.rows[:n]}, {rows: g.rows[n:]}}
	for _, p := range parts {
		prepare(p)
	}
	return parts
}

// send runs the scripts of the groups; those that a node does not know yet it is given in full.
func (b *batch) send(ctx context.Context, lists ...[]*group) error {
	pipe, waiting := b.r.client.Pipeline(), []*group(nil)
	flush := func() error {
		_, _ = pipe.Exec(ctx) // each command has its own error
		for _, g := range waiting {
			if redis.HasErrorPrefix(g.cmd.Err(), "NOSCRIPT") {
				g.cmd = g.script.Eval(ctx, b.r.client, g.keys, g.args...)
			}
			if err := b.r.done(g.cmd.Err()); err != nil {
				return err
			}
		}
		waiting = waiting[:0]
		return nil
	}
	for _, list := range lists {
		for _, g := range list {
			g.cmd = g.script.EvalSha(ctx, pipe, g.keys, g.args...)
			if waiting = append(waiting, g); len(waiting) == scriptsPerTrip {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	return flush()
}

var errReply = errors.New("a script answered with another form")

// answered looks at the answer of [addRowsScript].
func (b *batch) answered(g *group, changed *[]*Row) (again []*group, err error) {
	reply, err := g.cmd.Int64Slice()
	if err != nil {
		return nil, err
	}
	if len(reply) < 2 || reply[0] >= 0 && int(reply[1]) > len(reply)-2 {
		return nil, errReply
	}
	if reply[0] < 0 {
		return b.split(g, reply[1], b.prepareRows), nil
	}
	types, hours := reply[2:2+reply[1]], reply[2+reply[1]:]
	for _, i := range types {
		*changed = append(*changed, g.types[i-1])
	}
	b.fresh(g, hours)
	return nil, nil
}

// messagesAnswered looks at the answer of [addMessagesScript].
func (b *batch) messagesAnswered(g *group) (again []*group, err error) {
	reply, err := g.cmd.Int64Slice()
	if err != nil {
		return nil, err
	}
	switch {
	case len(reply) == 2 && reply[0] < 0:
		return b.split(g, reply[1], b.prepareMessages), nil
	case len(reply) == 0:
		return nil, errReply
	}
	b.fresh(g, reply[1:])
	return nil, nil
}

// fresh notes what comes before the keys that are new: nothing more is appended to that, but by an attempt that took over the
// end of its hour.
func (b *batch) fresh(g *group, which []int64) {
	for _, i := range which {
		b.full = append(b.full, g.fills[i-1]())
	}
}

// seal gives back the room that Redis keeps behind what is full. It is no loss if it fails.
func (b *batch) seal(ctx context.Context) {
	var calls []*group
	for _, key := range b.full {
		calls = append(calls, &group{script: redis.NewScript(sealScript), keys: []string{key}})
	}
	if err := b.send(ctx, calls); err != nil {
		b.r.metrics.errors.Inc()
	}
}
