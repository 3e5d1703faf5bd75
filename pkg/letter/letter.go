// Package letter holds what is known of the records that wait for a person: dead letters, and source records that could not be
// read as events. Which of them are open follows from their topic alone: a later record of the same delivery, or a mark, closes
// one. [Open] is that fold. It holds no payload.
package letter

import (
	"cmp"
	"iter"
	"strconv"
	"time"
	"unique"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Head is what every letter has.
type Head struct {
	// ID is that of the delivery; of a record that is none it is derived from its place.
	ID ident.ID
	// Tenant is zero for what belongs to none.
	Tenant ident.ID
	// At is when it was written, Unix milliseconds.
	At int64
	// Partition and Offset are where in its topic it is.
	Partition int32
	Offset    int64
	// Round is how often it was put back before: a letter of a higher round stands for those of lower ones.
	Round int32
}

// Time is when the letter was written.
func (h *Head) Time() time.Time { return time.UnixMilli(h.At).UTC() }

func (h *Head) head() *Head { return h }

// newer reports whether h stands in place of old, which has the same ID.
func (h *Head) newer(old *Head) bool {
	if h.Round != old.Round {
		return h.Round > old.Round
	}
	if h.Partition != old.Partition {
		return h.At > old.At
	}
	return h.Offset > old.Offset
}

// Letter is a [*Dead] or a [*Rejected].
type Letter interface {
	comparable
	head() *Head
}

// Dead is a dead letter.
type Dead struct {
	Head
	// Subscription and Message are zero for a record that is no delivery.
	Subscription, Message ident.ID
	words                 [3]unique.Handle[string] // type, reason, result: few, in many letters
	// Status is that of the last attempt's response, 0 without one; Attempts is how many were made.
	Status, Attempts int32
}

// Type is the event type, empty for a record that is no delivery.
func (d *Dead) Type() string { return d.words[0].Value() }

// Reason is why it was given up.
func (d *Dead) Reason() outcome.Reason { return outcome.Reason(d.words[1].Value()) }

// Result is what the last attempt came to.
func (d *Dead) Result() outcome.Result { return outcome.Result(d.words[2].Value()) }

// Undecodable reports whether it is no delivery: it can be looked at and discarded, and nothing else.
func (d *Dead) Undecodable() bool { return d.Subscription.IsZero() }

// Rejected is a source record that could not be read as an event.
type Rejected struct {
	Head
	// Source is where it was read first; a record that was put back keeps that as its identity.
	Source delivery.Position
	words  [3]unique.Handle[string] // topic, reason, field
	// Bytes is the length of the value; Cut says that not all of the record could be kept.
	Bytes int32
	Cut   bool
}

// Topic is the source topic.
func (r *Rejected) Topic() string { return r.words[0].Value() }

// Reason is why it was rejected, an [event.Reason].
func (r *Rejected) Reason() string { return r.words[1].Value() }

// Field is what in the record is wrong; empty for the whole.
func (r *Rejected) Field() string { return r.words[2].Value() }

// Headers of rejected records, beside the record's own.
const (
	HeaderRejectReason = "pr-reject-reason"
	HeaderRejectField  = "pr-reject-field"
	HeaderRejectDetail = "pr-reject-detail"
	HeaderRejectSource = "pr-reject-source" // topic/partition/offset
	// HeaderRejectKey is the record's own key, and HeaderRejectTime its timestamp in Unix milliseconds.
	HeaderRejectKey  = "pr-reject-key"
	HeaderRejectTime = "pr-reject-time"
	// HeaderTruncated is the full length in bytes of a value that had to be cut; HeaderHeadersCut is there if the record's own
	// headers, or its key, were too long to be kept.
	HeaderTruncated  = "pr-reject-truncated"
	HeaderHeadersCut = "pr-reject-headers-cut"
	// HeaderReingested is of a source record that was put back: where it was read first, topic/partition/offset.
	// HeaderReingestCount is how often.
	HeaderReingested    = "pr-reingested"
	HeaderReingestCount = "pr-reingest-count"
)

// Record is what this package reads of a record of deadletters or rejected.
type Record struct {
	Key, Value []byte
	Timestamp  time.Time
	Position   delivery.Position
	Headers    iter.Seq2[string, []byte]
}

// ReadDead reads a record of the topic deadletters: a letter, or a mark. What is no delivery is a letter all the same.
func ReadDead(r Record) (*Dead, *Mark) {
	d := &Dead{Head: head(r)}
	var mark Mark
	var kind, reason, result string
	for name, v := range r.Headers {
		switch name {
		case delivery.HeaderDelivery:
			d.ID, _ = ident.ParseBase62(delivery.IDPrefix, string(v)) // zero, and no delivery, if it is none
		case delivery.HeaderTenant:
			d.Tenant, _ = ident.ParseUUID(string(v))
		case delivery.HeaderMessage:
			d.Message, _ = ident.ParseBase62(delivery.MessagePrefix, string(v))
		case delivery.HeaderType:
			kind = string(v)
		case delivery.HeaderReason:
			reason = string(v) // an undecodable record may bring one of its own: the last counts
		case delivery.HeaderResult:
			result = string(v)
		case delivery.HeaderStatus:
			d.Status = number(v)
		case delivery.HeaderAttempts:
			d.Attempts = number(v)
		default:
			mark.set(name, v)
		}
	}
	if mark.Kind != "" && reason == "" { // a letter has a reason, whatever headers its record brought
		mark.ID, mark.Place = d.ID, r.Position
		return nil, &mark
	}
	d.Subscription, _ = ident.ParseUUID(string(r.Key))
	if reason == string(outcome.ReasonUndecodable) || d.ID.IsZero() || d.Subscription.IsZero() {
		d.ID, d.Tenant, d.Subscription, d.Message = UndecodableID(r.Position), ident.ID{}, ident.ID{}, ident.ID{}
	}
	d.words = words(kind, reason, result)
	return d, nil
}

// ReadRejected reads a record of the topic rejected: a letter, or a mark.
func ReadRejected(r Record) (*Rejected, *Mark) {
	l := &Rejected{Head: head(r), Bytes: int32(len(r.Value))} //nolint:gosec // a record is at most a few MiB
	var mark Mark
	var source, reingested, reason, field string
	for name, v := range r.Headers {
		switch name {
		case HeaderRejectSource:
			source = string(v)
		case HeaderReingested:
			reingested = string(v)
		case HeaderReingestCount:
			l.Round = number(v)
		case HeaderRejectReason:
			reason = string(v)
		case HeaderRejectField:
			field = string(v)
		case HeaderTruncated, HeaderHeadersCut:
			l.Cut = true
		default:
			mark.set(name, v)
		}
	}
	l.Source, _ = delivery.ParsePosition(source) // the zero position, if it is none
	l.Source = Origin(l.Source, reingested)
	l.ID = RejectedID(l.Source)
	if mark.Kind != "" && reason == "" { // as in ReadDead
		mark.ID, mark.Place = l.ID, r.Position
		return nil, &mark
	}
	l.words = words(l.Source.Topic, reason, field)
	return l, nil
}

// Origin is where a source record was read first, which is its identity where a mapping names no id: what its header
// [HeaderReingested] says, if that is a place in the same topic, and otherwise where it is.
func Origin(at delivery.Position, reingested string) delivery.Position {
	if first, err := delivery.ParsePosition(reingested); err == nil && first.Topic == at.Topic {
		return first
	}
	return at
}

// UndecodableID is the id of a dead letter that is no delivery, by its place in deadletters.
func UndecodableID(at delivery.Position) ident.ID {
	return ident.Derive("postrider/undecodable", at.String())
}

// RejectedPrefix begins the written form of a rejected record's id.
const RejectedPrefix = "rej_"

// RejectedID is the id of a rejected record, by where it was read first.
func RejectedID(source delivery.Position) ident.ID {
	return ident.Derive("postrider/rejected", source.String())
}

func head(r Record) Head {
	return Head{At: r.Timestamp.UnixMilli(), Partition: r.Position.Partition, Offset: r.Position.Offset}
}

func words(a, b, c string) [3]unique.Handle[string] {
	return [3]unique.Handle[string]{unique.Make(a), unique.Make(b), unique.Make(c)}
}

// number reads a count; what is none is 0.
func number(v []byte) int32 {
	n, err := strconv.ParseInt(string(v), 10, 32)
	if err != nil {
		return 0
	}
	return int32(n)
}

// order is by age, and by id at the same instant.
func order(a, b place) int {
	return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(string(a.id[:]), string(b.id[:])))
}
