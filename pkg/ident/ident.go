// Package ident holds the identifiers that every stage of Postrider shares: 128-bit values, written either as a
// UUID or, in the HTTP API and in headers, as a prefix and 27 base62 digits.
//
// Base62 is digits, upper case, lower case, most significant digit first, padded with zeros to 27 digits: 22 would
// hold 128 bits, 27 is what clients of the management API check for.
package ident

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/google/uuid"
)

// ID is 128 bits that name one thing for good. The zero ID names nothing.
type ID [16]byte

// Width is the number of base62 digits in the written form of an [ID].
const Width = 27

const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ErrMalformed is wrapped by every parse error of this package.
var ErrMalformed = errors.New("malformed identifier")

// New returns a random ID (UUID version 4).
func New() ID { return ID(uuid.New()) }

// Derive returns the ID that is determined by parts: the first 128 bits of the SHA-256 of each part preceded by its
// length, so that ("ab", "c") and ("a", "bc") differ. The domain keeps IDs of different kinds apart.
func Derive(domain string, parts ...string) ID {
	n := 8 + len(domain)
	for _, p := range parts {
		n += 8 + len(p)
	}
	buf := make([]byte, 0, n)
	buf = appendPart(buf, domain)
	for _, p := range parts {
		buf = appendPart(buf, p)
	}
	sum := sha256.Sum256(buf)
	return ID(sum[:16])
}

func appendPart(buf []byte, part string) []byte {
	n := len(part)
	buf = append(buf, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return append(buf, part...)
}

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// UUID returns the canonical lower-case UUID form.
func (id ID) UUID() string { return uuid.UUID(id).String() }

// String is [ID.UUID].
func (id ID) String() string { return id.UUID() }

// MarshalText writes the UUID form.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.UUID()), nil }

// UnmarshalText reads the UUID form.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseUUID(string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Base62 returns prefix followed by the 27 base62 digits of id, for example "ep_" and the digits.
func (id ID) Base62(prefix string) string {
	var digits [Width]byte
	num := id // long division of the 128-bit number by 62, 32 bits at a time
	var limbs [4]uint32
	for i := range limbs {
		limbs[i] = uint32(num[4*i])<<24 | uint32(num[4*i+1])<<16 | uint32(num[4*i+2])<<8 | uint32(num[4*i+3])
	}
	for i := Width - 1; i >= 0; i-- {
		var rem uint64
		for j := range limbs {
			cur := rem<<32 | uint64(limbs[j])
			limbs[j] = uint32(cur / 62) //nolint:gosec // rem < 62, so the quotient fits 32 bits
			rem = cur % 62
		}
		digits[i] = alphabet[rem]
	}
	return prefix + string(digits[:])
}

// ParseUUID reads the 36-character UUID form.
func ParseUUID(s string) (ID, error) {
	if len(s) != 36 {
		return ID{}, fmt.Errorf("%w: %q is not a UUID", ErrMalformed, s)
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return ID{}, fmt.Errorf("%w: %q is not a UUID", ErrMalformed, s)
	}
	return ID(u), nil
}

// ParseBase62 reads what [ID.Base62] writes with the same prefix.
func ParseBase62(prefix, s string) (ID, error) {
	digits, ok := strings.CutPrefix(s, prefix)
	if !ok || len(digits) != Width {
		return ID{}, fmt.Errorf("%w: %q is not %q and %d base62 digits", ErrMalformed, s, prefix, Width)
	}
	num, base := new(big.Int), big.NewInt(62)
	for i := range len(digits) {
		d := strings.IndexByte(alphabet, digits[i])
		if d < 0 {
			return ID{}, fmt.Errorf("%w: %q holds a character that is no base62 digit", ErrMalformed, s)
		}
		num.Mul(num, base).Add(num, big.NewInt(int64(d)))
	}
	if num.BitLen() > 128 {
		return ID{}, fmt.Errorf("%w: %q is larger than 128 bits", ErrMalformed, s)
	}
	var id ID
	num.FillBytes(id[:])
	return id, nil
}
