// Package demo is what `postrider dev` shows: a stream of sample events, a receiver whose endpoints verify every signature
// and misbehave where they are meant to, a board that follows the outcomes, and a tally that tells at the end whether
// every event became of what it should. It knows nothing of how the system under it works: it writes to a source topic,
// reads outcomes as an analyst would, and answers HTTP as a subscriber would.
package demo

import (
	"slices"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// Source is how the sample events are read: plain JSON through a mapping.
func Source() event.Source {
	return event.Source{
		Name: "dixa", Format: event.FormatJSON,
		Mapping: event.Mapping{
			ID: "event_id", Type: "event_fqn", Tenant: "organization.id", Time: "event_timestamp", Data: "data",
		},
	}
}

// Topic is the source topic of the sample events.
const Topic = "dixa.conversation-events"

// Endpoint is a subscription with what its receiver has to know.
type Endpoint struct {
	Subscription ident.ID
	Tenant       ident.ID
	// TenantName is the tenant as events name it.
	TenantName string
	// Name is the subscription's uid, and the path below which the receiver answers for it.
	Name    string
	Profile string
	Secrets []string
	// Types are the event types it wants; all if empty.
	Types []string
}

// Wants reports whether an event is for e. It is simpler than the real matching, on purpose: names, no patterns.
func (e *Endpoint) Wants(ev *Event) bool {
	return e.TenantName == ev.Tenant && (len(e.Types) == 0 || slices.Contains(e.Types, ev.Type))
}

// status is what an attempt came to, in a word: its status, or its result if there was no response.
func status(o *outcome.Outcome) string {
	switch {
	case o.Status != 0:
		return itoa(o.Status)
	case !o.Attempted():
		return "-"
	}
	return string(o.Result)
}
