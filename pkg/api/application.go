package api

import (
	"context"
	"iter"
	"maps"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// AppPath is in the path of everything that belongs to a tenant.
type AppPath struct {
	App string `path:"app_id" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" doc:"The app's id or uid."`
}

// ApplicationIn is a tenant as it is created or replaced.
type ApplicationIn struct {
	Name         string            `json:"name" minLength:"1" maxLength:"256"`
	UID          *string           `json:"uid,omitempty" minLength:"1" maxLength:"256" pattern:"^[a-zA-Z0-9\\-_.]+$" nullable:"true" doc:"The app's name in the producer's world; events carry it."`
	ThrottleRate *int              `json:"throttleRate,omitempty" minimum:"1" maximum:"65535" nullable:"true"`
	RateLimit    *int              `json:"rateLimit,omitempty" minimum:"1" maximum:"65535" nullable:"true" deprecated:"true" doc:"Older name of throttleRate."`
	Metadata     map[string]string `json:"metadata,omitempty"`
}

// ApplicationOut is a tenant.
type ApplicationOut struct {
	ID           string            `json:"id" example:"app_1srOrx2ZWZBpBUvZwXKQmoEYga2"`
	UID          *string           `json:"uid,omitempty"`
	Name         string            `json:"name"`
	ThrottleRate *int              `json:"throttleRate,omitempty"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

// ApplicationPatch changes some of a tenant.
type ApplicationPatch struct {
	Name         Opt[string]            `json:"name,omitzero"`
	UID          Opt[string]            `json:"uid,omitzero"`
	ThrottleRate Opt[int]               `json:"throttleRate,omitzero"`
	RateLimit    Opt[int]               `json:"rateLimit,omitzero" deprecated:"true"`
	Metadata     Opt[map[string]string] `json:"metadata,omitzero"`
}

func (a *API) applications() {
	const tag = "Application"
	register(a, route{
		method: http.MethodGet, path: "/app", id: "v1.application.list", tag: tag, needs: access.ViewAll,
		summary: "List applications",
	}, a.listApplications)
	registerBody(a, route{
		method: http.MethodPost, path: "/app", id: "v1.application.create", versioned: true, tag: tag, needs: access.Operate,
		summary: "Create an application", status: http.StatusCreated,
		doc: "With ?get_if_exists=true an application of the same uid is returned, with 200, instead of a conflict.",
	}, a.createApplication)
	register(a, route{
		method: http.MethodGet, path: "/app/{app_id}", id: "v1.application.get", versioned: true, tag: tag, needs: access.ViewTenant,
		summary: "Get an application",
	}, a.getApplication)
	registerBody(a, route{
		method: http.MethodPut, path: "/app/{app_id}", id: "v1.application.upsert", versioned: true, tag: tag, needs: access.ManageTenant,
		summary: "Create or replace an application",
		doc:     "An uid in the path that nothing has creates an application of that uid.",
	}, a.putApplication)
	registerBody(a, route{
		method: http.MethodPatch, path: "/app/{app_id}", id: "v1.application.patch", versioned: true, tag: tag, needs: access.ManageTenant,
		summary: "Change an application",
	}, a.patchApplication)
	register(a, route{
		method: http.MethodDelete, path: "/app/{app_id}", id: "v1.application.delete", tag: tag, needs: access.Operate,
		summary: "Delete an application", status: http.StatusNoContent,
		doc: "Its endpoints and keys are deleted with it. Deliveries under way are cancelled within two seconds.",
	}, a.deleteApplication)
}

// ApplicationCreateBody makes a tenant.
type ApplicationCreateBody struct {
	CreateBody
	GetIfExists bool `query:"get_if_exists" doc:"Return the application of that uid if there is one."`
}

func (a *API) listApplications(ctx context.Context, in *ListInput) (*answer[List[ApplicationOut]], error) {
	snap := called(ctx).snap
	return answerList(paginate(in.PageInput, in.descending(), byID(subscription.TenantPrefix, snap.TenantsFrom, snap.TenantsBefore, tenantID),
		all[*subscription.Tenant], func(t *subscription.Tenant) string { return t.ID.Base62(subscription.TenantPrefix) }, applicationOut))
}

func tenantID(t *subscription.Tenant) ident.ID { return t.ID }

func (a *API) createApplication(ctx context.Context, in *ApplicationCreateBody, body *ApplicationIn) (*answer[ApplicationOut], error) {
	if in.GetIfExists && body.UID != nil {
		if t, ok := called(ctx).snap.ResolveTenant(*body.UID); ok && t.UID == *body.UID {
			return a.application(t, http.StatusOK, ""), nil
		}
	}
	t := &subscription.Tenant{ID: ident.New()}
	if err := body.apply(t); err != nil {
		return nil, err
	}
	return a.writeApplication(ctx, t, http.StatusCreated, in.WaitInput, false)
}

func (a *API) getApplication(ctx context.Context, _ *AppPath) (*answer[ApplicationOut], error) {
	return a.application(called(ctx).tenant, http.StatusOK, ""), nil
}

func (a *API) putApplication(ctx context.Context, in *AppWriteBody, body *ApplicationIn) (*answer[ApplicationOut], error) {
	status := http.StatusOK
	t := &subscription.Tenant{ID: ident.New(), UID: in.App}
	if old := called(ctx).tenant; old != nil {
		c := *old
		t = &c
	} else {
		status = http.StatusCreated
		if _, err := ident.ParseBase62(subscription.TenantPrefix, in.App); err == nil {
			return nil, notFound("app") // an id that nothing has is no name for a new one
		}
	}
	if err := in.matches(t.Version); err != nil {
		return nil, err
	}
	uid := t.UID
	if err := body.apply(t); err != nil {
		return nil, err
	}
	if body.UID == nil {
		t.UID = uid // it is in the path, or was there: without it the same request would make another app
	}
	return a.writeApplication(ctx, t, status, in.WaitInput, in.conditional())
}

func (a *API) patchApplication(ctx context.Context, in *AppWriteBody, body *ApplicationPatch) (*answer[ApplicationOut], error) {
	var out *answer[ApplicationOut]
	err := a.again(ctx, in.conditional(), func(snap *registry.Snapshot) error {
		old, ok := snap.Tenant(called(ctx).tenant.ID)
		if !ok {
			return notFound("app")
		}
		if err := in.matches(old.Version); err != nil {
			return err
		}
		t := *old
		body.apply(&t)
		var err error
		out, err = a.writeApplication(ctx, &t, http.StatusOK, in.WaitInput, in.conditional())
		return err
	})
	return out, err
}

func (a *API) deleteApplication(ctx context.Context, in *AppWrite) (*answer[nothing], error) {
	t := called(ctx).tenant
	if err := in.matches(t.Version); err != nil {
		return nil, err
	}
	change := registry.Delete(registry.Key{Kind: registry.KindTenant, ID: t.ID}, t.Version)
	if !in.conditional() {
		change = change.Anyway()
	}
	return a.remove(ctx, change, in.WaitInput, in.conditional())
}

// writeApplication validates and writes t, and answers with what is then in the registry.
func (a *API) writeApplication(
	ctx context.Context, t *subscription.Tenant, status int, wait WaitInput, conditional bool,
) (*answer[ApplicationOut], error) {
	if err := fieldErrors(subscription.ValidateTenant(t, a.opts.Rules), nil); err != nil {
		return nil, err
	}
	applied, err := a.apply(ctx, registry.PutTenant(t), wait, conditional)
	if err != nil {
		return nil, err
	}
	now, ok := a.opts.Store.Snapshot().Tenant(t.ID)
	if !ok {
		return nil, notFound("app") // somebody deleted it since
	}
	return a.application(now, status, applied), nil
}

func (a *API) application(t *subscription.Tenant, status int, applied string) *answer[ApplicationOut] {
	return &answer[ApplicationOut]{Status: status, ETag: etag(t.Version), Applied: applied, Body: applicationOut(t)}
}

func (in *ApplicationIn) apply(t *subscription.Tenant) error {
	rate, err := throttle(in.ThrottleRate, in.RateLimit)
	if err != nil {
		return err
	}
	t.Name, t.UID, t.ThrottleRate, t.Metadata = in.Name, value(in.UID), rate, maps.Clone(in.Metadata)
	return nil
}

func (in *ApplicationPatch) apply(t *subscription.Tenant) {
	in.Name.apply(&t.Name)
	in.UID.apply(&t.UID)
	in.RateLimit.apply(&t.ThrottleRate)
	in.ThrottleRate.apply(&t.ThrottleRate)
	in.Metadata.apply(&t.Metadata)
}

// throttle takes the rate from its name or from the older one.
func throttle(rate, limit *int) (int, error) {
	if rate != nil && limit != nil {
		return 0, invalid("rateLimit", "is there, and so is throttleRate: want one of them")
	}
	if rate == nil {
		rate = limit
	}
	return value(rate), nil
}

func applicationOut(t *subscription.Tenant) ApplicationOut {
	return ApplicationOut{
		ID: t.ID.Base62(subscription.TenantPrefix), UID: optional(t.UID), Name: t.Name, ThrottleRate: optional(t.ThrottleRate),
		Metadata: notNil(t.Metadata), CreatedAt: t.Created, UpdatedAt: t.Updated,
	}
}

func notNil(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}

// byID is the source of what is ordered by identifier.
func byID[E any](
	idPrefix string, from func(ident.ID) iter.Seq[E], before func(ident.ID) iter.Seq[E], id func(E) ident.ID,
) source[E] {
	return func(after string, descending bool) (iter.Seq[E], error) {
		var at ident.ID
		if after != "" {
			var err error
			if at, err = ident.ParseBase62(idPrefix, after); err != nil {
				return nil, err
			}
		}
		if descending {
			return before(at), nil
		}
		return func(yield func(E) bool) {
			for e := range from(at) {
				if id(e) != at && !yield(e) {
					return
				}
			}
		}, nil
	}
}
