package delivery

import (
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
)

// Header names of internal records. All values are text, so that kcat shows them.
const (
	HeaderDelivery    = "pr-delivery"
	HeaderMessage     = "pr-message"
	HeaderTenant      = "pr-tenant"
	HeaderEvent       = "pr-event"
	HeaderType        = "pr-type"
	HeaderEventSource = "pr-event-source"
	HeaderTime        = "pr-time"     // RFC 3339 with milliseconds, UTC
	HeaderChannels    = "pr-channels" // separated by commas, which no channel holds
	HeaderContentType = "content-type"
	HeaderTraceParent = "traceparent"
	HeaderTraceState  = "tracestate"
	HeaderTrace       = "pr-trace" // a traceparent
	HeaderSpan        = "pr-span"
	HeaderTrigger     = "pr-trigger" // kind, or kind/id
	HeaderAttempts    = "pr-attempts"
	HeaderBase        = "pr-base"
	HeaderPass        = "pr-pass"
	HeaderParks       = "pr-parks"
	HeaderDue         = "pr-due"   // Unix milliseconds, as Ready, Slot and First
	HeaderReady       = "pr-ready" // Unix milliseconds
	HeaderSlot        = "pr-slot"
	HeaderFirst       = "pr-first"
	HeaderReason      = "pr-reason"
	HeaderSource      = "pr-source" // topic/partition/offset
	HeaderRegistry    = "pr-registry"
)

// Header names that only dead letters have: what the last attempt came to.
const (
	HeaderResult = "pr-result"
	HeaderStatus = "pr-status"
	HeaderDetail = "pr-detail"
)

// HeaderVersion is the version of a record's form. Those of the first have no such header.
const HeaderVersion = "pr-version"

// Version is the version that this release writes, and the newest that it understands.
const Version = 1

// HeaderTask is of records that a background task wrote, with its id: its next owner finds them by it. No later record of the
// delivery has it.
const HeaderTask = "pr-task"

// Headers yields the headers of d's record, in a fixed order and without those that are empty or zero. The values share
// their memory, which is nobody else's.
func (d *Delivery) Headers() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		w := writer{buf: make([]byte, 0, usualHeaders), yield: yield}
		_ = w.put(HeaderDelivery, d.ID.AppendBase62(w.buf, IDPrefix)) &&
			w.put(HeaderMessage, d.Message.AppendBase62(w.buf, MessagePrefix)) &&
			w.put(HeaderTenant, d.Tenant.AppendUUID(w.buf)) &&
			w.put(HeaderEvent, append(w.buf, d.EventID...)) &&
			w.put(HeaderType, append(w.buf, d.EventType...)) &&
			w.text(HeaderEventSource, d.EventSource) &&
			w.put(HeaderTime, AppendTime(w.buf, d.EventTime)) &&
			w.text(HeaderChannels, strings.Join(d.Channels, ",")) &&
			w.text(HeaderContentType, d.ContentType) &&
			w.text(HeaderTraceParent, d.TraceParent) &&
			w.text(HeaderTraceState, d.TraceState) &&
			w.text(HeaderTrace, d.Trace) &&
			w.text(HeaderSpan, d.Span) &&
			w.put(HeaderTrigger, d.Trigger.append(w.buf)) &&
			w.number(HeaderAttempts, d.Attempts) &&
			w.number(HeaderBase, d.Base) &&
			w.number(HeaderPass, d.Pass) &&
			w.number(HeaderParks, d.Parks) &&
			w.instant(HeaderDue, d.Due) &&
			w.instant(HeaderReady, d.Ready) &&
			w.instant(HeaderSlot, d.Slot) &&
			w.instant(HeaderFirst, d.First) &&
			w.text(HeaderReason, d.Reason) &&
			w.put(HeaderSource, d.Source.append(w.buf)) &&
			w.put(HeaderRegistry, strconv.AppendInt(w.buf, d.Registry, 10))
	}
}

// usualHeaders is about how long the values of a delivery are together, in bytes.
const usualHeaders = 384

// writer yields pieces of a buffer that grows.
type writer struct {
	buf   []byte
	yield func(string, []byte) bool
}

// put yields what was appended to the buffer.
func (w *writer) put(name string, grown []byte) bool {
	v := grown[len(w.buf):len(grown):len(grown)]
	w.buf = grown
	return w.yield(name, v)
}

func (w *writer) text(name, v string) bool {
	return v == "" || w.put(name, append(w.buf, v...))
}

func (w *writer) number(name string, v int) bool {
	return v == 0 || w.put(name, strconv.AppendInt(w.buf, int64(v), 10))
}

func (w *writer) instant(name string, v time.Time) bool {
	return v.IsZero() || w.put(name, strconv.AppendInt(w.buf, v.UnixMilli(), 10))
}

// AppendTime appends a time in UTC as RFC 3339 with exactly three decimals to dst. Times are of the years 0 to 9999.
func AppendTime(dst []byte, t time.Time) []byte {
	t = t.UTC()
	dst = t.AppendFormat(dst, time.RFC3339) // other layouts take three times as long
	const digits = "0123456789"
	ms := t.Nanosecond() / int(time.Millisecond)
	return append(dst[:len(dst)-1], '.', digits[ms/100], digits[ms/10%10], digits[ms%10], 'Z')
}

// Decode reads the record of a delivery: its key, headers and value. The value is kept, not copied. A record that
// lacks an identity or holds a malformed header is an error that names the header. That of a newer form wraps [form.ErrNewer],
// whatever else is wrong with it: there another release decides.
func Decode(key, value []byte, headers iter.Seq2[string, []byte]) (*Delivery, error) {
	r := readers.Get().(*reader) //nolint:forcetypeassert // the pool holds nothing else
	defer r.done()
	r.all = append(r.all[:0], key...)
	if headers(r.gather); r.err != nil {
		return nil, r.err
	}
	r.d, r.left = &Delivery{Data: value}, string(r.all) // one piece of memory for all texts
	var err error
	if r.d.Subscription, err = ident.ParseUUID(r.take(len(key))); err != nil {
		return nil, fmt.Errorf("record key: %w", err)
	}
	if headers(r.set); r.err != nil {
		return nil, r.err
	}
	if err := r.d.missing(); err != nil {
		return nil, err
	}
	return r.d, nil
}

// reader reads a delivery off the texts of its record, one after the other. It is used again: what is given to an iterator is
// memory that the caller would have to allocate, every time.
type reader struct {
	all  []byte
	d    *Delivery
	left string
	err  error
	// gather and set are its methods, each made once.
	gather, set func(name string, v []byte) bool
}

var readers = sync.Pool{New: func() any { //nolint:gochecknoglobals // memory of no one
	r := &reader{all: make([]byte, 0, 2*usualHeaders)}
	r.gather, r.set = r.text, r.header
	return r
}}

// maxReader bounds the texts whose memory is used again, in bytes.
const maxReader = 16 << 10

func (r *reader) done() {
	if r.d, r.left, r.err = nil, "", nil; cap(r.all) <= maxReader {
		readers.Put(r)
	}
}

// text takes the text of one header, and looks at the version before anything else.
func (r *reader) text(name string, v []byte) bool {
	if name == HeaderVersion {
		if r.err = checkVersion(v); r.err != nil {
			return false
		}
	}
	r.all = append(r.all, v...)
	return true
}

func (r *reader) take(n int) (text string) {
	text, r.left = r.left[:n], r.left[n:]
	return text
}

// header reads the text of one header and reports whether it was well.
func (r *reader) header(name string, v []byte) bool {
	if err := r.d.set(name, r.take(len(v))); err != nil {
		r.err = fmt.Errorf("header %s: %w", name, err)
	}
	return r.err == nil
}

// missing returns an error for the first header that every delivery has and this one lacks.
func (d *Delivery) missing() error {
	var name string
	switch {
	case d.ID.IsZero():
		name = HeaderDelivery
	case d.Message.IsZero():
		name = HeaderMessage
	case d.Tenant.IsZero():
		name = HeaderTenant
	case d.EventType == "":
		name = HeaderType
	case d.Trigger.Kind == "":
		name = HeaderTrigger
	default:
		return nil
	}
	return fmt.Errorf("header %s: missing", name)
}

// checkVersion refuses what is newer, and what is no version.
func checkVersion(v []byte) error {
	n, err := strconv.Atoi(string(v))
	if errors.Is(err, strconv.ErrRange) && n > 0 {
		err = nil // a very large one
	}
	if err != nil {
		return fmt.Errorf("header %s: %w", HeaderVersion, err)
	}
	return form.Check(n, Version)
}

func (d *Delivery) set(name string, v string) (err error) {
	switch name {
	case HeaderDelivery:
		d.ID, err = ident.ParseBase62(IDPrefix, v)
	case HeaderMessage:
		d.Message, err = ident.ParseBase62(MessagePrefix, v)
	case HeaderTenant:
		d.Tenant, err = ident.ParseUUID(v)
	case HeaderEvent:
		d.EventID = v
	case HeaderType:
		d.EventType = v
	case HeaderEventSource:
		d.EventSource = v
	case HeaderTime:
		d.EventTime, err = moment(v)
	case HeaderChannels:
		if len(v) > 0 {
			d.Channels = strings.Split(v, ",")
		}
	case HeaderContentType:
		d.ContentType = v
	case HeaderTraceParent:
		d.TraceParent = v
	case HeaderTraceState:
		d.TraceState = v
	case HeaderTrace:
		d.Trace = v
	case HeaderSpan:
		d.Span = v
	case HeaderTrigger:
		d.Trigger, err = ParseTrigger(v)
	case HeaderAttempts:
		d.Attempts, err = count(v)
	case HeaderBase:
		d.Base, err = count(v)
	case HeaderPass:
		d.Pass, err = count(v)
	case HeaderParks:
		d.Parks, err = count(v)
	case HeaderDue:
		d.Due, err = millis(v)
	case HeaderReady:
		d.Ready, err = millis(v)
	case HeaderSlot:
		d.Slot, err = millis(v)
	case HeaderFirst:
		d.First, err = millis(v)
	case HeaderReason:
		d.Reason = v
	case HeaderSource:
		d.Source, err = ParsePosition(v)
	case HeaderRegistry:
		d.Registry, err = strconv.ParseInt(v, 10, 64)
	}
	return err
}

func count(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err == nil && n < 0 {
		return 0, fmt.Errorf("%q is negative", v)
	}
	return n, err
}

// moment reads an RFC 3339 time whose year in UTC has four digits too, so that it can be written again.
func moment(v string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, v)
	if t = t.UTC(); err == nil && (t.Year() < 0 || t.Year() > 9999) {
		return time.Time{}, fmt.Errorf("%q is outside the years 0 to 9999 in UTC", v)
	}
	return t, err
}

func millis(v string) (time.Time, error) {
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return time.Time{}, err
	}
	t := time.UnixMilli(n).UTC()
	if year := t.Year(); year < 0 || year > 9999 {
		return time.Time{}, fmt.Errorf("%q is no instant of the years 0 to 9999", v) // RFC 3339 and JSON end there
	}
	return t, nil
}

// String writes the trigger as kind or kind/id.
func (t Trigger) String() string { return string(t.append(nil)) }

func (t Trigger) append(dst []byte) []byte {
	if dst = append(dst, t.Kind...); t.ID == "" {
		return dst
	}
	return append(append(dst, '/'), t.ID...)
}

// ParseTrigger reads what [Trigger.String] writes.
func ParseTrigger(s string) (Trigger, error) {
	kind, id, _ := strings.Cut(s, "/")
	switch k := TriggerKind(kind); k {
	case TriggerEvent, TriggerResend, TriggerRecover, TriggerReplay, TriggerTest:
		return Trigger{Kind: k, ID: id}, nil
	default:
		return Trigger{}, fmt.Errorf("%q is no trigger: want event, resend, recover, replay or test", s)
	}
}

// String writes the position as topic/partition/offset.
func (p Position) String() string { return string(p.append(nil)) }

func (p Position) append(dst []byte) []byte {
	dst = strconv.AppendInt(append(append(dst, p.Topic...), '/'), int64(p.Partition), 10)
	return strconv.AppendInt(append(dst, '/'), p.Offset, 10)
}

// ParsePosition reads what [Position.String] writes.
func ParsePosition(s string) (Position, error) {
	rest, offset, ok := cutLast(s)
	topic, partition, ok2 := cutLast(rest)
	if !ok || !ok2 {
		return Position{}, fmt.Errorf("%q is no topic/partition/offset", s)
	}
	part, err := strconv.ParseInt(partition, 10, 32)
	if err != nil {
		return Position{}, fmt.Errorf("partition of %q: %w", s, err)
	}
	off, err := strconv.ParseInt(offset, 10, 64)
	if err != nil {
		return Position{}, fmt.Errorf("offset of %q: %w", s, err)
	}
	return Position{Topic: topic, Partition: int32(part), Offset: off}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '/')
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+1:], true
}
