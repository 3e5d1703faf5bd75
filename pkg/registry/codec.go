package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// schema is the version of the records' JSON that this code writes. Readers accept higher ones: fields are only added.
const schema = 1

// Kind is the first part of a record's key.
type Kind string

// Kinds.
const (
	KindTenant       Kind = "tenant"
	KindSubscription Kind = "subscription"
)

// Key names a record.
type Key struct {
	Kind Kind
	ID   ident.ID
}

// String returns the key as it is in the log.
func (k Key) String() string { return string(k.Kind) + "/" + k.ID.UUID() }

type tenantRecord struct {
	Schema int `json:"version"`
	*subscription.Tenant
}

type subscriptionRecord struct {
	Schema int `json:"version"`
	*subscription.Subscription
}

func encodeTenant(t *subscription.Tenant) ([]byte, error) {
	return json.Marshal(tenantRecord{Schema: schema, Tenant: t})
}

func encodeSubscription(s *subscription.Subscription) ([]byte, error) {
	return json.Marshal(subscriptionRecord{Schema: schema, Subscription: s})
}

// parseKey reads a key; known is false for kinds of other versions.
func parseKey(raw []byte) (k Key, known bool, err error) {
	kind, id, _ := strings.Cut(string(raw), "/")
	k.Kind = Kind(kind)
	if k.Kind != KindTenant && k.Kind != KindSubscription {
		return k, false, nil
	}
	if k.ID, err = ident.ParseUUID(id); err != nil {
		return k, true, fmt.Errorf("reading key %q: %w", raw, err)
	}
	return k, true, nil
}

// errIdentity says that a record's value is not about what its key names.
var errIdentity = errors.New("value has another id than the key")

func decodeTenant(id ident.ID, value []byte, version int64) (*subscription.Tenant, error) {
	r := tenantRecord{Tenant: new(subscription.Tenant)}
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("reading tenant %s: %w", id, err)
	}
	if r.ID != id {
		return nil, fmt.Errorf("reading tenant %s: %w", id, errIdentity)
	}
	r.Version = version
	return r.Tenant, nil
}

func decodeSubscription(id ident.ID, value []byte, version int64) (*subscription.Subscription, error) {
	r := subscriptionRecord{Subscription: new(subscription.Subscription)}
	if err := json.Unmarshal(value, &r); err != nil {
		return nil, fmt.Errorf("reading subscription %s: %w", id, err)
	}
	if r.ID != id || r.Tenant.IsZero() {
		return nil, fmt.Errorf("reading subscription %s: %w", id, errIdentity)
	}
	r.Version = version
	return r.Subscription, nil
}
