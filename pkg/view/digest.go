package view

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/postrider/postrider/pkg/outcome"
)

// digestRows is how many rows of a subscription and day, 32 KB, make a digest due. So a reader has a few times that to look at at
// most, however busy the day was, and those who have fewer attempts a day need no digest.
const digestRows = 2048

// digest is what the rows of a subscription and day come to, up to some row: all that is asked of them but the rows themselves. It is
// made of the rows and nothing else, so a digest that is lost, or behind, costs time and no truth.
type digest struct {
	// pieces is how many strings of the day it has as a whole, and rows how many of the next.
	pieces, rows int
	// partition is that of the rows, and offset that of the last one.
	partition int32
	offset    int64
	// counts are numbers of rows by [counterField].
	counts map[uint64]int64
	// lists are the last attempts, by event type; under [allTypes] those of all.
	lists map[uint64]*recent
}

// recent are last attempts.
type recent struct {
	latest  entry   // the one that started last
	entries []entry // by offset; more than are kept until they are cut
}

// allTypes is no hash of an event type.
const allTypes = 1 << 32

func newDigest() *digest { return &digest{counts: map[uint64]int64{}, lists: map[uint64]*recent{}} }

// add adds a row.
func (d *digest) add(e *entry) {
	d.offset = e.offset
	minute := e.at / minuteMillis % minutesOfDay
	if !e.attempted() {
		d.counts[counterField(minute, 0, withoutAttempt(valueOf(verdictCodes, e.verdictCode(), unknown)))]++
		return
	}
	d.counts[counterField(minute, e.resultCode(), bucketOfCode(e.duration))]++
	d.counts[counterField(minute, 0, counterSum)] += durationOf(e.duration).Microseconds()
	d.list(allTypes, e)
	d.list(uint64(e.typ), e)
}

func (d *digest) list(typ uint64, e *entry) {
	l := d.lists[typ]
	if l == nil {
		l = &recent{latest: *e}
		d.lists[typ] = l
	}
	if e.after(&l.latest) {
		l.latest = *e
	}
	if l.entries = append(l.entries, *e); len(l.entries) >= 2*KeptAttempts {
		l.entries = slices.Delete(l.entries, 0, len(l.entries)-KeptAttempts)
	}
}

// kept are the entries that a digest has.
func (l *recent) kept() []entry { return l.entries[max(0, len(l.entries)-KeptAttempts):] }

// String writes the digest: its layout, pieces, rows, partition and last offset; the counters, in the order of minutes, each with how much its
// field is above that of the one before; the lists. All numbers are varints, and entries as in statuses.
func (d *digest) String() string {
	b := []byte{layout}
	for _, n := range []int64{int64(d.pieces), int64(d.rows), int64(d.partition), d.offset, int64(len(d.counts))} {
		b = binary.AppendUvarint(b, uint64(n)) //nolint:gosec // not negative
	}
	before := uint64(0)
	for _, field := range slices.Sorted(maps.Keys(d.counts)) {
		b = binary.AppendUvarint(b, field-before)
		b = binary.AppendUvarint(b, uint64(d.counts[field])) //nolint:gosec // not negative
		before = field
	}
	b = binary.AppendUvarint(b, uint64(len(d.lists)))
	for _, typ := range slices.Sorted(maps.Keys(d.lists)) {
		l := d.lists[typ]
		kept := l.kept()
		b = binary.AppendUvarint(b, typ)
		b = binary.AppendUvarint(b, uint64(len(kept)))
		b = l.latest.appendDigest(b)
		for i := range kept {
			b = kept[i].appendDigest(b)
		}
	}
	return string(b)
}

func (e *entry) appendDigest(b []byte) []byte {
	offset := uint64(max(e.offset, 0))
	b = binary.BigEndian.AppendUint64(b, uint64(e.at)<<16|offset>>32) //nolint:gosec // not negative
	return binary.BigEndian.AppendUint64(b, offset<<32|e.codes<<statusFreeBits)
}

// parseDigest reads a digest; "" is an empty one.
func parseDigest(text string) (*digest, error) {
	d := newDigest()
	if text == "" {
		return d, nil
	}
	if text[0] != layout {
		return nil, errEntry
	}
	p := packed{rest: []byte(text[1:])}
	d.pieces, d.rows, d.partition = int(p.number()), int(p.number()), int32(p.number()) //nolint:gosec // as they were written
	d.offset = int64(p.number())                                                        //nolint:gosec // as it was written
	field := uint64(0)
	for n := p.number(); n > 0 && !p.bad; n-- {
		field += p.number()
		d.counts[field] = int64(p.number()) //nolint:gosec // as it was written
	}
	for n := p.number(); n > 0 && !p.bad; n-- {
		typ, kept := p.number(), p.number()
		l := &recent{latest: p.entry()}
		for ; kept > 0 && !p.bad; kept-- {
			l.entries = append(l.entries, p.entry())
		}
		d.lists[typ] = l
	}
	if p.bad || len(p.rest) > 0 {
		return nil, errEntry
	}
	return d, nil
}

func (p *packed) entry() entry {
	if len(p.rest) < entryBytes {
		p.bad, p.rest = true, nil
		return entry{}
	}
	e := parseStatus(p.rest[:entryBytes])
	p.rest = p.rest[entryBytes:]
	return e
}

// Counters are those of a minute of the day, one for every result and bucket of the duration that occurs. Those of result 0, none, are
// the sum of durations and the rows that are no attempt.
const (
	counterSum       = 0 // µs
	counterParked    = 1
	counterCancelled = 2
	counterNotSent   = 3
	counterDead      = 4

	minuteMillis = hourMillis / 60
	minutesOfDay = 24 * 60
	results      = 1 << resultBits
)

func counterField(minute int64, result uint64, bucket int) uint64 {
	return (uint64(minute)*results+result)*durationBuckets + uint64(bucket) //nolint:gosec // not negative
}

// counterOf is the way back.
func counterOf(field uint64) (minute int64, result uint64, bucket int) {
	bucket, field = int(field%durationBuckets), field/durationBuckets
	return int64(field / results), field % results, bucket //nolint:gosec // of a day
}

// withoutAttempt is the counter of a row that is no attempt.
func withoutAttempt(v outcome.Verdict) int {
	switch v {
	case outcome.Delivered:
		return counterNotSent
	case outcome.Cancelled:
		return counterCancelled
	case outcome.Dead:
		return counterDead
	case outcome.Parked, outcome.Retry:
		return counterParked
	}
	return counterParked
}
