package history

import (
	"encoding/binary"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// state is what became of a delivery.
type state uint8

const (
	missing state = iota
	delivered
	dead
	cancelled
	parked
	waiting
	unprovable
)

// expected is a delivery that there should be, or a record that should be among the rejected, and what is known of it.
type expected struct {
	offset    int64
	partition int32
	sub       int32 // number of the subscription; none for a rejected record
	// verdict is that of the last outcome, or delivered if there ever was one; pass is that outcome's.
	verdict verdictCode
	pass    int16
	// open is the pass of the last record that is not finished, -1 for none.
	open int16
	// written: deliveries has it. parked: the last unfinished record is. buried: the dead letters have it. old: its event is
	// older than what the topics still have.
	written, parked, buried, old bool
}

const none = -1

type verdictCode uint8

const (
	noVerdict verdictCode = iota
	isDelivered
	isDead
	isCancelled
	isOpen // retry, parked
)

func codeOf(v outcome.Verdict) verdictCode {
	switch v {
	case outcome.Delivered:
		return isDelivered
	case outcome.Dead:
		return isDead
	case outcome.Cancelled:
		return isCancelled
	case outcome.Retry, outcome.Parked:
		return isOpen
	}
	return noVerdict
}

// state says what became of e. An end counts, unless something was written after it that is not finished: a dead letter that
// was redriven.
func (e *expected) state() state {
	again := e.open != none && (e.verdict == noVerdict || e.verdict == isOpen || e.open > e.pass)
	switch {
	case e.verdict == isDelivered:
		return delivered
	case again && e.parked:
		return parked
	case again:
		return waiting
	case e.verdict == isDead, e.verdict != isCancelled && e.buried:
		return dead
	case e.verdict == isCancelled:
		return cancelled
	case e.old:
		return unprovable
	}
	return missing
}

// ledger is what is expected in one pass: the deliveries whose id falls to it.
type ledger struct {
	pass, passes uint32
	entries      map[ident.ID]expected

	subs    []ident.ID
	numbers map[ident.ID]int32
}

func newLedger(passes int) *ledger {
	return &ledger{passes: uint32(passes), numbers: map[ident.ID]int32{}} //nolint:gosec // at least 1, and few
}

// begin starts a pass with nothing.
func (l *ledger) begin(pass int) {
	l.pass, l.entries = uint32(pass), map[ident.ID]expected{} //nolint:gosec // as above
}

// mine reports whether an id falls to this pass. Ids are hashes, so each gets its share.
func (l *ledger) mine(id ident.ID) bool { return binary.BigEndian.Uint32(id[:4])%l.passes == l.pass }

// expect adds a delivery of a source record, or with the zero subscription a rejected record, unless it is there.
func (l *ledger) expect(id, sub ident.ID, partition int32, offset int64, old bool) {
	if !l.mine(id) {
		return
	}
	if _, ok := l.entries[id]; ok {
		return
	}
	e := expected{offset: offset, partition: partition, sub: none, open: none, old: old}
	if !sub.IsZero() {
		e.sub = l.number(sub)
	}
	l.entries[id] = e
}

func (l *ledger) number(sub ident.ID) int32 {
	n, ok := l.numbers[sub]
	if !ok {
		n = int32(len(l.subs)) //nolint:gosec // there are no billions of subscriptions
		l.subs, l.numbers[sub] = append(l.subs, sub), n
	}
	return n
}

// note changes what is known of a delivery, and reports whether it is expected.
func (l *ledger) note(id ident.ID, change func(*expected)) bool {
	e, ok := l.entries[id]
	if ok {
		change(&e)
		l.entries[id] = e
	}
	return ok
}

// missing reports whether anything is.
func (l *ledger) missing() bool {
	for _, e := range l.entries {
		if e.state() == missing {
			return true
		}
	}
	return false
}

// rejection is the id under which the rejected record of a place is expected.
func rejection(place string) ident.ID { return ident.Derive("postrider/rejected", place) }

// short keeps a pass in 16 bits: nothing is written 32,000 times.
func short(pass int) int16 { return int16(min(max(pass, 0), 1<<15-1)) }
