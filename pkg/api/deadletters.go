package api

import (
	"context"
	"iter"
	"net/http"
	"time"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
)

// History knows what was tried of a delivery.
type History interface {
	// Of returns the outcomes of a delivery between two times, in order, and whether these are all that there are.
	Of(ctx context.Context, d *delivery.Delivery, from, to time.Time) (rows []outcome.Outcome, complete bool, err error)
}

// Causes are the groups of a list.
type Causes[T any] struct {
	Data    []T  `json:"data" nullable:"false" doc:"The largest first."`
	Done    bool `json:"done" doc:"Whether these are all groups."`
	Count   int  `json:"count" doc:"Of all groups together."`
	LeftOut int  `json:"leftOut" doc:"How many of the oldest are not counted and not listed, of all applications, because there are too many."`
}

const (
	tagDeadLetter = "Dead letter"
	docDeadLetter = "A dead letter is open until it is redriven, discarded, or delivered in another way, for 30 days at the most. "
)

type (
	// AppDeadLetterQuery narrows a list of a tenant's dead letters.
	AppDeadLetterQuery struct {
		AppPath
		DeadLetterQuery
	}
	// DeadLetterPath names one.
	DeadLetterPath struct {
		ID string `path:"dlv_id" pattern:"^dlv_[A-Za-z0-9]{27}$" doc:"The delivery's id."`
	}
	// AppDeadLetterPath names one of a tenant.
	AppDeadLetterPath struct {
		AppPath
		DeadLetterPath
	}
)

func (a *API) deadLetters() {
	const app, all, tag = "/app/{app_id}/dead-letter", "/dead-letter", tagDeadLetter
	list := route{
		method: http.MethodGet, path: app, id: "postrider.app-dead-letter.list", tag: tag, needs: access.ViewTenant,
		summary: "List dead letters of an application", doc: docDeadLetter + "Newest first.",
	}
	register(a, list, func(ctx context.Context, in *AppDeadLetterQuery) (*answer[List[DeadLetterOut]], error) {
		return a.listDeadLetters(ctx, &in.DeadLetterQuery)
	})
	list.path, list.id, list.needs, list.summary = all, "postrider.dead-letter.list", access.ViewAll, "List dead letters of all applications"
	register(a, list, a.listDeadLetters)
	causes := route{
		method: http.MethodGet, path: app + "/cause", id: "postrider.app-dead-letter.causes", tag: tag, needs: access.ViewTenant,
		summary: "Group an application's dead letters by cause", doc: "By endpoint, reason, result and status. The iterator is not looked at.",
	}
	register(a, causes, func(ctx context.Context, in *AppDeadLetterQuery) (*answer[Causes[DeadLetterCauseOut]], error) {
		return a.deadLetterCauses(ctx, &in.DeadLetterQuery)
	})
	causes.path, causes.id, causes.needs, causes.summary = all+"/cause", "postrider.dead-letter.causes", access.ViewAll,
		"Group dead letters of all applications by cause"
	register(a, causes, a.deadLetterCauses)
	get := route{
		method: http.MethodGet, path: app + "/{dlv_id}", id: "postrider.app-dead-letter.get", tag: tag, needs: access.ViewTenant,
		summary: "Get a dead letter of an application with its event and history",
	}
	register(a, get, func(ctx context.Context, in *AppDeadLetterPath) (*answer[DeadLetterHistoryOut], error) {
		return a.getDeadLetter(ctx, &in.DeadLetterPath)
	})
	get.path, get.id, get.needs, get.summary = all+"/{dlv_id}", "postrider.dead-letter.get", access.ViewAll, "Get a dead letter with its event and history"
	register(a, get, a.getDeadLetter)
	export := route{
		method: http.MethodGet, path: app + "/export", id: "postrider.app-dead-letter.export", tag: tag, needs: access.ViewTenant, lines: true,
		summary: "Export an application's dead letters with their events", doc: docExport,
	}
	registerLines(a, export, func(ctx context.Context, in *AppDeadLetterQuery) (lines[DeadLetterDetailOut], error) {
		return a.exportDeadLetters(ctx, &in.DeadLetterQuery)
	})
	export.path, export.id, export.needs, export.summary = all+"/export", "postrider.dead-letter.export", access.ViewAll,
		"Export dead letters of all applications with their events"
	registerLines(a, export, a.exportDeadLetters)
	a.deadLetterActions(app, all)
}

// openLetters returns the letters that are open, or tells to come again.
func openLetters[L letter.Letter](open func() (*letter.Open[L], error)) (*letter.Open[L], error) {
	letters, err := open()
	if err != nil {
		return nil, letterError(err)
	}
	return letters, nil
}

func (a *API) listDeadLetters(ctx context.Context, in *DeadLetterQuery) (*answer[List[DeadLetterOut]], error) {
	filter, err := in.filter(called(ctx))
	if err != nil {
		return nil, err
	}
	open, err := openLetters(a.opts.DeadLetters.Open)
	if err != nil {
		return nil, err
	}
	return answerList(pageOfLetters(in.PageInput, open, called(ctx).tenantID(), filter.Matches, deadLetterOut))
}

// pageOfLetters makes the page that in asks for, newest first.
func pageOfLetters[L letter.Letter, T any](
	in PageInput, open *letter.Open[L], tenant ident.ID, keep func(L) bool, out func(L) T,
) (*List[T], error) {
	from := func(after string, descending bool) (iter.Seq[L], error) {
		cursor, err := letter.ParseCursor(after)
		return open.List(tenant, cursor, descending), err
	}
	return paginate(in, true, from, keep, func(l L) string { return letter.CursorOf(l).String() }, out)
}

func (a *API) deadLetterCauses(ctx context.Context, in *DeadLetterQuery) (*answer[Causes[DeadLetterCauseOut]], error) {
	filter, err := in.filter(called(ctx))
	if err != nil {
		return nil, err
	}
	open, err := openLetters(a.opts.DeadLetters.Open)
	if err != nil {
		return nil, err
	}
	causes := groupLetters(in.PageInput, open, called(ctx).tenantID(), filter.Matches, (*letter.Dead).Cause,
		func(c letter.Cause[letter.DeadCause, *letter.Dead]) DeadLetterCauseOut {
			example := deadLetterOut(c.Example)
			return DeadLetterCauseOut{
				AppID: example.AppID, EndpointID: example.EndpointID, Reason: example.Reason, Result: example.Result, Status: example.Status,
				Count: c.Count, First: c.First, Last: c.Last, Example: example,
			}
		})
	return &answer[Causes[DeadLetterCauseOut]]{Body: causes}, nil
}

func groupLetters[L letter.Letter, K comparable, T any](
	in PageInput, open *letter.Open[L], tenant ident.ID, keep func(L) bool, key func(L) K, out func(letter.Cause[K, L]) T,
) Causes[T] {
	kept := func(yield func(L) bool) {
		for l := range open.List(tenant, letter.Cursor{}, false) {
			if keep(l) && !yield(l) {
				return
			}
		}
	}
	limit := in.Limit
	if limit == 0 {
		limit = defaultLimit
	}
	groups := letter.Causes(kept, key)
	causes := Causes[T]{Data: []T{}, Done: len(groups) <= limit}
	_, causes.LeftOut = open.Len()
	for i, g := range groups {
		causes.Count += g.Count
		if i < limit {
			causes.Data = append(causes.Data, out(g))
		}
	}
	return causes
}

func (a *API) getDeadLetter(ctx context.Context, in *DeadLetterPath) (*answer[DeadLetterHistoryOut], error) {
	open, err := openLetters(a.opts.DeadLetters.Open)
	if err != nil {
		return nil, err
	}
	id, err := ident.ParseBase62(delivery.IDPrefix, in.ID)
	l, ok := open.Get(id)
	if tenant := called(ctx).tenantID(); err != nil || !ok || !tenant.IsZero() && l.Tenant != tenant {
		return nil, notFound("dead letter")
	}
	read, err := a.opts.DeadLetters.Read(ctx, []*letter.Dead{l})
	if err != nil {
		return nil, a.lettersAway(ctx, "reading a dead letter", err)
	}
	out := DeadLetterHistoryOut{DeadLetterDetailOut: deadLetterDetail(read[0]), History: []DeadLetterAttemptOut{}}
	if d := read[0].Delivery; d != nil {
		rows, complete, err := a.opts.History.Of(ctx, d, firstAttempt(d, l), l.Time())
		if err != nil {
			return nil, a.lettersAway(ctx, "reading outcomes", err)
		}
		out.HistoryComplete = complete && (len(rows) > 0 || l.Attempts == 0)
		for _, row := range rows {
			out.History = append(out.History, deadLetterAttempt(row))
		}
	}
	return &answer[DeadLetterHistoryOut]{Body: out}, nil
}

// firstAttempt is when a dead letter was tried first, since it was redriven if it was.
func firstAttempt(d *delivery.Delivery, l *letter.Dead) time.Time {
	if d.First.IsZero() {
		return l.Time()
	}
	return d.First
}

func (a *API) exportDeadLetters(ctx context.Context, in *DeadLetterQuery) (lines[DeadLetterDetailOut], error) {
	filter, err := in.filter(called(ctx))
	if err != nil {
		return nil, err
	}
	open, err := openLetters(a.opts.DeadLetters.Open)
	if err != nil {
		return nil, err
	}
	return exportLetters(open, called(ctx).tenantID(), filter.Matches, a.opts.DeadLetters.Read, deadLetterDetail), nil
}
