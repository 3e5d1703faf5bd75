package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
)

// A registry as a file is JSON, a line for a header and a line for each object: its key and its value as they are in the log.
// What is of one log alone is left out, the version of an object and the generation of a subscription, so that a copy of a copy
// is the same bytes.

const (
	// exportFormat is what the header of a file says it is.
	exportFormat = "postrider-registry"
	// exportVersion is the version of the file's form, see package form. Each value has that of its record besides.
	exportVersion = 1
)

// exportHeader is the first line of a file.
type exportHeader struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
	// Objects is how many lines follow: a file that was cut at the end of a line has less.
	Objects int `json:"objects"`
}

// exportLine is one object.
type exportLine struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

// KeyOf returns what o is under in the registry, the zero Key for nothing.
func KeyOf(o Object) Key {
	switch {
	case o.Tenant != nil:
		return Key{Kind: KindTenant, ID: o.Tenant.ID}
	case o.Subscription != nil:
		return Key{Kind: KindSubscription, ID: o.Subscription.ID}
	case o.EventType != nil:
		return EventTypeKey(o.EventType.Name)
	case o.Key != nil:
		return Key{Kind: KindKey, ID: o.Key.ID}
	case o.Pause != nil:
		return PauseKey(o.Pause.ID)
	}
	return Key{}
}

// Export writes everything that is in s. s must be of a view without [Cipher]: a secret that is not sealed is an error, which
// names it, and nothing is written.
func Export(w io.Writer, s *Snapshot) error {
	header := exportHeader{Format: exportFormat, Version: exportVersion}
	for o := range s.objects() {
		if err := checkSealed(o); err != nil {
			return err
		}
		header.Objects++
	}
	enc := json.NewEncoder(w)
	if err := enc.Encode(header); err != nil {
		return fmt.Errorf("writing the header: %w", err)
	}
	for o := range s.objects() {
		key := KeyOf(o).String()
		value, err := exported(o)
		if err == nil {
			err = enc.Encode(exportLine{Key: key, Value: value})
		}
		if err != nil {
			return fmt.Errorf("writing %s: %w", key, err)
		}
	}
	return nil
}

// errPlain refuses a secret in clear: a file is kept where the log is not.
var errPlain = errors.New("is not encrypted: run 'postrider keys rotate' first")

// checkSealed refuses an object with a secret in clear.
func checkSealed(o Object) error {
	_, err := WithSecrets(o, func(_, value, _ string) (string, error) {
		if !seal.IsSealed(value) {
			return "", errPlain
		}
		return value, nil
	})
	if err != nil {
		return fmt.Errorf("%s: %w", KeyOf(o), err)
	}
	return nil
}

// WithSecrets returns a copy of o with what change returns in place of each secret. It is given the field's path, the value and
// what that is bound to when it is sealed, see [Associated]. It stops at the first error, which names the field.
func WithSecrets(o Object, change func(field, value, associated string) (string, error)) (Object, error) {
	var err error
	switch {
	case o.Tenant != nil:
		t := *o.Tenant
		err = t.EachSecret(func(field, value string) (string, error) {
			return change(field, value, Associated(t.ID, ident.ID{}, field))
		})
		o.Tenant = &t
	case o.Subscription != nil:
		s := *o.Subscription
		err = s.EachSecret(func(field, value string) (string, error) {
			return change(field, value, Associated(s.Tenant, s.ID, field))
		})
		o.Subscription = &s
	}
	return o, err
}

// Differ returns the names of the fields, as they are in a file, in which two objects of one key differ.
func Differ(a, b Object) ([]string, error) {
	before, err := exported(a)
	if err != nil {
		return nil, err
	}
	after, err := exported(b)
	if err != nil {
		return nil, err
	}
	return audit.Diff(before, after), nil
}

// exported returns the value of an object in a file.
func exported(o Object) (json.RawMessage, error) {
	switch {
	case o.Tenant != nil:
		return encodeTenant(o.Tenant, "")
	case o.Subscription != nil:
		s := *o.Subscription
		s.Generation = 0
		return encodeSubscription(&s, "")
	case o.EventType != nil:
		return encodeEventType(o.EventType, "")
	case o.Key != nil:
		return encodeKey(o.Key, "")
	case o.Pause != nil:
		return encodePause(o.Pause, "")
	}
	return nil, nil
}

// objects yields everything in s, each after what it refers to. What stops all that leaves, or a role, comes first: nothing
// leaves in between where the file is read into a registry that roles are reading.
func (s *Snapshot) objects() iter.Seq[Object] {
	return func(yield func(Object) bool) {
		_ = each(s.Pauses(), func(p *pause.Pause) bool { return p.Tenant.IsZero() }, func(p *pause.Pause) Object { return Object{Pause: p} }, yield) &&
			each(s.EventTypes(), all, func(t *catalogue.EventType) Object { return Object{EventType: t} }, yield) &&
			each(s.Tenants(), all, func(t *subscription.Tenant) Object { return Object{Tenant: t} }, yield) &&
			each(s.Subscriptions(), all, func(v *subscription.Subscription) Object { return Object{Subscription: v} }, yield) &&
			each(s.Keys(), all, func(k *access.Key) Object { return Object{Key: k} }, yield) &&
			each(s.Pauses(), func(p *pause.Pause) bool { return !p.Tenant.IsZero() }, func(p *pause.Pause) Object { return Object{Pause: p} }, yield)
	}
}

func all[T any](T) bool { return true }

// each yields what is kept of a list as objects, and reports whether there may be more.
func each[T any](list iter.Seq[T], keep func(T) bool, object func(T) Object, yield func(Object) bool) bool {
	for v := range list {
		if keep(v) && !yield(object(v)) {
			return false
		}
	}
	return true
}
