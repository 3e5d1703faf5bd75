package api

import (
	"context"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
)

// PermissionsOut is what the caller may do.
type PermissionsOut struct {
	Permissions []access.Permission `json:"permissions" nullable:"false" doc:"Of its own application or, without one, of all."`
}

// permissions tells a face what to offer; every operation asks for its permission all the same.
func (a *API) permissions() {
	register(a, route{
		method: http.MethodGet, path: "/auth/permissions", id: "postrider.authentication.permissions", tag: "Authentication",
		needs: access.ViewCatalogue, summary: "List what the caller may do",
	}, func(ctx context.Context, _ *struct{}) (*answer[PermissionsOut], error) {
		who, out := called(ctx).principal, PermissionsOut{Permissions: []access.Permission{}}
		for _, p := range access.Permissions() {
			if who.May(p, who.Tenant) {
				out.Permissions = append(out.Permissions, p)
			}
		}
		return &answer[PermissionsOut]{Body: out}, nil
	})
}
