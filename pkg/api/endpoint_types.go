package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// eventTypes refuses to subscribe to what never comes: an event type that is archived, is not activated for the tenant or,
// once there is a catalogue, is not in it. Patterns are for what comes later, too, and what was subscribed to before stays.
func (e *edit) eventTypes() error {
	var errs []error
	for i, name := range e.sub.EventTypes {
		if e.old != nil && slices.Contains(e.old.EventTypes, name) {
			continue
		}
		if err := subscribable(e.snap, e.tenant.EventTypes, name); err != nil {
			errs = append(errs, &subscription.FieldError{Field: fmt.Sprintf("eventTypes[%d]", i), Detail: err.Error()})
		}
	}
	return errors.Join(errs...)
}

// subscribable says why nothing of the event type would come under the patterns that are activated. Patterns and what is
// no name at all are not its business.
func subscribable(snap *registry.Snapshot, activated []string, name string) error {
	if strings.Contains(name, "*") || slices.Contains(operational.Types(), name) {
		return nil
	}
	et, ok := snap.EventType(name)
	switch {
	case ok && et.Archived:
		return fmt.Errorf("event type %q is archived: want one that is not", name)
	case !ok && hasCatalogue(snap):
		return errors.New(unknownEventType(snap, name))
	case !match.Covers(activated, name):
		return fmt.Errorf("event type %q is not activated for this app", name)
	}
	return nil
}

func hasCatalogue(snap *registry.Snapshot) bool {
	for range snap.EventTypes() {
		return true
	}
	return false
}

// unknownEventType says that a name is in no catalogue, and which was meant.
func unknownEventType(snap *registry.Snapshot, name string) string {
	text := fmt.Sprintf("unknown event type %q", name)
	meant := subscription.Nearest(name, func(yield func(string) bool) {
		for et := range snap.EventTypes() {
			if !et.Archived && !yield(et.Name) {
				return
			}
		}
	})
	if meant != "" {
		text += fmt.Sprintf(": did you mean %q?", meant)
	}
	return text
}

// filterFits refuses other event types that the filter fits none of: nothing would be delivered any more.
func (e *edit) filterFits() error {
	if e.old == nil || e.sub.Filter == "" || slices.Equal(e.old.EventTypes, e.sub.EventTypes) {
		return nil
	}
	return e.checkFilter()
}

// checkFilter refuses an expression that fits none of the event types that the subscription covers and that the catalogue
// knows. While a pattern covers what has no schema, every field is allowed.
func (e *edit) checkFilter() error {
	schemas := map[string]json.RawMessage{}
	for et := range e.snap.EventTypes() {
		if et.Archived || !match.Covers(e.sub.EventTypes, et.Name) || !match.Covers(e.tenant.EventTypes, et.Name) {
			continue
		}
		_, schema, _ := et.Current()
		schemas[et.Name] = schema
	}
	for _, name := range e.sub.EventTypes {
		if _, ok := schemas[name]; !ok && !strings.Contains(name, "*") {
			schemas[name] = nil // it is not in the catalogue: nobody knows its fields
		}
	}
	return filter.Check(e.sub.Filter, schemas)
}
