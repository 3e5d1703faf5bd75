package view

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

// EventEntry is what the index knows of an event. The event itself is in Kafka, at the entry's position.
type EventEntry struct {
	Tenant  ident.ID
	Message ident.ID
	// Position is of the event's record, or of the delivery that was written for one endpoint alone.
	Position delivery.Position
	// Time is when the record was written, in milliseconds: the order of the lists. One in the future counts as now.
	Time time.Time
	Type string
	// Channels and Tags are those of the event; lists can be narrowed by them.
	Channels []string
	Tags     []string
}

// Times and sizes of the index.
const (
	// DefaultEventRetention is how long events are found unless the configuration says otherwise.
	DefaultEventRetention = 7 * 24 * time.Hour

	hourMillis = int64(time.Hour / time.Millisecond)
	dayMillis  = 24 * hourMillis

	// idShards is the number of hashes that a day's ids are spread over, by their last byte, so that none is so large that
	// its expiry holds Redis up: 0.3 million fields at 1,000 events/s.
	idShards = 256
	// addChunk is how many events of a tenant one script adds: it keeps Redis from its other callers for about 1 ms.
	addChunk = 100
)

// All keys of a tenant have one hash tag, {<prefix>events.<tenant>}, so that a Redis Cluster keeps them on one node:
//
//	…:hours            sorted set of the hours since 1970 that have events
//	…:h:<hour>         sorted set, all scores 0: members in the order of time and message id, see [EventEntry.member]
//	…:i:<day>:<shard>  hash, message id to time in ms, by the last byte of the id
//	…:r:<message>      the id is being published, see [Redis.ReserveEvent]
//
// An hour and a day outlive their end by the retention.
type eventKeys struct{ tag string }

func (r *Redis) eventKeys(tenant ident.ID) eventKeys {
	return eventKeys{"{" + r.conf.Prefix + "events." + tenant.UUID() + "}"}
}

func (k eventKeys) hours() string                  { return k.tag + ":hours" }
func (k eventKeys) hour(hour int64) string         { return k.tag + ":h:" + strconv.FormatInt(hour, 10) }
func (k eventKeys) reservation(id ident.ID) string { return k.tag + ":r:" + id.UUID() }
func (k eventKeys) ids(day int64, id ident.ID) string {
	const digits = "0123456789abcdef"
	shard := int(id[len(id)-1]) % idShards
	b := append(make([]byte, 0, len(k.tag)+24), k.tag...)
	b = strconv.AppendInt(append(b, ":i:"...), day, 10)
	return string(append(b, ':', digits[shard>>4], digits[shard&0xf]))
}

// liveIDs are the keys of all days whose events are kept, today first, in which an id may be.
func (r *Redis) liveIDs(k eventKeys, id ident.ID, now time.Time) (keys []string) {
	today, oldest := now.UnixMilli()/dayMillis, now.Add(-r.conf.EventRetention).UnixMilli()/dayMillis
	for day := today; day >= oldest; day-- {
		keys = append(keys, k.ids(day, id))
	}
	return keys
}

// addScript adds events of one tenant, unless their ids are there. It touches nothing but its keys.
//
//	KEYS  the hours, the hours' lists, the ids
//	ARGV  how many days an id may be in; the oldest hour; the retention, ms; then for each event: the first key of its id's
//	      days, the key of its own day, the key of its hour; id, time, member; its hour; when hour and day expire, ms
const addScript = `
local days, added = tonumber(ARGV[1]), 0
for i = 4, #ARGV, 9 do
  local first, id, known = tonumber(ARGV[i]), ARGV[i + 3], false
  for k = first, first + days - 1 do
    if redis.call('HEXISTS', KEYS[k], id) == 1 then
      known = true
      break
    end
  end
  if not known then
    local own, list = KEYS[tonumber(ARGV[i + 1])], KEYS[tonumber(ARGV[i + 2])]
    redis.call('HSET', own, id, ARGV[i + 4])
    redis.call('ZADD', list, 0, ARGV[i + 5])
    redis.call('ZADD', KEYS[1], ARGV[i + 6], ARGV[i + 6])
    redis.call('PEXPIREAT', list, ARGV[i + 7])
    redis.call('PEXPIREAT', own, ARGV[i + 8])
    added = added + 1
  end
end
if added > 0 then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
end
return added`

// AddEvents adds events to the index; those that are there, by tenant and message id, stay as they are, so adding twice
// changes nothing. Events older than the retention are left out. It is one round trip; after an error any part of them
// may have been added.
func (r *Redis) AddEvents(ctx context.Context, events []EventEntry) error {
	now := time.Now()
	chunks := map[ident.ID][]*addition{}
	var all []*addition
	for _, e := range events {
		if e.Time.After(now) {
			e.Time = now
		}
		if now.Sub(e.Time) >= r.conf.EventRetention {
			continue
		}
		of := chunks[e.Tenant]
		if len(of) == 0 || of[len(of)-1].events == addChunk {
			a := r.newAddition(e.Tenant, now)
			all, of = append(all, a), append(of, a)
			chunks[e.Tenant] = of
		}
		of[len(of)-1].add(r, e)
	}
	if len(all) == 0 {
		return nil
	}
	return r.runAll(ctx, all)
}

// runAll runs the scripts in one pipeline; those that a node does not know yet it is given in full.
func (r *Redis) runAll(ctx context.Context, all []*addition) error {
	script := redis.NewScript(addScript)
	pipe := r.client.Pipeline()
	for _, a := range all {
		a.cmd = script.EvalSha(ctx, pipe, a.keys, a.argv()...)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	added := int64(0)
	for _, a := range all {
		if redis.HasErrorPrefix(a.cmd.Err(), "NOSCRIPT") {
			a.cmd = script.Eval(ctx, r.client, a.keys, a.argv()...)
		}
		n, err := a.cmd.Int64()
		if err := r.done(err); err != nil {
			return fmt.Errorf("adding events to the index: %w", err)
		}
		added += n
	}
	r.metrics.indexed.Add(float64(added))
	return nil
}

// addition is one call of addScript.
type addition struct {
	of     eventKeys
	now    time.Time
	days   int
	keys   []string
	places map[string]int // of keys, from 1
	shards [idShards]int  // the places of their first keys; 0 before they have one
	args   []any
	oldest int64
	retain time.Duration
	events int
	cmd    *redis.Cmd
}

func (r *Redis) newAddition(tenant ident.ID, now time.Time) *addition {
	a := &addition{of: r.eventKeys(tenant), now: now, places: map[string]int{}, retain: r.conf.EventRetention}
	a.oldest = now.Add(-a.retain).UnixMilli() / hourMillis
	a.place(a.of.hours())
	return a
}

// place returns the place of a key, which it adds if it is new.
func (a *addition) place(key string) int {
	at, ok := a.places[key]
	if !ok {
		a.keys = append(a.keys, key)
		at = len(a.keys)
		a.places[key] = at
	}
	return at
}

func (a *addition) add(r *Redis, e EventEntry) {
	shard := int(e.Message[len(e.Message)-1]) % idShards
	if a.shards[shard] == 0 {
		live := r.liveIDs(a.of, e.Message, a.now)
		a.days = len(live)
		a.shards[shard] = a.place(live[0])
		for _, key := range live[1:] {
			a.place(key) // shards come as a whole, so they stand next to each other
		}
	}
	first := a.shards[shard]
	ms := e.Time.UnixMilli()
	hour, day := ms/hourMillis, ms/dayMillis
	kept := a.retain.Milliseconds()
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(ms))
	a.args = append(a.args,
		first, a.place(a.of.ids(day, e.Message)), a.place(a.of.hour(hour)), string(e.Message[:]), string(at[2:]),
		e.member(r.conf.Prefix), hour, (hour+1)*hourMillis+kept, (day+1)*dayMillis+kept)
	a.events++
}

func (a *addition) argv() []any {
	return append([]any{a.days, a.oldest, (a.retain + time.Hour).Milliseconds()}, a.args...)
}
