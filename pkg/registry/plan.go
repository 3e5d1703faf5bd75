package registry

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Applied is one object that a change made different: what it was and what it is. Neither has its secrets sealed.
type Applied struct {
	Key Key
	// Before is nothing for a creation, After for a deletion.
	Before, After Object
	// Version is the version of After or, for a deletion, that of the first snapshot without it.
	Version int64
}

// plan works out what changes mean on top of a snapshot. Each change sees those before it, so that a tenant and its
// subscriptions are created together.
type plan struct {
	base  *Snapshot
	work  *builder
	vault vault
	now   time.Time
	// write is in every record, see [header].
	write   string
	records []Record
	bytes   int
	puts    int
	// applied is that of the changes being added.
	applied []Applied
}

// newPlan returns a plan of nothing. The log's next record must get the offset that is the version of base.
func newPlan(base *Snapshot, v vault, now time.Time) *plan {
	return &plan{
		base: base, work: base.builder(), vault: v, write: rand.Text(),
		now: now.UTC().Truncate(time.Millisecond), // what JSON and the HTTP API keep of it
	}
}

// add adds all the changes or none. It returns what they make different, or the refusal of every change that cannot be
// made, joined.
func (p *plan) add(changes []Change) ([]Applied, error) {
	before := p.mark()
	p.applied = nil
	var errs []error
	for _, c := range changes {
		if err := p.change(c); err != nil {
			errs = append(errs, err)
		}
	}
	if err := errors.Join(errs...); err != nil {
		p.reset(before)
		return nil, err
	}
	return p.applied, nil
}

// planMark is a place in a plan to return to.
type planMark struct {
	snapshot             *Snapshot
	records, bytes, puts int
}

func (p *plan) mark() planMark {
	m := planMark{snapshot: p.work.snapshot(p.base.version), records: len(p.records), bytes: p.bytes, puts: p.puts}
	p.work = m.snapshot.builder()
	return m
}

func (p *plan) reset(m planMark) {
	p.work, p.records, p.bytes, p.puts = m.snapshot.builder(), p.records[:m.records], m.bytes, m.puts
}

// finish returns the records. A transaction of deletions alone gets one more, which carries the write.
func (p *plan) finish() ([]Record, error) {
	if len(p.records) == 0 || p.puts > 0 {
		return p.records, nil
	}
	value, err := encodeWrite(p.write)
	if err != nil {
		return nil, err
	}
	return append(p.records, Record{Key: Key{Kind: kindWrite}.String(), Value: value}), nil
}

func (p *plan) change(c Change) error {
	old := p.work.s.Object(c.key)
	if actual := old.Version(); c.expect != Any && c.expect != actual {
		return &ConflictError{Key: c.key, Expected: c.expect, Actual: actual}
	}
	switch {
	case c.put.Tenant != nil:
		return p.putTenant(c, old)
	case c.put.Subscription != nil:
		return p.putSubscription(c, old)
	case c.put.EventType != nil:
		return p.putEventType(c, old)
	case c.put.Key != nil:
		return p.putKey(c, old)
	case c.put.Pause != nil:
		return p.putPause(c, old)
	case old.IsZero():
		return nil // what is not there needs no deletion
	case c.key.Kind == KindTenant:
		p.deleteOf(c.key.ID)
	case c.key.Kind == KindSubscription && p.paused(c.key.ID):
		p.delete(PauseKey(c.key.ID))
	}
	p.delete(c.key)
	return nil
}

func (p *plan) putTenant(c Change, old Object) error {
	t := *c.put.Tenant
	if holder, ok := p.work.s.tenantUIDs.Get(t.UID); ok && holder.ID != t.ID {
		return &UIDError{Key: c.key, UID: t.UID, Holder: holder.ID}
	}
	if was := old.Tenant; was != nil {
		if !c.restored {
			t.Created, t.Updated = was.Created, was.Updated
		}
		if same(encodeTenant, was, &t) {
			return nil
		}
	} else if !c.restored {
		t.Created = p.now
	}
	if !c.resealed && !c.restored {
		t.Updated = p.now
	}
	t.Version = p.next()
	sealed, err := p.vault.sealTenant(old.Tenant, &t)
	if err != nil {
		return fmt.Errorf("%s: encrypting %w", c.key, err)
	}
	value, err := encodeTenant(sealed, p.write)
	return p.put(c.key, value, err, old, Object{Tenant: &t})
}

func (p *plan) putSubscription(c Change, old Object) error {
	s, was := *c.put.Subscription, old.Subscription
	if _, ok := p.work.s.Tenant(s.Tenant); !ok {
		return fmt.Errorf("%s: %w: %s", c.key, ErrNoTenant, s.Tenant)
	}
	if was != nil && was.Tenant != s.Tenant {
		return fmt.Errorf("%s: %w: %s", c.key, ErrMoved, was.Tenant)
	}
	if holder, ok := p.work.s.uids.Get(uidKeyOf(&s)); ok && holder.ID != s.ID {
		return &UIDError{Key: c.key, UID: s.UID, Holder: holder.ID}
	}
	s.Generation, s.Locked = p.generation(was, &s), s.Locked && s.Disabled
	if !s.Disabled {
		s.DisabledReason = ""
	}
	if !c.restored {
		p.timeSubscription(c, was, &s)
	}
	if was != nil && same(encodeSubscription, was, &s) {
		return nil
	}
	if !c.resealed && !c.restored {
		s.Updated = p.now
	}
	s.Version = p.next()
	sealed, err := p.vault.seal(was, &s)
	if err != nil {
		return fmt.Errorf("%s: encrypting %w", c.key, err)
	}
	value, err := encodeSubscription(sealed, p.write)
	return p.put(c.key, value, err, old, Object{Subscription: &s})
}

// timeSubscription gives s, which replaces was, all its times but that of this change.
func (p *plan) timeSubscription(c Change, was, s *subscription.Subscription) {
	if was == nil {
		s.Created, s.Transformation = p.now, p.stamp(nil, s.Transformation)
		return
	}
	s.Created, s.Updated = was.Created, was.Updated
	if !c.resealed {
		s.Transformation = p.stamp(was.Transformation, s.Transformation)
	}
}

// stamp returns t with the time of its last change.
func (p *plan) stamp(was, t *subscription.Transformation) *subscription.Transformation {
	if t == nil {
		return nil
	}
	stamped := *t
	stamped.Updated = p.now
	if was.Same(t) {
		stamped.Updated = was.Updated
	}
	return &stamped
}

func (p *plan) putEventType(c Change, old Object) error {
	t := *c.put.EventType
	if was := old.EventType; was != nil {
		if !c.restored {
			t.Created, t.Updated = was.Created, was.Updated
		}
		if same(encodeEventType, was, &t) {
			return nil
		}
	} else if !c.restored {
		t.Created = p.now
	}
	if !c.restored {
		t.Updated = p.now
	}
	t.Version = p.next()
	value, err := encodeEventType(&t, p.write)
	return p.put(c.key, value, err, old, Object{EventType: &t})
}

func (p *plan) putKey(c Change, old Object) error {
	k := *c.put.Key
	if _, ok := p.work.s.Tenant(k.Tenant); !ok && !k.Tenant.IsZero() {
		return fmt.Errorf("%s: %w: %s", c.key, ErrNoTenant, k.Tenant)
	}
	if holder, ok := p.work.s.keyHashes.Get(k.Hash); ok && holder.ID != k.ID {
		return fmt.Errorf("%s: %w: key/%s", c.key, ErrTaken, holder.ID)
	}
	if was := old.Key; was != nil {
		if was.Tenant != k.Tenant {
			return fmt.Errorf("%s: %w", c.key, ErrMoved)
		}
		if !c.restored {
			k.Created = was.Created
		}
		if same(encodeKey, was, &k) {
			return nil
		}
	} else if !c.restored {
		k.Created = p.now
	}
	k.Version = p.next()
	value, err := encodeKey(&k, p.write)
	return p.put(c.key, value, err, old, Object{Key: &k})
}

func (p *plan) putPause(c Change, old Object) error {
	v := *c.put.Pause
	if _, ok := p.work.s.Tenant(v.Tenant); !ok && !v.Tenant.IsZero() {
		return fmt.Errorf("%s: %w: %s", c.key, ErrNoTenant, v.Tenant)
	}
	if _, ok := p.work.s.Subscription(v.Subscription); !ok && !v.Subscription.IsZero() {
		return fmt.Errorf("%s: %w: %s", c.key, ErrNoSubscription, v.Subscription)
	}
	if !c.restored {
		v.Since = p.now
	}
	if was := old.Pause; was != nil {
		if !c.restored {
			v.Since = was.Since
		}
		if same(encodePause, was, &v) {
			return nil
		}
	}
	v.Version = p.next()
	value, err := encodePause(&v, p.write)
	return p.put(c.key, value, err, old, Object{Pause: &v})
}

func (p *plan) paused(id ident.ID) bool {
	_, ok := p.work.s.Pause(id)
	return ok
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

// deleteOf deletes what belongs to a tenant.
func (p *plan) deleteOf(tenant ident.ID) {
	var keys []Key
	for s := range p.work.batch.Index().Of(tenant) {
		keys = append(keys, Key{Kind: KindSubscription, ID: s.ID})
	}
	for _, paused := range p.work.s.pausesOf(tenant) {
		keys = append(keys, PauseKey(paused.ID))
	}
	for _, k := range p.work.s.KeysOf(tenant) {
		keys = append(keys, Key{Kind: KindKey, ID: k.ID})
	}
	for _, k := range keys {
		p.delete(k)
	}
}

// next is the version of the next record: its offset plus one. Records of one key stay beside each other for that.
func (p *plan) next() int64 { return p.base.version + int64(len(p.records)) + 1 }

func (p *plan) put(k Key, value []byte, err error, old, now Object) error {
	if err != nil {
		return fmt.Errorf("%s: %w", k, err)
	}
	if len(value) > MaxRecord {
		return &SizeError{Key: k, Bytes: len(value)}
	}
	p.applied = append(p.applied, Applied{Key: k, Before: old, After: now, Version: p.next()})
	p.record(k, value)
	p.puts++
	p.work.put(now)
	return nil
}

func (p *plan) delete(k Key) {
	p.applied = append(p.applied, Applied{Key: k, Before: p.work.s.Object(k), Version: p.next()})
	p.record(k, nil)
	p.work.remove(k)
}

func (p *plan) record(k Key, value []byte) {
	key := k.String()
	p.records = append(p.records, Record{Key: key, Value: value})
	p.bytes += len(key) + len(value)
}

// same reports whether two objects would be written alike.
func same[T any](encode func(T, string) ([]byte, error), old, now T) bool {
	a, errA := encode(old, "")
	b, errB := encode(now, "")
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
