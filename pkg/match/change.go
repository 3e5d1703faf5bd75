package match

import (
	"slices"
	"strings"
	"unique"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tree"
)

// With returns ix with s, which replaces the tenant's subscription of the same id. Neither s nor its patterns may
// change afterwards.
func (ix Index) With(s *subscription.Subscription) Index {
	b := ix.Batch()
	b.Put(s)
	return b.Index()
}

// Without returns ix without the tenant's subscription of that id.
func (ix Index) Without(owner, id ident.ID) Index {
	b := ix.Batch()
	b.Remove(owner, id)
	return b.Index()
}

// Batch makes many changes at once and copies each part of the index no more than once for all of them. One goroutine
// uses it at a time; the index it came from stays as it is.
type Batch struct {
	ix   Index
	edit *tree.Edit
}

// Batch returns a batch of changes on top of ix.
func (ix Index) Batch() *Batch { return &Batch{ix: ix, edit: new(tree.Edit)} }

// Index returns the index with the changes made so far. Later changes of the batch do not touch it.
func (b *Batch) Index() Index {
	b.edit = new(tree.Edit)
	return b.ix
}

// Put adds s or replaces the tenant's subscription of the same id.
func (b *Batch) Put(s *subscription.Subscription) {
	b.Remove(s.Tenant, s.ID)
	t := b.tenant(s.Tenant)
	t.all = t.all.Set(b.edit, s.ID, s)
	for _, p := range patterns(s) {
		switch {
		case p == rest:
			t.every = t.every.with(b.edit, s)
		case strings.Contains(p, one):
			t.wild = b.insert(t.wild, p, s)
		default:
			b.name(t, p, s)
		}
	}
}

// Remove removes the tenant's subscription of that id, if there is one.
func (b *Batch) Remove(owner, id ident.ID) {
	s, ok := b.ix.Get(owner, id)
	if !ok {
		return
	}
	t := b.tenant(owner)
	t.all = t.all.Delete(b.edit, id)
	if t.all.Len() == 0 {
		b.ix.tenants = b.ix.tenants.Delete(b.edit, owner)
		return
	}
	for _, p := range patterns(s) {
		switch {
		case p == rest:
			t.every = t.every.without(b.edit, id)
		case strings.Contains(p, one):
			t.wild = b.remove(t.wild, p, s)
		default:
			b.unname(t, p, s)
		}
	}
}

// name adds s to those of the tenant that name the event type.
func (b *Batch) name(t *tenant, eventType string, s *subscription.Subscription) {
	n, ok := t.names.Get(eventType)
	if !ok {
		n.text = unique.Make(eventType)
	}
	n.subs = n.subs.with(b.edit, s)
	t.names = t.names.Set(b.edit, n)
}

// unname removes s from those of the tenant that name the event type.
func (b *Batch) unname(t *tenant, eventType string, s *subscription.Subscription) {
	n, ok := t.names.Get(eventType)
	if !ok {
		return // named twice, and removed already
	}
	if n.subs = n.subs.without(b.edit, s.ID); n.subs.empty() {
		t.names = t.names.Delete(b.edit, eventType)
		return
	}
	t.names = t.names.Set(b.edit, n)
}

// patterns returns the patterns of s with every way to want all types written as "**".
func patterns(s *subscription.Subscription) []string {
	if len(s.EventTypes) == 0 || slices.Contains(s.EventTypes, one) || slices.Contains(s.EventTypes, rest) {
		return []string{rest}
	}
	return s.EventTypes
}

// tenant returns the tenant for changing in place.
func (b *Batch) tenant(id ident.ID) *tenant {
	old, ok := b.ix.tenants.Get(id)
	if ok && old.owner == b.edit {
		return old
	}
	t := &tenant{id: id, names: tree.NewTable(name.key), all: tree.New[ident.ID, *subscription.Subscription](Compare)}
	if ok {
		*t = *old
	}
	t.owner = b.edit
	b.ix.tenants = b.ix.tenants.Set(b.edit, t)
	return t
}

// node returns n for changing in place; nil gives an empty node.
func (b *Batch) node(n *node) *node {
	switch {
	case n == nil:
		return &node{owner: b.edit, next: tree.New[string, *node](strings.Compare)}
	case n.owner == b.edit:
		return n
	}
	return &node{owner: b.edit, next: n.next, ends: n.ends, rests: n.rests}
}

// insert returns n with s at the place that pattern leads to.
func (b *Batch) insert(n *node, pattern string, s *subscription.Subscription) *node {
	n = b.node(n)
	if pattern == rest {
		n.rests = n.rests.with(b.edit, s)
		return n
	}
	segment, left, more := strings.Cut(pattern, ".")
	next, _ := n.next.Get(segment)
	if more {
		next = b.insert(next, left, s)
	} else {
		next = b.node(next)
		next.ends = next.ends.with(b.edit, s)
	}
	n.next = n.next.Set(b.edit, segment, next)
	return n
}

// remove returns n without s at the place that pattern leads to; nil if nothing is left below n.
func (b *Batch) remove(n *node, pattern string, s *subscription.Subscription) *node {
	if n == nil {
		return nil
	}
	n = b.node(n)
	if pattern == rest {
		n.rests = n.rests.without(b.edit, s.ID)
		return n.pruned()
	}
	segment, left, more := strings.Cut(pattern, ".")
	next, ok := n.next.Get(segment)
	if !ok {
		return n.pruned()
	}
	if more {
		next = b.remove(next, left, s)
	} else {
		next = b.node(next)
		next.ends = next.ends.without(b.edit, s.ID)
		next = next.pruned()
	}
	if next == nil {
		n.next = n.next.Delete(b.edit, segment)
	} else {
		n.next = n.next.Set(b.edit, segment, next)
	}
	return n.pruned()
}

// pruned returns n, or nil if it leads to no subscription.
func (n *node) pruned() *node {
	if n.next.Len() == 0 && n.ends.empty() && n.rests.empty() {
		return nil
	}
	return n
}
