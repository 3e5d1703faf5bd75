// Package access says who may do what through the HTTP API: keys with a role, portal tokens with capabilities, and the
// permissions that both come down to. It does no I/O; keys are kept in the registry, portal tokens carry their own claims.
package access

import (
	"slices"

	"github.com/postrider/postrider/pkg/ident"
)

// Role is what a key may do in general.
type Role string

// Roles.
const (
	// RoleOperator may do everything, for every tenant.
	RoleOperator Role = "operator"
	// RoleTenant administers one tenant: its subscriptions, secrets, events and keys. It reads the catalogue.
	RoleTenant Role = "tenant"
	// RoleReadOnly sees what is not secret: of one tenant or, without one, of all.
	RoleReadOnly Role = "read-only"
)

// Roles lists all roles.
func Roles() []Role { return []Role{RoleOperator, RoleTenant, RoleReadOnly} }

// Permission is what a route asks for.
type Permission string

// Permissions.
const (
	// ViewTenant reads what belongs to a tenant and is not secret.
	ViewTenant Permission = "view-tenant"
	// ManageTenant changes a tenant itself: name, metadata, activated event types.
	ManageTenant Permission = "manage-tenant"
	// ManageEndpoints creates, changes and deletes subscriptions, and tries them out.
	ManageEndpoints Permission = "manage-endpoints"
	// ManageEndpointTransformations writes and tries programs, which decide what is sent and where, and reads their variables.
	ManageEndpointTransformations Permission = "manage-transformations"
	// ViewSecrets reads signing secrets; ManageSecrets sets and rotates them, and writes credentials.
	ViewSecrets   Permission = "view-secrets"
	ManageSecrets Permission = "manage-secrets"
	// Publish sends events in the name of a tenant.
	Publish Permission = "publish"
	// SendExample has an example delivered to one of a tenant's endpoints.
	SendExample Permission = "send-example"
	// SendAgain has deliveries of a tenant sent once more, in the background too.
	SendAgain Permission = "send-again"
	// ViewTasks reads background tasks, and CancelTasks ends them: of one tenant or, without one, of all. Which they are, the
	// caller has to look at.
	ViewTasks   Permission = "view-tasks"
	CancelTasks Permission = "cancel-tasks"
	// GrantPortal makes and ends portal tokens of a tenant.
	GrantPortal Permission = "grant-portal"
	// ManageTenantKeys makes and ends keys of a tenant.
	ManageTenantKeys Permission = "manage-tenant-keys"
	// ViewCatalogue reads event types.
	ViewCatalogue Permission = "view-catalogue"
	// ViewAll reads what belongs to no tenant or to all: the list of tenants, of keys, the audit log.
	ViewAll Permission = "view-all"
	// Operate changes what belongs to no tenant: tenants' existence, event types, keys.
	Operate Permission = "operate"
)

// Permissions lists all permissions.
func Permissions() []Permission {
	return []Permission{
		ViewTenant, ManageTenant, ManageEndpoints, ManageEndpointTransformations, ViewSecrets, ManageSecrets, Publish, SendExample,
		SendAgain, ViewTasks, CancelTasks, GrantPortal, ManageTenantKeys, ViewCatalogue, ViewAll, Operate,
	}
}

// Principal is who makes a request.
type Principal struct {
	// Kind says by what it was recognised: key or portal.
	Kind string
	// ID names the key or the portal token, and Name is the key's name or the portal's session.
	ID   ident.ID
	Name string
	Role Role
	// Tenant is the only tenant it has to do with; zero for all.
	Tenant ident.ID
	// Capabilities are those of a portal token.
	Capabilities []Capability
}

// Kinds of a [Principal].
const (
	KindKey    = "key"
	KindPortal = "portal"
)

// General reports whether p belongs to no tenant.
func (p *Principal) General() bool { return p.Tenant.IsZero() }

// May reports whether p has the permission for what belongs to tenant; the zero tenant stands for what belongs to none.
func (p *Principal) May(want Permission, tenant ident.ID) bool {
	if !p.General() && p.Tenant != tenant && (!want.ofNobody() || !tenant.IsZero()) {
		return false
	}
	if p.Kind == KindPortal {
		return slices.ContainsFunc(p.Capabilities, func(c Capability) bool { return c.grants(want) })
	}
	switch p.Role {
	case RoleOperator:
		return true
	case RoleTenant:
		return want != Operate && want != ViewAll
	case RoleReadOnly:
		return want == ViewTenant || want == ViewCatalogue || want == ViewTasks || want == ViewAll && p.General()
	}
	return false
}

// ofNobody reports whether principals of a tenant have the permission for what belongs to none, too.
func (want Permission) ofNobody() bool {
	return want == ViewCatalogue || want == ViewTasks || want == CancelTasks
}
