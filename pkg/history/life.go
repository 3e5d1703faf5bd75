package history

import (
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

// Life is what happened to one event.
type Life struct {
	// Message is msg_…; empty of a record that could not be read, or whose tenant is not in the registry.
	Message   string    `json:"message,omitempty"`
	EventID   string    `json:"event_id,omitempty"`
	EventType string    `json:"event_type,omitempty"`
	Source    string    `json:"event_source,omitempty"`
	EventTime time.Time `json:"event_time,omitzero"`
	// Tenant is how the event names it; TenantID is empty if there is no such tenant.
	Tenant   string   `json:"tenant,omitempty"`
	TenantID string   `json:"tenant_id,omitempty"`
	Channels []string `json:"channels,omitempty"`
	Bytes    int      `json:"bytes"`
	// Rejected says why the record could not be read.
	Rejected string `json:"rejected,omitempty"`
	// Places are where the event was read: more than one if it was produced more than once.
	Places []delivery.Position `json:"places"`
	// Registry is the version that Choices are of: that of the last routing, or the newest if it was not routed.
	Registry int64    `json:"registry_version"`
	Choices  []Choice `json:"subscriptions"`
	// More is how many subscriptions that did not match are left out.
	More int `json:"more_unmatched,omitempty"`
	// Ends are what became of each delivery, Moments all that happened, in the order of time.
	Ends    []End    `json:"deliveries"`
	Moments []Moment `json:"moments"`
	// Notes say what could not be found out.
	Notes []string `json:"notes,omitempty"`
}

// Choice says whether a subscription of the tenant gets the event.
type Choice struct {
	Subscription ident.ID `json:"subscription"`
	UID          string   `json:"uid,omitempty"`
	Matched      bool     `json:"matched"`
	// Why it does not match, in words.
	Why string `json:"why,omitempty"`
}

// End is what became of a delivery so far.
type End struct {
	Delivery     string   `json:"delivery"`
	Subscription ident.ID `json:"subscription"`
	// State is delivered, dead, cancelled, parked, waiting or missing.
	State string `json:"state"`
}

// MomentKind says what happened. It is a closed set.
type MomentKind string

// Kinds of moments.
const (
	MomentReceived MomentKind = "received"    // the source record was written
	MomentRejected MomentKind = "rejected"    // it could not be read
	MomentRouted   MomentKind = "routed"      // the router accounted for it
	MomentMade     MomentKind = "made"        // a delivery was written, by a router or by hand
	MomentWaits    MomentKind = "waits"       // it went to the retry tiers
	MomentDue      MomentKind = "due"         // it came back from them
	MomentOutcome  MomentKind = "outcome"     // an attempt was made, or something was decided without one
	MomentBuried   MomentKind = "dead_letter" // it went to the dead letters
	MomentRedriven MomentKind = "redriven"    // its dead letter was put back
	MomentClosed   MomentKind = "closed"      // its dead letter, or its rejected record, waits for nobody any more
)

// Moment is something that happened to an event or to one of its deliveries.
type Moment struct {
	At   time.Time  `json:"at"`
	Kind MomentKind `json:"kind"`
	// Place is the record that says so.
	Place delivery.Position `json:"place"`
	// Delivery and Subscription are of a delivery's moments.
	Delivery     string    `json:"delivery,omitempty"`
	Subscription string    `json:"subscription,omitempty"`
	Trigger      string    `json:"trigger,omitempty"`
	Attempt      int       `json:"attempt,omitempty"`
	Pass         int       `json:"pass,omitempty"`
	Verdict      string    `json:"verdict,omitempty"`
	Reason       string    `json:"reason,omitempty"`
	Result       string    `json:"result,omitempty"`
	Status       int       `json:"status,omitempty"`
	DurationMS   float64   `json:"duration_ms,omitempty"`
	Due          time.Time `json:"due,omitzero"`
	Registry     int64     `json:"registry_version,omitempty"`
	Detail       string    `json:"detail,omitempty"`
}

func (s state) String() string {
	switch s {
	case missing:
		return "missing"
	case delivered:
		return "delivered"
	case dead:
		return "dead"
	case cancelled:
		return "cancelled"
	case parked:
		return "parked"
	case waiting:
		return "waiting"
	case unprovable:
		return "unprovable"
	}
	return ""
}
