package view

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Seen are the last attempts, by subscription and event type, of the rows of a partition that its owner has recorded. A partition that
// is assigned begins with an empty one, since others may have recorded since. The zero value is empty. It is for one goroutine.
type Seen struct {
	last map[typeOf]lastSeen
}

type typeOf struct {
	sub ident.ID
	typ uint32
}

type lastSeen struct {
	entry
	good bool
}

// maxSeen bounds what a [Seen] remembers: 30 MB. Where there are more it begins anew, and reads again what it needs from Redis.
const maxSeen = 250_000

func seen(row *Row) lastSeen {
	return lastSeen{entry{at: row.millis(), offset: row.Offset}, row.Result == outcome.ResultSuccess}
}

// Changed returns, of rows of the partition, those whose status belongs into the topic of statuses: of the last attempts of event
// types, those that turned from success to failure or back, and the first of an hour. After an error, or if these are not written,
// the same rows again give the same ones, and so they do after a crash, as long as the views do not have them: see [Redis.AddStatus].
func (r *Redis) Changed(ctx context.Context, s *Seen, rows []Row) (changed []*Row, err error) {
	last := map[typeOf]*Row{}
	for i := range rows {
		row := &rows[i]
		if !row.attempted() {
			continue
		}
		of := typeOf{row.Subscription, typeHash(row.EventType)}
		if other := last[of]; other == nil || later(row, other) {
			last[of] = row
		}
	}
	if err := r.recall(ctx, s, last); err != nil {
		return nil, fmt.Errorf("reading statuses: %w", err)
	}
	for i := range rows { // in their order
		row := &rows[i]
		of := typeOf{row.Subscription, typeHash(row.EventType)}
		if last[of] != row {
			continue
		}
		now, before := seen(row), s.last[of]
		switch {
		case before.at != 0 && !now.after(&before.entry):
		case before.at == 0 || before.good != now.good || before.at/hourMillis != now.at/hourMillis:
			changed = append(changed, row)
		default:
			s.last[of] = now
		}
	}
	return changed, nil
}

func later(a, b *Row) bool {
	return a.millis() > b.millis() || a.millis() == b.millis() && a.Offset > b.Offset
}

// Wrote notes that the statuses of rows are written and in the views.
func (s *Seen) Wrote(rows []*Row) {
	for _, row := range rows {
		s.last[typeOf{row.Subscription, typeHash(row.EventType)}] = seen(row)
	}
}

// recall reads from Redis which statuses were written, of those that are not remembered.
func (r *Redis) recall(ctx context.Context, s *Seen, last map[typeOf]*Row) error {
	if s.last == nil || len(s.last) > maxSeen {
		s.last = map[typeOf]lastSeen{}
	}
	pipe, asked := r.client.Pipeline(), map[typeOf]*redis.StringCmd{}
	for of, row := range last {
		if _, ok := s.last[of]; !ok {
			asked[of] = pipe.HGet(ctx, r.subKeys(of.sub).statuses(), row.EventType)
		}
	}
	if len(asked) == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil && !errors.Is(err, redis.Nil) {
		return r.done(err)
	}
	for of, cmd := range asked {
		text, err := cmd.Result()
		switch {
		case errors.Is(err, redis.Nil):
			s.last[of] = lastSeen{}
		case err != nil:
			return r.done(err)
		case len(text) != entryBytes:
			return errEntry
		default:
			e := parseStatus([]byte(text))
			s.last[of] = lastSeen{e, e.resultCode() == resultSuccess}
		}
	}
	return r.done(nil)
}

// resultSuccess is the code of [outcome.ResultSuccess].
const resultSuccess = 1

// AddStatus adds last attempts of event types, as the topic of statuses has them, unless later ones are known. What is in the views
// counts as written, so it comes after that.
func (r *Redis) AddStatus(ctx context.Context, rows []*Row) error {
	var shards [viewShards]call
	for _, row := range rows {
		c := &shards[shardOf(row.Subscription)]
		c.script = noticing
		c.keys = append(c.keys, r.subKeys(row.Subscription).statuses())
		c.args = append(c.args, row.EventType, row.appendStatus(nil), row.millis()+statusKept.Milliseconds())
	}
	var all []*call
	for i := range shards {
		if shards[i].script != nil {
			all = append(all, &shards[i])
		}
	}
	if err := r.send(ctx, all); err != nil {
		return fmt.Errorf("adding statuses to the views: %w", err)
	}
	return nil
}

// statusesOf reads the statuses of a subscription that were written.
func (r *Redis) statusesOf(ctx context.Context, sub ident.ID) (map[string]entry, error) {
	fields, err := r.client.HGetAll(ctx, r.subKeys(sub).statuses()).Result()
	if err := r.done(err); err != nil {
		return nil, err
	}
	out := make(map[string]entry, len(fields))
	for name, text := range fields {
		if len(text) != entryBytes {
			return nil, errEntry
		}
		out[name] = parseStatus([]byte(text))
	}
	return out, nil
}
