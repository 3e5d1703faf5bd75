package portal_test

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/api"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/pkg/view"
)

// past is what has happened, as views and a log in memory have it, and the tasks that somebody started.
type past struct {
	mu     sync.Mutex
	rows   []*outcome.Outcome
	away   error // of the views
	behind int64
	tasks  []*task.Task
	resent []view.EventEntry
	open   map[ident.ID]time.Time // breakers
	ended  []ident.ID
}

var errAway = errors.New("redis is away")

// options gives an API this past.
func (p *past) options(o *api.Options) {
	o.Attempts, o.EndpointViews, o.Outcomes, o.Tasks, o.Resender, o.Breakers, o.System = p, p, p, p, p, p, p
}

// tried adds an attempt of the event that is kept.
func (p *past) tried(tenant, sub ident.ID, at time.Time, change ...func(*outcome.Outcome)) {
	message := ident.Derive("test", "kept")
	id := delivery.ID(message, sub)
	o := &outcome.Outcome{
		Delivery: id.Base62(delivery.IDPrefix), Message: message.Base62(delivery.MessagePrefix), EventID: "o-1", EventType: "order.created",
		Tenant: tenant, Subscription: sub, Trigger: delivery.TriggerEvent, Attempt: 1, URL: "https://shown.example/hook", At: at.UTC().Truncate(time.Millisecond),
		Status: 200, Result: outcome.ResultSuccess, Verdict: outcome.Delivered, Reason: outcome.ReasonDelivered,
		DurationMS: 40, DNSMS: 5, ConnectMS: 10, TLSMS: 15, FirstByteMS: 38,
	}
	for _, c := range change {
		c(o)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows = append(p.rows, o)
}

// refused makes a row one of a request that the endpoint could not deal with.
func refused(body string) func(*outcome.Outcome) {
	return func(o *outcome.Outcome) {
		due := o.At.Add(time.Hour)
		o.Status, o.Result, o.Verdict, o.Reason, o.Due = 503, outcome.ResultServerError, outcome.Retry, outcome.ReasonFailed, &due
		o.ResponseBody, o.ResponseTruncated = body, true
		o.ResponseHeaders, o.Redacted = "content-type: text/html\nset-cookie: [redacted]\n", []outcome.Redaction{outcome.RedactedResponseHeaders}
	}
}

// unanswered makes a row one without a response.
func unanswered(result outcome.Result, detail string) func(*outcome.Outcome) {
	return func(o *outcome.Outcome) {
		o.Status, o.Result, o.Verdict, o.Reason, o.Detail, o.FirstByteMS = 0, result, outcome.Dead, outcome.ReasonExhausted, detail, 0
	}
}

// found returns the rows that keep lets through, newest first.
func (p *past) found(keep func(*outcome.Outcome) bool) (out []view.Attempt, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, o := range p.rows {
		if keep(o) {
			out = append(out, view.Attempt{
				Position: delivery.Position{Topic: "outcomes", Offset: int64(i)}, Time: o.At, Status: o.Status, Result: o.Result, Verdict: o.Verdict, Reason: o.Reason,
			})
		}
	}
	slices.SortFunc(out, func(a, b view.Attempt) int { return b.Time.Compare(a.Time) })
	return out, p.away
}

func (p *past) OpenBreakers(_ context.Context, subs ...ident.ID) (map[ident.ID]time.Time, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := map[ident.ID]time.Time{}
	for _, sub := range subs {
		if until, ok := p.open[sub]; ok {
			out[sub] = until
		}
	}
	return out, p.away
}

func (p *past) AllBreakers(context.Context, int) (all []view.Breaker, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for sub, until := range p.open {
		all = append(all, view.Breaker{Subscription: sub, Until: until, Since: until.Add(-time.Hour)})
	}
	return all, p.away
}

func (p *past) Loads(context.Context) (all []view.Load, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.rows {
		one := view.Load{Subscription: o.Subscription, Attempts: 3}
		if o.Result != outcome.ResultSuccess {
			one.Failures = 2
		}
		all = append(all, one)
	}
	return all, p.away
}

func (p *past) Attempts(_ context.Context, q view.AttemptQuery) (view.AttemptPage, error) {
	all, err := p.found(func(o *outcome.Outcome) bool { return o.Subscription == q.Subscription && o.At.After(q.After) })
	page := view.AttemptPage{Done: true}
	if q.OldestFirst {
		slices.Reverse(all)
	}
	for _, a := range all {
		id := a.ID()
		past := bytes.Compare(id[:], q.Iterator[:])
		if !q.Iterator.IsZero() && (past == 0 || past > 0 != q.OldestFirst) {
			continue
		}
		if len(page.Attempts) == q.Limit {
			page.Done = false
			break
		}
		page.Attempts, page.Iterator = append(page.Attempts, a), id
	}
	return page, err
}

func (p *past) MessageAttempts(_ context.Context, message ident.ID, _ time.Time) (at []delivery.Position, err error) {
	all, err := p.found(func(o *outcome.Outcome) bool { return o.Message == message.Base62(delivery.MessagePrefix) })
	for _, a := range all {
		at = append(at, a.Position)
	}
	return at, err
}

func (p *past) Statuses(_ context.Context, sub ident.ID) ([]view.TypeStatus, error) {
	all, err := p.found(func(o *outcome.Outcome) bool { return o.Subscription == sub })
	if len(all) == 0 {
		return nil, err
	}
	return []view.TypeStatus{{EventType: "order.created", Attempt: all[0]}}, err
}

func (p *past) LastAttempts(_ context.Context, sub ident.ID, eventType string, n int) ([]view.Attempt, error) {
	all, err := p.found(func(o *outcome.Outcome) bool {
		return o.Subscription == sub && (eventType == "" || o.EventType == eventType)
	})
	return all[:min(n, len(all))], err
}

func (p *past) Health(_ context.Context, q view.HealthQuery) (view.Health, error) {
	out := view.Health{Step: q.Step, Total: view.Counts{Results: map[outcome.Result]int64{}}}
	all, err := p.found(func(o *outcome.Outcome) bool { return o.Subscription == q.Subscription && o.At.After(q.From) })
	slices.Reverse(all)
	for _, a := range all {
		start := a.Time.Truncate(q.Step)
		if n := len(out.Series); n == 0 || out.Series[n-1].Start != start {
			out.Series = append(out.Series, view.HealthStep{Start: start, Counts: view.Counts{Results: map[outcome.Result]int64{}}})
		}
		for _, c := range []*view.Counts{&out.Total, &out.Series[len(out.Series)-1].Counts} {
			c.Results[a.Result]++
			c.Durations.Observe(40 * time.Millisecond)
		}
	}
	return out, err
}

func (p *past) Read(_ context.Context, tenant ident.ID, at []delivery.Position) (out []pipeline.ReadOutcome, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range at {
		r := pipeline.ReadOutcome{Position: a, State: pipeline.ReadExpired}
		if o := p.rows[a.Offset]; o.Tenant == tenant {
			r.State, r.Outcome = pipeline.ReadFound, o
		}
		out = append(out, r)
	}
	return out, p.away
}

func (p *past) Complete(context.Context) (view.Completeness, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return view.Completeness{Behind: p.behind}, nil
}

func (p *past) Start(_ context.Context, t *task.Task, by audit.Actor) (*task.Task, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := t.Clone()
	c.ID, c.Status, c.By, c.Created, c.Updated = ident.New(), task.Running, by, time.Now().UTC(), time.Now().UTC()
	p.tasks = append(p.tasks, c)
	return c, nil
}

func (p *past) Get(_ context.Context, id ident.ID) (*task.Task, bool, error) {
	found := p.List(func(t *task.Task) bool { return t.ID == id })
	return cmp.Or(append(found, nil)...), len(found) > 0, nil
}

func (p *past) List(keep func(*task.Task) bool) (out []*task.Task) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, t := range p.tasks {
		if keep(t) {
			out = append(out, t)
		}
	}
	return out
}

func (p *past) Cancel(_ context.Context, t *task.Task, _ audit.Actor) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = append(p.ended, t.ID)
	return nil
}

func (p *past) ResendEvent(
	_ context.Context, _ *subscription.Tenant, _ *subscription.Subscription, entry view.EventEntry,
) (*delivery.Delivery, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.resent = append(p.resent, entry)
	return &delivery.Delivery{}, nil
}
