package registry

import (
	"bytes"
	"iter"
	"strings"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tree"
)

// Snapshot is the registry at one version. It is immutable, and so is everything it returns: callers must not change
// tenants and subscriptions they got from it. All methods may be called concurrently.
type Snapshot struct {
	version       int64
	tenants       tree.Map[ident.ID, *subscription.Tenant]
	tenantUIDs    tree.Table[string, *subscription.Tenant]
	subscriptions tree.Map[ident.ID, *subscription.Subscription]
	// uids are the subscriptions that have a uid.
	uids  tree.Table[uidKey, *subscription.Subscription]
	index match.Index

	eventTypes tree.Map[string, *catalogue.EventType]
	// eventTypeNames are the names under the ids of the keys: a deletion names the id only.
	eventTypeNames tree.Map[ident.ID, string]
	keys           tree.Map[ident.ID, *access.Key]
	keyHashes      tree.Map[access.Hash, *access.Key]

	pauses tree.Map[ident.ID, *pause.Pause]
	// egress is the one of them that is asked for before every attempt.
	egress *pause.Pause

	// unread are the keys of which the last record could not be read.
	unread tree.Map[string, string]
}

// Empty returns the snapshot of an empty registry, version 0.
func Empty() *Snapshot {
	return &Snapshot{
		tenants:       tree.New[ident.ID, *subscription.Tenant](match.Compare),
		tenantUIDs:    tree.NewTable(func(t *subscription.Tenant) string { return t.UID }),
		subscriptions: tree.New[ident.ID, *subscription.Subscription](match.Compare),
		uids:          tree.NewTable(uidKeyOf),
		index:         match.New(),

		eventTypes:     tree.New[string, *catalogue.EventType](strings.Compare),
		eventTypeNames: tree.New[ident.ID, string](match.Compare),
		keys:           tree.New[ident.ID, *access.Key](match.Compare),
		keyHashes: tree.New[access.Hash, *access.Key](func(a, b access.Hash) int {
			return bytes.Compare(a[:], b[:])
		}),

		pauses: tree.New[ident.ID, *pause.Pause](match.Compare),
		unread: tree.New[string, string](strings.Compare),
	}
}

// Version is the offset that s is read up to, exclusive: s contains every record below it and none at or above.
func (s *Snapshot) Version() int64 { return s.version }

// Tenant returns the tenant with that id.
func (s *Snapshot) Tenant(id ident.ID) (*subscription.Tenant, bool) { return s.tenants.Get(id) }

// ResolveTenant returns the tenant that an event, a file or a person names: by uid first, since a producer's own name
// may look like an id of ours, then by UUID, then by the app_ form.
func (s *Snapshot) ResolveTenant(name string) (*subscription.Tenant, bool) {
	if t, ok := s.tenantUIDs.Get(name); ok {
		return t, true
	}
	id, err := parseID(subscription.TenantPrefix, name)
	if err != nil {
		return nil, false
	}
	return s.tenants.Get(id)
}

// Subscription returns the subscription with that id, enabled or not.
func (s *Snapshot) Subscription(id ident.ID) (*subscription.Subscription, bool) {
	return s.subscriptions.Get(id)
}

// ResolveSubscription returns the tenant's subscription that name names: by uid, UUID or ep_ form, in this order.
func (s *Snapshot) ResolveSubscription(tenant ident.ID, name string) (*subscription.Subscription, bool) {
	if sub, ok := s.uids.Get(uidKey{tenant, name}); ok {
		return sub, true
	}
	id, err := parseID(subscription.SubscriptionPrefix, name)
	if err != nil {
		return nil, false
	}
	sub, ok := s.subscriptions.Get(id)
	if !ok || sub.Tenant != tenant {
		return nil, false
	}
	return sub, true
}

// Match returns the enabled subscriptions of the tenant that want eventType, ordered by id.
func (s *Snapshot) Match(tenant ident.ID, eventType string) []*subscription.Subscription {
	return s.AppendMatch(nil, tenant, eventType, enabled)
}

// MatchAll is [Snapshot.Match] with the disabled ones, for profiles that list events of disabled subscriptions.
func (s *Snapshot) MatchAll(tenant ident.ID, eventType string) []*subscription.Subscription {
	return s.AppendMatch(nil, tenant, eventType, nil)
}

// AppendMatch appends to dst the tenant's subscriptions that want eventType and that keep, unless it is nil, returns
// true for, ordered by id. This is where filters and channels come in.
func (s *Snapshot) AppendMatch(
	dst []*subscription.Subscription, tenant ident.ID, eventType string, keep func(*subscription.Subscription) bool,
) []*subscription.Subscription {
	return s.index.Append(dst, tenant, eventType, keep)
}

// MatchAhead makes the matches of the asks that follow faster, if the snapshot is large: see [match.Index.Ahead].
func (s *Snapshot) MatchAhead(asks []match.Ask) { s.index.Ahead(asks) }

func enabled(s *subscription.Subscription) bool { return !s.Disabled }

// Count returns the number of tenants and of subscriptions, disabled ones included.
func (s *Snapshot) Count() (tenants, subscriptions int) {
	return s.tenants.Len(), s.subscriptions.Len()
}

// CountOf returns how many subscriptions the tenant has, disabled ones included.
func (s *Snapshot) CountOf(tenant ident.ID) int { return s.index.Count(tenant) }

// parseID reads the UUID form or the base62 form with the prefix.
func parseID(prefix, name string) (ident.ID, error) {
	if id, err := ident.ParseUUID(name); err == nil {
		return id, nil
	}
	return ident.ParseBase62(prefix, name)
}

// uidKey is what a subscription is found by that has a uid, which is its own among those of its tenant.
type uidKey struct {
	tenant ident.ID
	uid    string
}

func uidKeyOf(s *subscription.Subscription) uidKey { return uidKey{s.Tenant, s.UID} }

func values[K, V any](entries iter.Seq2[K, V]) iter.Seq[V] {
	return func(yield func(V) bool) {
		for _, v := range entries {
			if !yield(v) {
				return
			}
		}
	}
}
