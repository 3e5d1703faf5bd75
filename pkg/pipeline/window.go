package pipeline

import (
	"encoding/binary"
	"hash/maphash"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
)

// window remembers the recent (delivery, trigger, pass) of one partition. A record whose key is in it is a repeat: a
// stage crashed between writing and committing. So is any record of a (delivery, trigger) that was delivered.
//
// It holds between limit and 2 × limit keys, in two generations: when the young one is full it becomes the old one.
// It is not safe for concurrent use.
type window struct {
	limit  int
	hashes hashes
	young  map[windowKey]struct{}
	old    map[windowKey]struct{}
	// later counts the deliveries of a later pass than the first.
	later int
}

// windowKey is 128 bits that stand for a key: a partition remembers up to 131,072 of them, and texts in them would be the
// garbage collector's to walk. Two keys that share one are as likely as two that share a random UUID.
type windowKey [2]uint64

// hashes are two independent seeds, drawn anew for each process.
type hashes [2]maphash.Seed

// byEvent is the trigger of nearly all deliveries.
var byEvent = delivery.Trigger{Kind: delivery.TriggerEvent} //nolint:gochecknoglobals // a constant

func newHashes() hashes { return hashes{maphash.MakeSeed(), maphash.MakeSeed()} }

// key needs no hash of the delivery's id: that is one.
func (h hashes) key(k delivery.Key) windowKey {
	id := windowKey{binary.LittleEndian.Uint64(k.Delivery[:8]), binary.LittleEndian.Uint64(k.Delivery[8:])}
	if k.Trigger != byEvent {
		id[0] ^= maphash.Comparable(h[0], k.Trigger)
		id[1] ^= maphash.Comparable(h[1], k.Trigger)
	}
	const golden = 0x9e3779b97f4a7c15 // far from any other pass
	id[0] += uint64(k.Pass) * golden  //nolint:gosec // -1 is as good as any
	return id
}

// anyPass in place of a pass stands for a delivery that reached its endpoint.
const anyPass = -1

func newWindow(limit int) *window {
	return &window{limit: limit, hashes: newHashes(), young: make(map[windowKey]struct{})}
}

// repeated reports whether k is a repeat, and remembers it if not.
func (w *window) repeated(k delivery.Key) bool {
	key := w.hashes.key(k)
	if w.has(key) || w.delivered(k) {
		return true
	}
	w.add(key)
	return false
}

// delivered reports whether any record of k's delivery and trigger reached its endpoint.
func (w *window) delivered(k delivery.Key) bool {
	k.Pass = anyPass
	return w.has(w.hashes.key(k))
}

// settled remembers an outcome.
func (w *window) settled(k delivery.Key, v outcome.Verdict) {
	if v == outcome.Delivered {
		if k.Pass > 0 {
			w.later++
		}
		k.Pass = anyPass
	}
	w.add(w.hashes.key(k))
}

// seen reports whether k itself is remembered.
func (w *window) seen(k delivery.Key) bool { return w.has(w.hashes.key(k)) }

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
