package portal

import (
	"net/http"

	"github.com/postrider/postrider/pkg/api"
)

// tenantsPage is what the list of tenants shows.
type tenantsPage struct {
	Rows       []api.ApplicationOut
	Next, Prev string
}

// listTenants shows a page of the tenants, to who may see all.
func (v *visit) listTenants() error {
	iterator := v.r.URL.Query().Get("iterator")
	var list api.List[api.ApplicationOut]
	if err := v.calls.get(query("/app", "iterator", iterator, "order", "descending"), &list); err != nil {
		return err
	}
	out := tenantsPage{Rows: list.Data}
	if !list.Done && list.Iterator != nil {
		out.Next = v.p.base + query("/app", "iterator", *list.Iterator)
	}
	if iterator != "" && list.PrevIterator != nil && len(list.Data) > 0 {
		out.Prev = v.p.base + query("/app", "iterator", *list.PrevIterator)
	}
	v.show(http.StatusOK, "tenants", &page{Title: "Tenants", Data: out})
	return nil
}

// auditPage is what the audit log shows.
type auditPage struct {
	Rows []api.AuditOut
	Next string
}

// listAudit shows who changed what, of a tenant or of all.
func (v *visit) listAudit() error {
	at := "/audit"
	if v.app != nil {
		at = v.appPath("audit")
	}
	var list api.List[api.AuditOut]
	if err := v.calls.get(query(at, "iterator", v.r.URL.Query().Get("iterator")), &list); err != nil {
		return err
	}
	out := auditPage{Rows: list.Data}
	if !list.Done && list.Iterator != nil {
		out.Next = v.p.base + query(at, "iterator", *list.Iterator)
	}
	v.show(http.StatusOK, "audit", &page{Title: "Audit log", Data: out})
	return nil
}
