// Package tree holds an immutable ordered map: every change gives a new map that shares all but one path with the old
// one, so a snapshot of a million entries costs as much to change as one of a hundred, and readers need no lock.
//
// It is a B+ tree: entries sit in the leaves, inner nodes hold the lowest key of each child. Nodes are not merged when
// entries go, only dropped when empty; maps here grow and shrink slowly, and that keeps deletion simple.
package tree

import (
	"iter"
	"slices"
)

// fan is the largest number of entries of a node. A change copies one node per level: at 32 a million entries are four
// levels, and one level of 24-byte entries is 768 bytes.
const fan = 32

// Edit is the licence to change nodes in place: nodes made under an Edit belong to it and are changed, not copied, by
// further changes under the same Edit. Whoever builds a map from many changes uses one Edit and forgets it before the
// map is shared; see [Map.Set]. A nil *Edit copies always.
type Edit struct{ _ byte } // not of size zero: two of those may have one address

// Map is an immutable map ordered by its keys. Its methods may be called concurrently, but for changes under the same
// [Edit]. Make one with [New].
type Map[K, V any] struct {
	compare func(a, b K) int
	root    *node[K, V]
	size    int
}

type node[K, V any] struct {
	owner *Edit
	// keys are the keys of vals in a leaf; in an inner node keys[i] is at most the lowest key below kids[i], and above
	// every key below kids[i-1].
	keys []K
	vals []V
	kids []*node[K, V]
}

// New returns an empty map ordered by compare, which returns a negative number, zero or a positive number as
// [cmp.Compare] does.
func New[K, V any](compare func(a, b K) int) Map[K, V] { return Map[K, V]{compare: compare} }

// Len returns the number of entries.
func (m Map[K, V]) Len() int { return m.size }

// Get returns the value of k.
func (m Map[K, V]) Get(k K) (V, bool) {
	var none V
	n := m.root
	if n == nil {
		return none, false
	}
	for n.kids != nil {
		n = n.kids[m.child(n, k)]
	}
	i, found := slices.BinarySearchFunc(n.keys, k, m.compare)
	if !found {
		return none, false
	}
	return n.vals[i], true
}

// All yields the entries in the order of their keys.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.root != nil {
			m.root.walk(yield)
		}
	}
}

// From yields the entries whose key is not below k, in the order of their keys.
func (m Map[K, V]) From(k K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.root != nil {
			m.from(m.root, k, yield)
		}
	}
}

// Backward yields the entries in the opposite order of their keys.
func (m Map[K, V]) Backward() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.root != nil {
			m.root.walkBack(yield)
		}
	}
}

// Before yields the entries whose key is below k, in the opposite order of their keys.
func (m Map[K, V]) Before(k K) iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		if m.root != nil {
			m.before(m.root, k, yield)
		}
	}
}

// Set returns m with v for k. Under an edit that is not nil, m itself and every map made under that edit must not be
// used any more: only the returned map is good.
func (m Map[K, V]) Set(e *Edit, k K, v V) Map[K, V] {
	if m.root == nil {
		m.root = &node[K, V]{owner: e, keys: []K{k}, vals: []V{v}}
		m.size = 1
		return m
	}
	left, right, added := m.set(m.root, e, k, v)
	m.root = left
	if right != nil {
		m.root = &node[K, V]{owner: e, keys: []K{left.keys[0], right.keys[0]}, kids: []*node[K, V]{left, right}}
	}
	if added {
		m.size++
	}
	return m
}

// Delete returns m without k. The edit is as in [Map.Set].
func (m Map[K, V]) Delete(e *Edit, k K) Map[K, V] {
	if _, ok := m.Get(k); !ok {
		return m
	}
	m.root = m.remove(m.root, e, k)
	m.size--
	for m.root != nil && len(m.root.kids) == 1 {
		m.root = m.root.kids[0]
	}
	return m
}

// child returns the index of the child of n that holds k if any does.
func (m Map[K, V]) child(n *node[K, V], k K) int {
	i, found := slices.BinarySearchFunc(n.keys, k, m.compare)
	if found {
		return i
	}
	return max(i-1, 0)
}

// set returns the node or nodes that replace n, and whether k is new.
func (m Map[K, V]) set(n *node[K, V], e *Edit, k K, v V) (left, right *node[K, V], added bool) {
	n = n.editable(e)
	if n.kids == nil {
		i, found := slices.BinarySearchFunc(n.keys, k, m.compare)
		if found {
			n.keys[i], n.vals[i] = k, v
			return n, nil, false
		}
		n.keys = slices.Insert(n.keys, i, k)
		n.vals = slices.Insert(n.vals, i, v)
		return n, n.split(e, i), true
	}
	i := m.child(n, k)
	kid, sibling, added := m.set(n.kids[i], e, k, v)
	n.kids[i] = kid
	if m.compare(k, n.keys[i]) < 0 {
		n.keys[i] = k
	}
	if sibling == nil {
		return n, nil, added
	}
	n.keys = slices.Insert(n.keys, i+1, sibling.keys[0])
	n.kids = slices.Insert(n.kids, i+1, sibling)
	return n, n.split(e, i+1), added
}

// remove returns what replaces n once k, which is in it, is gone; nil if nothing is left.
func (m Map[K, V]) remove(n *node[K, V], e *Edit, k K) *node[K, V] {
	n = n.editable(e)
	if n.kids == nil {
		i, _ := slices.BinarySearchFunc(n.keys, k, m.compare)
		n.keys = slices.Delete(n.keys, i, i+1)
		n.vals = slices.Delete(n.vals, i, i+1)
	} else {
		i := m.child(n, k)
		if kid := m.remove(n.kids[i], e, k); kid != nil {
			n.kids[i] = kid
			return n
		}
		n.keys = slices.Delete(n.keys, i, i+1)
		n.kids = slices.Delete(n.kids, i, i+1)
	}
	if len(n.keys) == 0 {
		return nil
	}
	return n
}

func (m Map[K, V]) from(n *node[K, V], k K, yield func(K, V) bool) bool {
	if n.kids == nil {
		i, _ := slices.BinarySearchFunc(n.keys, k, m.compare)
		for ; i < len(n.keys); i++ {
			if !yield(n.keys[i], n.vals[i]) {
				return false
			}
		}
		return true
	}
	i := m.child(n, k)
	if !m.from(n.kids[i], k, yield) {
		return false
	}
	for _, kid := range n.kids[i+1:] {
		if !kid.walk(yield) {
			return false
		}
	}
	return true
}

func (n *node[K, V]) walk(yield func(K, V) bool) bool {
	for i, v := range n.vals {
		if !yield(n.keys[i], v) {
			return false
		}
	}
	for _, kid := range n.kids {
		if !kid.walk(yield) {
			return false
		}
	}
	return true
}

func (m Map[K, V]) before(n *node[K, V], k K, yield func(K, V) bool) bool {
	i, _ := slices.BinarySearchFunc(n.keys, k, m.compare)
	if n.kids == nil {
		for i--; i >= 0; i-- {
			if !yield(n.keys[i], n.vals[i]) {
				return false
			}
		}
		return true
	}
	// The child at i, if any, holds nothing below k: its lowest key is at least keys[i].
	if i--; i < 0 {
		return true
	}
	if !m.before(n.kids[i], k, yield) {
		return false
	}
	for i--; i >= 0; i-- {
		if !n.kids[i].walkBack(yield) {
			return false
		}
	}
	return true
}

func (n *node[K, V]) walkBack(yield func(K, V) bool) bool {
	for i, v := range slices.Backward(n.vals) {
		if !yield(n.keys[i], v) {
			return false
		}
	}
	for _, kid := range slices.Backward(n.kids) {
		if !kid.walkBack(yield) {
			return false
		}
	}
	return true
}

// editable returns n if it belongs to e, and a copy that does otherwise.
func (n *node[K, V]) editable(e *Edit) *node[K, V] {
	if e != nil && n.owner == e {
		return n
	}
	c := &node[K, V]{owner: e, keys: grown(n.keys)}
	if n.kids != nil {
		c.kids = grown(n.kids)
	} else {
		c.vals = grown(n.vals)
	}
	return c
}

// grown returns a copy of s with room for one more: most copies are made to insert.
func grown[T any](s []T) []T { return append(make([]T, 0, len(s)+1), s...) }

// split moves the upper half of an overfull n into a new node, which it returns; nil if n is not overfull. What came last is at
// added: if that is the end, it moves alone, since keys that rise as things are made (identifiers do) would leave every node half
// empty. Both get arrays of their own size: that of n has grown to twice as much.
func (n *node[K, V]) split(e *Edit, added int) *node[K, V] {
	if len(n.keys) <= fan {
		return nil
	}
	half := len(n.keys) / 2
	if added == len(n.keys)-1 {
		half = added
	}
	upper := &node[K, V]{owner: e, keys: slices.Clone(n.keys[half:])}
	n.keys = slices.Clone(n.keys[:half])
	if n.kids != nil {
		upper.kids = slices.Clone(n.kids[half:])
		n.kids = slices.Clone(n.kids[:half])
	} else {
		upper.vals = slices.Clone(n.vals[half:])
		n.vals = slices.Clone(n.vals[:half])
	}
	return upper
}
