package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// BreakerViews say which breakers are open; [view.Redis] does. An error says that it is away. It may be called concurrently.
type BreakerViews interface {
	// OpenBreakers returns when those of the subscriptions' breakers that are open let a probe through.
	OpenBreakers(ctx context.Context, subs ...ident.ID) (map[ident.ID]time.Time, error)
}

// BreakerOut is an open breaker: deliveries wait instead of being tried.
type BreakerOut struct {
	NextProbe time.Time `json:"nextProbe" doc:"From then on one delivery is tried; if it succeeds, all are. If it is over, the next delivery is that one."`
}

// breakersOf returns the open breakers of subscriptions. It is a second old.
func (a *API) breakersOf(ctx context.Context, subs ...*subscription.Subscription) (map[ident.ID]*BreakerOut, error) {
	if a.opts.Breakers == nil {
		return nil, nil
	}
	var ids []ident.ID
	for _, s := range subs {
		if !s.Disabled { // nothing waits for it
			ids = append(ids, s.ID)
		}
	}
	open, err := a.opts.Breakers.OpenBreakers(ctx, ids...)
	out := make(map[ident.ID]*BreakerOut, len(open))
	for id, until := range open {
		out[id] = &BreakerOut{until}
	}
	return out, err
}

// EndpointOverviewOut is an endpoint with its settings and how it does.
type EndpointOverviewOut struct {
	SettingsOut
	Breaker *BreakerOut `json:"breaker,omitempty" doc:"Left out while deliveries are tried as they come."`
	Recent  *RecentOut  `json:"recent,omitempty" doc:"The last 24 hours; left out if it cannot be told."`
}

// RecentOut is how an endpoint did in the last 24 hours.
type RecentOut struct {
	Attempts  int64 `json:"attempts"`
	Successes int64 `json:"successes"`
	// Hours are those in which something was tried.
	Hours []RecentHourOut `json:"hours" nullable:"false" doc:"Oldest first; hours without an attempt are left out."`
}

// RecentHourOut is how an endpoint did in an hour.
type RecentHourOut struct {
	Start     time.Time `json:"start"`
	Attempts  int64     `json:"attempts"`
	Successes int64     `json:"successes"`
}

func recentOut(h *view.Health) *RecentOut {
	out := &RecentOut{Attempts: h.Total.Attempts(), Successes: h.Total.Successes(), Hours: []RecentHourOut{}}
	for i := range h.Series {
		if s := &h.Series[i]; s.Attempts() > 0 {
			out.Hours = append(out.Hours, RecentHourOut{s.Start, s.Attempts(), s.Successes()})
		}
	}
	return out
}

func (a *API) endpointOverviews() {
	register(a, route{
		method: http.MethodGet, path: "/app/{app_id}/endpoint-overview", id: "postrider.endpoint.overview", tag: tagEndpoint, needs: access.ViewTenant,
		views: true, summary: "List endpoints with how they do",
		doc: "As the list of endpoints, each with its settings, what became of its attempts in the last 24 hours and whether its " +
			"deliveries wait. If the views are away, that is left out and not an error.",
	}, a.endpointOverview)
}

func (a *API) endpointOverview(ctx context.Context, in *EndpointList) (*answer[List[EndpointOverviewOut]], error) {
	c := called(ctx)
	var subs []*subscription.Subscription
	page, err := listed(c, in, func(s *subscription.Subscription) EndpointOverviewOut {
		subs = append(subs, s)
		return EndpointOverviewOut{SettingsOut: a.settingsOut(&edit{snap: c.snap, tenant: c.tenant, sub: s})}
	})
	if err != nil {
		return nil, err
	}
	out := &answer[List[EndpointOverviewOut]]{Body: *page}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if err := a.addRecent(ctx, subs, page.Data); err != nil {
		_ = a.away(ctx, "listing how endpoints do", err) // a warning in the log; the rest is of use without
		out.Views = viewsUnknown
		return out, nil
	}
	out.Views = a.viewsState(ctx, 0)
	return out, nil
}

// addRecent adds to a page of endpoints how they do.
func (a *API) addRecent(ctx context.Context, subs []*subscription.Subscription, page []EndpointOverviewOut) error {
	breakers, err := a.breakersOf(ctx, subs...)
	recent, now := make([]*RecentOut, len(subs)), a.opts.Now()
	errHealth := together(ctx, len(subs), func(ctx context.Context, i int) error {
		h, err := a.opts.EndpointViews.Health(ctx, view.HealthQuery{Subscription: subs[i].ID, From: now.Add(-defaultHealth), To: now, Step: time.Hour})
		recent[i] = recentOut(&h)
		return err
	})
	if err := errors.Join(err, errHealth); err != nil {
		return err
	}
	for i, s := range subs {
		page[i].Breaker, page[i].Recent = breakers[s.ID], recent[i]
	}
	return nil
}
