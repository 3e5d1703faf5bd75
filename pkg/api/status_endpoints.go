package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// SystemViews say how the endpoints of all tenants do; [view.Redis] does. An error says that it is away. It may be called concurrently.
type SystemViews interface {
	// AllBreakers returns the open breakers, those that stay open longest first.
	AllBreakers(ctx context.Context, most int) ([]view.Breaker, error)
	// Loads returns what endpoints were sent in the last hour, in no order.
	Loads(ctx context.Context) ([]view.Load, error)
}

// SystemEndpointsOut are the endpoints of all tenants that an operator may want to look at.
type SystemEndpointsOut struct {
	At       time.Time         `json:"at" doc:"When it was looked at: an answer may be some seconds old."`
	Breakers OpenBreakersOut   `json:"breakers"`
	Busiest  []EndpointLoadOut `json:"busiest" nullable:"false" doc:"Those with the most attempts in the last hour, 10 at most."`
	Sickest  []EndpointLoadOut `json:"sickest" nullable:"false" doc:"Those with the most failed attempts in the last hour, times the share that failed; 10 at most."`
}

// OpenBreakersOut are the endpoints that are left alone for a while because they failed.
type OpenBreakersOut struct {
	Count int              `json:"count" doc:"10,000 are counted at most. Endpoints that are disabled are not among them: nothing waits for them."`
	List  []OpenBreakerOut `json:"list" nullable:"false" doc:"Those that have been open longest, 100 at most."`
}

// NamedEndpointOut says which endpoint it is, of which tenant.
type NamedEndpointOut struct {
	AppID      string  `json:"appId"`
	AppName    *string `json:"appName,omitempty"`
	EndpointID string  `json:"endpointId"`
	URL        string  `json:"url"`
	Disabled   bool    `json:"disabled"`
}

// OpenBreakerOut is an open breaker.
type OpenBreakerOut struct {
	NamedEndpointOut
	Since *time.Time `json:"since,omitempty" doc:"When it opened, or when Redis, having lost it, was told so again. Absent if that is not known."`
	BreakerOut
}

// EndpointLoadOut is what an endpoint was sent in the last hour.
type EndpointLoadOut struct {
	NamedEndpointOut
	Attempts    int64   `json:"attempts"`
	Failures    int64   `json:"failures"`
	SuccessRate float64 `json:"successRate" doc:"0 to 1."`
}

const (
	// maxBreakersRead are 300 KB of Redis. More than that are open when the way to everybody is cut off, and then nobody counts.
	maxBreakersRead  = 10_000
	maxBreakersShown = 100
	maxLoads         = 10
)

// endpointsFound is what Redis said.
type endpointsFound struct {
	at       time.Time
	breakers []view.Breaker
	loads    []view.Load
	err      error
}

func (a *API) statusOfEndpoints() {
	register(a, route{
		method: http.MethodGet, path: "/status/endpoints", id: "postrider.status.endpoints", tag: "Status", needs: access.ViewAll,
		summary: "List open breakers, and the busiest and sickest endpoints",
		doc: "Of all tenants. Attempts are those of the last hour and up to five minutes more, as far as they are in the views; 503 if these are away. " +
			"With more than 4,000 endpoints in use, attempts of one that stood out for a few minutes only may be missing.",
	}, func(ctx context.Context, _ *struct{}) (*answer[SystemEndpointsOut], error) {
		found := a.statusEndpoints.get(ctx, a.opts.Now, a.lookAtEndpoints)
		if found.err != nil {
			return nil, &comeAgain{&Error{http.StatusServiceUnavailable, "unavailable", "how endpoints do cannot be looked up at this moment: try again"}}
		}
		return &answer[SystemEndpointsOut]{Body: systemEndpointsOut(called(ctx).snap, found)}, nil
	})
}

// lookAtEndpoints asks Redis.
func (a *API) lookAtEndpoints(ctx context.Context, now time.Time) endpointsFound {
	found := endpointsFound{at: now}
	if views := a.opts.System; views != nil {
		if found.breakers, found.err = views.AllBreakers(ctx, maxBreakersRead); found.err == nil {
			found.loads, found.err = views.Loads(ctx)
		}
	}
	if found.err != nil {
		a.opts.Log.WarnContext(ctx, "asking how endpoints do", "error", found.err)
	}
	return found
}

func systemEndpointsOut(snap *registry.Snapshot, found endpointsFound) SystemEndpointsOut {
	var there []view.Load // others were deleted meanwhile
	for _, l := range found.loads {
		if _, ok := snap.Subscription(l.Subscription); ok {
			there = append(there, l)
		}
	}
	return SystemEndpointsOut{
		At: found.at, Breakers: openBreakersOut(snap, found.breakers),
		Busiest: endpointLoads(snap, view.Busiest(there, maxLoads)), Sickest: endpointLoads(snap, view.Sickest(there, maxLoads)),
	}
}

func openBreakersOut(snap *registry.Snapshot, all []view.Breaker) OpenBreakersOut {
	out := OpenBreakersOut{List: []OpenBreakerOut{}}
	all = slices.DeleteFunc(slices.Clone(all), func(b view.Breaker) bool {
		s, ok := snap.Subscription(b.Subscription)
		return !ok || s.Disabled
	})
	slices.SortStableFunc(all, func(a, b view.Breaker) int {
		return cmp.Or(a.Since.Compare(b.Since), slices.Compare(a.Subscription[:], b.Subscription[:]))
	})
	out.Count = len(all)
	for _, b := range all[:min(len(all), maxBreakersShown)] {
		out.List = append(out.List, OpenBreakerOut{endpointOfAll(snap, b.Subscription), optional(b.Since), BreakerOut{b.Until}})
	}
	return out
}

func endpointLoads(snap *registry.Snapshot, some []view.Load) []EndpointLoadOut {
	out := make([]EndpointLoadOut, 0, len(some))
	for _, l := range some {
		out = append(out, EndpointLoadOut{
			NamedEndpointOut: endpointOfAll(snap, l.Subscription), Attempts: l.Attempts, Failures: l.Failures,
			SuccessRate: float64(l.Attempts-l.Failures) / float64(l.Attempts),
		})
	}
	return out
}

func endpointOfAll(snap *registry.Snapshot, id ident.ID) NamedEndpointOut {
	out := NamedEndpointOut{EndpointID: id.Base62(subscription.SubscriptionPrefix)}
	s, ok := snap.Subscription(id)
	if !ok {
		return out
	}
	out.AppID, out.URL, out.Disabled = s.Tenant.Base62(subscription.TenantPrefix), s.URL, s.Disabled
	if t, ok := snap.Tenant(s.Tenant); ok {
		out.AppName = optional(t.Name)
	}
	return out
}
