package view

// addRowsScript adds rows of one subscription, of which it does what cannot be prepared: it compares with the guard, so that
// rows which come again change nothing, and with the statuses. It touches nothing but its keys.
//
//	KEYS  statuses, last attempts, the hours' indexes, the counters
//	ARGV  partition; the first and last offset of the rows; when the last attempts expire, and the statuses, ms; how many
//	      event types, lists, hours and hashes of counters; then
//	      for each event type: its name and the last of its attempts
//	      for each list of last attempts: its name and what it gets
//	      for each hour: what it gets, when it expires, ms
//	      for each hash of counters: when it expires, ms; how many counters; each one's field and number
//
// Counters are new only where an hour is: they get their end with it.
//
// It returns a state, how many event types follow and which (from 1), and which hours are new:
//
//	1   added; the event types are those whose status is another than before, or of another hour
//	0   all rows were there; the event types are those whose status is the one given
//	-1  some were there; what follows is the offset of the last one. Nothing was done
const addRowsScript = `
local function newer(a, b)
  for i = 1, 16 do
    local x, y = string.byte(a, i), string.byte(b, i)
    if x ~= y then return x > y end
  end
  return false
end
local function good(entry) return math.floor(string.byte(entry, 16) / 8) % 32 == 1 end

local types, lists, hours, counters = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
local names, at = {'@'}, 10
for i = 1, types do names[i + 1] = ARGV[at + 2 * i - 2] end
local known = redis.call('HMGET', KEYS[1], unpack(names))
local guard = -1
if known[1] then
  local partition, offset = string.match(known[1], '^(%d+) (%d+)$')
  if partition == ARGV[1] then guard = tonumber(offset) end
end
if guard >= tonumber(ARGV[2]) and guard < tonumber(ARGV[3]) then return {-1, guard} end
local fresh = guard < tonumber(ARGV[2])

local reply, set = {1, 0}, {'@', ARGV[1] .. ' ' .. ARGV[3]}
for i = 1, types do
  local old, new = known[i + 1], ARGV[at + 1]
  if not fresh then
    if old == new then reply[#reply + 1] = i end
  elseif not old or newer(new, old) then
    set[#set + 1] = ARGV[at]
    set[#set + 1] = new
    if not old or good(old) ~= good(new) or string.sub(old, 1, 3) ~= string.sub(new, 1, 3) then reply[#reply + 1] = i end
  end
  at = at + 2
end
reply[2] = #reply - 2
if not fresh then
  reply[1] = 0
  return reply
end
redis.call('HSET', KEYS[1], unpack(set))
if reply[2] > 0 or not known[1] then redis.call('PEXPIREAT', KEYS[1], ARGV[5]) end

if lists > 0 then
  names, set = {}, {}
  for i = 1, lists do names[i] = ARGV[at + 2 * i - 2] end
  known = redis.call('HMGET', KEYS[2], unpack(names))
  for i = 1, lists do
    set[2 * i - 1] = names[i]
    set[2 * i] = string.sub((known[i] or '') .. ARGV[at + 1], -800)
    at = at + 2
  end
  redis.call('HSET', KEYS[2], unpack(set))
  if reply[2] > 0 or not known[1] then redis.call('PEXPIREAT', KEYS[2], ARGV[4]) end
end
for i = 1, hours do
  if redis.call('APPEND', KEYS[2 + i], ARGV[at]) == #ARGV[at] then
    redis.call('PEXPIREAT', KEYS[2 + i], ARGV[at + 1])
    reply[#reply + 1] = i
  end
  at = at + 2
end
for i = 1, counters do
  local key, n = KEYS[2 + hours + i], tonumber(ARGV[at + 1])
  for j = at + 2, at + 2 * n, 2 do redis.call('HINCRBY', key, ARGV[j], ARGV[j + 1]) end
  if #reply > 2 + reply[2] then redis.call('PEXPIREAT', key, ARGV[at]) end
  at = at + 2 + 2 * n
end
return reply`

// addMessagesScript adds rows to the messages of one hash tag.
//
//	KEYS  the guard, the buckets
//	ARGV  partition; the first and last offset of the rows; then for each bucket: what it gets, when it expires, ms
//
// It returns 1 and which buckets are new; 0 if all rows were there; or -1 and the offset of the last one that was.
const addMessagesScript = `
local guard = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '-1')
if guard >= tonumber(ARGV[3]) then return {0} end
if guard >= tonumber(ARGV[2]) then return {-1, guard} end
local reply = {1}
for i = 2, #KEYS do
  if redis.call('APPEND', KEYS[i], ARGV[2 * i]) == #ARGV[2 * i] then
    redis.call('PEXPIREAT', KEYS[i], ARGV[2 * i + 1])
    reply[#reply + 1] = i - 1
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
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

// addStatusScript sets the last attempt of an event type unless there is a later one.
//
//	KEYS  statuses
//	ARGV  event type, the entry, when it expires, ms
const addStatusScript = `
local old, new = redis.call('HGET', KEYS[1], ARGV[1]), ARGV[2]
if old then
  for i = 1, 16 do
    local x, y = string.byte(old, i), string.byte(new, i)
    if x > y or x == y and i == 16 then return 0 end
    if x < y then break end
  end
end
redis.call('HSET', KEYS[1], ARGV[1], new)
if redis.call('PTTL', KEYS[1]) < 0 then redis.call('PEXPIREAT', KEYS[1], ARGV[3]) end
return 1`
