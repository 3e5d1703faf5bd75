package match

import (
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tree"
)

// subscriptions are ordered by id, the stable order in which matches come.
type subscriptions = tree.Map[ident.ID, *subscription.Subscription]

// set is the subscriptions that have a pattern: none, one, which is in place, since most patterns of most tenants have one,
// or many. It is immutable but for what an edit owns.
type set struct {
	one  *subscription.Subscription
	many *subscriptions // two or more, and then one is nil
}

func (s set) empty() bool { return s.one == nil && s.many == nil }

// with returns s with sub, which replaces that of the same id.
func (s set) with(e *tree.Edit, sub *subscription.Subscription) set {
	if s.empty() || s.one != nil && s.one.ID == sub.ID {
		return set{one: sub}
	}
	all := s.all(e).Set(e, sub.ID, sub)
	return set{many: &all}
}

// without returns s without the subscription of that id.
func (s set) without(e *tree.Edit, id ident.ID) set {
	switch {
	case s.one != nil && s.one.ID == id:
		return set{}
	case s.many == nil:
		return s
	}
	all := s.all(e).Delete(e, id)
	if all.Len() == 1 {
		for _, last := range all.All() {
			return set{one: last}
		}
	}
	return set{many: &all}
}

// all returns s, which is not empty, as it is if there are many.
func (s set) all(e *tree.Edit) subscriptions {
	if s.many != nil {
		return *s.many
	}
	return tree.New[ident.ID, *subscription.Subscription](Compare).Set(e, s.one.ID, s.one)
}

// append appends s to dst, ordered by id.
func (s set) append(dst []*subscription.Subscription) []*subscription.Subscription {
	switch {
	case s.one != nil:
		return append(dst, s.one)
	case s.many == nil:
		return dst
	}
	for _, sub := range s.many.All() {
		dst = append(dst, sub)
	}
	return dst
}
