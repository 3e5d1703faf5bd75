package pipeline

import (
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// window remembers the recent (delivery, trigger, pass) of one partition. A record whose key is in it is a repeat: a
// stage crashed between writing and committing. So is any record of a (delivery, trigger) that was delivered.
//
// It holds between limit and 2 × limit keys, in two generations: when the young one is full it becomes the old one.
// It is not safe for concurrent use.
type window struct {
	limit int
	young map[windowKey]struct{}
	old   map[windowKey]struct{}
}

type windowKey struct {
	delivery ident.ID
	trigger  delivery.Trigger
	pass     int
}

// anyPass in place of a pass stands for a delivery that reached its endpoint.
const anyPass = -1

func newWindow(limit int) *window {
	return &window{limit: limit, young: make(map[windowKey]struct{})}
}

// repeated reports whether k is a repeat, and remembers it if not.
func (w *window) repeated(k delivery.Key) bool {
	key := windowKey{k.Delivery, k.Trigger, k.Pass}
	if w.has(key) || w.delivered(k) {
		return true
	}
	w.add(key)
	return false
}

// delivered reports whether any record of k's delivery and trigger reached its endpoint.
func (w *window) delivered(k delivery.Key) bool {
	return w.has(windowKey{k.Delivery, k.Trigger, anyPass})
}

// settled remembers an outcome.
func (w *window) settled(k delivery.Key, v outcome.Verdict) {
	if v == outcome.Delivered {
		k.Pass = anyPass
	}
	w.add(windowKey{k.Delivery, k.Trigger, k.Pass})
}

func (w *window) has(k windowKey) bool {
	if _, ok := w.young[k]; ok {
		return true
	}
	_, ok := w.old[k]
	return ok
}

func (w *window) add(k windowKey) {
	if len(w.young) >= w.limit {
		w.old, w.young = w.young, make(map[windowKey]struct{}, w.limit)
	}
	w.young[k] = struct{}{}
}
