package registry

import (
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/match"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/tree"
)

// builder applies records to a snapshot, without a change to it, and makes the next one.
type builder struct {
	s     Snapshot
	edit  *tree.Edit
	batch *match.Batch
}

func (s *Snapshot) builder() *builder {
	return &builder{s: *s, edit: new(tree.Edit), batch: s.index.Batch()}
}

// snapshot returns what was built, as of version. The builder is used up.
func (b *builder) snapshot(version int64) *Snapshot {
	s := b.s
	s.index = b.batch.Index()
	s.version = version
	b.edit = nil
	return &s
}

// apply applies one record. After an error nothing changed.
func (b *builder) apply(offset int64, key, value []byte) error {
	k, known, err := parseKey(key)
	if err != nil || !known {
		return err
	}
	switch k.Kind {
	case KindTenant:
		if value == nil {
			b.removeTenant(k.ID)
			return nil
		}
		t, err := decodeTenant(k.ID, value, offset+1)
		if err != nil {
			return err
		}
		b.putTenant(t)
	case KindSubscription:
		if value == nil {
			b.removeSubscription(k.ID)
			return nil
		}
		s, err := decodeSubscription(k.ID, value, offset+1)
		if err != nil {
			return err
		}
		b.putSubscription(s)
	}
	return nil
}

func (b *builder) putTenant(t *subscription.Tenant) {
	b.removeTenant(t.ID)
	b.s.tenants = b.s.tenants.Set(b.edit, t.ID, t)
	if t.UID != "" {
		b.s.tenantUIDs = b.s.tenantUIDs.Set(b.edit, t.UID, t)
	}
}

func (b *builder) removeTenant(id ident.ID) {
	old, ok := b.s.tenants.Get(id)
	if !ok {
		return
	}
	b.s.tenants = b.s.tenants.Delete(b.edit, id)
	if holder, ok := b.s.tenantUIDs.Get(old.UID); ok && holder == old {
		b.s.tenantUIDs = b.s.tenantUIDs.Delete(b.edit, old.UID)
	}
}

func (b *builder) putSubscription(s *subscription.Subscription) {
	b.removeSubscription(s.ID)
	b.s.subscriptions = b.s.subscriptions.Set(b.edit, s.ID, s)
	if s.UID != "" {
		b.s.uids = b.s.uids.Set(b.edit, uidKey(s.Tenant, s.UID), s)
	}
	b.batch.Put(s)
}

func (b *builder) removeSubscription(id ident.ID) {
	old, ok := b.s.subscriptions.Get(id)
	if !ok {
		return
	}
	b.s.subscriptions = b.s.subscriptions.Delete(b.edit, id)
	key := uidKey(old.Tenant, old.UID)
	if holder, ok := b.s.uids.Get(key); ok && holder == old {
		b.s.uids = b.s.uids.Delete(b.edit, key)
	}
	b.batch.Remove(old.Tenant, id)
}
