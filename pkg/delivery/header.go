package delivery

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

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
	HeaderTime        = "pr-time" // RFC 3339 with milliseconds, UTC
	HeaderContentType = "content-type"
	HeaderTraceParent = "traceparent"
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

// timeLayout is RFC 3339 with exactly three decimals.
const timeLayout = "2006-01-02T15:04:05.000Z07:00"

// Headers yields the headers of d's record, in a fixed order and without those that are empty or zero.
func (d *Delivery) Headers() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		_ = yield(HeaderDelivery, d.ID.Base62(IDPrefix)) &&
			yield(HeaderMessage, d.Message.Base62(MessagePrefix)) &&
			yield(HeaderTenant, d.Tenant.UUID()) &&
			yield(HeaderEvent, d.EventID) &&
			yield(HeaderType, d.EventType) &&
			text(yield, HeaderEventSource, d.EventSource) &&
			yield(HeaderTime, d.EventTime.UTC().Format(timeLayout)) &&
			text(yield, HeaderContentType, d.ContentType) &&
			text(yield, HeaderTraceParent, d.TraceParent) &&
			yield(HeaderTrigger, d.Trigger.String()) &&
			number(yield, HeaderAttempts, d.Attempts) &&
			number(yield, HeaderBase, d.Base) &&
			number(yield, HeaderPass, d.Pass) &&
			number(yield, HeaderParks, d.Parks) &&
			instant(yield, HeaderDue, d.Due) &&
			instant(yield, HeaderReady, d.Ready) &&
			instant(yield, HeaderSlot, d.Slot) &&
			instant(yield, HeaderFirst, d.First) &&
			text(yield, HeaderReason, d.Reason) &&
			yield(HeaderSource, d.Source.String()) &&
			yield(HeaderRegistry, strconv.FormatInt(d.Registry, 10))
	}
}

func text(yield func(string, string) bool, name, v string) bool {
	return v == "" || yield(name, v)
}

func number(yield func(string, string) bool, name string, v int) bool {
	return v == 0 || yield(name, strconv.Itoa(v))
}

func instant(yield func(string, string) bool, name string, v time.Time) bool {
	return v.IsZero() || yield(name, strconv.FormatInt(v.UnixMilli(), 10))
}

// Decode reads the record of a delivery: its key, headers and value. The value is kept, not copied. A record that
// lacks an identity or holds a malformed header is an error that names the header.
func Decode(key, value []byte, headers iter.Seq2[string, []byte]) (*Delivery, error) {
	d := &Delivery{Data: value}
	var err error
	if d.Subscription, err = ident.ParseUUID(string(key)); err != nil {
		return nil, fmt.Errorf("record key: %w", err)
	}
	for name, v := range headers {
		if err := d.set(name, string(v)); err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
	}
	switch {
	case d.ID.IsZero():
		return nil, fmt.Errorf("header %s: missing", HeaderDelivery)
	case d.Message.IsZero():
		return nil, fmt.Errorf("header %s: missing", HeaderMessage)
	case d.Tenant.IsZero():
		return nil, fmt.Errorf("header %s: missing", HeaderTenant)
	case d.EventType == "":
		return nil, fmt.Errorf("header %s: missing", HeaderType)
	case d.Trigger.Kind == "":
		return nil, fmt.Errorf("header %s: missing", HeaderTrigger)
	}
	return d, nil
}

func (d *Delivery) set(name, v string) (err error) {
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
	case HeaderContentType:
		d.ContentType = v
	case HeaderTraceParent:
		d.TraceParent = v
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
func (t Trigger) String() string {
	if t.ID == "" {
		return string(t.Kind)
	}
	return string(t.Kind) + "/" + t.ID
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
func (p Position) String() string {
	return p.Topic + "/" + strconv.FormatInt(int64(p.Partition), 10) + "/" + strconv.FormatInt(p.Offset, 10)
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
