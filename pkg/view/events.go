package view

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

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
	addChunk = 250
	// eventsPerTrip bounds the events of the scripts that are sent at a time, as [scriptsPerTrip] does their number.
	eventsPerTrip = 500
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
// A call of Redis from a script takes about half a microsecond, so there are as few for an event as may be: its id is put into its day
// at once, and taken out if a neighbouring day has it.
//
//	KEYS  the hours, the hours' lists, the ids
//	ARGV  the oldest hour; the retention, ms; how many lists; then for each its hour, when it expires, and when its day does, ms; then
//	      for each event: which list (from 1); the keys of the ids of its day and of those beside it, 0 for none; id, time, member
const addScript = `
local call, lists, added = redis.call, tonumber(ARGV[3]), {}
for i = 1, lists do added[i] = {} end
for i = 4 + 3 * lists, #ARGV, 7 do
  local list, own, id = tonumber(ARGV[i]), KEYS[tonumber(ARGV[i + 1])], ARGV[i + 4]
  if call('HSETNX', own, id, ARGV[i + 5]) == 1 then
    if call('HLEN', own) == 1 then call('PEXPIREAT', own, ARGV[3 + 3 * list]) end
    local before, after = KEYS[tonumber(ARGV[i + 2])], KEYS[tonumber(ARGV[i + 3])]
    if before and call('HEXISTS', before, id) == 1 or after and call('HEXISTS', after, id) == 1 then
      call('HDEL', own, id)
    else
      local members = added[list]
      members[#members + 1] = '0'
      members[#members + 1] = ARGV[i + 6]
    end
  end
end
local n = 0
for i = 1, lists do
  local members, hour = added[i], ARGV[1 + 3 * i]
  if #members > 0 then
    n = n + #members / 2
    call('ZADD', KEYS[1 + i], unpack(members))
    if call('ZCARD', KEYS[1 + i]) == #members / 2 then
      call('PEXPIREAT', KEYS[1 + i], ARGV[2 + 3 * i])
      call('ZADD', KEYS[1], hour, hour)
      call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
      call('PEXPIRE', KEYS[1], ARGV[2])
    end
  end
end
return n`

// AddEvents adds events to the index; those that are there, by tenant and message id, stay as they are, so adding twice
// changes nothing. One that was produced again is there once if it was on the same day or the next, by UTC. Events older than the
// retention are left out. After an error any part of them may have been added.
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
	for len(all) > 0 {
		n, events := 0, 0
		for n < len(all) && (n == 0 || events+all[n].events <= eventsPerTrip) {
			events += all[n].events
			n++
		}
		if err := r.addAll(ctx, all[:n]); err != nil {
			return fmt.Errorf("adding events to the index: %w", err)
		}
		all = all[n:]
	}
	return nil
}

func (r *Redis) addAll(ctx context.Context, all []*addition) error {
	scripts := make([]*call, len(all))
	for i, a := range all {
		a.script, a.args = indexing, a.argv()
		scripts[i] = &a.call
	}
	if err := r.send(ctx, scripts); err != nil {
		return err
	}
	added := int64(0)
	for _, a := range all {
		n, err := a.cmd.Int64()
		if err != nil {
			return err
		}
		added += n
	}
	r.metrics.indexed.Add(float64(added))
	return nil
}

// addition is one call of addScript.
type addition struct {
	call
	of     eventKeys
	now    time.Time
	retain time.Duration
	lists  []int64          // hours
	ids    map[dayShard]int // places of keys, from 1
	events int
}

// dayShard is a hash of ids.
type dayShard struct {
	day   int64
	shard byte
}

func (r *Redis) newAddition(tenant ident.ID, now time.Time) *addition {
	return &addition{of: r.eventKeys(tenant), now: now, retain: r.conf.EventRetention, ids: map[dayShard]int{}}
}

// list is the place of an hour's list, from 1.
func (a *addition) list(hour int64) int {
	i := slices.Index(a.lists, hour)
	if i < 0 {
		i, a.lists = len(a.lists), append(a.lists, hour)
	}
	return i + 1
}

// idsOf is the place of a key of ids among those, from 1.
func (a *addition) idsOf(day int64, id ident.ID) int {
	of := dayShard{day, id[len(id)-1]}
	at, ok := a.ids[of]
	if !ok {
		a.keys = append(a.keys, a.of.ids(day, id))
		at = len(a.keys)
		a.ids[of] = at
	}
	return at
}

func (a *addition) add(r *Redis, e EventEntry) {
	ms := e.Time.UnixMilli()
	day, before, after := ms/dayMillis, 0, 0
	if day*dayMillis > a.now.Add(-a.retain).UnixMilli() { // the day before has not expired
		before = a.idsOf(day-1, e.Message)
	}
	if day < a.now.UnixMilli()/dayMillis {
		after = a.idsOf(day+1, e.Message)
	}
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(ms))
	a.args = append(a.args, a.list(ms/hourMillis), a.idsOf(day, e.Message), before, after,
		string(e.Message[:]), string(at[2:]), e.member(r.conf.Prefix))
	a.events++
}

// argv completes the keys and returns the arguments: those of the hours come first.
func (a *addition) argv() []any {
	keys := append(make([]string, 0, 1+len(a.lists)+len(a.keys)), a.of.hours())
	args := append(make([]any, 0, 3+3*len(a.lists)+len(a.args)),
		a.now.Add(-a.retain).UnixMilli()/hourMillis, (a.retain + time.Hour).Milliseconds(), len(a.lists))
	kept := a.retain.Milliseconds()
	for _, hour := range a.lists {
		keys = append(keys, a.of.hour(hour))
		args = append(args, hour, (hour+1)*hourMillis+kept, (hour*hourMillis/dayMillis+1)*dayMillis+kept)
	}
	for i := 0; i < len(a.args); i += 7 {
		for j := i + 1; j < i+4; j++ { // places of ids
			if n, _ := a.args[j].(int); n > 0 {
				a.args[j] = n + len(keys)
			}
		}
	}
	a.keys = append(keys, a.keys...)
	return append(args, a.args...)
}
