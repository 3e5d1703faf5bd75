package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Progress is how far the recorder is with a partition of a topic.
type Progress struct {
	Partition int32
	// From is the offset from which on the views have it. If it is above the log's start, something is missing: Redis has lost
	// its data, and "postrider views rebuild" was not run since.
	From int64
	// Next is the offset after the last one that is in the views.
	Next int64
	// Time is when the record before Next was written.
	Time time.Time
}

// progressKey is a hash, "<topic>/<partition>" to "<from> <next> <time in ms>". Before topics that the views of attempts are made of
// stands the layout of these, as in "2:postrider.outcomes/0", but for layout 1: versions that run beside each other, or one after
// the other, each know how far their own views are.
func (r *Redis) progressKey() string { return "{" + r.conf.Prefix + "progress}" }

// progressOf is how fields of a topic begin.
func (r *Redis) progressOf(topic string) string {
	if r.laidOut(topic) {
		return strconv.Itoa(layout) + ":" + topic + "/"
	}
	return topic + "/"
}

// laidOut reports whether the views of attempts are made of a topic.
func (r *Redis) laidOut(topic string) bool {
	return topic == r.conf.Prefix+outcomesTopic || topic == r.conf.Prefix+statusesTopic
}

// progressScript sets how far a partition is; it never goes back. If there is a gap before the batch, what is before it counts as
// missing: somebody else recorded it, in another layout.
//
//	KEYS  the progress
//	ARGV  the field, the first offset of a batch, the one after its last, the time of the last record, ms; whether offsets have
//	      no gaps of their own, 1 or 0
const progressScript = `
local known = redis.call('HGET', KEYS[1], ARGV[1])
local from = ARGV[2]
if known then
  local first, next = string.match(known, '^(%d+) (%d+) ')
  if tonumber(next) >= tonumber(ARGV[3]) then return 0 end
  if ARGV[5] == '0' or tonumber(next) >= tonumber(ARGV[2]) then from = first end
end
redis.call('HSET', KEYS[1], ARGV[1], from .. ' ' .. ARGV[3] .. ' ' .. ARGV[4])
return 1`

var advancing = redis.NewScript(progressScript) //nolint:gochecknoglobals // a constant

// Advance notes that all records of a partition from an offset up to next, this one left out, are in the views, and when the
// last of them was written.
func (r *Redis) Advance(ctx context.Context, topic string, partition int32, from, next int64, at time.Time) error {
	dense := 0
	if r.laidOut(topic) {
		dense = 1
	}
	_, err := advancing.Run(ctx, r.client, []string{r.progressKey()},
		r.progressOf(topic)+strconv.Itoa(int(partition)), from, next, at.UnixMilli(), dense).Result()
	if err := r.done(err); err != nil {
		return fmt.Errorf("noting progress: %w", err)
	}
	return nil
}

// Progress returns how far the recorder is with a topic, by partition. Partitions that it never read are left out.
func (r *Redis) Progress(ctx context.Context, topic string) ([]Progress, error) {
	fields, err := r.client.HGetAll(ctx, r.progressKey()).Result()
	if err := r.done(err); err != nil {
		return nil, fmt.Errorf("reading progress: %w", err)
	}
	return parseProgress(fields, r.progressOf(topic))
}

// OtherLayout says what is wrong if a recorder of another version, which lays the views of attempts out in another way, has written
// to this Redis as long as its rows are kept; "" if none has.
func (r *Redis) OtherLayout(ctx context.Context) (string, error) {
	fields, err := r.client.HGetAll(ctx, r.progressKey()).Result()
	if err := r.done(err); err != nil {
		return "", fmt.Errorf("reading progress: %w", err)
	}
	topic, oldest := r.conf.Prefix+outcomesTopic+"/", time.Now().Add(-r.conf.EventRetention)
	for name, text := range fields {
		before, ok := strings.CutSuffix(strings.TrimRight(name, "0123456789"), topic)
		other := 1
		if before != "" {
			other, err = strconv.Atoi(strings.TrimSuffix(before, ":"))
		}
		if !ok || err != nil || other == layout {
			continue
		}
		if p, err := parseProgress(map[string]string{name: text}, before+topic); err != nil || p[0].Time.Before(oldest) {
			continue // expired
		}
		return fmt.Sprintf("a recorder of another version has made views of attempts in Redis, of layout %d; this version has layout %d and "+
			"does not show what is there alone: when all recorders are of one version, stop them and run \"postrider views rebuild\"",
			other, layout), nil
	}
	return "", nil
}

// parseProgress reads the fields that begin with a topic.
func parseProgress(fields map[string]string, topic string) ([]Progress, error) {
	var out []Progress
	for name, text := range fields {
		id, ok := strings.CutPrefix(name, topic)
		if !ok {
			continue
		}
		var p Progress
		var ms int64
		_, err := fmt.Sscanf(text, "%d %d %d", &p.From, &p.Next, &ms)
		_, err2 := fmt.Sscanf(id, "%d", &p.Partition)
		if err := errors.Join(err, err2); err != nil {
			return nil, fmt.Errorf("reading progress of %s: %w", name, err)
		}
		p.Time = time.UnixMilli(ms).UTC()
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Progress) int { return cmp.Compare(a.Partition, b.Partition) })
	return out, nil
}

// Ends are the first offset of a partition's log and the one after its last record.
type Ends struct{ Start, End int64 }

// Completeness says what a view has.
type Completeness struct {
	// To is a time up to which every record is in the view, those written later perhaps: now if all of them are. Zero means
	// that it is not known, since a partition was never read.
	To time.Time
	// Behind is how many records are not in it yet.
	Behind int64
	// Rebuild says that older records are missing, because Redis has lost its data: "postrider views rebuild" makes them
	// again.
	Rebuild bool
}

// Complete compares how far the recorder is with the partitions of a log.
func Complete(progress []Progress, log map[int32]Ends, now time.Time) Completeness {
	known := map[int32]Progress{}
	for _, p := range progress {
		known[p.Partition] = p
	}
	c := Completeness{To: now}
	for partition, ends := range log {
		p, ok := known[partition]
		switch {
		case ends.Start == ends.End: // nothing was written, or all of it has left the log
			continue
		case !ok:
			c.To, c.Behind = time.Time{}, c.Behind+ends.End-ends.Start
			continue
		}
		c.Rebuild = c.Rebuild || p.From > ends.Start
		if behind := ends.End - max(p.Next, ends.Start); behind > 0 {
			c.Behind += behind
			if p.Time.Before(c.To) {
				c.To = p.Time
			}
		}
	}
	return c
}
