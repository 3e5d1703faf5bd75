// Package event holds the event as it came from a source topic and reads it: CloudEvents in binary and structured
// mode, and plain JSON through a mapping that names where id, type, tenant, time and data are.
package event

import (
	"fmt"
	"time"
)

// MaxBytes is the event limit: the largest value of a source record, 1 MiB. Internal topics allow 128 KiB more, for
// the headers that Postrider adds.
const MaxBytes = 1 << 20

// Event is something that happened, as a source topic carried it. Data is never re-encoded.
type Event struct {
	// Tenant is the tenant as the event names it: the tenant's uid, its UUID or its app_ form.
	Tenant string
	// Source is the CloudEvents source, or the name of the configured source for mapped JSON.
	Source string
	// ID is unique within (Tenant, Source). A mapping without an id uses the source position.
	ID string
	// Type is the event type, for example CONVERSATION_CREATED or contact.updated.
	Type string
	// Time is when it happened; the record's timestamp if the event does not say.
	Time time.Time
	// Channels narrow down who receives it: a subscription with channels only receives events that share one with it.
	Channels []string
	// ContentType is the media type of Data, application/json unless the event says otherwise.
	ContentType string
	// TraceParent is the W3C trace context the event came with, or empty.
	TraceParent string
	// TraceState is what came with it for others that trace (W3C tracestate); empty without a TraceParent.
	TraceState string
	// Data is the event's own data, byte for byte as it came.
	Data []byte
}

// IsJSON reports whether the content type says that Data is JSON.
func (e *Event) IsJSON() bool { return isJSON(e.ContentType) }

// Reason says why a record could not be read as an event. It is a closed set: header value of the rejected topic and
// metric label.
type Reason string

// Reasons of [Error].
const (
	// ReasonUndecodable: the bytes are not what their form promises (no JSON, no CloudEvent).
	ReasonUndecodable Reason = "undecodable"
	// ReasonTooLarge: the value is larger than [MaxBytes].
	ReasonTooLarge Reason = "too_large"
	// ReasonNoTenant: nothing in the record names a tenant.
	ReasonNoTenant Reason = "no_tenant"
	// ReasonNoType: the record names no event type.
	ReasonNoType Reason = "no_type"
	// ReasonBadType: the event type is longer than 256 or holds characters other than a-z A-Z 0-9 - _ . (dot).
	ReasonBadType Reason = "bad_type"
	// ReasonNoID: a CloudEvent without id, or one longer than 256.
	ReasonNoID Reason = "no_id"
	// ReasonBadTime: the time is there and is no RFC 3339 instant.
	ReasonBadTime Reason = "bad_time"
	// ReasonBadChannels: there are more than 10 channels, or one is longer than 128, or holds characters other than
	// a-z A-Z 0-9 - _ . : +, or is there twice.
	ReasonBadChannels Reason = "bad_channels"
	// ReasonNoData: the mapping's data path leads nowhere.
	ReasonNoData Reason = "no_data"
)

// Error is the refusal of a record: it goes to the rejected topic with its reason and detail.
type Error struct {
	Reason Reason
	// Field is what in the record is wrong, for example "organization.id"; empty for the whole record.
	Field string
	// Detail says what is wrong and what is allowed.
	Detail string
}

// Error implements error.
func (e *Error) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("%s: %s", e.Reason, e.Detail)
	}
	return fmt.Sprintf("%s: %s: %s", e.Reason, e.Field, e.Detail)
}
