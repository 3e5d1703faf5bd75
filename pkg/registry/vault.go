package registry

import (
	"errors"
	"log/slog"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
)

// Cipher encrypts the secrets of subscriptions and tenants, bound to associated data. Its methods may be called concurrently.
// [seal.Keyset] is one.
type Cipher interface {
	Seal(plain, associated string) (string, error)
	Open(sealed, associated string) (string, error)
}

var _ Cipher = (*seal.Keyset)(nil)

// Associated returns the associated data of a secret of a subscription: tenant, subscription and field. A sealed value
// that is copied to another place does not open there. A secret of the tenant itself has the zero subscription.
func Associated(tenant, sub ident.ID, field string) string {
	return tenant.UUID() + "|" + sub.UUID() + "|" + field
}

// withSecrets is an object with secrets: a subscription or a tenant. EachSecret changes the object itself and nothing that
// others hold.
type withSecrets interface {
	IsSealed() bool
	EachSecret(seal func(field, value string) (string, error)) error
}

// vault seals and opens the secrets of subscriptions and tenants.
type vault struct {
	cipher Cipher
	// unopened is told of values that did not open, by the kind and id of their object.
	unopened func(k Key, field string, err error)
}

// open replaces what is sealed in s by what it stands for. A value in clear is from an older record and good as it is. One
// that does not open stays sealed: without the subscription its deliveries would be cancelled.
func (v vault) open(s *subscription.Subscription) {
	v.openSecrets(s, Key{KindSubscription, s.ID}, s.Tenant, s.ID)
}

// openTenant is open for a tenant.
func (v vault) openTenant(t *subscription.Tenant) {
	v.openSecrets(t, Key{KindTenant, t.ID}, t.ID, ident.ID{})
}

func (v vault) openSecrets(o withSecrets, k Key, tenant, sub ident.ID) {
	if v.cipher == nil || !o.IsSealed() {
		return
	}
	var first error
	var at string
	_ = o.EachSecret(func(field, value string) (string, error) {
		if !seal.IsSealed(value) {
			return value, nil
		}
		plain, err := v.cipher.Open(value, Associated(tenant, sub, field))
		if err != nil {
			if first == nil {
				first, at = err, field
			}
			return value, nil
		}
		return plain, nil
	})
	if first != nil && v.unopened != nil {
		v.unopened(k, at, first)
	}
}

// errMarked refuses a new value that looks like a sealed one: nobody could tell it from one.
var errMarked = errors.New("begins with " + seal.Prefix + ", which marks encrypted values: want another")

// seal returns a copy of s with its secrets sealed. What old, which s replaces, has in its sealed form stays so.
func (v vault) seal(old, s *subscription.Subscription) (*subscription.Subscription, error) {
	c := *s
	var was withSecrets
	if old != nil {
		was = new(*old)
	}
	return &c, v.sealSecrets(was, &c, s.Tenant, s.ID)
}

// sealTenant is seal for a tenant.
func (v vault) sealTenant(old, t *subscription.Tenant) (*subscription.Tenant, error) {
	c := *t
	var was withSecrets
	if old != nil {
		was = new(*old)
	}
	return &c, v.sealSecrets(was, &c, t.ID, ident.ID{})
}

// sealSecrets seals the secrets of o, a copy, which replaces a copy of what was; nil for nothing.
func (v vault) sealSecrets(was, o withSecrets, tenant, sub ident.ID) error {
	if v.cipher == nil {
		return nil
	}
	kept := map[string]string{}
	if was != nil && was.IsSealed() {
		_ = was.EachSecret(func(field, value string) (string, error) {
			kept[value] = field
			return value, nil
		})
	}
	return o.EachSecret(func(field, value string) (string, error) {
		if seal.IsSealed(value) {
			if at, ok := kept[value]; !ok || at != field {
				return "", errMarked
			}
			return value, nil
		}
		return v.cipher.Seal(value, Associated(tenant, sub, field))
	})
}

// tellUnopened counts and logs values that did not open, once per record.
func (v *View) tellUnopened(k Key, field string, err error) {
	v.metrics.unopened.Inc()
	what := "secrets of a subscription do not open; its deliveries wait: see encryption.keyset"
	if k.Kind == KindTenant {
		what = "secrets of a tenant do not open; its chat is told nothing: see encryption.keyset"
	}
	v.opts.Log.Error(what, slog.String(string(k.Kind), k.ID.UUID()), slog.String("field", field), slog.Any("error", err)) //nolint:sloglint // one of two literals
}
