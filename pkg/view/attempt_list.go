package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/redis/go-redis/v9"

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
	page          AttemptPage
	looked        int
}

// stretch are rows of a day, by their places in one of its strings.
type stretch struct {
	header header // of the string that is written
	base   int64  // of the one that the rows are in
	key    string
	day    int64
	from   int64
	to     int64
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
		if errors.Is(err, errTurned) {
			return nil // the next page finds the rows where they are then
		}
		if err != nil || full {
			return err
		}
	}
	l.page.Done = true
	return nil
}

// stretches returns the days that have rows, in the order of the list, without what the iterator has passed.
func (l *rowListing) stretches(ctx context.Context) (out []stretch, err error) {
	now := time.Now()
	low := max(now.Add(-l.r.conf.EventRetention).UnixMilli(), l.after) / dayMillis
	high := min((now.UnixMilli()+hourMillis)/dayMillis, l.before/dayMillis) // clocks differ
	at, _, passed := ParseAttemptID(l.q.Iterator)
	turn := at.UnixMilli() / dayMillis
	switch {
	case l.q.Iterator.IsZero():
	case l.q.OldestFirst:
		low = max(low, turn)
	default:
		high = min(high, turn)
	}
	all, err := l.pieces(ctx, low, high)
	if err != nil {
		return nil, err
	}
	for _, s := range all {
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

// pieces are all strings of some days, the oldest first.
func (l *rowListing) pieces(ctx context.Context, low, high int64) (out []stretch, err error) {
	pipe := l.r.client.Pipeline()
	type asked struct {
		start *redis.StringCmd
		size  *redis.IntCmd
	}
	ask := func(key string) asked { return asked{pipe.GetRange(ctx, key, 0, entryBytes-1), pipe.StrLen(ctx, key)} }
	var days []asked
	for day := low; day <= high; day++ {
		days = append(days, ask(l.keys.current(day)))
	}
	if len(days) == 0 {
		return nil, nil
	}
	if err := l.r.read(ctx, pipe); err != nil {
		return nil, err
	}
	for i := range days {
		day := low + int64(i)
		h, ok, err := parseHeader(days[i].start.Val())
		switch {
		case err != nil:
			return nil, err
		case !ok:
			continue
		}
		pipe = l.r.client.Pipeline()
		var full []asked
		for n := range h.pieces {
			full = append(full, ask(l.keys.piece(day, n, h.pieces)))
		}
		if h.pieces > 0 {
			if err := l.r.read(ctx, pipe); err != nil {
				return nil, err
			}
		}
		for n, a := range append(full, days[i]) {
			own, ok, err := parseHeader(a.start.Val())
			switch {
			case err != nil:
				return nil, err
			case ok:
				out = append(out, stretch{
					header: h, base: own.base, key: l.keys.piece(day, n, h.pieces), day: day, to: a.size.Val()/entryBytes - 1,
				})
			}
		}
	}
	return out, nil
}

// take cuts the first rows off the stretches.
func (l *rowListing) take(todo []stretch, rows int64) (some, rest []stretch) {
	for rows > 0 && len(todo) > 0 {
		s := todo[0]
		switch n := s.to - s.from; {
		case n <= rows:
			some, todo, rows = append(some, s), todo[1:], rows-n
		case l.q.OldestFirst:
			todo[0].from += rows
			s.to = todo[0].from
			some = append(some, s)
			rows = 0
		default:
			todo[0].to -= rows
			s.from = todo[0].to
			some = append(some, s)
			rows = 0
		}
	}
	return some, todo
}

// read looks at stretches, all of them in one round trip. It reports whether the page is full.
func (l *rowListing) read(ctx context.Context, some []stretch) (full bool, err error) {
	pipe := l.r.client.Pipeline()
	texts, starts := make([]*redis.StringCmd, len(some)), make([]*redis.StringCmd, len(some))
	for i, s := range some {
		texts[i] = pipe.GetRange(ctx, s.key, (s.from+1)*entryBytes, (s.to+1)*entryBytes-1)
		starts[i] = pipe.GetRange(ctx, l.keys.current(s.day), 0, entryBytes-1) // after the rows: it tells whose they are
	}
	if err := l.r.read(ctx, pipe); err != nil {
		return false, err
	}
	for i, s := range some {
		h, ok, err := parseHeader(starts[i].Val())
		switch {
		case err != nil:
			return false, err
		case ok && h != s.header:
			return false, errTurned
		}
		b := []byte(texts[i].Val()) // shorter if it has just expired
		for n := range len(b) / entryBytes {
			if !l.q.OldestFirst {
				n = len(b)/entryBytes - 1 - n
			}
			e := parseEntry(s.day, s.base, b[n*entryBytes:(n+1)*entryBytes])
			if l.look(&e, s.header.partition) {
				return true, nil
			}
		}
	}
	return false, nil
}

// look adds a row to the page if it is asked for. It reports whether it is one too many.
func (l *rowListing) look(e *entry, partition int32) (full bool) {
	l.looked++
	if e.at > l.after && e.at < l.before && l.wanted(e) {
		a := e.attempt(l.r.conf.Prefix+outcomesTopic, partition)
		if l.q.matches(a) {
			if len(l.page.Attempts) == l.q.Limit {
				return true
			}
			l.page.Attempts = append(l.page.Attempts, a)
		}
	}
	l.page.Iterator = AttemptID(time.UnixMilli(e.at), partition, e.offset)
	return false
}

// wanted is the part of the filter that costs little.
func (l *rowListing) wanted(e *entry) bool {
	q := &l.q
	return (len(l.types) == 0 || slices.Contains(l.types, e.typ)) && (q.Status == 0 || e.status() == q.Status) &&
		(q.StatusClass == 0 || e.status()/100 == q.StatusClass)
}

func (q *AttemptQuery) matches(a Attempt) bool {
	return (q.AllRows || a.Attempted() || slices.Contains(q.Results, outcome.ResultNone)) &&
		oneOf(q.Results, a.Result) && oneOf(q.Verdicts, a.Verdict) && oneOf(q.Reasons, a.Reason)
}

func oneOf[T comparable](list []T, v T) bool { return len(list) == 0 || slices.Contains(list, v) }

// disorder is how much earlier than a row one that was written after it may have started: an attempt takes a minute at most.
const disorder = 10 * time.Minute

// narrow leaves out what the iterator has passed and, of a day with many rows, what is before or after the times that are asked
// for: rows are in the order of offsets, and nearly in that of times.
func (l *rowListing) narrow(ctx context.Context, s stretch, turn, passed int64) (_ stretch, err error) {
	slack := disorder.Milliseconds()
	if !l.q.Iterator.IsZero() && s.day == turn {
		if l.q.OldestFirst {
			s.from, err = l.search(ctx, s, func(e *entry) bool { return e.offset > passed })
		} else {
			s.to, err = l.search(ctx, s, func(e *entry) bool { return e.offset >= passed })
		}
	}
	if err == nil && s.to-s.from > maxRowsAtOnce && l.after >= s.day*dayMillis {
		s.from, err = l.search(ctx, s, func(e *entry) bool { return e.at >= l.after-slack })
	}
	if err == nil && s.to-s.from > maxRowsAtOnce && l.before < (s.day+1)*dayMillis {
		s.to, err = l.search(ctx, s, func(e *entry) bool { return e.at >= l.before+slack })
	}
	return s, err
}

// search returns the place of the first row of a stretch for which after is true, by halves: one row a round trip, 22 for the 4
// million of a full string.
func (l *rowListing) search(ctx context.Context, s stretch, after func(*entry) bool) (int64, error) {
	from, to := s.from, s.to
	for from < to {
		mid := from + (to-from)/2
		text, err := l.r.client.GetRange(ctx, s.key, (mid+1)*entryBytes, (mid+2)*entryBytes-1).Bytes()
		if err := l.r.done(err); err != nil {
			return 0, err
		}
		if len(text) < entryBytes {
			return s.to, nil // it has just expired, or was put aside, which is seen with the rows
		}
		if e := parseEntry(s.day, s.base, text); after(&e) {
			to = mid
		} else {
			from = mid + 1
		}
	}
	return from, nil
}
