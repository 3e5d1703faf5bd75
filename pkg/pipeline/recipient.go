package pipeline

import (
	"slices"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// recipient is a tenant whose subscriptions may want an event.
type recipient struct {
	tenant *subscription.Tenant
	// named takes only subscriptions that name the event's type: those that want everything want what happens in the
	// tenant's own world, not what happens to their endpoints.
	named bool
}

// recipients returns whose subscriptions an event is for: those of its tenant if the tenant has the type activated. Events
// of the operational topic are for the tenant's subscriptions that name them, whatever is activated, and for the tenant that
// receives those of all.
func (r *Router) recipients(snap *registry.Snapshot, ev *event.Event, operational bool) []recipient {
	tenant, ok := snap.ResolveTenant(ev.Tenant)
	switch {
	case !operational && (!ok || !match.Covers(tenant.EventTypes, ev.Type)):
		return nil
	case !operational:
		return []recipient{{tenant: tenant}}
	}
	var to []recipient
	if operator, ok := snap.ResolveTenant(r.opts.OperationalTenant); ok && r.opts.OperationalTenant != "" {
		to = append(to, recipient{tenant: operator})
	}
	if ok && (len(to) == 0 || to[0].tenant.ID != tenant.ID) {
		to = append(to, recipient{tenant: tenant, named: true})
	}
	return to
}

// names reports whether sub wants the type by more than wanting all.
func names(sub *subscription.Subscription, eventType string) bool {
	return slices.ContainsFunc(sub.EventTypes, func(p string) bool {
		return p != "*" && p != "**" && match.Pattern(p, eventType)
	})
}
