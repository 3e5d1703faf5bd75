package tree

import (
	"hash/maphash"
	"math/bits"
	"slices"
)

// Table is an immutable set of values that know their key, found by it. It keeps no order: it is for what is looked up for
// every event, where a [Map] reads a key for every comparison, each from a place of its own in memory. Here the values of up
// to a hundred keys stand in one array, ordered by hash, and a key is compared once.
//
// Its methods may be called concurrently, but for changes under the same [Edit]. Make one with [NewTable].
type Table[K comparable, V any] struct {
	key  func(V) K
	root bucket[V]
}

// bucket holds the values whose hashes begin with the same bits, or, if there were more than most, one bucket for every way
// the next bits may be. Buckets stand within that above them, so that a level is one read. Those that were divided stay so.
type bucket[V any] struct {
	owner   *Edit
	entries []hashed[V] // ordered by hash
	kids    *[ways]bucket[V]
}

type hashed[V any] struct {
	hash  uint64
	value V
}

const (
	// most is the largest number of entries of a bucket. A change copies one: at 128 entries of 32 bytes, 4 KiB. Of smaller
	// ones a table has more levels.
	most = 128
	// waysBits are the bits of the hash that a level takes, ways how many buckets that makes.
	waysBits = 4
	ways     = 1 << waysBits
	// deepest is the level at which no bits of the hash are left.
	deepest = 64 / waysBits
)

// seed makes hashes that nobody outside can foresee: keys are what tenants write.
var seed = maphash.MakeSeed() //nolint:gochecknoglobals // made once, immutable

// NewTable returns an empty table of values whose key is what key returns, at any time.
func NewTable[K comparable, V any](key func(V) K) Table[K, V] { return Table[K, V]{key: key} }

// Get returns the value with the key k.
func (t Table[K, V]) Get(k K) (V, bool) {
	hash := maphash.Comparable(seed, k)
	b, depth := &t.root, 0
	for ; b.kids != nil; depth++ {
		b = &b.kids[way(hash, depth)]
	}
	if i, found := t.find(b, depth, hash, k); found {
		return b.entries[i].value, true
	}
	var none V
	return none, false
}

// Ahead reads the entry that is most likely that of k, and does not wait for it: a [Table.Get] that follows later finds it in
// the processor's cache. What it returns is of no other use.
func (t Table[K, V]) Ahead(k K) uint64 {
	hash := maphash.Comparable(seed, k)
	b, depth := &t.root, 0
	for ; b.kids != nil; depth++ {
		b = &b.kids[way(hash, depth)]
	}
	if len(b.entries) == 0 {
		return 0
	}
	return b.entries[guess(hash, depth, len(b.entries))].hash
}

// Set returns t with v, which replaces the value with its key. The edit is as in [Map.Set].
func (t Table[K, V]) Set(e *Edit, v V) Table[K, V] {
	k := t.key(v)
	hash := maphash.Comparable(seed, k)
	b, depth := t.root.editable(e, hash)
	i, found := t.find(b, depth, hash, k)
	if found {
		b.entries[i].value = v
		return t
	}
	b.entries = slices.Insert(b.entries, i, hashed[V]{hash: hash, value: v})
	if len(b.entries) > most && depth < deepest {
		b.divide(depth)
	}
	return t
}

// Delete returns t without the value with the key k. The edit is as in [Map.Set].
func (t Table[K, V]) Delete(e *Edit, k K) Table[K, V] {
	if _, ok := t.Get(k); !ok {
		return t
	}
	hash := maphash.Comparable(seed, k)
	b, depth := t.root.editable(e, hash)
	i, _ := t.find(b, depth, hash, k)
	b.entries = slices.Delete(b.entries, i, i+1)
	return t
}

// way returns which of the buckets of a level has the hash.
func way(hash uint64, depth int) uint64 { return hash << (depth * waysBits) >> (64 - waysBits) }

// guess returns about where the hash is among n entries of a bucket on that level: hashes are spread evenly, so it is where the
// bits that are left say.
func guess(hash uint64, depth, n int) int {
	high, _ := bits.Mul64(hash<<(depth*waysBits), uint64(n)) //nolint:gosec // a length
	return int(high)                                         //nolint:gosec // below n
}

// find returns where in b, which is on that level, the key is or would be.
func (t *Table[K, V]) find(b *bucket[V], depth int, hash uint64, k K) (int, bool) {
	i := guess(hash, depth, len(b.entries))
	for i > 0 && b.entries[i-1].hash >= hash {
		i--
	}
	for ; i < len(b.entries) && b.entries[i].hash <= hash; i++ {
		if b.entries[i].hash == hash && t.key(b.entries[i].value) == k {
			return i, true
		}
	}
	return i, false
}

// editable returns the bucket of the hash and its level, with all on the way to it for changing in place.
func (b *bucket[V]) editable(e *Edit, hash uint64) (*bucket[V], int) {
	for depth := 0; ; depth++ {
		b.own(e)
		if b.kids == nil {
			return b, depth
		}
		b = &b.kids[way(hash, depth)]
	}
}

// own makes b belong to e, with a copy of what it holds unless it does already.
func (b *bucket[V]) own(e *Edit) {
	switch {
	case e != nil && b.owner == e:
		return
	case b.kids != nil:
		kids := *b.kids
		b.kids = &kids
	default:
		b.entries = grown(b.entries)
	}
	b.owner = e
}

// divide puts the entries of b, which is on that level, into buckets of the next.
func (b *bucket[V]) divide(depth int) {
	b.kids = new([ways]bucket[V])
	for _, entry := range b.entries {
		kid := &b.kids[way(entry.hash, depth)]
		kid.owner = b.owner
		kid.entries = append(kid.entries, entry)
	}
	b.entries = nil
}
