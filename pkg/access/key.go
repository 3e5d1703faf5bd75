package access

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Prefixes of the written forms.
const (
	// KeyIDPrefix is that of a key's id in the HTTP API.
	KeyIDPrefix = "key_"
	// TokenPrefix begins the secret form of a key, so that scanners find one that leaked.
	TokenPrefix = "prk_"
)

// tokenBytes is the size of the random part: 256 bits, which nobody guesses, so that a plain hash is enough to store.
const tokenBytes = 32

// Hash is the SHA-256 of a token; tokens themselves are not kept.
type Hash [sha256.Size]byte

// MarshalText writes h in URL-safe base64.
func (h Hash) MarshalText() ([]byte, error) {
	return []byte(base64.RawURLEncoding.EncodeToString(h[:])), nil
}

// UnmarshalText reads what [Hash.MarshalText] writes.
func (h *Hash) UnmarshalText(text []byte) error {
	raw, err := base64.RawURLEncoding.DecodeString(string(text))
	if err != nil || len(raw) != len(h) {
		return errors.New("want the SHA-256 of a token in URL-safe base64")
	}
	*h = Hash(raw)
	return nil
}

// HashToken returns the hash under which the key of a token is found.
func HashToken(token string) Hash { return sha256.Sum256([]byte(token)) }

// NewToken returns a random token: the prefix and 43 URL-safe characters.
func NewToken() string {
	var raw [tokenBytes]byte
	_, _ = rand.Read(raw[:]) // it never fails, see its documentation
	return TokenPrefix + base64.RawURLEncoding.EncodeToString(raw[:])
}

// Key is an API key as it is kept: all but the token.
type Key struct {
	ID   ident.ID `json:"id"`
	Name string   `json:"name"`
	Role Role     `json:"role"`
	// Tenant is the only tenant it is good for; zero for all. A tenant's administrator has one, an operator none.
	Tenant ident.ID `json:"tenant,omitzero"`
	Hash   Hash     `json:"hash"`
	// Hint is the end of the token, for people to recognise it by.
	Hint    string    `json:"hint"`
	Created time.Time `json:"created"`
	// Expires is when it stops to be good; zero for never.
	Expires time.Time `json:"expires,omitzero"`
	// Version is the registry version that wrote it; 0 before.
	Version int64 `json:"-"`
}

// hintLength is how much of a token is kept in clear: 24 of 256 bits.
const hintLength = 4

// NewKey returns a key with a fresh token, and the token, which is not kept.
func NewKey(name string, role Role, tenant ident.ID, now, expires time.Time) (*Key, string) {
	token := NewToken()
	return &Key{
		ID: ident.New(), Name: name, Role: role, Tenant: tenant, Hash: HashToken(token),
		Hint: token[len(token)-hintLength:], Created: now, Expires: expires,
	}, token
}

// Principal returns who uses k.
func (k *Key) Principal() *Principal {
	return &Principal{Kind: KindKey, ID: k.ID, Name: k.Name, Role: k.Role, Tenant: k.Tenant}
}

// Expired reports whether k is not good any more at now.
func (k *Key) Expired(now time.Time) bool { return !k.Expires.IsZero() && !now.Before(k.Expires) }

// Validate returns a [*subscription.FieldError] for everything that is wrong with k, joined.
func (k *Key) Validate() error {
	var errs []error
	add := func(field, format string, args ...any) {
		errs = append(errs, &subscription.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
	}
	if k.Name == "" || len(k.Name) > subscription.MaxName || strings.ContainsFunc(k.Name, func(r rune) bool { return r < ' ' }) {
		add("name", "want 1 to %d bytes without control characters", subscription.MaxName)
	}
	if !slices.Contains(Roles(), k.Role) {
		add("role", "%q: want one of %q", k.Role, Roles())
	}
	switch {
	case k.Role == RoleOperator && !k.Tenant.IsZero():
		add("tenant", "want none with role %s, which is for all tenants", RoleOperator)
	case k.Role == RoleTenant && k.Tenant.IsZero():
		add("tenant", "missing: want the tenant that role %s administers", RoleTenant)
	}
	return errors.Join(errs...)
}
