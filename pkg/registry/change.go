package registry

import (
	"errors"
	"fmt"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Any as the expected version of a change makes it unconditional.
const Any int64 = -1

// Change is one change of a tenant or subscription. Make it with [PutTenant], [PutSubscription] or [Delete].
type Change struct {
	key Key
	// expect is the version the caller saw: 0 for "there was none", or [Any].
	expect       int64
	tenant       *subscription.Tenant
	subscription *subscription.Subscription
}

// Key returns what is changed.
func (c Change) Key() Key { return c.key }

// PutTenant creates t if its Version is 0, and otherwise replaces the tenant of that version.
func PutTenant(t *subscription.Tenant) Change {
	return Change{key: Key{Kind: KindTenant, ID: t.ID}, expect: t.Version, tenant: t}
}

// PutSubscription creates s if its Version is 0, and otherwise replaces the subscription of that version. The writer
// sets the Generation.
func PutSubscription(s *subscription.Subscription) Change {
	return Change{key: Key{Kind: KindSubscription, ID: s.ID}, expect: s.Version, subscription: s}
}

// Delete deletes what has the key and the version. Deleting a tenant deletes its subscriptions.
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

// ErrNoTenant is wrapped by the refusal of a subscription whose tenant does not exist.
var ErrNoTenant = errors.New("tenant does not exist")

// ErrMoved is wrapped by the refusal to give a subscription to another tenant.
var ErrMoved = errors.New("a subscription stays with its tenant")
