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
// It holds between limit and 2 × limit keys, in two generations: when the young one is full it becomes the old one. The first
// pass of a (delivery, trigger) and that it was delivered, which is all that most deliveries leave, are one key.
// It is not safe for concurrent use.
type window struct {
	limit  int
	hashes hashes
	young  map[windowKey]traces
	old    map[windowKey]traces
	// later counts the deliveries of a later pass than the first.
	later int
}

// traces are what is remembered under a key.
type traces uint8

const (
	// written: the record was read, or has an outcome.
	written traces = 1 << iota
	// delivered: one of whatever pass has reached its endpoint. It stands with the first pass.
	delivered
)

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
	id[0] += uint64(k.Pass) * golden  //nolint:gosec // any number is as good
	return id
}

func newWindow(limit int) *window {
	return &window{limit: limit, hashes: newHashes(), young: make(map[windowKey]traces)}
}

// repeated reports whether k is a repeat, and remembers it if not.
func (w *window) repeated(k delivery.Key) bool {
	key := w.hashes.key(k)
	had := w.of(key)
	if had != 0 || k.Pass != 0 && w.delivered(k) {
		return true
	}
	w.add(key, written)
	return false
}

// delivered reports whether any record of k's delivery and trigger reached its endpoint.
func (w *window) delivered(k delivery.Key) bool {
	k.Pass = 0
	return w.of(w.hashes.key(k))&delivered != 0
}

// settled remembers an outcome.
func (w *window) settled(k delivery.Key, v outcome.Verdict) {
	if v != outcome.Delivered {
		w.add(w.hashes.key(k), written)
		return
	}
	if k.Pass > 0 {
		w.later++
	}
	k.Pass = 0
	w.add(w.hashes.key(k), delivered)
}

// seen reports whether k itself is remembered.
func (w *window) seen(k delivery.Key) bool { return w.of(w.hashes.key(k))&written != 0 }

func (w *window) of(k windowKey) traces { return w.young[k] | w.old[k] }

func (w *window) add(k windowKey, t traces) {
	had, ok := w.young[k]
	if !ok && len(w.young) >= w.limit {
		w.old, w.young = w.young, make(map[windowKey]traces, w.limit)
	}
	if had&t == 0 {
		w.young[k] = had | t
	}
}
