// Package offset keeps account of one partition's offsets in flight: which were handed out, which are finished, what
// may be committed, and how the finished offsets above the commit are written into the commit's metadata.
//
// The commit is always the lowest contiguous finished offset, never the highest seen: everything below it is done.
// What is done above it travels in the metadata, so that a new owner repeats what was in flight and not what was
// finished.
package offset

import (
	"errors"
	"math"
	"slices"
	"sync"
)

// ErrRevoked is returned by [Tracker.Finish] after [Tracker.Revoke]: the partition belongs to somebody else, and an
// acknowledgement that comes late must not move its commit.
var ErrRevoked = errors.New("partition was revoked")

// Tracker is the account of one partition for the time of one ownership. All methods may be called concurrently. The
// revoked flag is under the same lock as the acknowledgements, so there is no moment in which a late one slips in.
type Tracker struct {
	mu      sync.Mutex
	revoked bool
	// entries are the offsets handed out and not yet below the commit, ascending; head is the index of the lowest.
	entries []entry
	head    int
	// next is the offset after the highest handed out.
	next int64
	// finished counts the finished entries at and after head; runs counts the runs that they form.
	finished int
	runs     int
	// skip holds the offsets that an earlier owner finished, until they are read again.
	skip Set
	// dirty says that the commit changed since it was last taken.
	dirty bool
}

type entry struct {
	offset int64
	done   bool
}

// NewTracker returns the account of a partition whose commit is start, with the offsets above it that an earlier
// owner finished.
func NewTracker(start int64, finished Set) *Tracker {
	return &Tracker{next: start, skip: finished}
}

// Begin records that offset is in flight and reports whether it is to be handled: false if an earlier owner finished
// it, or if it is not above the offsets handed out before. Offsets come in ascending order; gaps are allowed.
func (t *Tracker) Begin(offset int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.revoked || offset < t.next {
		return false
	}
	t.next = offset + 1
	done := t.skip.Contains(offset)
	if t.next >= t.skip.end() {
		t.skip = Set{} // all of it is read again
	}
	if done && t.head == len(t.entries) {
		t.dirty = true // nothing is in flight below it, the commit moves past it
		return false
	}
	if done {
		t.finished++
		if !t.entries[len(t.entries)-1].done {
			t.runs++
		}
	}
	t.entries = append(t.entries, entry{offset: offset, done: done})
	return !done
}

// Pass records that there is nothing to handle at offset, such as the marker at the end of a transaction: the commit goes
// past it with what is below. It takes no room, in memory or in the commit's metadata.
func (t *Tracker) Pass(offset int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.revoked || offset < t.next {
		return
	}
	t.next = offset + 1
	if t.next >= t.skip.end() {
		t.skip = Set{}
	}
	if t.head == len(t.entries) {
		t.dirty = true
	}
}

// Finish records that everything offset promises is acknowledged. It returns [ErrRevoked] after [Tracker.Revoke], and
// does nothing for offsets that are not in flight.
func (t *Tracker) Finish(offset int64) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.revoked {
		return ErrRevoked
	}
	live := t.entries[t.head:]
	i, ok := slices.BinarySearchFunc(live, offset, func(e entry, o int64) int {
		switch {
		case e.offset < o:
			return -1
		case e.offset > o:
			return 1
		}
		return 0
	})
	if !ok || live[i].done {
		return nil
	}
	live[i].done = true
	t.finished++
	t.runs++
	if i > 0 && live[i-1].done {
		t.runs--
	}
	if i+1 < len(live) && live[i+1].done {
		t.runs--
	}
	t.dirty = true
	t.advance()
	return nil
}

// spareEntries is how many entries of 16 bytes a tracker keeps room for after a backlog is gone.
const spareEntries = 1024

// advance moves the head over finished entries and gives the memory back once half of it is behind the head.
func (t *Tracker) advance() {
	for t.head < len(t.entries) && t.entries[t.head].done {
		t.head++
		t.finished--
		if t.head == len(t.entries) || !t.entries[t.head].done {
			t.runs--
		}
	}
	live := t.entries[t.head:]
	switch {
	case t.head <= 64 || t.head <= len(live):
		return
	case cap(t.entries) > 4*len(live)+spareEntries:
		t.entries = slices.Clone(live)
	default:
		t.entries = slices.Delete(t.entries, 0, t.head)
	}
	t.head = 0
}

// Revoke ends the account: from now on [Tracker.Begin] hands out nothing and [Tracker.Finish] refuses. It returns the
// last commit that is true, as [Tracker.Commit] would.
func (t *Tracker) Revoke() Commit {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.revoked = true
	return t.commit()
}

// Commit is what may be committed for a partition.
type Commit struct {
	// Offset is where a new owner starts reading: everything below it is finished.
	Offset int64
	// Finished are the finished offsets at or above Offset.
	Finished Set
}

// Covers reports whether the record at an offset is finished.
func (c Commit) Covers(offset int64) bool { return offset < c.Offset || c.Finished.Contains(offset) }

// Commit returns what may be committed now and whether it changed since the last call.
func (t *Tracker) Commit() (Commit, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.revoked {
		return Commit{}, false
	}
	changed := t.dirty
	t.dirty = false
	if !changed {
		return Commit{}, false
	}
	return t.commit(), true
}

// Touch makes the next [Tracker.Commit] report a change: a commit failed and is to be tried again.
func (t *Tracker) Touch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dirty = true
}

func (t *Tracker) commit() Commit {
	c := Commit{Offset: t.position()}
	for _, e := range t.entries[t.head:] {
		if e.done {
			c.Finished.add(e.offset, e.offset+1)
		}
	}
	// What an earlier owner finished and this one has not read yet stays finished.
	for _, r := range t.skip.within(t.next, math.MaxInt64).runs {
		c.Finished.add(r.from, r.to)
	}
	return c
}

// Lowest returns the lowest offset in flight, and false if nothing is.
func (t *Tracker) Lowest() (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.head == len(t.entries) {
		return 0, false
	}
	return t.entries[t.head].offset, true
}

// Position returns the offset that a commit would have now: the lowest in flight or, if nothing is, the next to be read.
func (t *Tracker) Position() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.position()
}

func (t *Tracker) position() int64 {
	if t.head == len(t.entries) {
		return t.next
	}
	return t.entries[t.head].offset
}

// Span returns the distance from the lowest offset in flight to the end of what was handed out: what the metadata has
// to describe.
func (t *Tracker) Span() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.head == len(t.entries) {
		return 0
	}
	return t.next - t.entries[t.head].offset
}

// Runs returns how many runs of finished offsets there are above the lowest in flight: what the metadata has to list where
// the span is too wide for a bitmap. Offsets that the log does not have are not looked at.
func (t *Tracker) Runs() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.runs
}

// InFlight returns how many offsets are handed out and not finished.
func (t *Tracker) InFlight() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries) - t.head - t.finished
}
