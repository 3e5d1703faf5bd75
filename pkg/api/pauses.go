package api

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// PauseIn says why something is paused.
type PauseIn struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500" doc:"Why, for whoever finds it paused. Of an app or endpoint its owner reads it, too." example:"their receiver is being moved"`
}

// PauseOut is something that operators have paused.
type PauseOut struct {
	ID         string    `json:"id" example:"pause_000000PaRcqoJBzlIqAV396lCsH"`
	Scope      string    `json:"scope" enum:"egress,role,tenant,subscription"`
	Role       *string   `json:"role,omitempty" doc:"Which role, of that scope."`
	AppID      *string   `json:"appId,omitempty" doc:"Which app, of a tenant or subscription."`
	EndpointID *string   `json:"endpointId,omitempty" doc:"Which endpoint, of a subscription."`
	Reason     string    `json:"reason"`
	By         *string   `json:"by,omitempty" doc:"Who did it. Operators see it."`
	Since      time.Time `json:"since"`
}

// PauseStateOut says whether deliveries are put off.
type PauseStateOut struct {
	Paused        bool      `json:"paused" doc:"Deliveries are kept, and sent when they are resumed."`
	Pause         *PauseOut `json:"pause,omitempty" doc:"Of an endpoint its own pause, or that of its app."`
	EgressStopped bool      `json:"egressStopped" doc:"Nothing is sent to anybody at the moment; it is kept."`
}

// AppPauseOut says so of an app, and which of its endpoints are paused by themselves.
type AppPauseOut struct {
	PauseStateOut
	EndpointIDs []string `json:"endpointIds" nullable:"false" doc:"Endpoints with a pause of their own, 250 at most."`
}

// RolePath names a role in the path.
type RolePath struct {
	Role string `path:"role" enum:"router,deliverer,retrier,recorder" doc:"The role."`
}

type (
	// RoleBody pauses a role.
	RoleBody struct {
		RolePath
		WaitInput
		JSONBody
	}
	// RoleWait resumes a role.
	RoleWait struct {
		RolePath
		WaitInput
	}
)

// PauseList narrows a list of pauses.
type PauseList struct {
	ListInput
	Scope string `query:"scope" enum:"egress,role,tenant,subscription" doc:"Only those of this scope."`
}

const (
	tagPause = "Pause"
	docPause = "Deliveries are parked, not tried and not counted, and no age limit ends them: what passed its own is tried once. They come " +
		"back some minutes after the end at the latest, in order, at the rate of a breaker's ramp. Paused again, it keeps its since."
	docEgress = "Deliverers and retriers send nothing a second later, test events and checks of endpoints are refused, and what waits " +
		"waits in Kafka, up to the retention of its topics. ?wait=applied says whether every live role has it."
)

func (a *API) pauses() {
	r := func(method, path, id, summary, doc string) route {
		return route{method: method, path: path, id: "postrider." + id, tag: tagPause, needs: access.Operate, summary: summary, doc: doc}
	}
	list := r(http.MethodGet, "/pause", "pause.list", "List what is paused", "By the ids of what is paused.")
	list.needs = access.ViewAll
	register(a, list, a.listPauses)
	registerBody(a, r(http.MethodPut, "/pause/egress", "pause.stop-egress", "Stop everything that leaves", docEgress),
		func(ctx context.Context, in *CreateBody, body *PauseIn) (*answer[PauseOut], error) {
			return a.pause(ctx, pause.OfEgress(), body, in.WaitInput)
		})
	register(a, r(http.MethodDelete, "/pause/egress", "pause.start-egress", "Let everything leave again", "").quietly(),
		func(ctx context.Context, in *WaitInput) (*answer[nothing], error) {
			return a.resume(ctx, pause.EgressID(), *in)
		})
	registerBody(a, r(http.MethodPut, "/pause/role/{role}", "pause.pause-role", "Pause a role",
		"It stays in its group and reads nothing more; what it has read it finishes. Its lag grows."),
		func(ctx context.Context, in *RoleBody, body *PauseIn) (*answer[PauseOut], error) {
			return a.pause(ctx, pause.OfRole(in.Role), body, in.WaitInput)
		})
	register(a, r(http.MethodDelete, "/pause/role/{role}", "pause.resume-role", "Resume a role", "").quietly(),
		func(ctx context.Context, in *RoleWait) (*answer[nothing], error) {
			return a.resume(ctx, pause.RoleID(in.Role), in.WaitInput)
		})
	a.tenantPauses(r)
}

func (a *API) tenantPauses(r func(method, path, id, summary, doc string) route) {
	const app, endpoint = "/app/{app_id}/pause", "/app/{app_id}/endpoint/{endpoint_id}/pause"
	get := r(http.MethodGet, app, "application.get-pause", "Say whether an application's deliveries are paused", "")
	get.needs = access.ViewTenant
	register(a, get, func(ctx context.Context, _ *AppPath) (*answer[AppPauseOut], error) {
		c := called(ctx)
		p, _ := c.snap.Pause(c.tenant.ID)
		out := AppPauseOut{PauseStateOut: pauseState(c, p), EndpointIDs: []string{}}
		for p := range c.snap.Pauses() {
			if p.Scope == pause.Subscription && p.Tenant == c.tenant.ID && len(out.EndpointIDs) < maxLimit {
				out.EndpointIDs = append(out.EndpointIDs, p.Name())
			}
		}
		return &answer[AppPauseOut]{Body: out}, nil
	})
	registerBody(a, r(http.MethodPut, app, "application.pause", "Pause an application's deliveries", docPause),
		func(ctx context.Context, in *AppCreateBody, body *PauseIn) (*answer[PauseOut], error) {
			return a.pause(ctx, pause.OfTenant(called(ctx).tenant), body, in.WaitInput)
		})
	register(a, r(http.MethodDelete, app, "application.resume", "Resume an application's deliveries", "").quietly(),
		func(ctx context.Context, in *AppWrite) (*answer[nothing], error) {
			return a.resume(ctx, called(ctx).tenant.ID, in.WaitInput)
		})
	get = r(http.MethodGet, endpoint, "endpoint.get-pause", "Say whether an endpoint's deliveries are paused", "")
	get.needs = access.ViewTenant
	register(a, get, func(ctx context.Context, in *EndpointPath) (*answer[PauseStateOut], error) {
		s, err := endpointNamed(ctx, in.Endpoint)
		if err != nil {
			return nil, err
		}
		c := called(ctx)
		return &answer[PauseStateOut]{Body: pauseState(c, c.snap.Paused(s))}, nil
	})
	registerBody(a, r(http.MethodPut, endpoint, "endpoint.pause", "Pause an endpoint's deliveries", docPause),
		func(ctx context.Context, in *EndpointWriteBody, body *PauseIn) (*answer[PauseOut], error) {
			s, err := endpointNamed(ctx, in.Endpoint)
			if err != nil {
				return nil, err
			}
			return a.pause(ctx, pause.OfSubscription(s), body, in.WaitInput)
		})
	register(a, r(http.MethodDelete, endpoint, "endpoint.resume", "Resume an endpoint's deliveries",
		"Those of an app that is paused stay so.").quietly(),
		func(ctx context.Context, in *EndpointWrite) (*answer[nothing], error) {
			s, err := endpointNamed(ctx, in.Endpoint)
			if err != nil {
				return nil, err
			}
			return a.resume(ctx, s.ID, in.WaitInput)
		})
}

func (a *API) listPauses(ctx context.Context, in *PauseList) (*answer[List[PauseOut]], error) {
	c := called(ctx)
	return answerList(paginate(in.PageInput, in.descending(),
		byID(pause.IDPrefix, c.snap.PausesFrom, c.snap.PausesBefore, func(p *pause.Pause) ident.ID { return p.ID }),
		func(p *pause.Pause) bool { return in.Scope == "" || string(p.Scope) == in.Scope },
		func(p *pause.Pause) string { return p.ID.Base62(pause.IDPrefix) },
		func(p *pause.Pause) PauseOut { return pauseOut(c, p) }))
}

// pause writes a pause, whatever there was.
func (a *API) pause(ctx context.Context, p pause.Pause, body *PauseIn, wait WaitInput) (*answer[PauseOut], error) {
	c := called(ctx)
	p.Reason, p.By = body.Reason, cmp.Or(c.actor.Name, c.actor.ID)
	if err := fieldErrors(p.Validate(), nil); err != nil {
		return nil, err
	}
	applied, err := a.apply(ctx, registry.PutPause(&p).Anyway(), wait, false)
	if err != nil {
		return nil, err
	}
	if now, ok := a.opts.Store.Snapshot().Pause(p.ID); ok {
		p = *now
	}
	return &answer[PauseOut]{Applied: applied, Body: pauseOut(c, &p)}, nil
}

func (a *API) resume(ctx context.Context, id ident.ID, wait WaitInput) (*answer[nothing], error) {
	return a.remove(ctx, registry.Delete(registry.PauseKey(id), registry.Any), wait, false)
}

func pauseState(c *call, p *pause.Pause) PauseStateOut {
	out := PauseStateOut{Paused: p != nil, EgressStopped: c.snap.EgressStopped() != nil}
	if p != nil {
		shown := pauseOut(c, p)
		out.Pause = &shown
	}
	return out
}

func pauseOut(c *call, p *pause.Pause) PauseOut {
	out := PauseOut{ID: p.ID.Base62(pause.IDPrefix), Scope: string(p.Scope), Role: optional(p.Role), Reason: p.Reason, Since: p.Since}
	if !p.Tenant.IsZero() {
		out.AppID = optional(p.Tenant.Base62(subscription.TenantPrefix))
	}
	if !p.Subscription.IsZero() {
		out.EndpointID = optional(p.Subscription.Base62(subscription.SubscriptionPrefix))
	}
	if c.principal.General() {
		out.By = optional(p.By)
	}
	return out
}

// unpaused refuses what is sent to an endpoint to see what comes of it, while nothing would.
func unpaused(c *call, s *subscription.Subscription) error {
	if c.snap.EgressStopped() != nil {
		return refuse(http.StatusConflict, "egress_stopped", "nothing is sent to anybody at the moment: an operator has stopped it")
	}
	if p := c.snap.Paused(s); p != nil {
		return refuse(http.StatusConflict, "paused", "deliveries to it are paused since %s: %s", p.Since.Format(time.RFC3339), p.Reason)
	}
	return nil
}
