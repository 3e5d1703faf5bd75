package api

import (
	"context"
	"slices"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

func (a *API) listEndpointAttempts(ctx context.Context, in *EndpointAttemptList) (*answer[List[MessageAttemptOut]], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	q, err := in.query(s.ID, attemptPrefix)
	if err != nil {
		return nil, err
	}
	page, out, err := a.attemptsOf(ctx, s, in, &q)
	if err != nil {
		return nil, err
	}
	return viewAnswer(ctx, a, rowList(attemptPrefix, &q, page, out), page.expired), nil
}

// attemptsOf returns a page of the attempts of an endpoint.
func (a *API) attemptsOf(ctx context.Context, s *subscription.Subscription, in *EndpointAttemptList, q *rowQuery) (*rowPage, []MessageAttemptOut, error) {
	in.leaveOut(&q.AttemptQuery)
	tenant := called(ctx).tenant.ID
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	q.indexed = func(at view.Attempt) bool { return in.AttemptInput.has(at) && in.CodeClassInput.has(at) }
	if in.Channel != "" || in.Tag != "" || len(q.EventTypes) > 0 {
		q.narrow = func(ctx context.Context, rows []foundRow) ([]foundRow, error) {
			rows = slices.DeleteFunc(rows, func(r foundRow) bool { return !in.of(r.row, q.EventTypes) })
			return a.tagged(ctx, tenant, in.Tag, rows)
		}
	}
	page, err := a.rows(ctx, tenant, *q)
	if err != nil {
		return nil, nil, a.away(ctx, "listing attempts", err)
	}
	var messages map[string]pipeline.ReadEvent
	if in.WithMsg {
		if messages, err = a.messagesOf(ctx, tenant, &page, in.WithContent.wanted()); err != nil {
			return nil, nil, a.away(ctx, "reading the events of attempts", err)
		}
	}
	out := make([]MessageAttemptOut, len(page.rows))
	for i, r := range page.rows {
		out[i] = attemptOut(r.row, s.URL, in.WithContent.wanted(), in.expanded())
		if in.WithMsg {
			out[i].Msg = new(messageOut(messages[r.row.Message], in.WithContent.wanted()))
		}
	}
	return &page, out, nil
}

// leaveOut has the index leave out most of what is not asked for, which costs it less than to return it.
func (in *EndpointAttemptList) leaveOut(q *view.AttemptQuery) {
	q.StatusClass = in.CodeClass.Value / 100 // 0 is any
	if !in.Status.set {
		return
	}
	switch messageStatus(in.Status.Value) {
	case statusSuccess:
		q.Verdicts = []outcome.Verdict{outcome.Delivered}
	case statusFail:
		q.Verdicts = []outcome.Verdict{outcome.Retry, outcome.Dead, outcome.Cancelled}
	case statusCanceled:
		q.Results = []outcome.Result{outcome.ResultNone}
	case statusPending, statusSending: // no row is one
	}
}

// tagged returns those of the rows whose events have a tag; all for none. Only the index of events knows tags.
func (a *API) tagged(ctx context.Context, tenant ident.ID, tag string, rows []foundRow) ([]foundRow, error) {
	if tag == "" {
		return rows, nil
	}
	entries, err := a.entriesOf(ctx, tenant, rows)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(rows, func(r foundRow) bool { return !slices.Contains(entries[r.row.Message].Tags, tag) }), nil
}

// entriesOf returns what is known of the rows' events, by message id. Of one that the index does not have it is what the row
// says, and the delivery's record is the event's.
func (a *API) entriesOf(ctx context.Context, tenant ident.ID, rows []foundRow) (map[string]view.EventEntry, error) {
	entries := make([]view.EventEntry, len(rows))
	err := together(ctx, len(rows), func(ctx context.Context, i int) error {
		o := rows[i].row
		if i > 0 && rows[i-1].row.Message == o.Message {
			return nil
		}
		id, ok := messageID(o.Message)
		entries[i] = view.EventEntry{
			Tenant: tenant, Message: id, Position: o.Record, Time: o.EventTime, Type: o.EventType, Channels: o.Channels,
		}
		if !ok {
			return nil
		}
		known, found, err := a.opts.Events.Event(ctx, tenant, id)
		if found {
			entries[i] = known
		}
		return err
	})
	out := make(map[string]view.EventEntry, len(rows))
	for i, e := range entries {
		if !e.Message.IsZero() {
			out[rows[i].row.Message] = e
		}
	}
	return out, err
}

// messagesOf returns the events of a page's rows, by message id. If they are too much, the page ends where they do.
func (a *API) messagesOf(ctx context.Context, tenant ident.ID, page *rowPage, content bool) (map[string]pipeline.ReadEvent, error) {
	known, err := a.entriesOf(ctx, tenant, page.rows)
	if err != nil {
		return nil, err
	}
	var entries []view.EventEntry
	upTo := make([]int, 0, len(page.rows)) // how many entries the rows up to each one need
	records := map[ident.ID]view.EventEntry{}
	for _, r := range page.rows {
		e := known[r.row.Message]
		if _, twice := records[e.Message]; !twice {
			entries = append(entries, e)
			e.Position = r.row.Record
			records[e.Message] = e
		}
		upTo = append(upTo, len(entries))
	}
	read, err := a.read(ctx, entries, content)
	if err != nil {
		return nil, err
	}
	page.cut(countUpTo(upTo, len(read)))
	if err := a.readDelivered(ctx, read, records, content); err != nil {
		return nil, err
	}
	out := make(map[string]pipeline.ReadEvent, len(read))
	for _, e := range read {
		out[e.Entry.Message.Base62(messagePrefix)] = e
	}
	return out, nil
}

// countUpTo is how many of the ascending numbers are at most n.
func countUpTo(numbers []int, n int) int {
	i, _ := slices.BinarySearch(numbers, n+1)
	return i
}

// readDelivered reads again what its source topic does not have any more: deliveries may have it still.
func (a *API) readDelivered(
	ctx context.Context, read []pipeline.ReadEvent, records map[ident.ID]view.EventEntry, content bool,
) error {
	if !content {
		return nil
	}
	for i := range read {
		entry := records[read[i].Entry.Message]
		if read[i].State != pipeline.ReadExpired || entry.Position == read[i].Entry.Position {
			continue
		}
		again, err := a.read(ctx, []view.EventEntry{entry}, true)
		if err != nil {
			return err
		}
		again[0].Entry.Position = read[i].Entry.Position
		read[i] = again[0]
	}
	return nil
}
