package registry

import (
	"errors"
	"log/slog"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
)

// Cipher encrypts the secrets of subscriptions, bound to associated data. Its methods may be called concurrently.
// [seal.Keyset] is one.
type Cipher interface {
	Seal(plain, associated string) (string, error)
	Open(sealed, associated string) (string, error)
}

var _ Cipher = (*seal.Keyset)(nil)

// Associated returns the associated data of a secret of a subscription: tenant, subscription and field. A sealed value
// that is copied to another place does not open there.
func Associated(tenant, sub ident.ID, field string) string {
	return tenant.UUID() + "|" + sub.UUID() + "|" + field
}

// vault seals and opens the secrets of subscriptions.
type vault struct {
	cipher Cipher
	// unopened is told of values that did not open.
	unopened func(s *subscription.Subscription, field string, err error)
}

// open replaces what is sealed in s by what it stands for. A value in clear is from an older record and good as it is. One
// that does not open stays sealed: without the subscription its deliveries would be cancelled.
func (v vault) open(s *subscription.Subscription) {
	if v.cipher == nil || !s.IsSealed() {
		return
	}
	var first error
	var at string
	_ = s.EachSecret(func(field, value string) (string, error) {
		if !seal.IsSealed(value) {
			return value, nil
		}
		plain, err := v.cipher.Open(value, Associated(s.Tenant, s.ID, field))
		if err != nil {
			if first == nil {
				first, at = err, field
			}
			return value, nil
		}
		return plain, nil
	})
	if first != nil && v.unopened != nil {
		v.unopened(s, at, first)
	}
}

// errMarked refuses a new value that looks like a sealed one: nobody could tell it from one.
var errMarked = errors.New("begins with " + seal.Prefix + ", which marks encrypted values: want another")

// seal returns a copy of s with its secrets sealed. What old, which s replaces, has in its sealed form stays so.
func (v vault) seal(old, s *subscription.Subscription) (*subscription.Subscription, error) {
	c := *s
	if v.cipher == nil {
		return &c, nil
	}
	kept := map[string]string{}
	if old != nil && old.IsSealed() {
		was := *old
		_ = was.EachSecret(func(field, value string) (string, error) {
			kept[value] = field
			return value, nil
		})
	}
	err := c.EachSecret(func(field, value string) (string, error) {
		if seal.IsSealed(value) {
			if at, ok := kept[value]; !ok || at != field {
				return "", errMarked
			}
			return value, nil
		}
		return v.cipher.Seal(value, Associated(s.Tenant, s.ID, field))
	})
	return &c, err
}

// tellUnopened counts and logs values that did not open, once per record.
func (v *View) tellUnopened(s *subscription.Subscription, field string, err error) {
	v.metrics.unopened.Inc()
	v.opts.Log.Error("secrets of a subscription do not open; its deliveries wait: see encryption.keyset",
		slog.String("subscription", s.ID.UUID()), slog.String("field", field), slog.Any("error", err))
}
