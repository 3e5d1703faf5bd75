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
	var short [256]byte // what nearly all fit into
	buf := appendPart(short[:0], domain)
	for _, p := range parts {
		buf = appendPart(buf, p)
	}
	sum := sha256.Sum256(buf)
	return ID(sum[:16])
}

// DeriveOf is [Derive] of the UUID forms of ids.
func DeriveOf(domain string, ids ...ID) ID {
	var short [256]byte
	buf := appendPart(short[:0], domain)
	for _, id := range ids {
		buf = id.AppendUUID(binary.BigEndian.AppendUint32(buf, uuidLen))
	}
	sum := sha256.Sum256(buf)
	return ID(sum[:16])
}

// uuidLen is the length of the UUID form.
const uuidLen = 36

func appendPart(buf []byte, part string) []byte {
	buf = binary.BigEndian.AppendUint32(buf, uint32(len(part))) //nolint:gosec // no part of an identity is 4 GiB
	return append(buf, part...)
}

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// UUID returns the canonical lower-case UUID form.
func (id ID) UUID() string {
	var text [36]byte
	return string(id.AppendUUID(text[:0]))
}

// AppendUUID appends the UUID form to dst.
func (id ID) AppendUUID(dst []byte) []byte {
	const digits = "0123456789abcdef"
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[b>>4], digits[b&0xf])
	}
	return dst
}

// String is [ID.UUID].
func (id ID) String() string { return id.UUID() }

// MarshalText writes the UUID form.
func (id ID) MarshalText() ([]byte, error) { return id.AppendUUID(nil), nil }

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
	var text [Width + 16]byte // longer prefixes are no mistake
	return string(id.AppendBase62(text[:0], prefix))
}

// chunk is as many base62 digits as a word holds, 62^chunkDigits.
const (
	chunkDigits = 10
	chunk       = 839_299_365_868_340_224
)

// AppendBase62 appends what [ID.Base62] returns to dst.
func (id ID) AppendBase62(dst []byte, prefix string) []byte {
	dst = append(dst, prefix...)
	at := len(dst)
	dst = append(dst, alphabet[:Width]...)
	digits := dst[at:]
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	for end := Width; end > 0; end -= chunkDigits { // a division of words costs a tenth of one of 128 bits
		var rem uint64
		over := hi % chunk
		hi /= chunk
		lo, rem = bits.Div64(over, lo, chunk)
		putDigits(digits[max(end-chunkDigits, 0):end], rem)
	}
	return dst
}

func putDigits(to []byte, n uint64) {
	for i := len(to) - 1; i >= 0; i-- {
		to[i] = alphabet[n%62]
		n /= 62
	}
}

// ParseUUID reads the 36-character UUID form.
func ParseUUID(s string) (ID, error) {
	if len(s) != uuidLen {
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
	first, ok1 := readDigits(digits[:Width-2*chunkDigits])
	second, ok2 := readDigits(digits[Width-2*chunkDigits : Width-chunkDigits])
	third, ok3 := readDigits(digits[Width-chunkDigits:])
	if !ok1 || !ok2 || !ok3 {
		return ID{}, fmt.Errorf("%w: %q holds a character that is no base62 digit", ErrMalformed, s)
	}
	hi, lo := bits.Mul64(first, chunk)
	lo, carry := bits.Add64(lo, second, 0)
	hi += carry // first and second are 17 digits together, which 102 bits hold
	over, high := bits.Mul64(hi, chunk)
	hi, lo = bits.Mul64(lo, chunk)
	lo, carry = bits.Add64(lo, third, 0)
	if hi, carry = bits.Add64(hi, high, carry); over+carry != 0 {
		return ID{}, fmt.Errorf("%w: %q is larger than 128 bits", ErrMalformed, s)
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

// readDigits reads at most [chunkDigits] digits.
func readDigits(s string) (n uint64, ok bool) {
	for i := range len(s) {
		d := values[s[i]]
		if d == 0 {
			return 0, false
		}
		n = 62*n + uint64(d-1)
	}
	return n, true
}

// values are those of the digits, plus one; of what is no digit, 0.
var values = func() (v [256]byte) { //nolint:gochecknoglobals // a constant
	for i := range len(alphabet) {
		v[alphabet[i]] = byte(i + 1)
	}
	return v
}()
