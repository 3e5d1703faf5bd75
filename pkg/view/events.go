package view

import (
	"bytes"
	"cmp"
	"context"
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

	// idShards is the number of hashes that a day's ids of a shard are spread over, by their last byte, so that none is so large
	// that its expiry holds Redis up, 0.1 s at 1,000 events/s of one tenant, and so few that a batch has many ids for each.
	idShards = 64
	// maxEvents is how many events a script adds: it keeps Redis from its other callers for 3 ms. It
	// may have to unpack twice as many values; Redis' Lua has room for 8,000 and that of the embedded Redis for 5,000.
	maxEvents = 2000
	// chunkEvents and chunkMillis bound a chunk: who looks for an event reads all of its chunk, and who lists events in their
	// order reads on until no chunk that began before can have one.
	chunkEvents = 100
	chunkMillis = 100
)

// eventsTag is where the index is: 16 shards of tenants, each of one hash tag, {<prefix>events2.<0 to f>}, so that a Redis Cluster
// keeps a shard on one node and one script adds all events of a batch that belong into it. Layout 1, "events.", had a tag for each tenant:
//
//	…:t:<tenant>         sorted set of the hours since 1970 in which the tenant has events
//	…:h:<tenant>:<hour>  sorted set, all scores 0: chunks of events, in the order of their first ones, see [EventEntry.appendTo]
//	…:i:<day>:<shard>    hash, message id to when the chunk that it is in begins, ms, by the last byte of the id
//	…:r:<message>        the id is being published, see [Redis.ReserveEvent]
//
// An hour and a day outlive their end by the retention. Message ids are unique among all tenants.
const eventsTag = "events2."

// eventKeys are the keys of a tenant.
type eventKeys struct{ tag, tenant string }

func (r *Redis) eventKeys(tenant ident.ID) eventKeys {
	return eventKeys{eventTag(r.conf.Prefix, shardOf(tenant)), tenant.UUID()}
}

func eventTag(prefix string, shard int) string {
	return "{" + prefix + eventsTag + strconv.FormatInt(int64(shard), 16) + "}"
}

func (k eventKeys) hours() string { return k.tag + ":t:" + k.tenant }
func (k eventKeys) hour(hour int64) string {
	return k.tag + ":h:" + k.tenant + ":" + strconv.FormatInt(hour, 10)
}
func (k eventKeys) reservation(id ident.ID) string { return k.tag + ":r:" + id.UUID() }

// idsKey is the key of a hash of ids below its tag.
func idsKey(tag string, day int64, shard byte) string {
	const digits = "0123456789abcdef"
	b := append(make([]byte, 0, len(tag)+16), tag...)
	b = strconv.AppendInt(append(b, ":i:"...), day, 10)
	return string(append(b, ':', digits[shard>>4], digits[shard&0xf]))
}

func idShard(id ident.ID) byte { return id[len(id)-1] % idShards }

// liveIDs are the keys of all days whose events are kept, today first, in which an id may be.
func (r *Redis) liveIDs(k eventKeys, id ident.ID, now time.Time) (keys []string) {
	today, oldest := now.UnixMilli()/dayMillis, now.Add(-r.conf.EventRetention).UnixMilli()/dayMillis
	for day := today; day >= oldest; day-- {
		keys = append(keys, idsKey(k.tag, day, idShard(id)))
	}
	return keys
}

// AddEvents adds events to the index; those that are there, by tenant and message id, stay as they are, so adding twice
// changes nothing. One that was produced again is there once if it was on the same day or the next, by UTC. Events older than the
// retention are left out. After an error any part of them may have been added.
func (r *Redis) AddEvents(ctx context.Context, events []EventEntry) error {
	if err := r.addEvents(ctx, events); err != nil {
		return fmt.Errorf("adding events to the index: %w", err)
	}
	return nil
}

func (r *Redis) addEvents(ctx context.Context, events []EventEntry) error {
	b := eventBatch{r: r, now: time.Now()}
	todo := b.shards(events)
	for len(todo) > 0 {
		scripts := make([]*call, len(todo))
		for i, s := range todo {
			b.prepare(s)
			scripts[i] = &s.call
		}
		if err := r.send(ctx, scripts); err != nil {
			return err
		}
		var again []*eventShard
		for _, s := range todo {
			known, err := s.cmd.Int64Slice()
			if err != nil {
				return err
			}
			if len(known) == 0 {
				r.metrics.indexed.Add(float64(len(s.events)))
				continue
			}
			if err := s.leaveOut(known); err != nil {
				return err
			}
			if len(s.events) > 0 {
				again = append(again, s)
			}
		}
		todo = again
	}
	return nil
}

// eventBatch is a call of addEvents.
type eventBatch struct {
	r   *Redis
	now time.Time
}

// eventShard is what a batch has for one hash tag, or a part of it.
type eventShard struct {
	call
	tag    string
	events []timedEvent // by tenant, time and id
	days   []*idsOfDay
}

// timedEvent is an event and its time, ms.
type timedEvent struct {
	*EventEntry
	at int64
}

// shards spreads events. What is there twice, on one day or two that follow each other, is taken once.
func (b *eventBatch) shards(events []EventEntry) (todo []*eventShard) {
	var shards [viewShards]*eventShard
	now, kept := b.now.UnixMilli(), b.r.conf.EventRetention.Milliseconds()
	days := make(map[ident.ID]int64, len(events))
	for i := range events {
		e := timedEvent{&events[i], min(events[i].Time.UnixMilli(), now)}
		if now-e.at >= kept {
			continue
		}
		day := e.at / dayMillis
		if other, ok := days[e.Message]; ok && max(other-day, day-other) <= 1 {
			continue
		}
		days[e.Message] = day
		n := shardOf(e.Tenant)
		if shards[n] == nil || len(shards[n].events) == maxEvents {
			shards[n] = &eventShard{tag: eventTag(b.r.conf.Prefix, n)}
			todo = append(todo, shards[n])
		}
		shards[n].events = append(shards[n].events, e)
	}
	for _, s := range todo {
		slices.SortFunc(s.events, func(a, b timedEvent) int {
			if a.at != b.at && a.Tenant == b.Tenant {
				return cmp.Compare(a.at, b.at)
			}
			return cmp.Or(bytes.Compare(a.Tenant[:], b.Tenant[:]), bytes.Compare(a.Message[:], b.Message[:]))
		})
	}
	return todo
}

// leaveOut takes events out that are known, by the places of their ids in the script.
func (s *eventShard) leaveOut(known []int64) error {
	var order []int
	for _, d := range s.days {
		for i := range d.groups {
			order = append(order, d.groups[i].of...)
		}
	}
	for _, n := range known {
		if n < 1 || n > int64(len(order)) {
			return errReply
		}
		s.events[order[n-1]].EventEntry = nil
	}
	s.events = slices.DeleteFunc(s.events, func(e timedEvent) bool { return e.EventEntry == nil })
	return nil
}
