// Package encrypt turns the data of an event into text that only its receiver reads: payload encryption, which a
// subscription may ask for. A [Scheme] is one form of such text and of the key that it needs; its [Cipher] holds the
// decoded key of one subscription. Whether something is encrypted, and what came encrypted already and passes as it is,
// is for the caller to say.
//
// Every try of a delivery has to send the same bytes, so nothing here is random: initialization vectors and nonces are
// derived, by HMAC-SHA256 under the key, from the scheme, the delivery's id and the plaintext. The id makes the texts of
// two deliveries differ though their data is the same. The plaintext is in it because the id alone would not do: it is
// derived from the event's id, and a producer that uses an event's id twice, for different data, would have one nonce
// serve two plaintexts, which gives away how the two begin (CBC), or both of them and the key of authentication (GCM).
// So the same text appears again only for the same delivery of the same data, and says no more than that.
//
// Nonces of 96 bits may meet by chance as random ones may: a key is good for 2^32 deliveries (NIST SP 800-38D, 8.3).
//
// Encryption hides the data, not its length. Errors hold neither keys nor plaintext, and a [Cipher] prints as its
// scheme's name.
package encrypt

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
)

// Scheme is one way of encrypting. Implementations are safe for concurrent use.
type Scheme interface {
	// Cipher decodes a key. Its error is that of [Scheme.ValidateKey].
	Cipher(key string) (Cipher, error)
	// NewKey returns a fresh random key in the scheme's form.
	NewKey() (string, error)
	// ContentType is the media type of the scheme's texts, where one stands alone.
	ContentType() string
	// ValidateKey says what is allowed if key is not of the scheme's form.
	ValidateKey(key string) error
}

// Cipher encrypts for one subscription. It is safe for concurrent use.
type Cipher interface {
	// Append encrypts plaintext, which may be empty and is not changed, and appends the text to dst: ASCII letters,
	// digits, '-', '_' and '.', which a JSON string and a header field hold as they are. The text depends on nothing but
	// the key, the delivery and the plaintext. It is about a third longer than the plaintext. The plaintext must not
	// lie in dst or in the spare room behind it.
	Append(dst, plaintext []byte, delivery ident.ID) []byte
	// Decrypt returns the plaintext of what Append appended under the same key. Whatever is wrong, the error is
	// [ErrDecrypt]. It is for people who check what they received, with a key of theirs: it takes the time it takes, so
	// do not let a stranger try texts on a key.
	Decrypt(text []byte) ([]byte, error)
}

// MaxText is the longest text that is decrypted, in bytes: the largest event's is shorter by a third.
const MaxText = 2 * event.MaxBytes

// ErrDecrypt says that a text was not made with this key, was changed or is longer than [MaxText], and not which.
var ErrDecrypt = errors.New("text does not decrypt with this key")

// Lookup returns the scheme of that name.
func Lookup(name string) (Scheme, bool) {
	switch name {
	case "jwe":
		return JWE{}, true
	case "voyado":
		return Voyado{}, true
	default:
		return nil, false
	}
}

// Names lists the names that [Lookup] knows, sorted.
func Names() []string { return []string{"jwe", "voyado"} }

// New returns the cipher of that scheme and key. Its errors name the parameter, scheme or key, and what is allowed.
func New(scheme, key string) (Cipher, error) {
	s, err := named(scheme)
	if err != nil {
		return nil, err
	}
	c, err := s.Cipher(key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return c, nil
}

// GenerateKey returns a fresh random key for that scheme.
func GenerateKey(scheme string) (string, error) {
	s, err := named(scheme)
	if err != nil {
		return "", err
	}
	return s.NewKey()
}

// named is [Lookup] with an error.
func named(scheme string) (Scheme, error) {
	if s, ok := Lookup(scheme); ok {
		return s, nil
	}
	return nil, fmt.Errorf("scheme: %q, want one of %s", scheme, strings.Join(Names(), ", "))
}

// keySize of AES-256, in bytes.
const keySize = 32

// printed is how a cipher prints, with every verb: its fields hold the key.
type printed string

// Format implements [fmt.Formatter].
func (p printed) Format(to fmt.State, _ rune) { _, _ = io.WriteString(to, string(p)) }
