package api

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// Open breakers and loads of all tenants, of endpoints that there still are.
func TestStatusOfEndpoints(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	now := time.Now()
	p.api.opts.Now = func() time.Time { return now }
	p.tenant("acme")
	p.tenant("other")
	busy, sick, resting := p.endpoint("acme", "busy"), p.endpoint("other", "sick"), p.endpoint("other", "resting")
	off, gone := p.endpoint("acme", "off", `"disabled":true`), ident.New()
	get := func() (out SystemEndpointsOut) {
		t.Helper()
		got := p.get("/status/endpoints")
		require.NoError(t, json.Unmarshal([]byte(got.body), &out))
		return out
	}
	assert.Equal(t, SystemEndpointsOut{
		At: now.UTC(), Breakers: OpenBreakersOut{List: []OpenBreakerOut{}}, Busiest: []EndpointLoadOut{}, Sickest: []EndpointLoadOut{},
	}, atUTC(get()))

	probe := now.Add(time.Minute).Truncate(time.Millisecond).UTC()
	require.NoError(t, p.views.SetBreakers(t.Context(), []view.Breaker{
		{Subscription: resting.ID, Until: probe}, {Subscription: off.ID, Until: probe}, {Subscription: gone, Until: probe},
	}))
	var rows []view.Row
	for _, of := range []struct {
		sub       ident.ID
		good, bad int
	}{{busy.ID, 90, 10}, {sick.ID, 10, 40}, {off.ID, 3, 0}, {gone, 200, 200}} {
		for i := range of.good + of.bad {
			row := view.Row{Offset: int64(len(rows)), Subscription: of.sub, Message: ident.New(), EventType: "a", At: now, Result: outcome.ResultSuccess, Verdict: outcome.Delivered}
			if i < of.bad {
				row.Result, row.Verdict = outcome.ResultTimeout, outcome.Retry
			}
			rows = append(rows, row)
		}
	}
	require.NoError(t, p.views.AddRows(t.Context(), 0, rows))
	require.Empty(t, get().Busiest, "an answer is good for some seconds")
	now = now.Add(statusAge)
	out := get()
	assert.Equal(t, 1, out.Breakers.Count, "nothing waits for one that is disabled")
	first := out.Breakers.List[0]
	assert.Equal(t, ofAll(p, resting), first.NamedEndpointOut)
	assert.Equal(t, probe, first.NextProbe)
	assert.WithinRange(t, *first.Since, now.Add(-time.Minute), now.Add(time.Minute))
	assert.Equal(t, []EndpointLoadOut{
		{ofAll(p, busy), 100, 10, 0.9}, {ofAll(p, sick), 50, 40, 0.2}, {ofAll(p, off), 3, 0, 1},
	}, out.Busiest)
	assert.Equal(t, []EndpointLoadOut{{ofAll(p, sick), 50, 40, 0.2}, {ofAll(p, busy), 100, 10, 0.9}}, out.Sickest)

	p.redis.SetError("LOADING")
	now = now.Add(statusAge)
	assert.Equal(t, http.StatusServiceUnavailable, p.call(p.reader, http.MethodGet, "/status/endpoints", nil).status)
	tenant := p.key(access.RoleTenant, busy.Tenant)
	assert.Equal(t, http.StatusForbidden, p.call(tenant, http.MethodGet, "/status/endpoints", nil).status)
}

func atUTC(out SystemEndpointsOut) SystemEndpointsOut {
	out.At = out.At.UTC()
	return out
}

func ofAll(p *past, s *subscription.Subscription) NamedEndpointOut {
	tenant, _ := p.store.Snapshot().Tenant(s.Tenant)
	return NamedEndpointOut{
		AppID: s.Tenant.Base62(subscription.TenantPrefix), AppName: optional(tenant.Name), EndpointID: s.ID.Base62(subscription.SubscriptionPrefix),
		URL: s.URL, Disabled: s.Disabled,
	}
}

// What is listed is bounded, those first that have been open longest; without anybody to ask, nothing is.
func TestOpenBreakersAreBounded(t *testing.T) {
	t.Parallel()
	h := newHarness(t)
	got := h.call(h.reader, http.MethodGet, "/status/endpoints", nil)
	require.Equal(t, http.StatusOK, got.status, got.body)

	tenant := h.tenant("acme")
	now := time.Now().UTC()
	var all []view.Breaker
	for i := range maxBreakersShown + 1 {
		sub := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID, URL: "https://a.example/"}
		h.apply(registry.PutSubscription(sub))
		all = append(all, view.Breaker{Subscription: sub.ID, Until: now.Add(time.Hour), Since: now.Add(-time.Duration(i) * time.Second)})
	}
	out := openBreakersOut(h.store.Snapshot(), all)
	assert.Equal(t, maxBreakersShown+1, out.Count)
	require.Len(t, out.List, maxBreakersShown)
	assert.Equal(t, all[maxBreakersShown].Subscription.Base62(subscription.SubscriptionPrefix), out.List[0].EndpointID)
	assert.Len(t, all, maxBreakersShown+1, "the cache keeps what it has")
}
