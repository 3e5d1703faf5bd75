package event

import (
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/subscription"
)

// maxName is the longest id, tenant and event type, in bytes: what the management API allows.
const maxName = 256

// Record is a record of a source topic. Value is kept by the event, not copied, and must not be changed afterwards.
type Record struct {
	Key, Value []byte
	// Headers yields the record's headers; nil is none.
	Headers   iter.Seq2[string, []byte]
	Timestamp time.Time
	Position  delivery.Position
}

// Decoder reads the records of one source. It is safe for concurrent use.
type Decoder struct {
	source    Source
	extension string
}

// NewDecoder returns the decoder of a source, or what is wrong with it.
func NewDecoder(s Source) (*Decoder, error) {
	if err := s.Validate(); err != nil {
		return nil, fmt.Errorf("source %q: %w", s.Name, err)
	}
	d := &Decoder{source: s, extension: s.TenantExtension}
	if d.extension == "" {
		d.extension = DefaultTenantExtension
	}
	return d, nil
}

// Decode reads one record. The error is always an *[Error]: the record's own fault, and final.
//
// JSON must be UTF-8 (RFC 8259) and nested at most 10,000 deep. Where an object names a member twice, its first one counts
// in plain JSON and the last one in structured CloudEvents; the data is forwarded as it came either way.
func (d *Decoder) Decode(rec Record) (*Event, error) {
	if n := len(rec.Value); n > MaxBytes {
		return nil, &Error{Reason: ReasonTooLarge, Detail: fmt.Sprintf("%d bytes: want at most %d", n, MaxBytes)}
	}
	var e *Event
	var bad *Error
	if d.source.Format == FormatJSON {
		e, bad = d.mapped(rec)
	} else {
		e, bad = d.cloudEvent(rec)
	}
	if bad == nil {
		bad = d.finish(e, rec)
	}
	if bad != nil {
		return nil, bad
	}
	return e, nil
}

// finish checks what every form has in common and fills in what the record leaves to defaults.
func (d *Decoder) finish(e *Event, rec Record) *Error {
	if d.source.Tenant != "" {
		e.Tenant = d.source.Tenant
	}
	if e.Time.IsZero() {
		e.Time = rec.Timestamp.UTC()
	}
	if e.ContentType == "" {
		e.ContentType = "application/json"
	}
	tenant, kind, id, channels := d.fields()
	switch {
	case e.Tenant == "" || len(e.Tenant) > maxName:
		return &Error{ReasonNoTenant, tenant, wantName}
	case e.Type == "":
		return &Error{ReasonNoType, kind, wantName}
	case !validType(e.Type):
		return &Error{ReasonBadType, kind, fmt.Sprintf("%.300q: want 1 to 256 of a-z A-Z 0-9 - _ .", e.Type)}
	case e.ID == "" || len(e.ID) > maxName:
		return &Error{ReasonNoID, id, wantName}
	case len(e.Channels) > 0 && subscription.ValidateChannels(e.Channels) != nil:
		return &Error{ReasonBadChannels, channels, subscription.ValidateChannels(e.Channels).Error()}
	case !printable(e.ContentType):
		return &Error{ReasonUndecodable, "content-type", "want a media type"}
	case isJSON(e.ContentType) && len(e.Data) == 0:
		// An event without data still needs a JSON value in every envelope.
		e.Data = []byte("null")
	}
	return nil
}

const wantName = "want a text of 1 to 256 bytes"

// fields returns what tenant, type, id and channels are called in the records of this source.
func (d *Decoder) fields() (tenant, kind, id, channels string) {
	if m := d.source.Mapping; d.source.Format == FormatJSON {
		return m.Tenant, m.Type, m.ID, m.Channels
	}
	return d.extension, "type", "id", ChannelsExtension
}

func validType(s string) bool {
	if len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
		if !letter && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return s != ""
}

// printable reports whether s can stand in an HTTP header.
func printable(s string) bool {
	return len(s) <= maxName && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' })
}

// instant reads an RFC 3339 time.
func instant(field, s string) (time.Time, *Error) {
	t, err := time.Parse(time.RFC3339, s)
	// In UTC it must still be a time that RFC 3339 can write: the offset may carry it out of the years 0 to 9999.
	if year := t.UTC().Year(); err != nil || year < 0 || year > 9999 {
		return time.Time{}, &Error{ReasonBadTime, field, fmt.Sprintf("%.64q: want RFC 3339, as 2026-02-01T08:30:00.000Z", s)}
	}
	return t.UTC(), nil
}
