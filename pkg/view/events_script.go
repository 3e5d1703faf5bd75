package view

import (
	"slices"
	"time"
)

// addEventsScript adds what a batch has of events for a shard, unless some of their ids are there: then it does nothing and returns
// which, counted from 1 in the order of the ids. It touches nothing but its keys.
//
// A call of Redis from a script takes half a microsecond and more, so there is one for many events: a hash is asked for all of its ids
// at once, and a chunk is one member of the hour's list. Redis keeps hashes of up to 512 short fields in a line and looks through all of it for each
// id, 3 µs; a long value, which no event has, has it keep those of 64 as larger ones.
//
//	KEYS  for each hash of ids: it, and those of the days beside it; then for each hour's list: the tenant's hours, the list
//	ARGV  how many days; for each: when its ids expire, ms; how many days are beside it, and how many hashes it has; for each of these
//	      the ids, each with the beginning of its chunk, 22 bytes; then how many lists, the oldest hour, the retention, ms; and for each list: its
//	      hour, when it expires, ms, how many chunks, and these
const addEventsScript = `
local call, sub = redis.call, string.sub
local known, hashes, fields, ends = {}, {}, {}, {}
local n, k, at = 0, 0, 2
for day = 1, tonumber(ARGV[1]) do
  local expires, beside, groups = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  for g = at, at + groups - 1 do
    local text, ids, pairs = ARGV[g], {}, {}
    local size = #text / 22
    for i = 1, size do
      local from = 22 * i - 21
      local id = sub(text, from, from + 15)
      ids[i], pairs[2 * i - 1], pairs[2 * i] = id, id, sub(text, from + 16, from + 21)
    end
    for b = 1, 1 + beside do
      local found = call('HMGET', KEYS[k + b], unpack(ids))
      for i = 1, size do
        if found[i] then known[#known + 1] = n + i end
      end
    end
    hashes[#hashes + 1], fields[#fields + 1], ends[#ends + 1] = KEYS[k + 1], pairs, expires
    n, k = n + size, k + 1 + beside
  end
  at = at + groups
end
if #known > 0 then return known end
for i = 1, #hashes do
  local hash, more = hashes[i], #fields[i] / 2
  call('HSET', hash, unpack(fields[i]))
  local size = call('HLEN', hash)
  if size == more then call('PEXPIREAT', hash, ends[i]) end
  if size >= 64 and size - more < 64 then call('HSET', hash, '', string.rep('.', 65)) end
end
local lists, oldest, kept = tonumber(ARGV[at]), ARGV[at + 1], ARGV[at + 2]
at = at + 3
for l = 1, lists do
  local hours, list, hour, chunks, members = KEYS[k + 1], KEYS[k + 2], ARGV[at], tonumber(ARGV[at + 2]), {}
  for i = 1, chunks do
    members[2 * i - 1], members[2 * i] = '0', ARGV[at + 2 + i]
  end
  call('ZADD', list, unpack(members))
  if call('ZCARD', list) == chunks then
    call('PEXPIREAT', list, ARGV[at + 1])
    call('ZADD', hours, hour, hour)
    call('ZREMRANGEBYSCORE', hours, '-inf', '(' .. oldest)
    call('PEXPIRE', hours, kept)
  end
  k, at = k + 2, at + 3 + chunks
end
return {}`

// idsOfDay are the ids of a day that a script adds.
type idsOfDay struct {
	day    int64
	groups []idGroup
	places [idShards]int // in groups, from 1
}

// idGroup is what one hash gets.
type idGroup struct {
	shard byte
	bytes []byte
	of    []int // places of the events in their shard
}

// hourOfTenant is what the list of an hour gets.
type hourOfTenant struct {
	keys   eventKeys
	hour   int64
	chunks [][]byte
}

// prepare makes the arguments of [addEventsScript].
func (b *eventBatch) prepare(s *eventShard) {
	s.days = nil
	var lists []*hourOfTenant
	var list *hourOfTenant
	var chunk []byte
	begins, size := int64(0), 0
	for i, e := range s.events {
		hour := e.at / hourMillis
		sameList := list != nil && list.hour == hour && s.events[i-1].Tenant == e.Tenant
		if !sameList {
			list = &hourOfTenant{keys: b.r.eventKeys(e.Tenant), hour: hour}
			lists = append(lists, list)
		}
		if !sameList || size == chunkEvents || e.at-begins >= chunkMillis {
			list.chunks = append(list.chunks, nil)
			chunk, begins, size = make([]byte, 0, chunkCap), e.at, 0
		}
		chunk = e.appendTo(chunk, b.r.conf.Prefix, e.at)
		list.chunks[len(list.chunks)-1] = chunk
		size++
		s.day(e.at/dayMillis).add(i, &e, begins)
	}
	b.arguments(s, lists)
}

// chunkCap is room for two events of an ordinary type.
const chunkCap = 96

func (s *eventShard) day(day int64) *idsOfDay {
	i := slices.IndexFunc(s.days, func(d *idsOfDay) bool { return d.day == day })
	if i < 0 {
		i, s.days = len(s.days), append(s.days, &idsOfDay{day: day})
	}
	return s.days[i]
}

func (d *idsOfDay) add(i int, e *timedEvent, begins int64) {
	shard := idShard(e.Message)
	if d.places[shard] == 0 {
		d.groups = append(d.groups, idGroup{shard: shard})
		d.places[shard] = len(d.groups)
	}
	g := &d.groups[d.places[shard]-1]
	at := millis8(begins)
	g.bytes = append(append(g.bytes, e.Message[:]...), at[2:]...)
	g.of = append(g.of, i)
}

func (b *eventBatch) arguments(s *eventShard, lists []*hourOfTenant) {
	oldest, kept := b.now.Add(-b.r.conf.EventRetention).UnixMilli(), b.r.conf.EventRetention.Milliseconds()
	today := b.now.UnixMilli() / dayMillis
	s.script, s.keys, s.args = indexing, nil, []any{len(s.days)}
	for _, d := range s.days {
		beside := make([]int64, 0, 2)
		if d.day*dayMillis > oldest { // the day before has not expired
			beside = append(beside, d.day-1)
		}
		if d.day < today {
			beside = append(beside, d.day+1)
		}
		s.args = append(s.args, b.r.dayEnds(d.day), len(beside), len(d.groups))
		for i := range d.groups {
			s.keys = append(s.keys, idsKey(s.tag, d.day, d.groups[i].shard))
			for _, other := range beside {
				s.keys = append(s.keys, idsKey(s.tag, other, d.groups[i].shard))
			}
			s.args = append(s.args, d.groups[i].bytes)
		}
	}
	s.args = append(s.args, len(lists), oldest/hourMillis, kept+time.Hour.Milliseconds())
	for _, l := range lists {
		s.keys = append(s.keys, l.keys.hours(), l.keys.hour(l.hour))
		s.args = append(s.args, l.hour, (l.hour+1)*hourMillis+kept, len(l.chunks))
		for _, chunk := range l.chunks {
			s.args = append(s.args, chunk)
		}
	}
}
