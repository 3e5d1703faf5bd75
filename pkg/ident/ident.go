// Package ident holds the identifiers that every stage of Postrider shares: 128-bit values, written either as a
// UUID or, in the HTTP API and in headers, as a prefix and 27 base62 digits.
//
// Base62 is digits, upper case, lower case, most significant digit first, padded with zeros to 27 digits: 22 would
// hold 128 bits, 27 is what clients of the management API check for.
package ident

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
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

// New returns a new ID (UUID version 7): ids made later are higher, so that what is listed by id is listed by age.
func New() ID { return ID(uuid.Must(uuid.NewV7())) }

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
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(part))) //nolint:gosec // no part of an identity is 4 GiB
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
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for i := Width - 1; i >= 0; i-- { // long division of the 128-bit number
		var rem uint64
		hi, rem = hi/62, hi%62
		lo, rem = bits.Div64(rem, lo, 62)
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
	var hi, lo uint64
	for i := range len(digits) {
		d := strings.IndexByte(alphabet, digits[i])
		if d < 0 {
			return ID{}, fmt.Errorf("%w: %q holds a character that is no base62 digit", ErrMalformed, s)
		}
		over, high := bits.Mul64(hi, 62)
		carry, low := bits.Mul64(lo, 62)
		low, c := bits.Add64(low, uint64(d), 0)
		high, c = bits.Add64(high, carry, c)
		if over+c != 0 {
			return ID{}, fmt.Errorf("%w: %q is larger than 128 bits", ErrMalformed, s)
		}
		hi, lo = high, low
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}
