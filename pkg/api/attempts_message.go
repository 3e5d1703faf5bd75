package api

import (
	"bytes"
	"context"
	"iter"
	"net/http"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
)

const (
	// maxMessageRows is how many rows of one event are read: 10 to 20 MB.
	maxMessageRows = 10_000
	// clockSkew is how much earlier than its event's record a row may say it is: their clocks differ.
	clockSkew = time.Hour
)

// messageRows returns the rows of the event that a path names, of all endpoints, newest first.
func (a *API) messageRows(ctx context.Context, name string) (rows []foundRow, expired int, err error) {
	tenant := called(ctx).tenant.ID
	entry, ok, err := a.findEvent(ctx, tenant, name)
	switch {
	case err != nil:
		return nil, 0, a.away(ctx, "finding an event", err)
	case !ok:
		return nil, 0, notFound("message")
	}
	at, err := a.opts.Attempts.MessageAttempts(ctx, entry.Message, entry.Time.Add(-clockSkew))
	switch {
	case err != nil:
		return nil, 0, a.away(ctx, "finding the attempts of an event", err)
	case len(at) > maxMessageRows:
		return nil, 0, refuse(http.StatusConflict, "too_many_attempts", "the event has %d attempts, more than can be listed: list those of its endpoints", len(at))
	}
	rows, expired, err = a.readMessageRows(ctx, tenant, entry.Message, at)
	if err != nil {
		return nil, 0, a.away(ctx, "reading the attempts of an event", err)
	}
	slices.SortFunc(rows, newestFirst)
	return rows, expired, nil
}

// readMessageRows reads those rows at positions that are of the event.
func (a *API) readMessageRows(
	ctx context.Context, tenant, message ident.ID, at []delivery.Position,
) (rows []foundRow, expired int, err error) {
	name := message.Base62(messagePrefix)
	err = a.readOutcomes(ctx, tenant, at, func(_ int, r pipeline.ReadOutcome) {
		switch o := r.Outcome; {
		case o == nil:
			expired++
		case o.Message == name:
			rows = append(rows, foundRow{view.Attempt{
				Position: r.Position, Time: o.At.Truncate(time.Millisecond), Status: o.Status, Result: o.Result, Verdict: o.Verdict,
				Reason: o.Reason,
			}, o})
		}
	})
	return rows, expired, err
}

func newestFirst(a, b foundRow) int { return compareIDs(b.at.ID(), a.at.ID()) }

func compareIDs(a, b ident.ID) int { return bytes.Compare(a[:], b[:]) }

func (a *API) listMessageAttempts(ctx context.Context, in *MessageAttemptList) (*answer[List[MessageAttemptOut]], error) {
	c := called(ctx)
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	q, err := in.query(ident.ID{}, attemptPrefix)
	if err != nil {
		return nil, err
	}
	if in.Endpoint != "" {
		s, err := endpointNamed(ctx, in.Endpoint)
		if err != nil {
			return nil, err
		}
		q.Subscription = s.ID
	}
	rows, expired, err := a.messageRows(ctx, in.Message)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(r foundRow) bool {
		return !q.Subscription.IsZero() && r.row.Subscription != q.Subscription || !in.AttemptInput.has(r.at) ||
			!in.CodeClassInput.has(r.at) || !in.of(r.row, q.EventTypes) || !q.After.IsZero() && !r.row.At.After(q.After) ||
			!q.Before.IsZero() && !r.row.At.Before(q.Before)
	})
	if rows, err = a.tagged(ctx, c.tenant.ID, in.Tag, rows); err != nil {
		return nil, a.away(ctx, "finding the tags of an event", err)
	}
	name := func(r foundRow) string { return r.at.ID().Base62(attemptPrefix) }
	show := func(r foundRow) MessageAttemptOut {
		fallback := ""
		if s, ok := c.snap.Subscription(r.row.Subscription); ok {
			fallback = s.URL
		}
		return attemptOut(r.row, fallback, in.WithContent.wanted(), in.expanded())
	}
	page, err := paginate(in.PageInput, true, rowsAfter(rows), all[foundRow], name, show)
	if err != nil {
		return nil, err
	}
	return viewAnswer(ctx, a, *page, expired), nil
}

// rowsAfter yields rows that are sorted, the newest first, from where an iterator says.
func rowsAfter(rows []foundRow) source[foundRow] {
	return func(after string, descending bool) (iter.Seq[foundRow], error) {
		from := ident.ID{}
		if after != "" {
			from, _ = ident.ParseBase62(attemptPrefix, after) // it was looked at before
		}
		return func(yield func(foundRow) bool) {
			for i := range rows {
				r := rows[i]
				if !descending {
					r = rows[len(rows)-1-i]
				}
				past := from.IsZero() || (compareIDs(r.at.ID(), from) < 0) == descending && r.at.ID() != from
				if past && !yield(r) {
					return
				}
			}
		}, nil
	}
}

func (a *API) listMessageEndpoints(ctx context.Context, in *MessageEndpointList) (*answer[List[MessageEndpointOut]], error) {
	snap := called(ctx).snap
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	if _, _, _, err := in.parse(subscription.SubscriptionPrefix); err != nil {
		return nil, err
	}
	rows, expired, err := a.messageRows(ctx, in.Message)
	if err != nil {
		return nil, err
	}
	last := map[ident.ID]foundRow{}
	for _, r := range rows {
		known, ok := last[r.row.Subscription]
		if !ok || known.at.Position.Offset < r.at.Position.Offset {
			last[r.row.Subscription] = r
		}
	}
	var found []*subscription.Subscription
	for id := range last {
		if s, ok := snap.Subscription(id); ok {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, func(a, b *subscription.Subscription) int { return compareIDs(a.ID, b.ID) })
	from := func(after string, descending bool) (iter.Seq[*subscription.Subscription], error) {
		at, _ := ident.ParseBase62(subscription.SubscriptionPrefix, after) // it was looked at before
		list := slices.DeleteFunc(slices.Clone(found), func(s *subscription.Subscription) bool {
			c := compareIDs(s.ID, at)
			return !at.IsZero() && (c == 0 || c < 0 != descending)
		})
		if descending {
			slices.Reverse(list)
		}
		return slices.Values(list), nil
	}
	page, err := paginate(in.PageInput, false, from, all[*subscription.Subscription], endpointID,
		func(s *subscription.Subscription) MessageEndpointOut { return messageEndpointOut(s, last[s.ID].row) })
	if err != nil {
		return nil, err
	}
	return viewAnswer(ctx, a, *page, expired), nil
}

// attempt finds the row of the attempt that a path names.
func (a *API) attempt(ctx context.Context, in *AttemptPath) (*outcome.Outcome, error) {
	rows, _, err := a.messageRows(ctx, in.Message)
	if err != nil {
		return nil, err
	}
	var found *outcome.Outcome
	for _, r := range rows {
		// A crash may have written it twice: the newest counts.
		if _, ok := attemptStatus(r.at.Result, r.at.Verdict, r.at.Reason, true); ok && found == nil &&
			attemptID(r.row).Base62(attemptPrefix) == in.Attempt {
			found = r.row
		}
	}
	if found == nil {
		return nil, notFound("attempt")
	}
	return found, nil
}

func (a *API) getAttempt(ctx context.Context, in *AttemptPath) (*answer[MessageAttemptOut], error) {
	snap := called(ctx).snap
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	o, err := a.attempt(ctx, in)
	if err != nil {
		return nil, err
	}
	fallback := ""
	if s, ok := snap.Subscription(o.Subscription); ok {
		fallback = s.URL
	}
	return viewAnswer(ctx, a, attemptOut(o, fallback, true, in.Expanded), 0), nil
}

func (a *API) getAttemptHeaders(ctx context.Context, in *AttemptPath) (*answer[HeadersOut], error) {
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	o, err := a.attempt(ctx, in)
	if err != nil {
		return nil, err
	}
	return viewAnswer(ctx, a, headersOut(o), 0), nil
}
