package view

import (
	"strconv"
	"time"

	"github.com/postrider/postrider/pkg/ident"
)

// layout is that of the views of attempts in Redis; it is in their keys. Layout 1 had hashes and an index of hours for every
// subscription, and hash tags for each.
const layout = 2

// The views of attempts are in 16 shards, each of one hash tag, {<prefix>views2.<0 to f>}, so that a Redis Cluster keeps a
// shard on one node and one script adds all rows of a batch that belong into it:
//
//	…:o                            hash, partition to the last offset whose rows the shard has: the guard
//	…:h:<subscription>:<day>       string, 16 bytes and then 16 a row, in the order of offsets, see [header] and [Row.appendEntry]
//	…:h:<subscription>:<day>.<n>   the same, one that is full; n counts from 0, and the one without a number comes last
//	…:d:<subscription>:<day>       string, what the rows of a busy day come to, see [digest]
//	…:s:<subscription>             hash, event type to its last attempt that was written to statuses, 16 bytes
//	…:m:<day>:<0 to 1ff>           string, rows of messages, see [Row.appendMessage]
//	…:l:<step>                     string, attempts of five minutes by subscription, see [loads.append]; an entry for each batch
//	                               while they go on, and of the busiest and the sickest alone when they are over
//
// Subscriptions and messages are spread by their ids. Rows that are no attempt (parked, cancelled, not sent) are in the days and
// messages, not in the statuses.
const (
	viewsTag   = "views2."
	viewShards = 16
	// messageBuckets is how many strings a shard has for the messages of a day: 8192 in all, so that at 1,000 rows/s one has 90 KB,
	// at 1 row/s ten rows.
	messageBuckets = 512
)

func shardTags(prefix string) (tags [viewShards]string) {
	for i := range tags {
		tags[i] = "{" + prefix + viewsTag + strconv.FormatInt(int64(i), 16) + "}"
	}
	return tags
}

// shardOf is the shard of a subscription or a message.
func shardOf(id ident.ID) int { return int(id[len(id)-1]) % viewShards }

// subKeys are the keys of a subscription.
type subKeys struct{ tag, id string }

func (r *Redis) subKeys(sub ident.ID) subKeys { return subKeys{r.tags[shardOf(sub)], sub.UUID()} }

func (k subKeys) statuses() string { return k.tag + ":s:" + k.id }
func (k subKeys) digest(day int64) string {
	return k.tag + ":d:" + k.id + ":" + strconv.FormatInt(day, 10)
}

func (k subKeys) current(day int64) string {
	return k.tag + ":h:" + k.id + ":" + strconv.FormatInt(day, 10)
}

// piece is the key of the n-th string of a day, of which there are last before the one that is written.
func (k subKeys) piece(day int64, n, last int) string {
	if n == last {
		return k.current(day)
	}
	return k.current(day) + "." + strconv.Itoa(n)
}

func guardKey(tag string) string { return tag + ":o" }

// messagePlace is where the rows of a message are.
type messagePlace struct {
	shard, bucket int
	rest          [3]byte
}

func placeOfMessage(id ident.ID) messagePlace {
	return messagePlace{
		shard: shardOf(id), bucket: int(id[14]) | int(id[15]>>4&1)<<8, rest: [3]byte(id[11:14]),
	}
}

// bucketKey is the key of a bucket below its tag.
func bucketKey(tag string, day int64, bucket int) string {
	b := append(make([]byte, 0, len(tag)+16), tag...)
	b = strconv.AppendInt(append(b, ":m:"...), day, 10)
	return string(strconv.AppendInt(append(b, ':'), int64(bucket), 16))
}

// statusKept is how long a subscription's statuses outlive its last attempt: so long that nobody asks, but not for ever, since
// subscriptions are deleted.
const statusKept = 400 * 24 * time.Hour
