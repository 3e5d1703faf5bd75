package encrypt

import (
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"sync"

	"github.com/postrider/postrider/pkg/ident"
)

// vectors derives initialization vectors and nonces under one key, see the package's documentation: the first bytes of
// HMAC-SHA256(key, label ‖ delivery id ‖ plaintext). Labels of two schemes differ and none begins with another, and an id
// has 16 bytes, so no two inputs are written alike. AES and HMAC share the key, so that a receiver needs only one; nothing
// is known by which the one says anything about the other.
type vectors struct{ pool sync.Pool }

// keyed is an HMAC with the room that it needs, pooled for both: a reset one keeps its keyed state.
type keyed struct {
	mac  hash.Hash
	head []byte // the label and an id
	sum  [sha256.Size]byte
}

func newVectors(label string, key []byte) *vectors {
	v := &vectors{}
	v.pool.New = func() any {
		head := make([]byte, 0, len(label)+len(ident.ID{}))
		return &keyed{mac: hmac.New(sha256.New, key), head: append(head, label...)}
	}
	return v
}

// derive fills iv, of 32 bytes at most.
func (v *vectors) derive(iv []byte, delivery ident.ID, plaintext []byte) {
	k := v.pool.Get().(*keyed) //nolint:forcetypeassert // the pool holds nothing else
	defer v.pool.Put(k)
	label := k.head
	k.mac.Reset()
	k.mac.Write(append(label, delivery[:]...))
	k.mac.Write(plaintext)
	copy(iv, k.mac.Sum(k.sum[:0]))
}
