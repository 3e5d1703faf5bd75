// Package audit holds the record of a change to the registry, or of what was done to letters: who, when, what, and how it was before and is after. No
// record holds a secret.
package audit

import (
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
)

// IDPrefix begins the written form of an entry's id.
const IDPrefix = "audit_"

// Kinds of an [Actor].
const (
	// ActorKey used an API key, ActorPortal a portal token.
	ActorKey    = "key"
	ActorPortal = "portal"
	// ActorCommand ran a command that writes the registry itself.
	ActorCommand = "command"
	// ActorSystem is Postrider, for example when a receiver answered 410.
	ActorSystem = "system"
)

// Actor is who made a change.
type Actor struct {
	Kind string `json:"kind"`
	// ID names the key or portal token; empty for others.
	ID string `json:"id,omitempty"`
	// Name is the key's name, the portal's session, or the command and its user.
	Name string `json:"name,omitempty"`
	// Address is where the request came from, without the port.
	Address string `json:"address,omitempty"`
	// Request is the id of the HTTP request, as it stands in the access log.
	Request string `json:"request,omitempty"`
}

// Version is the version of the form of an [Entry].
const Version = 1

// Read reads a record of the audit topic. One of a newer form is an error that wraps [form.ErrNewer].
func Read(value []byte) (*Entry, error) {
	e := new(Entry)
	return e, form.Read(value, e, &e.Version, Version)
}

// Entry is one change of one object.
type Entry struct {
	Version int       `json:"version"` // of this form: [Version]
	ID      string    `json:"id"`
	At      time.Time `json:"at"`
	Actor   Actor     `json:"actor"`
	// Action is created, updated or deleted; redriven or discarded of dead letters, reingested of rejected records.
	Action string `json:"action"`
	// Kind is the kind of the object: tenant, subscription, event-type, key or pause, dead-letter or rejected. Object is its id in the
	// form of the HTTP API; of several letters that of their tenant, or their kind.
	Kind   string `json:"kind"`
	Object string `json:"object"`
	// Tenant is the tenant it belongs to; zero for what belongs to none.
	Tenant ident.ID `json:"tenant,omitzero"`
	// RegistryVersion is the version of the object that the change made, or of the registry that it was deleted from; for what
	// is not in the registry, that of the registry at the time.
	RegistryVersion int64 `json:"registryVersion"`
	// Changed are the fields that differ, sorted; of a secret one is only said that it changed.
	Changed []string `json:"changed,omitempty"`
	// Before and After are the object without secrets; one of them is absent if it was created or deleted. For letters After
	// has their count and the filter.
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// Actions.
const (
	Created = "created"
	Updated = "updated"
	Deleted = "deleted"

	Redriven   = "redriven"
	Discarded  = "discarded"
	Reingested = "reingested"
)

// Kinds of objects that are not in the registry.
const (
	KindDeadLetter = "dead-letter"
	KindRejected   = "rejected"
)

// ErrIterator is wrapped by the refusal of an iterator that no listing of entries gave out.
var ErrIterator = errors.New("malformed iterator of the audit log")

// Hidden stands in place of a secret.
const Hidden = "<hidden>"

// Diff returns the names of the top-level members that differ between two JSON objects, sorted. Either may be empty.
func Diff(before, after json.RawMessage) []string {
	var a, b map[string]json.RawMessage
	_ = json.Unmarshal(before, &a) // what is no object has no members
	_ = json.Unmarshal(after, &b)
	var changed []string
	for name, value := range a {
		if other, ok := b[name]; !ok || string(other) != string(value) {
			changed = append(changed, name)
		}
	}
	for name := range b {
		if _, ok := a[name]; !ok {
			changed = append(changed, name)
		}
	}
	slices.Sort(changed)
	return changed
}
