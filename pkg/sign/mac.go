package sign

import (
	"crypto/hmac"
	"crypto/sha512"
	"hash"
	"sync"
)

// mac is an HMAC under one key. The hashes are pooled because a reset one keeps its keyed state: the two key blocks are
// hashed once, not per attempt.
type mac struct{ pool sync.Pool } // of *keyed

// keyed is a hash with the memory that a caller of it would have to allocate: what an interface is given, escapes.
type keyed struct {
	hash.Hash
	head [96]byte // longer ones are no mistake
	sum  [sha512.Size]byte
}

func newMAC(of func() hash.Hash, key []byte) *mac {
	return &mac{pool: sync.Pool{New: func() any { return &keyed{Hash: hmac.New(of, key)} }}}
}

// sum returns the MAC of the parts, one after the other, which is n bytes long.
func (m *mac) sum(head, body []byte) (sum [sha512.Size]byte, n int) {
	h := m.pool.Get().(*keyed) //nolint:forcetypeassert // the pool holds nothing else
	defer m.pool.Put(h)
	h.Reset()
	_, _ = h.Write(append(h.head[:0], head...)) // a hash writes without an error
	_, _ = h.Write(body)
	n = len(h.Sum(h.sum[:0]))
	return h.sum, n
}
