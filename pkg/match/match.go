// Package match finds the subscriptions that want an event: tenant, then event type by name, by wildcard and by "all".
//
// An [Index] is immutable; a change gives a new one that shares all but a path with the old, so that a snapshot of a
// million subscriptions is changed in microseconds and read without a lock. What an event costs is mostly waiting for
// memory, so it reads few places: a tenant's names of types are in a table, which one look finds, and its patterns with
// wildcards, if it has any, in a trie of segments.
//
// What an event type cannot decide (filters on the data, channels, whether a subscription is enabled) is the business
// of the keep function that [Index.Append] takes: it sees the candidates only.
package match

import (
	"bytes"
	"iter"
	"slices"
	"strings"
	"unique"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tree"
)

// Index is an immutable set of subscriptions, searched by tenant and event type. Make one with [New]. All methods may
// be called concurrently.
type Index struct {
	tenants tree.Table[ident.ID, *tenant]
}

// tenant is what the index knows of one tenant.
type tenant struct {
	id    ident.ID
	owner *tree.Edit
	// every are the subscriptions that want every type.
	every set
	// names are those with patterns that hold no wildcard, wild those with the others; nil for none.
	names tree.Table[string, name]
	wild  *node
	all   subscriptions
}

// name is an event type and the subscriptions that name it. Equal names share their text, however many tenants have them:
// it is compared for every event, and those of few types stay in the processor's cache.
type name struct {
	text unique.Handle[string]
	subs set
}

// node is a place in a tenant's trie of pattern segments.
type node struct {
	owner *tree.Edit
	// next are the nodes one segment further, by segment; that of a wildcard is under "*".
	next tree.Map[string, *node]
	// ends are the subscriptions with a pattern that ends here, rests those with one that ends in "**" here.
	ends, rests set
}

// New returns an empty index.
func New() Index { return Index{tenants: tree.NewTable((*tenant).key)} }

func (t *tenant) key() ident.ID { return t.id }

func (n name) key() string { return n.text.Value() }

// Compare orders identifiers by their bytes, which is also the order of their written forms.
func Compare(a, b ident.ID) int { return bytes.Compare(a[:], b[:]) }

// Append appends to dst the subscriptions of the tenant that have a pattern for eventType and that keep, unless it is
// nil, returns true for; each once, ordered by id. keep is called once per candidate.
func (ix Index) Append(
	dst []*subscription.Subscription, owner ident.ID, eventType string, keep func(*subscription.Subscription) bool,
) []*subscription.Subscription {
	t, ok := ix.tenants.Get(owner)
	if !ok {
		return dst
	}
	start := len(dst)
	dst = t.every.append(dst)
	if n, ok := t.names.Get(eventType); ok {
		dst = n.subs.append(dst)
	}
	if t.wild != nil {
		dst = t.wild.collect(dst, eventType, false)
	}
	found := dst[start:]
	if !slices.IsSortedFunc(found, ascending) {
		slices.SortFunc(found, ascending)
	}
	found = slices.Compact(found)
	if keep != nil {
		found = slices.DeleteFunc(found, func(s *subscription.Subscription) bool { return !keep(s) })
	}
	return dst[:start+len(found)]
}

func ascending(a, b *subscription.Subscription) int { return Compare(a.ID, b.ID) }

// Of yields the subscriptions of the tenant, ordered by id.
func (ix Index) Of(owner ident.ID) iter.Seq[*subscription.Subscription] {
	return ix.After(owner, ident.ID{})
}

// After yields the subscriptions of the tenant whose id is not below from, ordered by id.
func (ix Index) After(owner, from ident.ID) iter.Seq[*subscription.Subscription] {
	return func(yield func(*subscription.Subscription) bool) {
		t, ok := ix.tenants.Get(owner)
		if !ok {
			return
		}
		for _, s := range t.all.From(from) {
			if !yield(s) {
				return
			}
		}
	}
}

// Before yields the subscriptions of the tenant whose id is below before, in descending order; all of them if before is
// the zero ID.
func (ix Index) Before(owner, before ident.ID) iter.Seq[*subscription.Subscription] {
	return func(yield func(*subscription.Subscription) bool) {
		t, ok := ix.tenants.Get(owner)
		if !ok {
			return
		}
		entries := t.all.Before(before)
		if before.IsZero() {
			entries = t.all.Backward()
		}
		for _, s := range entries {
			if !yield(s) {
				return
			}
		}
	}
}

// Get returns the tenant's subscription with the given id.
func (ix Index) Get(owner, id ident.ID) (*subscription.Subscription, bool) {
	t, ok := ix.tenants.Get(owner)
	if !ok {
		return nil, false
	}
	return t.all.Get(id)
}

// Count returns how many subscriptions the tenant has.
func (ix Index) Count(owner ident.ID) int {
	t, ok := ix.tenants.Get(owner)
	if !ok {
		return 0
	}
	return t.all.Len()
}

// collect appends what the trie below n has for the segments left of an event type. done says that none are left: the
// empty text is a segment of its own.
func (n *node) collect(dst []*subscription.Subscription, left string, done bool) []*subscription.Subscription {
	if done {
		return n.ends.append(dst)
	}
	dst = n.rests.append(dst)
	if n.next.Len() == 0 {
		return dst
	}
	segment, left, more := strings.Cut(left, ".")
	if next, ok := n.next.Get(segment); ok {
		dst = next.collect(dst, left, !more)
	}
	if next, ok := n.next.Get(one); ok {
		dst = next.collect(dst, left, !more)
	}
	return dst
}
