package api

import (
	"context"
	"net/http"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// AuditLog reads the audit topic.
type AuditLog interface {
	// Entries returns at most limit entries, newest first, older than what the iterator says, of a tenant or, for the zero
	// tenant, all; and the iterator for the next call, empty if there are no older ones. It may return fewer than limit, even
	// none, with an iterator: what one call reads is bounded. A malformed iterator is an error that wraps
	// [audit.ErrIterator].
	Entries(ctx context.Context, tenant ident.ID, iterator string, limit int) ([]audit.Entry, string, error)
}

// AuditOut is one change.
type AuditOut struct {
	audit.Entry
	AppID *string `json:"appId,omitempty"`
}

func (a *API) auditLog() {
	const tag = "Audit"
	register(a, route{
		method: http.MethodGet, path: "/audit", id: "postrider.audit.list", tag: tag, needs: access.ViewAll,
		summary: "List who changed what", doc: "Newest first. A page may be short, or empty, and not the last one: see done.",
	}, func(ctx context.Context, in *PageInput) (*answer[List[AuditOut]], error) {
		return a.listAudit(ctx, *in, ident.ID{})
	})
	register(a, route{
		method: http.MethodGet, path: "/app/{app_id}/audit", id: "postrider.app-audit.list", tag: tag, needs: access.ManageTenant,
		summary: "List who changed what of an application", doc: "Newest first. A page may be short, or empty, and not the last one: see done.",
	}, func(ctx context.Context, in *AppPage) (*answer[List[AuditOut]], error) {
		return a.listAudit(ctx, in.PageInput, called(ctx).tenant.ID)
	})
}

func (a *API) listAudit(ctx context.Context, in PageInput, tenant ident.ID) (*answer[List[AuditOut]], error) {
	limit := in.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	entries, next, err := a.opts.Audit.Entries(ctx, tenant, in.Iterator, limit)
	if err != nil {
		return nil, iteratorError(err, audit.ErrIterator)
	}
	page := List[AuditOut]{Data: []AuditOut{}, Iterator: optional(next), Done: next == ""}
	for _, e := range entries {
		out := AuditOut{Entry: e}
		if !e.Tenant.IsZero() {
			app := e.Tenant.Base62(subscription.TenantPrefix)
			out.AppID = &app
		}
		page.Data = append(page.Data, out)
	}
	return &answer[List[AuditOut]]{Body: page}, nil
}
