// Package operational holds the events about deliveries and subscriptions themselves: an endpoint was disabled, a
// delivery's tries are used up. They go to a topic of their own as CloudEvents in structured mode and are delivered to
// whoever subscribed to them, like any event. Types and data are those of the operational webhooks of the Svix API.
package operational

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/ident"
)

// Source is the CloudEvents source of all operational events.
const Source = "postrider/operational"

// Types of operational events.
const (
	EndpointCreated  = "endpoint.created"
	EndpointUpdated  = "endpoint.updated"
	EndpointDeleted  = "endpoint.deleted"
	EndpointEnabled  = "endpoint.enabled"
	EndpointDisabled = "endpoint.disabled"
	RetriesSuspended = "endpoint.retries_suspended" // ours, as RetriesResumed is
	RetriesResumed   = "endpoint.retries_resumed"
	AttemptExhausted = "message.attempt.exhausted"
	AttemptFailing   = "message.attempt.failing"
	AttemptRecovered = "message.attempt.recovered"
)

// FailingAfter is the failed attempt of a delivery, counted from 1, at which it counts as failing: the fourth, as Svix
// has it.
const FailingAfter = 4

// Types lists all types, sorted.
func Types() []string {
	all := []string{
		EndpointCreated, EndpointUpdated, EndpointDeleted, EndpointEnabled, EndpointDisabled,
		RetriesSuspended, RetriesResumed, AttemptExhausted, AttemptFailing, AttemptRecovered,
	}
	slices.Sort(all)
	return all
}

// Triggers of an endpoint's disabling.
const (
	TriggerManual    = "manual"
	TriggerAutomatic = "automatic"
)

// Endpoint is the data of endpoint events. Ids are in the forms of the HTTP API.
type Endpoint struct {
	App         string  `json:"appId"`
	AppUID      *string `json:"appUid"`
	Endpoint    string  `json:"endpointId"`
	EndpointUID *string `json:"endpointUid"`
	// FailSince is of what follows from failures; Trigger of endpoint.disabled only.
	FailSince *time.Time `json:"failSince,omitempty"`
	Trigger   string     `json:"trigger,omitempty"`
	// Generation is the subscription's that it is about, where Postrider itself decided; Reason is the outcome reason and
	// Locked says that only an operator enables it again, both of endpoint.disabled.
	Generation int64  `json:"generation,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Locked     bool   `json:"locked,omitempty"`
}

// Attempt is the data of message.attempt events.
type Attempt struct {
	App      string      `json:"appId"`
	AppUID   *string     `json:"appUid"`
	Message  string      `json:"msgId"`
	EventID  *string     `json:"msgEventId"`
	Endpoint string      `json:"endpointId"`
	Last     LastAttempt `json:"lastAttempt"`
}

// LastAttempt is the attempt that made an event of it.
type LastAttempt struct {
	ID         string    `json:"id"`
	StatusCode int       `json:"responseStatusCode"`
	Timestamp  time.Time `json:"timestamp"`
}

// Event is one operational event.
type Event struct {
	ID     ident.ID
	Type   string
	Tenant ident.ID
	At     time.Time
	Data   any // [Endpoint] or [Attempt]
}

// New returns an event. Its id is determined by the type and the parts, so that what is told twice is one event.
func New(typ string, tenant ident.ID, at time.Time, data any, parts ...string) Event {
	return Event{
		ID: ident.Derive("postrider/operational", append([]string{typ, tenant.UUID()}, parts...)...), Type: typ,
		Tenant: tenant, At: at, Data: data,
	}
}

// record is a CloudEvent in structured mode (CloudEvents 1.0, JSON format).
type record struct {
	SpecVersion string    `json:"specversion"`
	ID          string    `json:"id"`
	Source      string    `json:"source"`
	Type        string    `json:"type"`
	Time        time.Time `json:"time"`
	Tenant      string    `json:"tenant"`
	ContentType string    `json:"datacontenttype"`
	Data        payload   `json:"data"`
}

// payload is what subscribers receive: as in the operational webhooks of the Svix API, the type stands inside, too.
type payload struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

// ContentType is the media type of [Event.Value].
const ContentType = "application/cloudevents+json"

// Value returns the record value of e.
func (e Event) Value() ([]byte, error) {
	raw, err := json.Marshal(record{
		SpecVersion: "1.0", ID: e.ID.UUID(), Source: Source, Type: e.Type, Time: e.At.UTC(), Tenant: e.Tenant.UUID(),
		ContentType: "application/json", Data: payload{Type: e.Type, Data: e.Data},
	})
	if err != nil {
		return nil, fmt.Errorf("encoding operational event: %w", err)
	}
	return raw, nil
}
