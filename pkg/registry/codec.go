package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/subscription"
)

// schema is the version of the records' JSON that this code writes. What is added does not raise it; readers leave higher ones to
// a release that understands them, and stand still: to pass over a subscription would end its deliveries.
const schema = 1

// Kind is the first part of a record's key.
type Kind string

// Kinds.
const (
	KindTenant       Kind = "tenant"
	KindSubscription Kind = "subscription"
	KindEventType    Kind = "event-type"
	KindKey          Kind = "key"
	KindPause        Kind = "pause"
	// kindWrite is that of the one record that says that a transaction of nothing but deletions was committed.
	kindWrite Kind = "write"
)

// Key names a record.
type Key struct {
	Kind Kind
	ID   ident.ID
}

// String returns the key as it is in the log.
func (k Key) String() string { return string(k.Kind) + "/" + k.ID.UUID() }

// EventTypeKey returns the key of the event type with that name. Its id is derived from the name, which never changes.
func EventTypeKey(name string) Key {
	return Key{Kind: KindEventType, ID: ident.Derive("postrider/event-type", name)}
}

// header is in every record beside the object itself.
type header struct {
	Schema int `json:"version"`
	// Write is a random text that the records of one transaction share: by it a writer finds out whether a transaction
	// of unknown fate was committed.
	Write string `json:"write,omitempty"`
}

type tenantRecord struct {
	header
	*subscription.Tenant
}

type subscriptionRecord struct {
	header
	*subscription.Subscription
}

type eventTypeRecord struct {
	header
	*catalogue.EventType
}

type keyRecord struct {
	header
	*access.Key
}

type pauseRecord struct {
	header
	*pause.Pause
}

func encodeTenant(t *subscription.Tenant, write string) ([]byte, error) {
	return json.Marshal(tenantRecord{header{schema, write}, t})
}

func encodeSubscription(s *subscription.Subscription, write string) ([]byte, error) {
	return json.Marshal(subscriptionRecord{header{schema, write}, s})
}

func encodeEventType(t *catalogue.EventType, write string) ([]byte, error) {
	return json.Marshal(eventTypeRecord{header{schema, write}, t})
}

func encodeKey(k *access.Key, write string) ([]byte, error) {
	return json.Marshal(keyRecord{header{schema, write}, k})
}

func encodePause(p *pause.Pause, write string) ([]byte, error) {
	return json.Marshal(pauseRecord{header{schema, write}, p})
}

// parseKey reads a key; known is false for kinds of other versions.
func parseKey(raw []byte) (k Key, known bool, err error) {
	kind, id, _ := strings.Cut(string(raw), "/")
	k.Kind = Kind(kind)
	switch k.Kind {
	case KindTenant, KindSubscription, KindEventType, KindKey, KindPause, kindWrite:
	default:
		return k, false, nil
	}
	if k.ID, err = ident.ParseUUID(id); err != nil {
		return k, true, fmt.Errorf("reading key %q: %w", raw, err)
	}
	return k, true, nil
}

// errIdentity says that a record's value is not about what its key names.
var errIdentity = errors.New("value has another id than the key")

func decodeTenant(id ident.ID, value []byte, version int64) (*subscription.Tenant, string, error) {
	r := tenantRecord{Tenant: new(subscription.Tenant)}
	if err := form.Read(value, &r, &r.Schema, schema); err != nil {
		return nil, "", fmt.Errorf("reading tenant %s: %w", id, err)
	}
	if r.ID != id {
		return nil, "", fmt.Errorf("reading tenant %s: %w", id, errIdentity)
	}
	r.Version = version
	return r.Tenant, r.Write, nil
}

func decodeSubscription(id ident.ID, value []byte, version int64) (*subscription.Subscription, string, error) {
	r := subscriptionRecord{Subscription: new(subscription.Subscription)}
	if err := form.Read(value, &r, &r.Schema, schema); err != nil {
		return nil, "", fmt.Errorf("reading subscription %s: %w", id, err)
	}
	if r.ID != id || r.Tenant.IsZero() {
		return nil, "", fmt.Errorf("reading subscription %s: %w", id, errIdentity)
	}
	r.Version = version
	return r.Subscription, r.Write, nil
}

func decodeEventType(id ident.ID, value []byte, version int64) (*catalogue.EventType, string, error) {
	r := eventTypeRecord{EventType: new(catalogue.EventType)}
	if err := form.Read(value, &r, &r.Schema, schema); err != nil {
		return nil, "", fmt.Errorf("reading event type %s: %w", id, err)
	}
	if EventTypeKey(r.Name).ID != id {
		return nil, "", fmt.Errorf("reading event type %s: %w", id, errIdentity)
	}
	r.Version = version
	return r.EventType, r.Write, nil
}

func decodeKey(id ident.ID, value []byte, version int64) (*access.Key, string, error) {
	r := keyRecord{Key: new(access.Key)}
	if err := form.Read(value, &r, &r.Schema, schema); err != nil {
		return nil, "", fmt.Errorf("reading key %s: %w", id, err)
	}
	if r.ID != id {
		return nil, "", fmt.Errorf("reading key %s: %w", id, errIdentity)
	}
	r.Version = version
	return r.Key, r.Write, nil
}

func decodePause(id ident.ID, value []byte, version int64) (*pause.Pause, string, error) {
	r := pauseRecord{Pause: new(pause.Pause)}
	if err := form.Read(value, &r, &r.Schema, schema); err != nil {
		return nil, "", fmt.Errorf("reading pause %s: %w", id, err)
	}
	if r.ID != id || !r.Consistent() {
		return nil, "", fmt.Errorf("reading pause %s: %w", id, errIdentity)
	}
	r.Version = version
	return r.Pause, r.Write, nil
}

// decodeWrite reads the record that carries a write and nothing else.
func decodeWrite(value []byte) (string, error) {
	var h header
	if err := form.Read(value, &h, &h.Schema, schema); err != nil {
		return "", fmt.Errorf("reading write: %w", err)
	}
	return h.Write, nil
}

func encodeWrite(write string) ([]byte, error) { return json.Marshal(header{schema, write}) }
