package view

import (
	"slices"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

// The scripts; the SHA of a text is made once.
//
//nolint:gochecknoglobals // constants
var (
	adding   = redis.NewScript(addRowsScript)
	sealing  = redis.NewScript(sealScript)
	turning  = redis.NewScript(turnScript)
	noticing = redis.NewScript(addStatusScript)
	indexing = redis.NewScript(addEventsScript)

	shortening = redis.NewScript(shortenScript)
)

// addRowsScript adds what a batch has for a shard. It compares with the guard, so that rows which come again change nothing, and
// touches nothing but its keys.
//
//	KEYS  the guard; the days and the buckets; the loads
//	ARGV  partition; the first and last offset of the rows; how headers begin; how many bytes of rows make a digest due; then for
//	      each day: when its keys expire, ms; how many subscriptions and how many buckets; what each of them gets; and the same for
//	      each step of loads, which is a bucket
//
// It returns 1 and which keys are new, and which have become due, negative, both counted from 1 behind the guard; 0 if all rows
// were there; or -1 and the offset of the last one that was. Nothing was done then.
const addRowsScript = `
local call, append, sub = redis.call, 'APPEND', string.sub
local guard = tonumber(call('HGET', KEYS[1], ARGV[1]) or '-1')
if guard >= tonumber(ARGV[3]) then return {0} end
if guard >= tonumber(ARGV[2]) then return {-1, guard} end
local start, due, reply, k, at = ARGV[4], tonumber(ARGV[5]), {1}, 1, 6
while at < #ARGV do
  local expires, subs, buckets = ARGV[at], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  at = at + 3
  for i = 1, subs do
    k = k + 1
    local key, rows = KEYS[k], ARGV[at]
    local n, more = call(append, key, rows), #rows
    if n == more then
      call('SET', key, start .. sub(rows, 1, 4) .. rows, 'PXAT', expires)
      reply[#reply + 1] = k - 1
    elseif (n - 16) % due < more then
      reply[#reply + 1] = 1 - k
    end
    at = at + 1
  end
  for i = 1, buckets do
    k = k + 1
    if call(append, KEYS[k], ARGV[at]) == #ARGV[at] then
      call('PEXPIREAT', KEYS[k], expires)
      reply[#reply + 1] = k - 1
    end
    at = at + 1
  end
end
call('HSET', KEYS[1], ARGV[1], ARGV[3])
return reply`

// sealScript writes a string anew that nothing is appended to any more: Redis has kept room at its end, a third of its memory
// on average.
//
//	KEYS  the string
const sealScript = `
local n = redis.call('STRLEN', KEYS[1])
if n == 0 or n > 1048576 then return 0 end
redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]), 'KEEPTTL')
return 1`

// turnScript puts a full string of a day aside and begins another, unless somebody did.
//
//	KEYS  the day's, the one that it becomes
//	ARGV  the header that it has, that of the next, when that expires, ms
const turnScript = `
if redis.call('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then return 0 end
redis.call('RENAME', KEYS[1], KEYS[2])
redis.call('SET', KEYS[1], ARGV[2], 'PXAT', ARGV[3])
return 1`

// shortenScript puts something shorter in place of a string's beginning. What has come behind it stays.
//
//	KEYS  the string
//	ARGV  how many bytes, what takes their place
const shortenScript = `
local text, n = redis.call('GET', KEYS[1]), tonumber(ARGV[1])
if not text or #text < n then return 0 end
redis.call('SET', KEYS[1], ARGV[2] .. string.sub(text, n + 1), 'KEEPTTL')
return 1`

// addStatusScript sets last attempts of event types unless there are later ones.
//
//	KEYS  statuses, one for each
//	ARGV  for each the event type, the entry, when the statuses expire, ms
const addStatusScript = `
local function newer(a, b)
  for i = 1, 16 do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return false
end
for i = 1, #KEYS do
  local key, name, new = KEYS[i], ARGV[3 * i - 2], ARGV[3 * i - 1]
  local old = redis.call('HGET', key, name)
  if not old or newer(new, old) then
    redis.call('HSET', key, name, new)
    redis.call('PEXPIREAT', key, ARGV[3 * i])
  end
end
return 1`

// dayOfShard is what a shard gets of a day.
type dayOfShard struct {
	day     int64
	subs    []part
	buckets []part
	places  map[ident.ID]int // of subs
	filled  [messageBuckets]int
}

// part is what is appended to one string.
type part struct {
	target
	bytes []byte
}

// prepare makes the arguments of [addRowsScript].
func (b *batch) prepare(s *shard) {
	var days []*dayOfShard
	of := func(day int64) *dayOfShard {
		i := slices.IndexFunc(days, func(d *dayOfShard) bool { return d.day == day })
		if i < 0 {
			i, days = len(days), append(days, &dayOfShard{day: day, places: map[ident.ID]int{}})
		}
		return days[i]
	}
	for _, row := range s.rows {
		if day := row.day(); day >= b.oldest {
			of(day).add(row)
		}
	}
	for _, row := range s.messages {
		if day := row.day(); day >= b.oldest {
			of(day).addMessage(row, b.partition)
		}
	}
	b.arguments(s, days)
}

func (d *dayOfShard) add(row *Row) {
	i, ok := d.places[row.Subscription]
	if !ok {
		i = len(d.subs)
		d.places[row.Subscription] = i
		d.subs = append(d.subs, part{target: target{sub: row.Subscription, day: d.day}})
	}
	p := &d.subs[i]
	p.bytes = row.appendEntry(p.bytes)
	p.rows++
}

func (d *dayOfShard) addMessage(row *Row, partition int32) {
	at := placeOfMessage(row.Message)
	if d.filled[at.bucket] == 0 {
		d.buckets = append(d.buckets, part{target: target{bucket: at.bucket*viewShards + at.shard, day: d.day}})
		d.filled[at.bucket] = len(d.buckets)
	}
	p := &d.buckets[d.filled[at.bucket]-1]
	p.bytes = row.appendMessage(p.bytes, partition)
}

func (b *batch) arguments(s *shard, days []*dayOfShard) {
	first, last := span(s.rows, s.messages)
	n := 0
	for _, d := range days {
		n += len(d.subs) + len(d.buckets)
	}
	s.script, s.targets = adding, make([]target, 0, n)
	s.keys = append(make([]string, 0, 1+n), guardKey(s.tag))
	s.args = append(make([]any, 0, 5+3*len(days)+n), int64(b.partition), first, last, b.start, digestRows*entryBytes)
	for _, d := range days {
		s.args = append(s.args, b.r.dayEnds(d.day), len(d.subs), len(d.buckets))
		for _, p := range d.subs {
			s.keys, s.args, s.targets = append(s.keys, b.r.subKeys(p.sub).current(d.day)), append(s.args, p.bytes), append(s.targets, p.target)
		}
		for _, p := range d.buckets {
			s.keys, s.args, s.targets = append(s.keys, bucketKey(s.tag, d.day, p.bucket/viewShards)), append(s.args, p.bytes), append(s.targets, p.target)
		}
	}
	for step, of := range loadsOf(s.rows, b.now) {
		s.keys, s.targets = append(s.keys, loadKey(s.tag, step)), append(s.targets, target{step: step})
		s.args = append(s.args, loadEnds(step), 0, 1, of.append(nil))
	}
}

// dayEnds is when what is of a day expires, ms.
func (r *Redis) dayEnds(day int64) int64 {
	return (day+1)*dayMillis + r.conf.EventRetention.Milliseconds()
}

// span is the first and the last offset of two lists, one of which has some.
func span(a, b []*Row) (first, last int64) {
	switch {
	case len(a) == 0:
		a = b
	case len(b) == 0:
		b = a
	}
	return min(a[0].Offset, b[0].Offset), max(a[len(a)-1].Offset, b[len(b)-1].Offset)
}
