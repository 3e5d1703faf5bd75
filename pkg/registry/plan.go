package registry

import (
	"errors"
	"fmt"
	"slices"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// record is a record to append; a nil value deletes.
type record struct {
	key   string
	value []byte
}

// plan works out what changes mean on top of a snapshot. Each change sees those before it, so that a tenant and its
// subscriptions are created together.
type plan struct {
	base    *Snapshot
	work    *builder
	records []record
}

// newPlan returns the records that make the changes, or the refusal of every change that cannot be made, joined.
func newPlan(base *Snapshot, changes []Change) ([]record, error) {
	p := &plan{base: base, work: base.builder()}
	var errs []error
	for _, c := range changes {
		if err := p.add(c); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return p.records, nil
}

func (p *plan) add(c Change) error {
	if actual := p.version(c.key); c.expect != Any && c.expect != actual {
		return &ConflictError{Key: c.key, Expected: c.expect, Actual: actual}
	}
	switch {
	case c.tenant != nil:
		return p.putTenant(c)
	case c.subscription != nil:
		return p.putSubscription(c)
	case c.key.Kind == KindTenant:
		return p.deleteTenant(c.key)
	}
	p.append(c.key, nil)
	return nil
}

// version returns the version of what has the key, 0 for none.
func (p *plan) version(k Key) int64 {
	switch k.Kind {
	case KindTenant:
		if t, ok := p.work.s.Tenant(k.ID); ok {
			return t.Version
		}
	case KindSubscription:
		if s, ok := p.work.s.Subscription(k.ID); ok {
			return s.Version
		}
	}
	return 0
}

func (p *plan) putTenant(c Change) error {
	t := c.tenant
	if holder, ok := p.work.s.tenantUIDs.Get(t.UID); ok && holder.ID != t.ID {
		return &UIDError{Key: c.key, UID: t.UID, Holder: holder.ID}
	}
	value, err := encodeTenant(t)
	if err != nil {
		return fmt.Errorf("%s: %w", c.key, err)
	}
	p.append(c.key, value)
	return nil
}

func (p *plan) putSubscription(c Change) error {
	s := *c.subscription
	if _, ok := p.work.s.Tenant(s.Tenant); !ok {
		return fmt.Errorf("%s: %w: %s", c.key, ErrNoTenant, s.Tenant)
	}
	old, exists := p.work.s.Subscription(s.ID)
	if exists && old.Tenant != s.Tenant {
		return fmt.Errorf("%s: %w: %s", c.key, ErrMoved, old.Tenant)
	}
	if holder, ok := p.work.s.uids.Get(uidKey(s.Tenant, s.UID)); ok && holder.ID != s.ID {
		return &UIDError{Key: c.key, UID: s.UID, Holder: holder.ID}
	}
	s.Generation = p.generation(old, &s)
	value, err := encodeSubscription(&s)
	if err != nil {
		return fmt.Errorf("%s: %w", c.key, err)
	}
	p.append(c.key, value)
	return nil
}

// generation returns the generation of s, which replaces old. It rises when a subscription is enabled. A new one starts
// above the registry's version, which no generation can exceed: a state that its deleted predecessor of the same id
// left behind must not disable it.
func (p *plan) generation(old, s *subscription.Subscription) int64 {
	switch {
	case old == nil:
		return p.base.version + 1
	case old.Disabled && !s.Disabled:
		return max(old.Generation, p.base.version) + 1
	}
	return old.Generation
}

func (p *plan) deleteTenant(k Key) error {
	var ids []ident.ID
	for s := range p.work.batch.Index().Of(k.ID) {
		ids = append(ids, s.ID)
	}
	for _, id := range ids {
		p.append(Key{Kind: KindSubscription, ID: id}, nil)
	}
	p.append(k, nil)
	return nil
}

// append adds a record and applies it to what later changes see. A second change of a key replaces the first: its
// version is one that nobody has seen yet, so only unconditional changes get here.
func (p *plan) append(k Key, value []byte) {
	r := record{key: k.String(), value: value}
	p.records = slices.DeleteFunc(p.records, func(o record) bool { return o.key == r.key })
	p.records = append(p.records, r)
	// The record was encoded here, so it can be decoded; its offset is a guess that no caller gets to see.
	_ = p.work.apply(p.base.version+int64(len(p.records)), []byte(r.key), value)
}
