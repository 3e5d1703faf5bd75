package api

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
)

// Lists of events at an endpoint have each once, where its first row is: its first attempt, or what came before one, or that
// there was to be none. So an event does not move in the list when it is tried again, and an iterator stays good.

// firstRows returns those rows that are the first of their delivery.
func (a *API) firstRows(ctx context.Context, tenant ident.ID, rows []foundRow) ([]foundRow, error) {
	rows = slices.DeleteFunc(rows, func(r foundRow) bool { return r.row.Pass > 0 || r.row.Attempt > 1 })
	var asked []foundRow // which may have been sent before, for the event itself
	for _, r := range rows {
		if r.row.Trigger != delivery.TriggerEvent && r.row.Trigger != delivery.TriggerTest {
			asked = append(asked, r)
		}
	}
	others, err := a.rowsOfDeliveries(ctx, tenant, asked)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{} // a crash may have written the first one twice
	return slices.DeleteFunc(rows, func(r foundRow) bool {
		earlier := func(o foundRow) bool { return o.at.Position.Offset < r.at.Position.Offset }
		if seen[r.row.Delivery] || slices.ContainsFunc(others[r.row.Delivery], earlier) {
			return true
		}
		seen[r.row.Delivery] = true
		return false
	}), nil
}

// rowsOfDeliveries returns all rows of the rows' deliveries, by delivery. All of an endpoint are in one partition, so that
// the other endpoints' that are read with them are those that share it.
func (a *API) rowsOfDeliveries(ctx context.Context, tenant ident.ID, rows []foundRow) (map[string][]foundRow, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	var mu sync.Mutex
	places := map[delivery.Position]bool{}
	err := together(ctx, len(rows), func(ctx context.Context, i int) error {
		o := rows[i].row
		message, ok := messageID(o.Message)
		if !ok {
			return nil
		}
		since := o.At.Add(-clockSkew)
		if o.Trigger != delivery.TriggerEvent {
			since = time.Time{} // somebody asked for it long after the event, perhaps
		}
		found, err := a.opts.Attempts.MessageAttempts(ctx, message, since)
		mu.Lock()
		defer mu.Unlock()
		for _, p := range found {
			if p.Partition == rows[i].at.Position.Partition {
				places[p] = true
			}
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	out := map[string][]foundRow{}
	sub := rows[0].row.Subscription
	sorted := slices.SortedFunc(maps.Keys(places), func(a, b delivery.Position) int { return cmp.Compare(a.Offset, b.Offset) })
	err = a.readOutcomes(ctx, tenant, sorted, func(_ int, r pipeline.ReadOutcome) {
		if r.Outcome != nil && r.Outcome.Subscription == sub {
			row := foundRow{row: r.Outcome}
			row.at.Position = r.Position
			out[r.Outcome.Delivery] = append(out[r.Outcome.Delivery], row)
		}
	})
	return out, err
}

// lastOf is the row that was written last, r if the others are not known.
func lastOf(r foundRow, others []foundRow) *outcome.Outcome {
	for _, o := range others {
		if o.at.Position.Offset > r.at.Position.Offset {
			r = o
		}
	}
	return r.row
}

func (a *API) listEndpointMessages(ctx context.Context, in *EndpointMessageList) (*answer[List[EndpointMessageOut]], error) {
	s, err := endpointNamed(ctx, in.Endpoint)
	if err != nil {
		return nil, err
	}
	q, err := in.query(s.ID, messagePrefix)
	if err != nil {
		return nil, err
	}
	tenant := called(ctx).tenant.ID
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	q.Verdicts = nil // what was parked first is tried later
	last := map[string]*outcome.Outcome{}
	q.narrow = func(ctx context.Context, rows []foundRow) ([]foundRow, error) {
		rows = slices.DeleteFunc(rows, func(r foundRow) bool { return !in.of(r.row, q.EventTypes) })
		rows, err := a.firstRows(ctx, tenant, rows)
		if err == nil {
			rows, err = a.tagged(ctx, tenant, in.Tag, rows)
		}
		if err != nil {
			return nil, err
		}
		others, err := a.rowsOfDeliveries(ctx, tenant, rows)
		return slices.DeleteFunc(rows, func(r foundRow) bool {
			o := lastOf(r, others[r.row.Delivery])
			last[r.row.Delivery] = o
			return in.Status.set && in.Status.Value != int(endpointStatus(o, in.expanded()))
		}), err
	}
	page, err := a.rows(ctx, tenant, q)
	if err != nil {
		return nil, a.away(ctx, "listing the events of an endpoint", err)
	}
	messages, err := a.messagesOf(ctx, tenant, &page, in.WithContent.wanted())
	if err != nil {
		return nil, a.away(ctx, "reading the events of an endpoint", err)
	}
	out := make([]EndpointMessageOut, len(page.rows))
	for i, r := range page.rows {
		o := last[r.row.Delivery]
		out[i] = EndpointMessageOut{
			MessageOut: messageOut(messages[r.row.Message], in.WithContent.wanted()), StatusOut: statusOut(endpointStatus(o, in.expanded())),
			NextAttempt: o.Due,
		}
	}
	return viewAnswer(ctx, a, rowList(messagePrefix, &q, &page, out), page.expired), nil
}
