package view

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

const (
	// scriptsPerTrip is how many scripts are sent at a time: their answers come within one call's timeout also where the embedded
	// Redis interprets them.
	scriptsPerTrip = 256
	// maxBatch is how many rows are added at a time: a script with all of them keeps Redis from its other callers for 2 ms.
	maxBatch = 3000
)

// AddRows adds rows of one partition of outcomes to the views, in the order of their offsets. Rows that are there change
// nothing, whatever the batches were in which they came. After an error any part may have been added; the same rows again add
// the rest. What it does not add is statuses: see [Redis.Changed].
func (r *Redis) AddRows(ctx context.Context, partition int32, rows []Row) error {
	for len(rows) > 0 {
		n := 1
		for n < min(len(rows), maxBatch) && rows[n].Offset>>32 == rows[0].Offset>>32 { // all headers begin the same
			n++
		}
		if err := r.addRows(ctx, partition, rows[:n]); err != nil {
			return fmt.Errorf("adding outcomes to the views: %w", err)
		}
		rows = rows[n:]
	}
	return nil
}

func (r *Redis) addRows(ctx context.Context, partition int32, rows []Row) error {
	now := time.Now()
	b := batch{r: r, partition: partition, now: now.UnixMilli(), oldest: now.Add(-r.conf.EventRetention).UnixMilli() / dayMillis}
	b.start = header{partition: partition, base: rows[0].Offset}.appendStart(nil)
	var shards [viewShards]shard
	for i := range shards {
		shards[i].tag = r.tags[i]
	}
	for i := range rows {
		row := &rows[i]
		of := &shards[shardOf(row.Subscription)]
		of.rows = append(of.rows, row)
		of = &shards[shardOf(row.Message)]
		of.messages = append(of.messages, row)
	}
	var todo []*shard
	for i := range shards {
		if len(shards[i].rows)+len(shards[i].messages) > 0 {
			todo = append(todo, &shards[i])
		}
	}
	for len(todo) > 0 {
		for _, s := range todo {
			b.prepare(s)
		}
		if err := r.send(ctx, calls(todo)); err != nil {
			return err
		}
		var again []*shard
		for _, s := range todo {
			some, err := b.answered(s)
			if err != nil {
				return err
			}
			if some {
				again = append(again, s)
			}
		}
		todo = again
	}
	b.upkeep(ctx)
	r.metrics.rows.Add(float64(len(rows)))
	return nil
}

// batch is a call of addRows.
type batch struct {
	r         *Redis
	partition int32
	now       int64  // ms
	oldest    int64  // the first day whose rows are kept
	start     []byte // of all headers
	full      []string
	grown     []target
	over      []string // steps of loads
}

// shard is what a batch has for one hash tag.
type shard struct {
	call
	tag            string
	rows, messages []*Row // of its subscriptions, and of its messages, by offset
	targets        []target
}

// target is a string that something is appended to: the day of a subscription, or a bucket of messages if that is zero, or loads if
// there is a step.
type target struct {
	sub    ident.ID
	day    int64
	bucket int
	rows   int
	step   int64
}

// call is one call of a script.
type call struct {
	script *redis.Script
	keys   []string
	args   []any
	cmd    *redis.Cmd
}

func calls(shards []*shard) []*call {
	out := make([]*call, len(shards))
	for i, s := range shards {
		out[i] = &s.call
	}
	return out
}

// send runs scripts; those that a node does not know yet it is given in full.
func (r *Redis) send(ctx context.Context, calls []*call) error {
	for len(calls) > 0 {
		some := calls[:min(len(calls), scriptsPerTrip)]
		calls = calls[len(some):]
		pipe := r.client.Pipeline()
		for _, c := range some {
			c.cmd = c.script.EvalSha(ctx, pipe, c.keys, c.args...)
		}
		_, _ = pipe.Exec(ctx) // each command has its own error
		for _, c := range some {
			if redis.HasErrorPrefix(c.cmd.Err(), "NOSCRIPT") {
				c.cmd = c.script.Eval(ctx, r.client, c.keys, c.args...)
			}
			if err := r.done(c.cmd.Err()); err != nil {
				return err
			}
		}
	}
	return nil
}

var errReply = errors.New("a script answered with another form")

// answered looks at the answer of [addRowsScript]. It reports whether the shard had some of the rows: those are taken out, and the
// others come again.
func (b *batch) answered(s *shard) (again bool, err error) {
	reply, err := s.cmd.Int64Slice()
	switch {
	case err != nil:
		return false, err
	case len(reply) == 0:
		return false, errReply
	case len(reply) == 2 && reply[0] < 0:
		s.rows, s.messages = behind(s.rows, reply[1]), behind(s.messages, reply[1])
		return true, nil
	}
	for _, n := range reply[1:] {
		i := max(n, -n) - 1
		if i < 0 || i >= int64(len(s.targets)) {
			return false, errReply
		}
		t := &s.targets[i]
		switch {
		case t.step > 0:
			b.over = append(b.over, loadKey(s.tag, t.step-1))
		case n > 0:
			b.full = append(b.full, b.before(t))
		}
		if !t.sub.IsZero() && (n < 0 || t.rows >= digestRows) {
			b.grown = append(b.grown, *t)
		}
	}
	return false, nil
}

// behind leaves out rows up to an offset.
func behind(rows []*Row, offset int64) []*Row {
	for len(rows) > 0 && rows[0].Offset <= offset {
		rows = rows[1:]
	}
	return rows
}

// before is the key that comes before one that is new: nothing more is appended to that, but by an attempt that took over the end
// of its day.
func (b *batch) before(t *target) string {
	if t.sub.IsZero() {
		return bucketKey(b.r.tags[t.bucket%viewShards], t.day-1, t.bucket/viewShards)
	}
	return b.r.subKeys(t.sub).current(t.day - 1)
}

// upkeep gives back the room that Redis keeps behind what is full, makes the digests of days that have grown, and shortens the loads
// of steps that are over. It is no loss if it fails: there is more to read then, until a day has grown again or a step is forgotten.
func (b *batch) upkeep(ctx context.Context) {
	var seals []*call
	for _, key := range b.full {
		seals = append(seals, &call{script: sealing, keys: []string{key}})
	}
	err := b.r.send(ctx, seals)
	for _, t := range b.grown {
		err = errors.Join(err, b.r.digestDay(ctx, t.sub, t.day))
	}
	for _, key := range b.over {
		err = errors.Join(err, b.r.shortenLoads(ctx, key))
	}
	if err != nil {
		b.r.metrics.errors.Inc()
	}
}
