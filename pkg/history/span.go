package history

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/kafka"
)

// Bound is one end of a range of a topic: an instant, offsets of partitions, or the end of the log on its side.
type Bound struct {
	// At is an instant; records whose timestamp is not before it are beyond the bound.
	At time.Time
	// Offsets are those of partitions; partitions that are not named are left out.
	Offsets map[int32]int64
}

// open reports whether b is the end of the log on its side.
func (b Bound) open() bool { return b.At.IsZero() && b.Offsets == nil }

// ParseBound reads a bound: RFC 3339, how long ago ("90m"), partition:offset pairs with commas, or nothing at all for the end
// of the log.
func ParseBound(text string, now time.Time) (Bound, error) {
	if text == "" {
		return Bound{}, nil
	}
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return Bound{At: at}, nil
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return Bound{At: now.Add(-ago)}, nil
	}
	b := Bound{Offsets: map[int32]int64{}}
	for pair := range strings.SplitSeq(text, ",") {
		p, o, ok := strings.Cut(strings.TrimSpace(pair), ":")
		partition, err := strconv.ParseInt(p, 10, 32)
		offset, err2 := strconv.ParseInt(o, 10, 64)
		if !ok || err != nil || err2 != nil || partition < 0 || offset < 0 {
			return Bound{}, fmt.Errorf("%q: want a time (2026-01-02T15:04:05Z), how long ago (90m), or partition:offset,…", text)
		}
		b.Offsets[int32(partition)] = offset
	}
	return b, nil
}

// Span is a range of a topic.
type Span struct {
	Topic      string
	Partitions map[int32]Stretch
}

// Stretch is a range of a partition: From ≤ offset < To.
type Stretch struct {
	From, To int64
	// Cut says that the log begins at From and may have had more of the range before.
	Cut bool
}

// Resolve finds the offsets of a range. To is at most the committed end now.
func Resolve(ctx context.Context, conf kafka.Config, topic string, from, to Bound) (Span, error) {
	ends, err := kafka.TopicEnds(ctx, conf, topic)
	if err != nil {
		return Span{}, err
	}
	first, err := offsets(ctx, conf, topic, from)
	if err != nil {
		return Span{}, err
	}
	last, err := offsets(ctx, conf, topic, to)
	if err != nil {
		return Span{}, err
	}
	s := Span{Topic: topic, Partitions: map[int32]Stretch{}}
	for p, e := range ends {
		st := Stretch{From: e.Start, To: e.End}
		if at, ok := first[p]; ok {
			st.Cut = e.Start > 0 && at <= e.Start && (from.Offsets == nil || at < e.Start)
			st.From = max(at, e.Start)
		} else if !from.open() {
			continue
		}
		if at, ok := last[p]; ok {
			st.To = min(at, e.End)
		} else if !to.open() {
			continue
		}
		if st.To > st.From {
			s.Partitions[p] = st
		}
	}
	for p := range from.Offsets {
		if _, ok := ends[p]; !ok {
			return Span{}, fmt.Errorf("topic %s has no partition %d", topic, p)
		}
	}
	return s, nil
}

// offsets are those of a bound; none of an open one.
func offsets(ctx context.Context, conf kafka.Config, topic string, b Bound) (map[int32]int64, error) {
	if b.At.IsZero() {
		return b.Offsets, nil
	}
	return kafka.OffsetsAt(ctx, conf, topic, b.At)
}

// holds reports whether a place is in the range.
func (s Span) holds(topic string, partition int32, offset int64) bool {
	st, ok := s.Partitions[partition]
	return ok && topic == s.Topic && offset >= st.From && offset < st.To
}

// length is how many offsets the range has.
func (s Span) length() (n int64) {
	for _, st := range s.Partitions {
		n += st.To - st.From
	}
	return n
}
