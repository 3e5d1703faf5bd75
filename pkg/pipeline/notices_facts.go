package pipeline

import (
	"context"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/notice"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

// NoticeViews are the views of attempts that say how endpoints do. Their methods may be called concurrently. [view.Redis] is one.
type NoticeViews interface {
	Statuses(ctx context.Context, sub ident.ID) ([]view.TypeStatus, error)
	LastAttempts(ctx context.Context, sub ident.ID, eventType string, n int) ([]view.Attempt, error)
	Health(ctx context.Context, q view.HealthQuery) (view.Health, error)
}

// maxTypesInARow bounds the event types of an endpoint whose last attempts are looked at: where more than these fail, it is
// the endpoint that fails.
const maxTypesInARow = 20

// findings judges all endpoints of a tenant.
func (n *Noticer) findings(ctx context.Context, snap *registry.Snapshot, t *subscription.Tenant) (out []notice.Finding, err error) {
	now := time.Now()
	for s := range snap.SubscriptionsOf(t.ID, ident.ID{}) {
		f, err := n.facts(ctx, s, t.Notices, now)
		if err != nil {
			return nil, err
		}
		out = append(out, notice.Judge(f, t.Notices, now)...)
	}
	return out, nil
}

// facts are what the registry and the views know of an endpoint, as far as its tenant wants to be told.
func (n *Noticer) facts(ctx context.Context, s *subscription.Subscription, wanted *subscription.Notices, now time.Time) (*notice.Facts, error) {
	f := &notice.Facts{Subscription: s.ID, Locked: s.Locked}
	if s.Disabled {
		f.Disabled, f.Off = s.DisabledReason, s.DisabledReason == ""
	}
	if wanted.FailingFor == 0 && wanted.SuccessRate == 0 && !wanted.EventTypeFailing {
		return f, nil
	}
	statuses, err := n.views.Statuses(ctx, s.ID)
	if err != nil {
		return nil, err
	}
	var newest time.Time
	for _, st := range statuses {
		f.Types = append(f.Types, notice.Type{Name: st.EventType, At: st.Time, OK: st.Result == outcome.ResultSuccess})
		if st.Time.After(newest) {
			newest = st.Time
		}
	}
	// What nobody tried for a while has no counts, and a disabled endpoint's do not count.
	if s.Disabled || newest.Before(now.Add(-max(notice.RateWindow, wanted.FailingFor.Std()))) {
		return f, nil
	}
	if f.Hour, err = n.counts(ctx, s.ID, now, notice.RateWindow); err != nil {
		return nil, err
	}
	f.Window = f.Hour
	if d := wanted.FailingFor.Std(); d != 0 && d != notice.RateWindow {
		if f.Window, err = n.counts(ctx, s.ID, now, d); err != nil {
			return nil, err
		}
	}
	if !wanted.EventTypeFailing {
		return f, nil
	}
	return f, n.inARow(ctx, s.ID, f.Types)
}

// counts are the attempts of a time up to now, by the minute up to an hour or two, and by the hour above.
func (n *Noticer) counts(ctx context.Context, sub ident.ID, now time.Time, d time.Duration) (notice.Counts, error) {
	q := view.HealthQuery{Subscription: sub, From: now.Add(-d), To: now, Step: time.Minute}
	if d > 2*time.Hour {
		q.Step = time.Hour
	}
	h, err := n.views.Health(ctx, q)
	if err != nil {
		return notice.Counts{}, err
	}
	return notice.Counts{Attempts: h.Total.Attempts(), Successes: h.Total.Successes()}, nil
}

// inARow fills in how many of the last attempts failed, of the event types whose last one did.
func (n *Noticer) inARow(ctx context.Context, sub ident.ID, types []notice.Type) error {
	looked := 0
	for i := range types {
		t := &types[i]
		if t.OK || looked == maxTypesInARow {
			continue
		}
		looked++
		last, err := n.views.LastAttempts(ctx, sub, t.Name, notice.FailuresInARow)
		if err != nil {
			return err
		}
		for _, a := range last {
			if a.Result == outcome.ResultSuccess {
				break
			}
			t.InARow++
		}
	}
	return nil
}
