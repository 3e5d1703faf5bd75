package view

import (
	"fmt"
	"strconv"
	"time"

	"github.com/postrider/postrider/pkg/ident"
)

// All keys of a subscription have one hash tag, {<prefix>sub.<subscription>}, so that a Redis Cluster keeps them on one node:
//
//	…:s         hash, event type to its last attempt, 16 bytes; the field "@" is the guard: partition and last offset
//	…:l         hash, event type, "" for all of them, to the last 50 attempts, 16 bytes each
//	…:h:<hour>  string, 16 bytes a row, in the order of offsets
//	…:m:<hour>  hash, counters of the hour's minutes, see [counterField]
//	…:d:<day>   hash, counters of the day's hours
//
// Rows that are no attempt (parked, cancelled, not sent) are in the hours and in the counters, not in the first two.
type subKeys struct{ tag string }

func (r *Redis) subKeys(sub ident.ID) subKeys {
	return subKeys{"{" + r.conf.Prefix + subTag + sub.UUID() + "}"}
}

const subTag = "sub."

// guardField is no event type.
const guardField = "@"

func (k subKeys) statuses() string          { return k.tag + ":s" }
func (k subKeys) lasts() string             { return k.tag + ":l" }
func (k subKeys) hour(hour int64) string    { return k.tag + ":h:" + strconv.FormatInt(hour, 10) }
func (k subKeys) minutes(hour int64) string { return k.tag + ":m:" + strconv.FormatInt(hour, 10) }
func (k subKeys) hours(day int64) string    { return k.tag + ":d:" + strconv.FormatInt(day, 10) }

// The rows of messages are in 64 hash tags by the message id, {<prefix>msg.<00 to 3f>}:
//
//	…:o                 hash, partition to the last offset: the guard
//	…:<day>:<00 to ff>  string, 14 bytes a row: 6 of the message id, 2 of the partition, 6 of the offset
//
// So a day has 16,384 strings of all tenants: at 1,000 rows/s one has 74 KB, at 1 row/s 5 rows. Rows of one partition are in
// the order of offsets, those of different ones as they came. All rows are there, attempts or not.
type messagePlace struct {
	tag, bucket byte
	rest        [6]byte
}

const (
	msgTag       = "msg."
	messageTags  = 64
	messageBytes = 14
)

func placeOfMessage(id ident.ID) messagePlace {
	return messagePlace{tag: id[15] % messageTags, bucket: id[14], rest: [6]byte(id[8:14])}
}

func (r *Redis) messageTag(tag byte) string {
	return fmt.Sprintf("{%s%s%02x}", r.conf.Prefix, msgTag, tag)
}

// bucketKey is the key of a bucket below its tag.
func bucketKey(tag string, day int64, bucket byte) string {
	const hex = "0123456789abcdef"
	b := append(make([]byte, 0, len(tag)+16), tag...)
	b = strconv.AppendInt(append(b, ':'), day, 10)
	return string(append(b, ':', hex[bucket>>4], hex[bucket&15]))
}

// Lifetimes of what does not live as long as attempts are kept.
const (
	// minutesKept is for how long after its end the counters of an hour's minutes are there: a day, and an hour to spare.
	minutesKept = 25 * time.Hour
	// statusKept is how long a subscription's statuses outlive its last attempt: so long that nobody asks, but not for ever,
	// since subscriptions are deleted.
	statusKept = 400 * 24 * time.Hour
	// outcomesKept is how long outcomes are in Kafka: the last attempts lead nowhere after that.
	outcomesKept = 9 * 24 * time.Hour
)

// Counters are the fields of a hash: of a minute of the hour, or an hour of the day, one for every result and bucket of the
// duration that occurs. Those of result 0, none, are the sum of durations and the rows that are no attempt.
const (
	counterSum       = 0 // µs
	counterParked    = 1
	counterCancelled = 2
	counterNotSent   = 3
	counterDead      = 4
)

// counterField puts the steps last: most attempts are of result 1, success, and numbers below 4096 take two bytes in Redis.
func counterField(result uint64, bucket, step, steps int) int {
	return (int(result)*durationBuckets+bucket)*steps + step //nolint:gosec // 5 bits
}

// counterOf is the way back.
func counterOf(field, steps int) (result uint64, bucket, step int) {
	step, field = field%steps, field/steps
	return uint64(field / durationBuckets), field % durationBuckets, step //nolint:gosec // not negative
}

// Steps of a hash of counters.
const (
	minutesOfHour = 60
	hoursOfDay    = 24
)
