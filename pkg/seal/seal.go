// Package seal encrypts single values for storage: AES256-GCM by Tink, under a keyset of which one key, the primary,
// encrypts and all decrypt, so that keys can be replaced while everything runs.
//
// A sealed value is text, "sealed:" and URL-safe base64. It is bound to its associated data, which says where it belongs:
// moved elsewhere it does not open. A [Keyset] never shows its keys but through [Keyset.JSON].
package seal

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"github.com/postrider/postrider/pkg/subscription"
)

// Prefix begins every sealed value.
const Prefix = subscription.SealedPrefix

// MaxKeys bounds a keyset: enough for keys that were never removed over years, and a bound on what is tried.
const MaxKeys = 100

// Keyset seals and opens values. It is immutable; [Keyset.Add] and the like return another. All methods may be called
// concurrently. Make one with [Generate] or [Parse].
type Keyset struct {
	handle  *keyset.Handle
	aead    tink.AEAD
	primary uint32
}

// Key describes one key of a keyset.
type Key struct {
	ID uint32
	// Primary is the key that seals.
	Primary bool
}

// Generate returns a keyset with one new key, the primary.
func Generate() (*Keyset, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return nil, fmt.Errorf("generating keyset: %w", err)
	}
	return newKeyset(handle)
}

func newKeyset(handle *keyset.Handle) (*Keyset, error) {
	if handle.Len() > MaxKeys {
		return nil, fmt.Errorf("keyset of %d keys: want at most %d", handle.Len(), MaxKeys)
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, errors.New("want a keyset of AES256-GCM keys") // the library's error may hold what it read
	}
	primary, err := handle.Primary()
	if err != nil {
		return nil, errors.New("keyset without primary key: want one")
	}
	return &Keyset{handle: handle, aead: primitive, primary: primary.KeyID()}, nil
}

// Seal encrypts plain, bound to associated. Sealing the same twice gives two texts.
func (k *Keyset) Seal(plain, associated string) (string, error) {
	raw, err := k.aead.Encrypt([]byte(plain), []byte(associated))
	if err != nil {
		return "", errors.New("encrypting with the primary key")
	}
	return Prefix + base64.RawURLEncoding.EncodeToString(raw), nil
}

// Errors of [Keyset.Open].
var (
	// ErrForm says that a text is no sealed value.
	ErrForm = errors.New("no sealed value")
	// ErrNoKey says that the key that sealed a value is not in the keyset.
	ErrNoKey = errors.New("sealed with a key that is not in the keyset")
	// ErrRefused says that a value was changed, or does not belong where it was found.
	ErrRefused = errors.New("sealed value was changed or moved")
)

// Open decrypts what [Keyset.Seal] returned for the same associated data. Errors hold neither plaintext nor keys.
func (k *Keyset) Open(sealed, associated string) (string, error) {
	raw, id, err := parse(sealed)
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(k.Keys(), func(key Key) bool { return key.ID == id }) {
		return "", fmt.Errorf("key %d: %w", id, ErrNoKey)
	}
	plain, err := k.aead.Decrypt(raw, []byte(associated))
	if err != nil {
		return "", fmt.Errorf("key %d: %w", id, ErrRefused)
	}
	return string(plain), nil
}

// IsSealed reports whether a text is a sealed value, by its prefix.
func IsSealed(text string) bool { return subscription.Sealed(text) }

// Current reports whether a text is sealed with the primary key, by the key's id in it.
func (k *Keyset) Current(text string) bool {
	_, id, err := parse(text)
	return err == nil && id == k.primary
}

// Layout of a Tink ciphertext: a byte of version, the key's id, big endian, then the key's own
// (https://developers.google.com/tink/wire-format).
const (
	tinkVersion = 1
	tinkPrefix  = 5
)

// parse returns the ciphertext of a sealed value and the id of its key.
func parse(text string) (raw []byte, id uint32, err error) {
	encoded, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return nil, 0, ErrForm
	}
	raw, err = base64.RawURLEncoding.DecodeString(encoded)
	if err != nil || len(raw) < tinkPrefix || raw[0] != tinkVersion {
		return nil, 0, ErrForm
	}
	return raw, binary.BigEndian.Uint32(raw[1:tinkPrefix]), nil
}

// Keys lists the keys, oldest first.
func (k *Keyset) Keys() []Key {
	keys := make([]Key, 0, k.handle.Len())
	for i := range k.handle.Len() {
		if e, err := k.handle.Entry(i); err == nil {
			keys = append(keys, Key{ID: e.KeyID(), Primary: e.IsPrimary()})
		}
	}
	return keys
}

// Primary returns the id of the key that seals.
func (k *Keyset) Primary() uint32 { return k.primary }

// String names the keys, not their material.
func (k *Keyset) String() string {
	return fmt.Sprintf("keyset of %d keys, primary %d", k.handle.Len(), k.primary)
}

// GoString is String, for %#v.
func (k *Keyset) GoString() string { return k.String() }

// LogValue is String, for slog.
func (k *Keyset) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalJSON refuses: keys are written by [Keyset.JSON] only, where that is meant.
func (k *Keyset) MarshalJSON() ([]byte, error) {
	return nil, errors.New("a keyset is not written by accident")
}
