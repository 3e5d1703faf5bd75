// Package catalogue holds event types: what a tenant may subscribe to, what the data of each looks like, examples.
//
// An [EventType] carries JSON Schemas by version. [Validators] check payloads against the current one at a bounded cost,
// [Example] finds or makes a payload to test an endpoint with. Event types come from three kinds of document: OpenAPI and
// AsyncAPI ([Import]) and Postrider's own catalogue files ([ParseFile]); [Export] writes OpenAPI.
//
// The package does no I/O and has no clock. Nothing in a schema or in a document makes it load anything: references go to
// places within the document and are bundled, so that every stored schema stands alone.
package catalogue

import (
	"encoding/json"
	"strconv"
	"time"
)

// Limits of an event type.
const (
	MaxName         = 256       // bytes of a name, group or feature flag, as Svix has it
	MaxDescription  = 16 << 10  // bytes; descriptions in OpenAPI documents are whole pages now and then
	MaxFeatureFlags = 32        // of an event type
	MaxVersions     = 32        // of an event type's schemas
	MaxSchemas      = 256 << 10 // bytes of all versions together: a registry record is at most 1 MiB
)

// EventType is a kind of event that may be subscribed to. It is stored in the registry in this form.
type EventType struct {
	// Name is what events call their type, for example "contact.created": letters, digits, "-", "_" and ".".
	Name string `json:"name"`
	// Description is for whoever subscribes.
	Description string `json:"description"`
	// Archived event types are kept but cannot be subscribed to any more.
	Archived bool `json:"archived,omitempty"`
	// Deprecated event types are still sent; new subscriptions should choose another.
	Deprecated bool `json:"deprecated,omitempty"`
	// Schemas are the JSON Schemas (draft 2020-12 unless they say another) of the events' data by version: "1", "2", ….
	// The highest number is the current one.
	Schemas map[string]json.RawMessage `json:"schemas,omitempty"`
	// GroupName is the group that lists show the event type in.
	GroupName string `json:"groupName,omitempty"`
	// FeatureFlags hide the event type from tenants that have none of them.
	FeatureFlags []string `json:"featureFlags,omitempty"`

	// Created and Updated are when it was written first and last.
	Created time.Time `json:"created"`
	Updated time.Time `json:"updated"`
	// Version is the registry version that wrote it; 0 before.
	Version int64 `json:"-"`
}

// Current returns the schema with the highest version. It is false for event types without schema.
func (et *EventType) Current() (version string, schema json.RawMessage, ok bool) {
	highest := 0
	for v, s := range et.Schemas {
		if n := versionNumber(v); n > highest {
			highest, version, schema = n, v, s
		}
	}
	return version, schema, highest > 0
}

// versionNumber returns the number that a version is, or 0 if it is none: 1 to 999999999 without leading zeros.
func versionNumber(version string) int {
	n, err := strconv.Atoi(version)
	if err != nil || n < 1 || n > 999_999_999 || strconv.Itoa(n) != version {
		return 0
	}
	return n
}
