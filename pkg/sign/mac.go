package sign

import (
	"crypto/hmac"
	"hash"
	"sync"
)

// mac is an HMAC under one key. The hashes are pooled because a reset one keeps its keyed state: the two key blocks are
// hashed once, not per attempt.
type mac struct{ pool sync.Pool }

func newMAC(of func() hash.Hash, key []byte) *mac {
	return &mac{pool: sync.Pool{New: func() any { return hmac.New(of, key) }}}
}

// sum appends the MAC of the parts, one after the other, to dst.
func (m *mac) sum(dst []byte, head, body []byte) []byte {
	h := m.pool.Get().(hash.Hash) //nolint:forcetypeassert // the pool holds nothing else
	defer m.pool.Put(h)
	h.Reset()
	h.Write(head)
	h.Write(body)
	return h.Sum(dst)
}
