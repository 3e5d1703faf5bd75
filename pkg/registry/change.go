package registry

import (
	"errors"
	"fmt"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/catalogue"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/subscription"
)

// Any as the expected version of a change makes it unconditional.
const Any int64 = -1

// MaxRecord bounds the JSON of one object, in bytes: the record limit of the topics leaves 128 KiB for the rest.
const MaxRecord = 1 << 20

// Object is what the registry holds under one key: one of the fields is set, or none.
type Object struct {
	Tenant       *subscription.Tenant
	Subscription *subscription.Subscription
	EventType    *catalogue.EventType
	Key          *access.Key
	Pause        *pause.Pause
}

// IsZero reports whether o is nothing.
func (o Object) IsZero() bool { return o == Object{} }

// Version returns the version of the object, 0 for none.
func (o Object) Version() int64 {
	switch {
	case o.Tenant != nil:
		return o.Tenant.Version
	case o.Subscription != nil:
		return o.Subscription.Version
	case o.EventType != nil:
		return o.EventType.Version
	case o.Key != nil:
		return o.Key.Version
	case o.Pause != nil:
		return o.Pause.Version
	}
	return 0
}

// Change is one change of an object. Make it with [PutTenant] and the like, or with [Delete].
type Change struct {
	key Key
	// expect is the version the caller saw: 0 for "there was none", or [Any].
	expect int64
	put    Object
	// resealed changes keep the time of the last update.
	resealed bool
	// restored changes keep the times that the object says.
	restored bool
}

// Key returns what is changed.
func (c Change) Key() Key { return c.key }

// PutTenant creates t if its Version is 0, and otherwise replaces the tenant of that version. The writer sets Created and
// Updated, here as in all that follow; a replacement that changes nothing is not written.
func PutTenant(t *subscription.Tenant) Change {
	return Change{key: Key{Kind: KindTenant, ID: t.ID}, expect: t.Version, put: Object{Tenant: t}}
}

// PutSubscription creates s if its Version is 0, and otherwise replaces the subscription of that version. The writer
// sets the Generation.
func PutSubscription(s *subscription.Subscription) Change {
	return Change{key: Key{Kind: KindSubscription, ID: s.ID}, expect: s.Version, put: Object{Subscription: s}}
}

// PutEventType creates t if its Version is 0, and otherwise replaces the event type of that version.
func PutEventType(t *catalogue.EventType) Change {
	return Change{key: EventTypeKey(t.Name), expect: t.Version, put: Object{EventType: t}}
}

// PutKey creates k if its Version is 0, and otherwise replaces the key of that version.
func PutKey(k *access.Key) Change {
	return Change{key: Key{Kind: KindKey, ID: k.ID}, expect: k.Version, put: Object{Key: k}}
}

// PauseKey returns the key of the pause with that id.
func PauseKey(id ident.ID) Key { return Key{Kind: KindPause, ID: id} }

// PutPause pauses what p names if its Version is 0, and otherwise replaces the pause of that version, which keeps its Since. A
// pause goes with what it is of.
func PutPause(p *pause.Pause) Change {
	return Change{key: PauseKey(p.ID), expect: p.Version, put: Object{Pause: p}}
}

// Reseal replaces the subscription of the version of s by s, which differs in how its secrets are encrypted and in nothing
// else: the time of its last update stays. It is for writers whose view has no [Cipher].
func Reseal(s *subscription.Subscription) Change {
	c := PutSubscription(s)
	c.resealed = true
	return c
}

// ResealTenant is [Reseal] for a tenant.
func ResealTenant(t *subscription.Tenant) Change {
	c := PutTenant(t)
	c.resealed = true
	return c
}

// Restore makes the registry hold o, with the times that it says, in place of what has that version there, 0 for nothing.
// The generation of a subscription is still the writer's: it has a meaning in one registry only. Secrets are written as they
// are, so it is for writers whose view has no [Cipher].
func Restore(o Object, version int64) Change {
	return Change{key: KeyOf(o), expect: version, put: o, restored: true}
}

// Delete deletes what has the key and the version. Deleting a tenant deletes its subscriptions and keys; what is deleted is not
// paused any more.
func Delete(k Key, version int64) Change { return Change{key: k, expect: version} }

// Anyway returns c without its condition on the version.
func (c Change) Anyway() Change {
	c.expect = Any
	return c
}

// ConflictError says that a change was refused because what it changes is not what the caller saw. Read again, decide
// again.
type ConflictError struct {
	Key Key
	// Expected and Actual are versions; 0 is "none".
	Expected, Actual int64
}

// Error implements error.
func (e *ConflictError) Error() string {
	switch {
	case e.Expected == 0:
		return fmt.Sprintf("%s: exists already, at version %d", e.Key, e.Actual)
	case e.Actual == 0:
		return fmt.Sprintf("%s: does not exist (any more), want version %d", e.Key, e.Expected)
	}
	return fmt.Sprintf("%s: changed by somebody else: is at version %d, want %d", e.Key, e.Actual, e.Expected)
}

// UIDError says that a change was refused because another tenant, or another subscription of the tenant, has its uid.
type UIDError struct {
	Key    Key
	UID    string
	Holder ident.ID
}

// Error implements error.
func (e *UIDError) Error() string {
	return fmt.Sprintf("%s: uid: %q is taken by %s/%s", e.Key, e.UID, e.Key.Kind, e.Holder)
}

// SizeError says that a change was refused because the object's record would exceed [MaxRecord].
type SizeError struct {
	Key   Key
	Bytes int
}

// Error implements error.
func (e *SizeError) Error() string {
	return fmt.Sprintf("%s: %d bytes as a record: want at most %d", e.Key, e.Bytes, MaxRecord)
}

// ErrNoTenant is wrapped by the refusal of a subscription or key whose tenant does not exist.
var ErrNoTenant = errors.New("tenant does not exist")

// ErrNoSubscription is wrapped by the refusal to pause a subscription that does not exist.
var ErrNoSubscription = errors.New("subscription does not exist")

// ErrMoved is wrapped by the refusal to give a subscription or key to another tenant.
var ErrMoved = errors.New("it stays with its tenant")

// ErrTaken is wrapped by the refusal of a key with the hash of another.
var ErrTaken = errors.New("another key has this token")
