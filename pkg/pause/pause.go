// Package pause holds what operators have stopped for a while: a subscription, a tenant, a role, or everything that leaves
// the installation. The registry keeps it, so that every role learns of it as it learns of all else.
//
// What each means for deliveries stands in the design notes of package pipeline.
package pause

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// Scope says what a pause stops. It is a closed set, and a label of metrics.
type Scope string

// Scopes.
const (
	// Egress: nothing leaves. Deliverers and retriers stand still, and nobody tries an endpoint.
	Egress Scope = "egress"
	// Role: the role reads nothing more; what it has read it finishes.
	Role Scope = "role"
	// Tenant and Subscription: deliveries are put off until they are resumed.
	Tenant       Scope = "tenant"
	Subscription Scope = "subscription"
)

// Scopes lists every Scope.
func Scopes() []Scope { return []Scope{Egress, Role, Tenant, Subscription} }

// Roles lists the roles that can be paused: those that consume. The API answers whatever is paused.
func Roles() []string { return []string{"router", "deliverer", "retrier", "recorder"} }

// IDPrefix begins the written form of a pause's id.
const IDPrefix = "pause_"

// MaxReason bounds a reason, in bytes.
const MaxReason = 500

// Pause is one thing that is stopped. Make it with one of the functions below.
type Pause struct {
	// ID is that of the subscription or tenant, and derived for the others: there is at most one pause of a thing.
	ID    ident.ID `json:"id"`
	Scope Scope    `json:"scope"`
	// Role is set if the scope is one; Tenant for tenants and subscriptions, Subscription for these.
	Role         string   `json:"role,omitempty"`
	Tenant       ident.ID `json:"tenant,omitzero"`
	Subscription ident.ID `json:"subscription,omitzero"`
	// Reason is why, for people, and By who did it.
	Reason string `json:"reason"`
	By     string `json:"by"`
	// Since is set when it is written first.
	Since time.Time `json:"since"`
	// Version is the registry's; 0 if it was never written.
	Version int64 `json:"-"`
}

// OfEgress is the pause of everything that leaves.
func OfEgress() Pause { return Pause{ID: EgressID(), Scope: Egress} }

// EgressID is the id of the pause of everything that leaves.
func EgressID() ident.ID { return ident.Derive("postrider/pause", string(Egress)) }

// OfRole is the pause of a role.
func OfRole(role string) Pause { return Pause{ID: RoleID(role), Scope: Role, Role: role} }

// RoleID is the id of the pause of a role.
func RoleID(role string) ident.ID { return ident.Derive("postrider/pause", string(Role), role) }

// OfTenant is the pause of all of a tenant's subscriptions.
func OfTenant(t *subscription.Tenant) Pause { return Pause{ID: t.ID, Scope: Tenant, Tenant: t.ID} }

// OfSubscription is the pause of one subscription.
func OfSubscription(s *subscription.Subscription) Pause {
	return Pause{ID: s.ID, Scope: Subscription, Tenant: s.Tenant, Subscription: s.ID}
}

// Name says what is paused, as the HTTP API and the command line name it.
func (p *Pause) Name() string {
	switch p.Scope {
	case Role:
		return p.Role
	case Tenant:
		return p.Tenant.Base62(subscription.TenantPrefix)
	case Subscription:
		return p.Subscription.Base62(subscription.SubscriptionPrefix)
	case Egress:
	}
	return string(p.Scope)
}

// Validate returns what is wrong with p, as [subscription.FieldError]s.
func (p *Pause) Validate() error {
	var errs []error
	refuse := func(field, format string, args ...any) {
		errs = append(errs, &subscription.FieldError{Field: field, Detail: fmt.Sprintf(format, args...)})
	}
	if reason := strings.TrimSpace(p.Reason); reason == "" || len(p.Reason) > MaxReason || !utf8.ValidString(p.Reason) {
		refuse("reason", "want a text of 1 to %d bytes that says why", MaxReason)
	}
	if p.Scope == Role && !slices.Contains(Roles(), p.Role) {
		refuse("role", "%q: want one of %s", p.Role, strings.Join(Roles(), ", "))
	}
	return errors.Join(errs...)
}

// Consistent reports whether p is a pause of what its id stands for. One of a scope that this version does not know is not.
func (p *Pause) Consistent() bool {
	switch p.Scope {
	case Egress:
		return p.ID == EgressID()
	case Role:
		return p.ID == RoleID(p.Role)
	case Tenant:
		return !p.ID.IsZero() && p.ID == p.Tenant
	case Subscription:
		return !p.ID.IsZero() && p.ID == p.Subscription && !p.Tenant.IsZero()
	}
	return false
}
