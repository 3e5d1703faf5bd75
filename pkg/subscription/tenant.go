package subscription

import (
	"time"

	"github.com/postrider/postrider/pkg/ident"
)

// Tenant owns subscriptions and events.
type Tenant struct {
	ID ident.ID `json:"id" yaml:"id"`
	// UID is the tenant's name in the producer's own world (organization id, brand id); events carry it.
	UID string `json:"uid,omitempty" yaml:"uid"`
	// Name is for people, and for envelopes that carry it (Dixa's organization.name).
	Name string `json:"name" yaml:"name"`
	// Metadata is the owner's, for whatever they like; nothing here reads it.
	Metadata map[string]string `json:"metadata,omitempty" yaml:"metadata"`
	// Profile is the default profile of the tenant's subscriptions; "standard" if empty.
	Profile string `json:"profile,omitempty" yaml:"profile"`
	// EventTypes are the event types activated for the tenant, exact names or patterns as in [Subscription]; events of
	// others are not expanded. Empty means all.
	EventTypes []string `json:"eventTypes,omitempty" yaml:"eventTypes"`
	// ThrottleRate is the most attempts per second for the whole tenant; 0 is no limit.
	ThrottleRate int `json:"throttleRate,omitempty" yaml:"throttleRate"`
	// Portal says which portal tokens are not valid any more.
	Portal PortalAccess `json:"portal,omitzero" yaml:"-"`
	// Notices say who is told that endpoints do badly; nil is nobody.
	Notices *Notices `json:"notices,omitempty" yaml:"-"`
	// Created and Updated are when it was first and last written.
	Created time.Time `json:"created,omitzero" yaml:"-"`
	Updated time.Time `json:"updated,omitzero" yaml:"-"`
	// Version is the registry version that wrote it; 0 before.
	Version int64 `json:"-" yaml:"-"`
}

// PortalAccess takes portal tokens back before they expire.
type PortalAccess struct {
	// NotBefore ends all tokens that were made before it, from NotBeforeFrom on.
	NotBefore     time.Time `json:"notBefore,omitzero"`
	NotBeforeFrom time.Time `json:"notBeforeFrom,omitzero"`
	// Revoked are the sessions and tokens that were ended one by one, with the instant at which they would have expired.
	Revoked map[string]time.Time `json:"revoked,omitempty"`
}
