package registry

import (
	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
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
	// vault opens what is sealed; the zero vault leaves everything as it is in the log.
	vault vault
	// only is the one kind that is read, empty for all.
	only Kind
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

// apply applies one record and returns the write that it is part of, if it says so. After an error no object changed.
func (b *builder) apply(offset int64, key, value []byte) (write string, err error) {
	k, known, err := parseKey(key)
	if err == nil && known {
		write, err = b.object(k, offset, value)
	}
	b.note(string(key), err == nil && known || value == nil)
	return write, err
}

// note keeps of which keys the last record was not read.
func (b *builder) note(key string, read bool) {
	switch {
	case !read:
		b.s.unread = b.s.unread.Set(b.edit, key, key)
	case b.s.unread.Len() > 0:
		b.s.unread = b.s.unread.Delete(b.edit, key)
	}
}

// object applies a record of a kind that is known.
func (b *builder) object(k Key, offset int64, value []byte) (write string, err error) {
	if b.only != "" && k.Kind != b.only {
		return "", nil
	}
	if value == nil {
		b.remove(k)
		return "", nil
	}
	version := offset + 1
	switch k.Kind {
	case KindTenant:
		return take(k.ID, value, version, decodeTenant, func(t *subscription.Tenant) {
			b.vault.openTenant(t)
			b.putTenant(t)
		})
	case KindSubscription:
		return take(k.ID, value, version, decodeSubscription, func(s *subscription.Subscription) {
			b.vault.open(s)
			b.putSubscription(s)
		})
	case KindEventType:
		return take(k.ID, value, version, decodeEventType, b.putEventType)
	case KindKey:
		return take(k.ID, value, version, decodeKey, b.putKey)
	case KindPause:
		return take(k.ID, value, version, decodePause, b.putPause)
	case kindWrite:
		return decodeWrite(value)
	}
	return "", nil
}

// take decodes an object and puts it where it belongs.
func take[T any](
	id ident.ID, value []byte, version int64, decode func(ident.ID, []byte, int64) (T, string, error), put func(T),
) (write string, err error) {
	v, write, err := decode(id, value, version)
	if err != nil {
		return "", err
	}
	put(v)
	return write, nil
}

// put adds the one object that o holds, or replaces the one of its key.
func (b *builder) put(o Object) {
	switch {
	case o.Tenant != nil:
		b.putTenant(o.Tenant)
	case o.Subscription != nil:
		b.putSubscription(o.Subscription)
	case o.EventType != nil:
		b.putEventType(o.EventType)
	case o.Key != nil:
		b.putKey(o.Key)
	case o.Pause != nil:
		b.putPause(o.Pause)
	}
}

func (b *builder) remove(k Key) {
	switch k.Kind {
	case KindTenant:
		b.removeTenant(k.ID)
	case KindSubscription:
		b.removeSubscription(k.ID)
	case KindEventType:
		b.removeEventType(k.ID)
	case KindKey:
		b.removeKey(k.ID)
	case KindPause:
		b.removePause(k.ID)
	case kindWrite:
	}
}

func (b *builder) putTenant(t *subscription.Tenant) {
	b.removeTenant(t.ID)
	b.s.tenants = b.s.tenants.Set(b.edit, t.ID, t)
	if t.UID != "" {
		b.s.tenantUIDs = b.s.tenantUIDs.Set(b.edit, t)
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
		b.s.uids = b.s.uids.Set(b.edit, s)
	}
	b.batch.Put(s)
}

func (b *builder) removeSubscription(id ident.ID) {
	old, ok := b.s.subscriptions.Get(id)
	if !ok {
		return
	}
	b.s.subscriptions = b.s.subscriptions.Delete(b.edit, id)
	if holder, ok := b.s.uids.Get(uidKeyOf(old)); ok && holder == old {
		b.s.uids = b.s.uids.Delete(b.edit, uidKeyOf(old))
	}
	b.batch.Remove(old.Tenant, id)
}

func (b *builder) putEventType(t *catalogue.EventType) {
	id := EventTypeKey(t.Name).ID
	b.s.eventTypeNames = b.s.eventTypeNames.Set(b.edit, id, t.Name)
	b.s.eventTypes = b.s.eventTypes.Set(b.edit, t.Name, t)
}

func (b *builder) removeEventType(id ident.ID) {
	if name, ok := b.s.eventTypeNames.Get(id); ok {
		b.s.eventTypeNames = b.s.eventTypeNames.Delete(b.edit, id)
		b.s.eventTypes = b.s.eventTypes.Delete(b.edit, name)
	}
}

func (b *builder) putKey(k *access.Key) {
	b.removeKey(k.ID)
	b.s.keys = b.s.keys.Set(b.edit, k.ID, k)
	b.s.keyHashes = b.s.keyHashes.Set(b.edit, k.Hash, k)
}

func (b *builder) removeKey(id ident.ID) {
	old, ok := b.s.keys.Get(id)
	if !ok {
		return
	}
	b.s.keys = b.s.keys.Delete(b.edit, id)
	if holder, ok := b.s.keyHashes.Get(old.Hash); ok && holder == old {
		b.s.keyHashes = b.s.keyHashes.Delete(b.edit, old.Hash)
	}
}
