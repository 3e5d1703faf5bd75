package view

import (
	"encoding/binary"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Row is a row of outcomes, as much of it as the views need.
type Row struct {
	// Offset is that of the row in its partition.
	Offset       int64
	Tenant       ident.ID
	Subscription ident.ID
	Message      ident.ID
	EventType    string
	// At is when the attempt started or the row was decided.
	At time.Time
	// Duration is that of the attempt.
	Duration time.Duration
	Status   int
	Result   outcome.Result
	Verdict  outcome.Verdict
	Reason   outcome.Reason
}

// Every row is 16 bytes, big-endian, in the lists that it is in:
//
//	hour's index    offset 48, verdict 3, reason 5, result 5, free 3; ms of the hour 22, status 10, event type 32 (bits)
//	last, statuses  hour 24, ms of the hour 22, status 10, free 8; offset 48, verdict 3, reason 5, result 5, free 3
//
// The second form begins with the time, so that the later of two attempts is the greater of two texts. The bits of the
// event type are a hash of its name.
const entryBytes = 16

// Widths of the fields, in bits.
const (
	verdictBits, reasonBits, resultBits = 3, 5, 5
	statusBits                          = 10
	codesBits                           = 16 // verdict, reason, result and what is free
	momentBits                          = 32 // ms of the hour and status
)

// place and codes of a row.
func (r *Row) what() uint64 {
	codes := code(verdictCodes, r.Verdict, verdictBits)<<13 | code(reasonCodes, r.Reason, reasonBits)<<8 | resultCode(r.Result)<<3
	return uint64(r.Offset)<<codesBits | codes //nolint:gosec // offsets are not negative
}

func resultCode(r outcome.Result) uint64 { return code(resultCodes, r, resultBits) }

// moment is the time within the hour and the status.
func (r *Row) moment() uint64 {
	ms := uint64(r.millis() % hourMillis) //nolint:gosec // not negative
	return ms<<statusBits | uint64(min(max(r.Status, 0), 1<<10-1))
}

// millis is when the row was; times before 1970 are 1970.
func (r *Row) millis() int64 { return max(r.At.UnixMilli(), 0) }
func (r *Row) hour() int64   { return r.millis() / hourMillis }

func (r *Row) attempted() bool { return r.Result != outcome.ResultNone }

// appendIndexed writes the form of an hour's index.
func (r *Row) appendIndexed(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, r.what())
	return binary.BigEndian.AppendUint64(b, r.moment()<<32|uint64(typeHash(r.EventType)))
}

// appendTimed writes the form of the last attempts and of statuses.
func (r *Row) appendTimed(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(r.hour())<<40|r.moment()<<8) //nolint:gosec // not negative
	return binary.BigEndian.AppendUint64(b, r.what())
}

// typeHash is FNV-1a of an event type's name.
func typeHash(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// parsed is an entry that was read.
type parsed struct {
	offset int64
	at     int64 // ms
	codes  uint64
	status int
	typ    uint32 // of an hour's index
}

func parseIndexed(hour int64, b []byte) parsed {
	what, moment := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	p := parsed{offset: int64(what >> codesBits), codes: what, typ: uint32(moment)} //nolint:gosec // as it was written
	p.setMoment(hour, moment>>32)
	return p
}

func parseTimed(b []byte) parsed {
	moment, what := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	p := parsed{offset: int64(what >> codesBits), codes: what}
	p.setMoment(int64(moment>>40), moment>>8&(1<<momentBits-1))
	return p
}

func (p *parsed) setMoment(hour int64, moment uint64) {
	p.at = hour*hourMillis + int64(moment>>statusBits)
	p.status = int(moment & (1<<statusBits - 1))
}

func (p *parsed) result() outcome.Result {
	return valueOf(resultCodes, p.codes>>3&(1<<resultBits-1), unknown)
}

// attempt is the entry as the readers return it.
func (p *parsed) attempt(topic string, partition int32) Attempt {
	return Attempt{
		Position: delivery.Position{Topic: topic, Partition: partition, Offset: p.offset},
		Time:     time.UnixMilli(p.at).UTC(), Status: p.status, Result: p.result(),
		Verdict: valueOf(verdictCodes, p.codes>>13&(1<<verdictBits-1), unknown),
		Reason:  valueOf(reasonCodes, p.codes>>8&(1<<reasonBits-1), unknown),
	}
}
