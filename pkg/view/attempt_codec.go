package view

import (
	"encoding/binary"
	"math"
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

// Rows and statuses are 16 bytes each, big-endian:
//
//	row     low bits of the offset 32, event type 32; ms of the day 27, status 10, verdict 3, reason 5, result 5, duration 12, free 2
//	status  ms since 1970 48, offset 48, status 10, verdict 3, reason 5, result 5, free 9
//
// The second form begins with the time, so that the later of two attempts is the greater of two texts. The bits of the event type
// are a hash of its name; what is missing of the offset is in the [header] of the rows.
const entryBytes = 16

// Widths of the fields, in bits.
const (
	verdictBits, reasonBits, resultBits = 3, 5, 5
	statusBits                          = 10
	codesBits                           = statusBits + verdictBits + reasonBits + resultBits
	durationBits                        = 12
	rowFreeBits, statusFreeBits         = 2, 9
)

// codes are the status, the verdict, the reason and the result.
func (r *Row) codes() uint64 {
	status := uint64(min(max(r.Status, 0), 1<<statusBits-1))
	return ((status<<verdictBits|code(verdictCodes, r.Verdict, verdictBits))<<reasonBits|
		code(reasonCodes, r.Reason, reasonBits))<<resultBits | code(resultCodes, r.Result, resultBits)
}

// millis is when the row was; times before 1970 are 1970.
func (r *Row) millis() int64 { return max(r.At.UnixMilli(), 0) }
func (r *Row) day() int64    { return r.millis() / dayMillis }

func (r *Row) attempted() bool { return r.Result != outcome.ResultNone }

// appendEntry writes the form of a day's rows.
func (r *Row) appendEntry(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(r.Offset)<<32|uint64(typeHash(r.EventType))) //nolint:gosec // not negative
	rest := uint64(r.millis()%dayMillis)<<codesBits | r.codes()                              //nolint:gosec // not negative
	return binary.BigEndian.AppendUint64(b, (rest<<durationBits|durationCode(r.Duration))<<rowFreeBits)
}

// appendStatus writes the form of statuses.
func (r *Row) appendStatus(b []byte) []byte {
	offset := uint64(max(r.Offset, 0))
	b = binary.BigEndian.AppendUint64(b, uint64(r.millis())<<16|offset>>32) //nolint:gosec // not negative
	return binary.BigEndian.AppendUint64(b, offset<<32|r.codes()<<statusFreeBits)
}

// appendMessage writes the form of a message's bucket: 3 bytes of the message id, then partition and offset as varints.
func (r *Row) appendMessage(b []byte, partition int32) []byte {
	rest := placeOfMessage(r.Message).rest
	b = append(b, rest[:]...)
	b = binary.AppendUvarint(b, uint64(uint32(partition))) //nolint:gosec // as it is read
	return binary.AppendUvarint(b, uint64(max(r.Offset, 0)))
}

// A duration is kept to a quarter of a percent: a code for every 128th of an octave. Those of 1 ms and its multiples by the square
// root of two are ends of codes, so that each is in one bucket of a [Histogram] as a whole.
const (
	octave      = 128
	codeOfMilli = 10 * octave // from 1 µs on
)

func durationCode(d time.Duration) uint64 {
	if d <= 0 {
		return 0
	}
	code := codeOfMilli + math.Ceil(octave*math.Log2(float64(d)/float64(time.Millisecond)))
	return uint64(min(max(code, 1), 1<<durationBits-1))
}

// durationOf is the middle of what has a code.
func durationOf(code uint64) time.Duration {
	if code == 0 {
		return 0
	}
	return time.Duration(math.Exp2((float64(code)-0.5-codeOfMilli)/octave) * float64(time.Millisecond))
}

// bucketOfCode is the bucket of a histogram.
func bucketOfCode(code uint64) int {
	if code <= codeOfMilli {
		return 0
	}
	return min(int(code-codeOfMilli+octave/2-1)/(octave/2), durationBuckets-1) //nolint:gosec // 12 bits
}

// typeHash is FNV-1a of an event type's name.
func typeHash(name string) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(name[i])) * 16777619
	}
	return h
}

// entry is a row or a status that was read.
type entry struct {
	offset   int64
	at       int64 // ms
	codes    uint64
	typ      uint32
	duration uint64 // code
}

// parseEntry reads a row of a day. Its offset is the first from base on with the bits that it has.
func parseEntry(day, base int64, b []byte) entry {
	first, rest := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])>>rowFreeBits
	e := entry{typ: uint32(first), duration: rest & (1<<durationBits - 1), codes: rest >> durationBits & (1<<codesBits - 1)} //nolint:gosec // halves
	e.offset = base + int64(uint32(first>>32)-uint32(base))                                                                  //nolint:gosec // halves
	e.at = day*dayMillis + int64(rest>>(durationBits+codesBits))
	return e
}

func parseStatus(b []byte) entry {
	first, rest := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
	return entry{
		at: int64(first >> 16), offset: int64(first&0xffff<<32 | rest>>32), //nolint:gosec // 48 bits
		codes: rest & (1<<32 - 1) >> statusFreeBits,
	}
}

func (e *entry) status() int        { return int(e.codes >> (codesBits - statusBits)) }
func (e *entry) resultCode() uint64 { return e.codes & (1<<resultBits - 1) }
func (e *entry) attempted() bool    { return e.resultCode() != 0 }
func (e *entry) verdictCode() uint64 {
	return e.codes >> (reasonBits + resultBits) & (1<<verdictBits - 1)
}

// after reports whether an attempt is later than another: it started later, or was written later.
func (e *entry) after(o *entry) bool { return e.at > o.at || e.at == o.at && e.offset > o.offset }

// attempt is the entry as the readers return it.
func (e *entry) attempt(topic string, partition int32) Attempt {
	return Attempt{
		Position: delivery.Position{Topic: topic, Partition: partition, Offset: e.offset},
		Time:     time.UnixMilli(e.at).UTC(), Status: e.status(),
		Result:  valueOf(resultCodes, e.resultCode(), unknown),
		Verdict: valueOf(verdictCodes, e.verdictCode(), unknown),
		Reason:  valueOf(reasonCodes, e.codes>>resultBits&(1<<reasonBits-1), unknown),
	}
}

// header stands before the rows of a day, 16 bytes, big-endian: the layout 8, free 8, pieces 16, partition 32, base 64 (bits).
type header struct {
	// pieces is how many strings of the day are full.
	pieces int
	// partition is that of all rows.
	partition int32
	// base is no offset after that of the first row, and within 2^32 of that of the last.
	base int64
}

// appendStart writes the header but for the last 4 bytes: those are the first of the row that comes first.
func (h header) appendStart(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(append(b, layout, 0), uint16(h.pieces)) //nolint:gosec // bounded by maxPieces
	b = binary.BigEndian.AppendUint32(b, uint32(h.partition))                 //nolint:gosec // as it is read
	return binary.BigEndian.AppendUint32(b, uint32(h.base>>32))               //nolint:gosec // the upper half
}

func (h header) String() string {
	return string(binary.BigEndian.AppendUint32(h.appendStart(nil), uint32(h.base))) //nolint:gosec // the lower half
}

// parseHeader reads a header; false if there is none: the key is not there.
func parseHeader(text string) (h header, ok bool, err error) {
	switch {
	case text == "":
		return h, false, nil
	case len(text) != entryBytes || text[0] != layout:
		return h, false, errEntry
	}
	b := []byte(text)
	h.pieces = int(binary.BigEndian.Uint16(b[2:]))
	h.partition = int32(binary.BigEndian.Uint32(b[4:])) //nolint:gosec // as it was written
	h.base = int64(binary.BigEndian.Uint64(b[8:]))      //nolint:gosec // as it was written
	return h, true, nil
}
