package api

import (
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/view"
)

// rowQuery asks for rows of outcomes of one endpoint: what the index can tell, and what only the rows can.
type rowQuery struct {
	view.AttemptQuery
	// backwards says that the page is read against the order of the list.
	backwards bool
	// indexed narrows by what the index knows. nil lets all through.
	indexed func(view.Attempt) bool
	// narrow returns those of some rows that are wanted, in their order. nil returns all.
	narrow func(context.Context, []foundRow) ([]foundRow, error)
}

// foundRow is a row of outcomes, as the index and as Kafka has it.
type foundRow struct {
	at  view.Attempt
	row *outcome.Outcome
}

// rowPage is what was found.
type rowPage struct {
	rows []foundRow
	// next is where it ended, and done says that there is nothing behind.
	next ident.ID
	done bool
	// expired is how many rows are left out because Kafka does not have them any more.
	expired int
}

// cut ends the page after n rows.
func (p *rowPage) cut(n int) {
	if n < len(p.rows) {
		p.rows, p.done = p.rows[:n], false
		p.next = p.rows[n-1].at.ID()
	}
}

// Bounds of the work of one request.
const (
	// maxLooks is how often the index is asked for more because nothing of what it had was wanted; maxIndexLooks is it where the
	// index tells what is wanted, 16 bytes a row, and maxIndexLook how many rows it then returns at a time.
	maxLooks, maxIndexLooks, maxIndexLook = 8, 20, view.MaxAttemptLimit
	// lookBudget is how long a page is looked for: rows that are wanted may be far apart in the log, each a read of its own. Then
	// it ends where it is, and whoever wants more asks for the next one.
	lookBudget = 100 * time.Millisecond
	// minLook and maxLook are how many rows are read at a time where only the rows tell which are wanted: 1 KB each, usually.
	minLook, maxLook = 20, 250
	// lookLanes is how many calls of Redis are made at a time by one request.
	lookLanes = 8
)

// rows returns a page of rows.
func (a *API) rows(ctx context.Context, tenant ident.ID, q rowQuery) (rowPage, error) {
	page, want, looks := rowPage{next: q.Iterator}, q.Limit, maxLooks
	began := a.opts.Now()
	if q.narrow == nil {
		looks = maxIndexLooks
	}
	for look := range looks {
		q.Limit = want - len(page.rows)
		switch {
		case q.narrow != nil:
			q.Limit = min(max(2*q.Limit, minLook), maxLook)
		case look > 0: // little of the first was wanted
			q.Limit = maxIndexLook
		}
		found, err := a.opts.Attempts.Attempts(ctx, q.AttemptQuery)
		if err != nil {
			return page, err
		}
		full, err := a.lookAt(ctx, tenant, &q, want, &found, &page)
		if err != nil || full {
			return page, err
		}
		if found.Done {
			page.done = true
			return page, nil
		}
		q.Iterator = found.Iterator
		if a.opts.Now().Sub(began) > lookBudget {
			break
		}
	}
	return page, nil
}

// lookAt adds to the page what is wanted of some rows of the index; what it leaves for later is as if it had not been found. It
// reports whether the page is full.
func (a *API) lookAt(
	ctx context.Context, tenant ident.ID, q *rowQuery, want int, found *view.AttemptPage, page *rowPage,
) (full bool, err error) {
	listed, room := found.Attempts, want-len(page.rows)
	if q.indexed != nil {
		listed = slices.DeleteFunc(slices.Clone(listed), func(at view.Attempt) bool { return !q.indexed(at) })
	}
	if q.narrow == nil && len(listed) > room {
		listed, found.Done = listed[:room], false
		found.Iterator = listed[room-1].ID()
	}
	rows, expired, err := a.readRows(ctx, tenant, q.Subscription, listed)
	if err == nil && q.narrow != nil {
		rows, err = q.narrow(ctx, rows)
	}
	if err != nil {
		return false, err
	}
	page.expired += expired
	if len(rows) > room || len(rows) == room && !found.Done {
		page.rows = append(page.rows, rows[:room]...)
		page.next = page.rows[len(page.rows)-1].at.ID()
		return true, nil
	}
	page.rows = append(page.rows, rows...)
	if !found.Iterator.IsZero() {
		page.next = found.Iterator
	}
	return false, nil
}

// readRows reads the rows of an endpoint that the index has. A row that is not there any more, or is another one, because the
// topic was made anew, is left out.
func (a *API) readRows(ctx context.Context, tenant, sub ident.ID, listed []view.Attempt) (rows []foundRow, expired int, err error) {
	at := make([]delivery.Position, len(listed))
	for i := range listed {
		at[i] = listed[i].Position
	}
	err = a.readOutcomes(ctx, tenant, at, func(i int, r pipeline.ReadOutcome) {
		o := r.Outcome
		if o == nil || o.Subscription != sub || o.At.UnixMilli() != listed[i].Time.UnixMilli() {
			expired++
			return
		}
		rows = append(rows, foundRow{listed[i], o})
	})
	return rows, expired, err
}

// readOutcomes reads rows, some at a time, and calls each for them, in their order: the reader gets to all of these. Positions
// that are sorted are read the fastest.
func (a *API) readOutcomes(ctx context.Context, tenant ident.ID, at []delivery.Position, each func(int, pipeline.ReadOutcome)) error {
	done := 0
	for some := range slices.Chunk(at, maxLook) {
		read, err := a.opts.Outcomes.Read(ctx, tenant, some)
		if err != nil {
			return err
		}
		for _, r := range read {
			if r.State == pipeline.ReadLeft {
				return errors.New("the reader did not get to all of the rows that it was asked for")
			}
			each(done, r)
			done++
		}
	}
	return nil
}

// rowList is the answer of a page. Its iterators have the prefix.
func rowList[T any](prefix string, q *rowQuery, page *rowPage, out []T) List[T] {
	l := List[T]{Data: out, Done: page.done}
	if l.Data == nil {
		l.Data = []T{}
	}
	next, prev := page.next, q.Iterator
	if len(page.rows) > 0 {
		prev = page.rows[0].at.ID()
	}
	if q.backwards {
		slices.Reverse(l.Data)
		next, prev = prev, next
		l.Done = false // where it came from
	}
	if !next.IsZero() {
		l.Iterator = new(next.Base62(prefix))
	}
	if !prev.IsZero() {
		l.PrevIterator = new("-" + prev.Base62(prefix))
	}
	return l
}

// together calls do for 0 to n-1, some at a time, until one fails.
func together(ctx context.Context, n int, do func(context.Context, int) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(lookLanes)
	for i := range n {
		g.Go(func() error { return do(ctx, i) })
	}
	return g.Wait()
}
