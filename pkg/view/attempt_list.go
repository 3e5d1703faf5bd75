package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Bounds of the work of a call of [Redis.Attempts].
const (
	// maxRows is how many rows a call looks at: 3.2 MB.
	maxRows = 200_000
	// minRows and maxRowsAtOnce bound what a round trip brings.
	minRows, maxRowsAtOnce = 128, 16_384
)

// Attempts returns a page of a list; see [AttemptPage] for when it is not full. Event types are compared by a hash of 32
// bits: the record tells the rest.
func (r *Redis) Attempts(ctx context.Context, q AttemptQuery) (AttemptPage, error) {
	if q.Limit < 1 || q.Limit > MaxAttemptLimit {
		return AttemptPage{}, fmt.Errorf("limit: %d: want 1 to %d", q.Limit, MaxAttemptLimit)
	}
	l := rowListing{r: r, q: q, keys: r.subKeys(q.Subscription), after: -1, before: 1 << 62}
	if !q.After.IsZero() {
		l.after = q.After.UnixMilli()
	}
	if !q.Before.IsZero() {
		l.before = q.Before.Add(time.Millisecond - 1).UnixMilli()
	}
	for _, name := range q.EventTypes {
		l.types = append(l.types, typeHash(name))
	}
	if err := l.run(ctx); err != nil {
		return AttemptPage{}, fmt.Errorf("listing attempts: %w", err)
	}
	return l.page, nil
}

// rowListing is a call of Attempts: it looks at rows between after and before, both left out.
type rowListing struct {
	r             *Redis
	q             AttemptQuery
	keys          subKeys
	after, before int64 // ms
	types         []uint32
	partition     int32
	page          AttemptPage
	looked        int
}

// stretch are rows of an hour, by their places in its index.
type stretch struct {
	hour     int64
	from, to int64
}

func (l *rowListing) run(ctx context.Context) error {
	todo, err := l.stretches(ctx)
	if err != nil {
		return err
	}
	for size := max(int64(minRows), int64(2*l.q.Limit)); len(todo) > 0; size = min(4*size, maxRowsAtOnce) {
		if l.looked >= maxRows {
			return nil
		}
		var some []stretch
		some, todo = l.take(todo, min(size, maxRowsAtOnce))
		full, err := l.read(ctx, some)
		if err != nil || full {
			return err
		}
	}
	l.page.Done = true
	return nil
}

// stretches returns the hours that have rows, in the order of the list, without what the iterator has passed.
func (l *rowListing) stretches(ctx context.Context) (out []stretch, err error) {
	now := time.Now()
	low := max(now.Add(-l.r.conf.EventRetention).UnixMilli(), l.after) / hourMillis
	high := min(now.UnixMilli()/hourMillis+1, l.before/hourMillis) // clocks differ
	at, _, passed := ParseAttemptID(l.q.Iterator)
	turn := at.UnixMilli() / hourMillis
	switch {
	case l.q.Iterator.IsZero():
	case l.q.OldestFirst:
		low = max(low, turn)
	default:
		high = min(high, turn)
	}
	if low > high {
		return nil, nil
	}
	pipe := l.r.client.Pipeline()
	guard := pipe.HGet(ctx, l.keys.statuses(), guardField)
	sizes := make([]*redis.IntCmd, 0, high-low+1)
	for hour := low; hour <= high; hour++ {
		sizes = append(sizes, pipe.StrLen(ctx, l.keys.hour(hour)))
	}
	_, err = pipe.Exec(ctx)
	if errors.Is(err, redis.Nil) {
		return nil, l.r.done(nil) // no guard: it was never attempted
	}
	if err := l.r.done(err); err != nil {
		return nil, err
	}
	if l.partition, err = guardPartition(guard.Val()); err != nil {
		return nil, err
	}
	for i, size := range sizes {
		s := stretch{hour: low + int64(i), to: size.Val() / entryBytes}
		if s, err = l.narrow(ctx, s, turn, passed); err != nil {
			return nil, err
		}
		if s.from < s.to {
			out = append(out, s)
		}
	}
	if !l.q.OldestFirst {
		slices.Reverse(out)
	}
	return out, nil
}

// guardPartition reads the partition of a guard: all rows of a subscription are in it.
func guardPartition(guard string) (partition int32, err error) {
	if _, err := fmt.Sscanf(guard, "%d ", &partition); err != nil {
		return 0, errEntry
	}
	return partition, nil
}

// take cuts the first rows off the stretches.
func (l *rowListing) take(todo []stretch, rows int64) (some, rest []stretch) {
	for rows > 0 && len(todo) > 0 {
		s := todo[0]
		switch n := s.to - s.from; {
		case n <= rows:
			some, todo, rows = append(some, s), todo[1:], rows-n
		case l.q.OldestFirst:
			some = append(some, stretch{s.hour, s.from, s.from + rows})
			todo[0].from += rows
			rows = 0
		default:
			some = append(some, stretch{s.hour, s.to - rows, s.to})
			todo[0].to -= rows
			rows = 0
		}
	}
	return some, todo
}

// read looks at stretches, all of them in one round trip. It reports whether the page is full.
func (l *rowListing) read(ctx context.Context, some []stretch) (full bool, err error) {
	pipe := l.r.client.Pipeline()
	texts := make([]*redis.StringCmd, len(some))
	for i, s := range some {
		texts[i] = pipe.GetRange(ctx, l.keys.hour(s.hour), s.from*entryBytes, s.to*entryBytes-1)
	}
	_, err = pipe.Exec(ctx)
	if err := l.r.done(err); err != nil {
		return false, err
	}
	for i, s := range some {
		b := []byte(texts[i].Val()) // shorter if it has just expired
		for n := range len(b) / entryBytes {
			if !l.q.OldestFirst {
				n = len(b)/entryBytes - 1 - n
			}
			if l.look(parseIndexed(s.hour, b[n*entryBytes:])) {
				return true, nil
			}
		}
	}
	return false, nil
}

// look adds a row to the page if it is asked for. It reports whether it is one too many.
func (l *rowListing) look(p parsed) (full bool) {
	l.looked++
	if p.at > l.after && p.at < l.before && l.wanted(&p) {
		a := p.attempt(l.r.conf.Prefix+outcomesTopic, l.partition)
		if l.q.matches(a) {
			if len(l.page.Attempts) == l.q.Limit {
				return true
			}
			l.page.Attempts = append(l.page.Attempts, a)
		}
	}
	l.page.Iterator = AttemptID(time.UnixMilli(p.at), l.partition, p.offset)
	return false
}

// wanted is the part of the filter that costs little.
func (l *rowListing) wanted(p *parsed) bool {
	q := &l.q
	return (len(l.types) == 0 || slices.Contains(l.types, p.typ)) && (q.Status == 0 || p.status == q.Status) &&
		(q.StatusClass == 0 || p.status/100 == q.StatusClass)
}

func (q *AttemptQuery) matches(a Attempt) bool {
	return (q.AllRows || a.Attempted() || slices.Contains(q.Results, outcome.ResultNone)) &&
		oneOf(q.Results, a.Result) && oneOf(q.Verdicts, a.Verdict) && oneOf(q.Reasons, a.Reason)
}

func oneOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// disorder is how much earlier than a row one that was written after it may have started: an attempt takes a minute at most.
const disorder = 10 * time.Minute

// narrow leaves out what the iterator has passed and, of an hour with many rows, what is before or after the times that are
// asked for: rows are in the order of offsets, and nearly in that of times.
func (l *rowListing) narrow(ctx context.Context, s stretch, turn, passed int64) (_ stretch, err error) {
	slack := disorder.Milliseconds()
	if !l.q.Iterator.IsZero() && s.hour == turn {
		if l.q.OldestFirst {
			s.from, err = l.search(ctx, s, func(p parsed) bool { return p.offset > passed })
		} else {
			s.to, err = l.search(ctx, s, func(p parsed) bool { return p.offset >= passed })
		}
	}
	if err == nil && s.to-s.from > maxRowsAtOnce && l.after >= s.hour*hourMillis {
		s.from, err = l.search(ctx, s, func(p parsed) bool { return p.at >= l.after-slack })
	}
	if err == nil && s.to-s.from > maxRowsAtOnce && l.before < (s.hour+1)*hourMillis {
		s.to, err = l.search(ctx, s, func(p parsed) bool { return p.at >= l.before+slack })
	}
	return s, err
}

// search returns the place of the first row of a stretch for which after is true, by halves: one row a round trip, 22 for
// the 3.6 million of an hour with 1,000 a second.
func (l *rowListing) search(ctx context.Context, s stretch, after func(parsed) bool) (int64, error) {
	from, to := s.from, s.to
	for from < to {
		mid := from + (to-from)/2
		text, err := l.r.client.GetRange(ctx, l.keys.hour(s.hour), mid*entryBytes, (mid+1)*entryBytes-1).Bytes()
		if err := l.r.done(err); err != nil {
			return 0, err
		}
		if len(text) < entryBytes {
			return s.to, nil // it has just expired
		}
		if after(parseIndexed(s.hour, text)) {
			to = mid
		} else {
			from = mid + 1
		}
	}
	return from, nil
}

// LastAttempts returns the n last attempts of a subscription, newest first, of one event type or, if that is "", of all.
// There are [KeptAttempts] at most. Rows that are no attempt are not among them.
func (r *Redis) LastAttempts(ctx context.Context, sub ident.ID, eventType string, n int) ([]Attempt, error) {
	keys := r.subKeys(sub)
	pipe := r.client.Pipeline()
	guard, list := pipe.HGet(ctx, keys.statuses(), guardField), pipe.HGet(ctx, keys.lasts(), eventType)
	_, err := pipe.Exec(ctx)
	if errors.Is(err, redis.Nil) {
		return nil, r.done(nil)
	}
	if err := r.done(err); err != nil {
		return nil, fmt.Errorf("reading the last attempts: %w", err)
	}
	partition, err := guardPartition(guard.Val())
	b := []byte(list.Val())
	if err != nil || len(b)%entryBytes != 0 {
		return nil, errEntry
	}
	var out []Attempt
	for ; len(b) > 0 && len(out) < n; b = b[:len(b)-entryBytes] {
		p := parseTimed(b[len(b)-entryBytes:])
		out = append(out, p.attempt(r.conf.Prefix+outcomesTopic, partition))
	}
	return out, nil
}
