package view

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/postrider/postrider/pkg/ident"
)

// EventQuery asks for a list of events of one tenant. The zero value of every field but Tenant and Limit works.
type EventQuery struct {
	Tenant ident.ID
	// After and Before are instants between which the events were written, both left out.
	After, Before time.Time
	// Types, Channel and Tag are what an event must have; of the types one.
	Types   []string
	Channel string
	Tag     string
	// Iterator is where an earlier page ended; the list goes on behind it.
	Iterator ident.ID
	// OldestFirst turns the order round; newest first is the usual one.
	OldestFirst bool
	// Limit is how many events are returned at most, 1 to [MaxEventLimit].
	Limit int
}

// EventPage is what was found of a list.
type EventPage struct {
	Events []EventEntry
	// Iterator is where the page ended: the last event that was looked at, whether it is in the page or not; zero if none
	// was.
	Iterator ident.ID
	// Done says that there is nothing behind the iterator. Without it the page may hold fewer events than asked for, even
	// none: a call looks at 10,000 events at most, and a filter may let none of them through. Ask again with the iterator.
	Done bool
}

// Bounds of a list and of the work of a call.
const (
	// MaxEventLimit is the largest page, as the Svix API has it.
	MaxEventLimit = 250
	// maxScanned is how many events a call looks at, but those of 0.1 s at least: about 0.6 MB.
	maxScanned = 10_000
	// minScan and maxScan bound how many chunks one round trip brings; each brings twice as many as the one before.
	minScan, maxScan = 16, 512
	// maxTrips bounds the round trips, one for each hour at least: a week's, so that a page of a tenant with few events is
	// full. It takes less than 0.1 s.
	maxTrips = 200
)

// ListEvents returns a page of a list; see [EventPage] for when it is not full.
func (r *Redis) ListEvents(ctx context.Context, q EventQuery) (EventPage, error) {
	if q.Limit < 1 || q.Limit > MaxEventLimit {
		return EventPage{}, fmt.Errorf("limit: %d: want 1 to %d", q.Limit, MaxEventLimit)
	}
	l := listing{r: r, q: q, keys: r.eventKeys(q.Tenant), chunks: minScan, above: ident.ID{}, below: placeOf(1<<62, last)}
	if !q.After.IsZero() {
		l.above = placeOf(q.After.UnixMilli(), last)
	}
	if !q.Before.IsZero() {
		l.below = placeOf(q.Before.Add(time.Millisecond-1).UnixMilli(), ident.ID{})
	}
	if !q.Iterator.IsZero() && q.OldestFirst && after(q.Iterator, l.above) {
		l.above = q.Iterator
	}
	if !q.Iterator.IsZero() && !q.OldestFirst && after(l.below, q.Iterator) {
		l.below = q.Iterator
	}
	if err := l.run(ctx); err != nil {
		return EventPage{}, fmt.Errorf("listing events: %w", err)
	}
	return l.page, nil
}

// last is the id above all.
//
//nolint:gochecknoglobals // a constant
var last = ident.ID(bytes.Repeat([]byte{0xff}, len(ident.ID{})))

func after(a, b ident.ID) bool { return bytes.Compare(a[:], b[:]) > 0 }

// listing is a call of ListEvents: it looks at the places between above and below, both left out.
type listing struct {
	r            *Redis
	q            EventQuery
	keys         eventKeys
	above, below ident.ID
	page         EventPage
	scanned      int
	trips        int
	chunks       int64 // of the next round trip
}

func (l *listing) run(ctx context.Context) error {
	if !after(l.below, l.above) {
		l.page.Done = true
		return nil
	}
	hours, err := l.hours(ctx)
	if err != nil {
		return err
	}
	for _, hour := range hours {
		if more, err := l.hour(ctx, hour); err != nil || more {
			return err
		}
	}
	l.page.Done = true
	return nil
}

// hours returns the hours in question that have events, in the order of the list: at most as many as the retention has.
func (l *listing) hours(ctx context.Context) (hours []int64, err error) {
	oldest := time.Now().Add(-l.r.conf.EventRetention).UnixMilli() / hourMillis
	in := &redis.ZRangeBy{
		Min: strconv.FormatInt(max(oldest, placeMillis(l.above)/hourMillis), 10),
		Max: strconv.FormatInt(placeMillis(l.below)/hourMillis, 10),
	}
	texts, err := l.r.client.ZRangeByScore(ctx, l.keys.hours(), in).Result()
	if err := l.r.done(err); err != nil {
		return nil, err
	}
	for _, s := range texts {
		hour, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("reading the index: %w", err)
		}
		hours = append(hours, hour)
	}
	if !l.q.OldestFirst {
		slices.Reverse(hours)
	}
	return hours, nil
}

// hour looks through an hour. It reports whether the page ended before the list did.
func (l *listing) hour(ctx context.Context, hour int64) (more bool, err error) {
	in := l.between(hour)
	var some []EventEntry // of the chunks that were read, in order, and not looked at yet
	for {
		if l.trips >= maxTrips || l.scanned >= maxScanned && !l.page.Iterator.IsZero() {
			if l.page.Iterator.IsZero() { // nothing but empty hours
				l.page.Iterator = l.edge(hour)
			}
			return true, nil
		}
		l.trips++
		in.Count = l.chunks
		chunks, err := l.fetch(ctx, hour, in)
		if err != nil {
			return false, err
		}
		for _, chunk := range chunks {
			entries, err := parseChunk(l.r.conf.Prefix, l.q.Tenant, hour, chunk)
			if err != nil {
				return false, err
			}
			if !l.q.OldestFirst {
				slices.Reverse(entries)
			}
			some = append(some, entries...)
			l.scanned += len(entries)
		}
		slices.SortFunc(some, l.compare)
		ready := len(some)
		if len(chunks) == int(in.Count) {
			ready = l.ready(some, hour, chunks[len(chunks)-1])
		}
		if slices.ContainsFunc(some[:ready], l.look) {
			return true, nil
		}
		if some = some[ready:]; len(chunks) < int(in.Count) {
			return false, nil
		}
		l.chunks = min(2*l.chunks, maxScan)
		if l.q.OldestFirst {
			in.Min = "(" + chunks[len(chunks)-1]
		} else {
			in.Max = "(" + chunks[len(chunks)-1]
		}
	}
}

// between are the chunks of an hour that may have entries between above and below.
func (l *listing) between(hour int64) *redis.ZRangeBy {
	in := &redis.ZRangeBy{Min: "-", Max: "+"}
	if first := placeMillis(l.above) - chunkMillis + 1; first >= hour*hourMillis {
		in.Min = "[" + string(lexTime(first))
	}
	if placeMillis(l.below)/hourMillis == hour {
		in.Max = "[" + lexPlace(l.below) + lexAfter
	}
	return in
}

// ready is how many of some entries, in order, come before all that the chunks behind the last one that was read may have: these begin
// after it, or end less than [chunkMillis] after its beginning.
func (l *listing) ready(some []EventEntry, hour int64, last string) int {
	var ms [8]byte
	copy(ms[8-timeBytes:], last[:timeBytes])
	at := hour*hourMillis + int64(binary.BigEndian.Uint64(ms[:])) //nolint:gosec // three bytes
	i := slices.IndexFunc(some, func(e EventEntry) bool {
		if l.q.OldestFirst {
			return e.Time.UnixMilli() >= at
		}
		return e.Time.UnixMilli() < at+chunkMillis
	})
	if i < 0 {
		return len(some)
	}
	return i
}

// compare is the order of the list.
func (l *listing) compare(a, b EventEntry) int {
	c := cmp.Or(a.Time.Compare(b.Time), bytes.Compare(a.Message[:], b.Message[:]))
	if l.q.OldestFirst {
		return c
	}
	return -c
}

// edge is the place before everything in an hour, in the order of the list.
func (l *listing) edge(hour int64) ident.ID {
	if l.q.OldestFirst {
		return placeOf(hour*hourMillis-1, last)
	}
	return placeOf((hour+1)*hourMillis, ident.ID{})
}

func (l *listing) fetch(ctx context.Context, hour int64, in *redis.ZRangeBy) (chunks []string, err error) {
	if l.q.OldestFirst {
		chunks, err = l.r.client.ZRangeByLex(ctx, l.keys.hour(hour), in).Result()
	} else {
		chunks, err = l.r.client.ZRevRangeByLex(ctx, l.keys.hour(hour), in).Result()
	}
	return chunks, l.r.done(err)
}

// look adds an event to the page if it is asked for. It reports whether it is one too many.
func (l *listing) look(e EventEntry) (more bool) {
	place := e.Iterator()
	if !after(place, l.above) || !after(l.below, place) {
		return false
	}
	if l.wanted(&e) {
		if len(l.page.Events) == l.q.Limit {
			return true
		}
		l.page.Events = append(l.page.Events, e)
	}
	l.page.Iterator = place
	return false
}

func (l *listing) wanted(e *EventEntry) bool {
	q := &l.q
	return (len(q.Types) == 0 || slices.Contains(q.Types, e.Type)) &&
		(q.Channel == "" || slices.Contains(e.Channels, q.Channel)) &&
		(q.Tag == "" || slices.Contains(e.Tags, q.Tag))
}
