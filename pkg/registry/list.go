package registry

import (
	"iter"
	"slices"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Tenants yields all tenants, ordered by id.
func (s *Snapshot) Tenants() iter.Seq[*subscription.Tenant] { return s.TenantsFrom(ident.ID{}) }

// TenantsFrom yields the tenants whose id is not below from, ordered by id: the next page of a list.
func (s *Snapshot) TenantsFrom(from ident.ID) iter.Seq[*subscription.Tenant] {
	return values(s.tenants.From(from))
}

// Subscriptions yields all subscriptions, ordered by id.
func (s *Snapshot) Subscriptions() iter.Seq[*subscription.Subscription] {
	return values(s.subscriptions.All())
}

// SubscriptionsOf yields the tenant's subscriptions whose id is not below from, ordered by id. The zero ID starts at
// the first.
func (s *Snapshot) SubscriptionsOf(tenant, from ident.ID) iter.Seq[*subscription.Subscription] {
	return s.index.After(tenant, from)
}

// TenantsBefore yields the tenants whose id is below before in descending order, all of them if before is the zero ID.
func (s *Snapshot) TenantsBefore(before ident.ID) iter.Seq[*subscription.Tenant] {
	if before.IsZero() {
		return values(s.tenants.Backward())
	}
	return values(s.tenants.Before(before))
}

// SubscriptionsOfBefore yields the tenant's subscriptions whose id is below before in descending order, all of them if
// before is the zero ID.
func (s *Snapshot) SubscriptionsOfBefore(tenant, before ident.ID) iter.Seq[*subscription.Subscription] {
	return s.index.Before(tenant, before)
}

// EventType returns the event type with that name, archived or not.
func (s *Snapshot) EventType(name string) (*catalogue.EventType, bool) { return s.eventTypes.Get(name) }

// EventTypes yields all event types, ordered by name.
func (s *Snapshot) EventTypes() iter.Seq[*catalogue.EventType] { return values(s.eventTypes.All()) }

// EventTypesFrom yields the event types whose name is not below from, ordered by name.
func (s *Snapshot) EventTypesFrom(from string) iter.Seq[*catalogue.EventType] {
	return values(s.eventTypes.From(from))
}

// EventTypesBefore yields the event types whose name is below before in descending order, all of them if before is empty.
func (s *Snapshot) EventTypesBefore(before string) iter.Seq[*catalogue.EventType] {
	if before == "" {
		return values(s.eventTypes.Backward())
	}
	return values(s.eventTypes.Before(before))
}

// Key returns the API key with that id, expired or not.
func (s *Snapshot) Key(id ident.ID) (*access.Key, bool) { return s.keys.Get(id) }

// KeyByHash returns the API key whose token has that hash, expired or not.
func (s *Snapshot) KeyByHash(h access.Hash) (*access.Key, bool) { return s.keyHashes.Get(h) }

// Keys yields all API keys, ordered by id.
func (s *Snapshot) Keys() iter.Seq[*access.Key] { return values(s.keys.All()) }

// KeysFrom yields the API keys whose id is not below from, ordered by id.
func (s *Snapshot) KeysFrom(from ident.ID) iter.Seq[*access.Key] { return values(s.keys.From(from)) }

// KeysBefore yields the API keys whose id is below before in descending order, all of them if before is the zero ID.
func (s *Snapshot) KeysBefore(before ident.ID) iter.Seq[*access.Key] {
	if before.IsZero() {
		return values(s.keys.Backward())
	}
	return values(s.keys.Before(before))
}

// KeysOf returns the API keys of a tenant, ordered by id. It looks at all keys: there are few.
func (s *Snapshot) KeysOf(tenant ident.ID) []*access.Key {
	return slices.Collect(func(yield func(*access.Key) bool) {
		for k := range s.Keys() {
			if k.Tenant == tenant && !yield(k) {
				return
			}
		}
	})
}

// Unread yields the keys of which the last record could not be read, or is of a kind that this version does not know: s has what
// they held before, or nothing.
func (s *Snapshot) Unread() iter.Seq[string] { return values(s.unread.All()) }

// Object returns what has the key, nothing if there is none.
func (s *Snapshot) Object(k Key) (o Object) {
	switch k.Kind {
	case KindTenant:
		o.Tenant, _ = s.tenants.Get(k.ID)
	case KindSubscription:
		o.Subscription, _ = s.subscriptions.Get(k.ID)
	case KindEventType:
		if name, ok := s.eventTypeNames.Get(k.ID); ok {
			o.EventType, _ = s.eventTypes.Get(name)
		}
	case KindKey:
		o.Key, _ = s.keys.Get(k.ID)
	case KindPause:
		o.Pause, _ = s.pauses.Get(k.ID)
	case kindWrite:
	}
	return o
}
