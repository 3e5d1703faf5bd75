package api

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
)

// AuditWriter keeps who did what to things that are not in the registry.
type AuditWriter interface {
	// Write returns when the entries are kept for good.
	Write(ctx context.Context, entries ...audit.Entry) error
}

const (
	// maxLetters is how many letters one request deals with: a few seconds' work, well within the time that a request has.
	maxLetters = 1000
	// actTimeout bounds it; what was done by then is done, and told.
	actTimeout = 45 * time.Second
)

// LetterActIn is what every action on letters is told.
type LetterActIn struct {
	All      bool       `json:"all,omitempty" doc:"Really all: needed if nothing else narrows it down."`
	Before   *time.Time `json:"before,omitempty" nullable:"true"`
	After    *time.Time `json:"after,omitempty" nullable:"true"`
	DryRun   bool       `json:"dryRun,omitempty" doc:"Change nothing and count."`
	Limit    int        `json:"limit,omitempty" minimum:"1" maximum:"1000" doc:"Deal with at most so many, the oldest, and say where to go on."`
	Iterator *string    `json:"iterator,omitempty" nullable:"true" maxLength:"100" doc:"Go on where an earlier answer ended."`
}

// DeadLetterActIn says which dead letters are meant.
type DeadLetterActIn struct {
	LetterActIn
	IDs        []string `json:"ids,omitempty" maxItems:"1000" doc:"Only these deliveries."`
	Endpoints  []string `json:"endpoints,omitempty" maxItems:"100" doc:"Only those of these endpoints, by id or, below an app, uid."`
	EventTypes []string `json:"eventTypes,omitempty" maxItems:"250"`
	Reasons    []string `json:"reasons,omitempty" maxItems:"50"`
	Results    []string `json:"results,omitempty" maxItems:"50"`
	Statuses   []int    `json:"statuses,omitempty" maxItems:"100"`
	Background bool     `json:"background,omitempty" doc:"Do it in the background, whatever their number; of more than 1000 without a limit it is done so anyway."`
	PerSecond  int      `json:"perSecond,omitempty" minimum:"1" maximum:"10000" doc:"How many a second are dealt with in the background at most; 500 if left out."`
}

// LettersDoneOut says what was done.
type LettersDoneOut struct {
	Count    int            `json:"count" doc:"How many were dealt with; with dryRun, how many would be."`
	Skipped  map[string]int `json:"skipped" doc:"How many stay as they are, by why: undecodable, endpoint_deleted, endpoint_disabled, expired, incomplete, no_source, still_rejected."`
	DryRun   bool           `json:"dryRun"`
	Iterator *string        `json:"iterator" nullable:"true" doc:"Where to go on."`
	Done     bool           `json:"done" doc:"Whether nothing is left."`
	Task     *TaskOut       `json:"task,omitempty" doc:"The background task that deals with them, if it is done in the background. The answer is 202 then, and counts nothing."`
}

// LettersBody acts on letters of all tenants.
type LettersBody struct{ JSONBody }

func (a *API) deadLetterActions(app, all string) {
	redrive := route{
		method: http.MethodPost, path: app + "/redrive", id: "postrider.app-dead-letter.redrive", tag: tagDeadLetter, needs: access.SendAgain,
		summary: "Deliver an application's dead letters after all",
		doc: "Puts them back into delivery, oldest first: the delivery id stays what it is and the retry policy starts anew. Doing it " +
			"twice sends once. Those of endpoints that are disabled or deleted are skipped, since they would be cancelled.",
	}
	registerBody(a, redrive, func(ctx context.Context, _ *AppBody, in *DeadLetterActIn) (*answer[LettersDoneOut], error) {
		return a.redriveLetters(ctx, in)
	})
	redrive.path, redrive.id, redrive.needs, redrive.summary = all+"/redrive", "postrider.dead-letter.redrive", access.Operate,
		"Deliver dead letters of all applications after all"
	registerBody(a, redrive, func(ctx context.Context, _ *LettersBody, in *DeadLetterActIn) (*answer[LettersDoneOut], error) {
		return a.redriveLetters(ctx, in)
	})
	discard := route{
		method: http.MethodPost, path: app + "/discard", id: "postrider.app-dead-letter.discard", tag: tagDeadLetter, needs: access.ManageEndpoints,
		summary: "Give up an application's dead letters for good", doc: "They are listed no more. Their records stay in Kafka for 30 days.",
	}
	registerBody(a, discard, func(ctx context.Context, _ *AppBody, in *DeadLetterActIn) (*answer[LettersDoneOut], error) {
		return a.discardLetters(ctx, in)
	})
	discard.path, discard.id, discard.needs, discard.summary = all+"/discard", "postrider.dead-letter.discard", access.Operate,
		"Give up dead letters of all applications for good"
	registerBody(a, discard, func(ctx context.Context, _ *LettersBody, in *DeadLetterActIn) (*answer[LettersDoneOut], error) {
		return a.discardLetters(ctx, in)
	})
}

func (a *API) redriveLetters(ctx context.Context, in *DeadLetterActIn) (*answer[LettersDoneOut], error) {
	return a.actOnDeadLetters(ctx, in, audit.Redriven, task.RedriveLetters, a.opts.DeadLetters.Redrive)
}

func (a *API) discardLetters(ctx context.Context, in *DeadLetterActIn) (*answer[LettersDoneOut], error) {
	return a.actOnDeadLetters(ctx, in, audit.Discarded, task.DiscardLetters, a.opts.DeadLetters.Discard)
}

// deadLetterAction is [pipeline.DeadLetters.Redrive] or Discard.
type deadLetterAction = func(context.Context, pipeline.LetterWork, letter.DeadFilter) (pipeline.LetterProgress, error)

func (a *API) actOnDeadLetters(
	ctx context.Context, in *DeadLetterActIn, action string, kind task.Kind, do deadLetterAction,
) (*answer[LettersDoneOut], error) {
	names := deadLetterNames{
		where: "body", ids: in.IDs, endpoints: in.Endpoints, types: in.EventTypes, reasons: in.Reasons, results: in.Results,
		statuses: in.Statuses, before: value(in.Before), after: value(in.After),
	}
	filter, err := names.filter(called(ctx))
	if err != nil {
		return nil, err
	}
	if filter.IsZero() && !in.All {
		return nil, invalid("all", "want true to mean really all, or something that narrows it down: ids, endpoints, eventTypes, reasons, results, statuses, before or after")
	}
	open, err := openLetters(a.opts.DeadLetters.Open)
	if err != nil {
		return nil, err
	}
	work := letterAct{
		in: &in.LetterActIn, kind: audit.KindDeadLetter, action: action, filter: filter, one: in.IDs,
		count: func(w pipeline.LetterWork) int { return countLetters(open, w, filter.IDs, filter.Matches) },
		do: func(ctx context.Context, w pipeline.LetterWork) (pipeline.LetterProgress, error) {
			return do(ctx, w, filter)
		},
	}
	if in.Background || in.Limit == 0 && !in.DryRun && work.count(pipeline.LetterWork{Tenant: called(ctx).tenantID()}) > maxLetters {
		return a.actInBackground(ctx, in, kind, work)
	}
	return a.act(ctx, work)
}

// actInBackground starts a task about dead letters, and writes down that it was.
func (a *API) actInBackground(ctx context.Context, in *DeadLetterActIn, kind task.Kind, act letterAct) (*answer[LettersDoneOut], error) {
	if in.Limit != 0 || value(in.Iterator) != "" {
		return nil, invalid("background", "want neither limit nor iterator: all of them are dealt with")
	}
	c := called(ctx)
	filter := act.filter.(letter.DeadFilter)
	t, err := a.startValid(ctx, &task.Task{
		Kind: kind, Tenant: c.tenantID(), Letters: &filter, PerSecond: cmp.Or(in.PerSecond, task.DefaultPerSecond), DryRun: in.DryRun,
	})
	if err != nil {
		return nil, err
	}
	out := LettersDoneOut{Skipped: map[string]int{}, DryRun: in.DryRun, Task: new(taskOut(t))}
	if !in.DryRun {
		act.task = out.Task.ID
		n := act.count(pipeline.LetterWork{Tenant: t.Tenant})
		p := pipeline.LetterProgress{Tenants: map[ident.ID]int{t.Tenant: n}}
		if err := a.opts.AuditWriter.Write(context.WithoutCancel(ctx), act.entries(c, p, a.opts.Now())...); err != nil {
			return nil, a.lettersAway(ctx, act.action, err)
		}
	}
	return &answer[LettersDoneOut]{Status: http.StatusAccepted, Body: out}, nil
}

// letterAct is one action on letters.
type letterAct struct {
	in *LetterActIn
	// kind, action and filter are for the audit log; one are the ids that the caller named.
	kind, action string
	filter       any
	one          []string
	// task is the background task that does it, if one does.
	task  string
	count func(pipeline.LetterWork) int
	do    func(context.Context, pipeline.LetterWork) (pipeline.LetterProgress, error)
}

// act does it, and writes down what was done, also if not all could be.
func (a *API) act(ctx context.Context, act letterAct) (*answer[LettersDoneOut], error) {
	c := called(ctx)
	w := pipeline.LetterWork{Tenant: c.tenantID(), Most: act.in.Limit, By: c.actor.Kind + ":" + c.actor.ID, DryRun: act.in.DryRun}
	var err error
	if w.After, err = letter.ParseCursor(value(act.in.Iterator)); err != nil {
		return nil, invalid("iterator", "want the iterator of an earlier answer")
	}
	if n := act.count(w); act.kind == audit.KindRejected && w.Most == 0 && n > maxLetters {
		return nil, refuse(http.StatusBadRequest, "too_many", "%d match: one request deals with at most %d: narrow them down, or set limit and go on with iterator", n, maxLetters)
	}
	bounded, cancel := context.WithTimeout(ctx, actTimeout)
	defer cancel()
	p, err := act.do(bounded, w)
	if p.Done > 0 && !w.DryRun {
		// What was done is written down, whether or not the caller still waits.
		if told := a.opts.AuditWriter.Write(context.WithoutCancel(ctx), act.entries(c, p, a.opts.Now())...); told != nil {
			err = errors.Join(err, told)
		}
	}
	if err != nil && (bounded.Err() == nil || ctx.Err() != nil) {
		return nil, a.lettersAway(ctx, act.action, err)
	}
	out := LettersDoneOut{Count: p.Done, Skipped: map[string]int{}, DryRun: w.DryRun, Iterator: optional(p.Cursor.String()), Done: !p.More && err == nil}
	for why, n := range p.Skipped {
		out.Skipped[string(why)] = n
	}
	return &answer[LettersDoneOut]{Body: out}, nil
}

// countLetters counts what a work is about.
func countLetters[L letter.Letter](open *letter.Open[L], w pipeline.LetterWork, ids []ident.ID, keep func(L) bool) (n int) {
	for l := range open.Select(w.Tenant, ids, w.After) {
		if keep(l) {
			n++
		}
	}
	return n
}

// entries are the audit entries of what was done, one for each tenant.
func (act letterAct) entries(c *call, p pipeline.LetterProgress, now time.Time) (out []audit.Entry) {
	for tenant, n := range p.Tenants {
		after, _ := json.Marshal(struct { // all of it encodes
			Count  int    `json:"count"`
			Filter any    `json:"filter"`
			Task   string `json:"task,omitempty"`
		}{n, act.filter, act.task})
		object := act.kind
		if len(act.one) == 1 {
			object = act.one[0]
		} else if !tenant.IsZero() {
			object = tenant.Base62(subscription.TenantPrefix)
		}
		out = append(out, audit.Entry{
			Version: audit.Version, ID: ident.New().Base62(audit.IDPrefix), At: now.UTC(), Actor: c.actor, Action: act.action, Kind: act.kind, Object: object,
			Tenant: tenant, RegistryVersion: c.snap.Version(), After: after,
		})
	}
	slices.SortFunc(out, func(a, b audit.Entry) int { return strings.Compare(a.Object, b.Object) })
	return out
}
