// Package delivery holds the delivery: one event for one subscription, with the identities that never change and the
// header form in which it travels through the deliveries, retry and dead-letter topics. Metadata is in headers, the
// event's data is the record's value, untouched.
package delivery

import (
	"time"

	"github.com/postrider/postrider/pkg/ident"
)

// Prefixes of the written identifiers.
const (
	IDPrefix      = "dlv_"
	MessagePrefix = "msg_"
)

// TriggerKind says why a try is made.
type TriggerKind string

// Trigger kinds.
const (
	TriggerEvent   TriggerKind = "event"
	TriggerResend  TriggerKind = "resend"
	TriggerRecover TriggerKind = "recover"
	TriggerReplay  TriggerKind = "replay"
	TriggerTest    TriggerKind = "test"
)

// Trigger says why a try is made. Its ID keeps two askings apart; the event trigger has none.
type Trigger struct {
	Kind TriggerKind
	ID   string
}

// Position is the place of a record in Kafka.
type Position struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Delivery is one event for one subscription, on its way.
type Delivery struct {
	ID           ident.ID // derived from Message and Subscription
	Message      ident.ID // derived from tenant, source and event id; webhook-id on the wire
	Subscription ident.ID // record key
	Tenant       ident.ID

	EventID     string
	EventType   string
	EventSource string
	EventTime   time.Time
	// Channels are those of the event.
	Channels    []string
	ContentType string
	// TraceParent and TraceState are the W3C trace context that the event came with; empty without.
	TraceParent string
	TraceState  string
	// Trace is the context of the span in which it was routed, as a traceparent; empty unless it is traced. Its tracestate is
	// TraceState.
	Trace string
	// Span is the id of the span of the last attempt, in hexadecimal; empty unless it is traced.
	Span string

	Trigger Trigger
	// Attempts is how many attempts were made under this trigger.
	Attempts int
	// Base is how many of them were made before the last redrive: the retry policy counts from there.
	Base int
	// Pass is how often the record was written again: retry, park, divert, redrive. Hops between tiers do not count.
	Pass int
	// Parks is how often it was parked since the last attempt.
	Parks int
	// Due is when the next attempt is to start; zero means at once.
	Due time.Time
	// Ready is when a record in a retry tier may leave it; never after Due.
	Ready time.Time
	// Slot is the send slot a rate limit gave out; zero without one.
	Slot time.Time
	// First is when the first attempt of this trigger, or since the last redrive, started; zero before.
	First time.Time
	// Reason says why the record was written: the outcome reason of a retry, park or dead letter; empty for the first.
	Reason string
	// Source is where the event was read.
	Source Position
	// Registry is the registry version it was matched with.
	Registry int64
	Data     []byte
}

// MessageID derives the message id from the unique key of an event.
func MessageID(tenant ident.ID, source, eventID string) ident.ID {
	return ident.Derive("postrider/message", tenant.UUID(), source, eventID)
}

// ID derives the delivery id: it is the same on every retry, resend and replay.
func ID(message, subscription ident.ID) ident.ID {
	return ident.DeriveOf("postrider/delivery", message, subscription)
}

// Key identifies one writing of a delivery. The deliverer's window of recent keys drops what a crash repeated.
type Key struct {
	Delivery ident.ID
	Trigger  Trigger
	Pass     int
}

// Key returns the key of d as written.
func (d *Delivery) Key() Key { return Key{Delivery: d.ID, Trigger: d.Trigger, Pass: d.Pass} }
