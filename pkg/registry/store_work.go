package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// maxGroup and maxGroupBytes bound what is written in one transaction, readers stop at its start until it ends; a
	// single Apply may exceed them.
	maxGroup      = 1000
	maxGroupBytes = 4 << 20
	// openPatience bounds the opening of a writer when no change is in doubt: its callers wait.
	openPatience = 15 * time.Second
	// appendPatience bounds one transaction; the producer's own limits are 15 s for records and 10 s for the end.
	appendPatience = 30 * time.Second
	// firstCost is what opening a writer and a transaction are taken to cost before it was measured.
	firstCost = 25 * time.Millisecond
	// maxCost bounds what is measured, and maxDoublings the wait of a store that is fenced over and over: 16 times that.
	maxCost      = 500 * time.Millisecond
	maxDoublings = 4
)

// work makes changes until none wait.
func (s *Store) work() {
	for batch := s.take(); batch != nil; batch = s.take() {
		s.make(batch)
	}
}

// take returns the requests that come next, nil if there are none: then the worker ends.
func (s *Store) take() []*request {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, changes := 0, 0
	for n < len(s.queue) && (n == 0 || changes+len(s.queue[n].changes) <= maxGroup) {
		changes += len(s.queue[n].changes)
		n++
	}
	if n == 0 {
		s.working = false
		return nil
	}
	batch := slices.Clone(s.queue[:n])
	s.queue = slices.Delete(s.queue, 0, n)
	return batch
}

// putBack puts requests that found no room before those that wait.
func (s *Store) putBack(rs []*request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.queue = slices.Concat(rs, s.queue)
}

// make makes the changes of a batch and answers every request of it, or puts it back.
func (s *Store) make(batch []*request) {
	ctx, cancel := context.WithTimeoutCause(s.ctx, patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	for {
		batch = slices.DeleteFunc(batch, func(r *request) bool { return r.state.Load() == givenUp })
		if len(batch) == 0 {
			return
		}
		began := s.opts.Now()
		g, err := s.group(ctx, batch)
		if err != nil {
			answerAll(batch, answer{err: fmt.Errorf("writing the registry: %w", err)})
			return
		}
		if rest := batch[g.tried:]; len(rest) > 0 {
			s.putBack(rest)
		}
		batch = s.write(ctx, g)
		s.metrics.seconds.Observe(s.opts.Now().Sub(began).Seconds())
	}
}

// group is what one transaction is to make.
type group struct {
	plan   *plan
	others []Record
	// in are the requests of the transaction, refused those that get their error after it: a refusal may be because of a
	// change that is in it.
	in      []*request
	refused []refusal
	// tried is how many of the batch were looked at; there is no room for the rest.
	tried int
}

type refusal struct {
	r   *request
	err error
}

// group plans a batch on top of everything there is, with a writer of its own.
func (s *Store) group(ctx context.Context, batch []*request) (*group, error) {
	opening, cancel := context.WithTimeoutCause(ctx, openPatience, fmt.Errorf("not within %s", openPatience))
	defer cancel()
	if err := s.ready(opening); err != nil {
		return nil, err
	}
	p, err := s.writer.plan(ctx)
	if err != nil {
		return nil, err
	}
	p.now = s.opts.Now().UTC().Truncate(time.Millisecond)
	g := &group{plan: p}
	for _, r := range batch {
		if !s.include(g, r) {
			break
		}
		g.tried++
	}
	return g, nil
}

// include adds one request to a group, or its refusal. It reports false if there is no room.
func (s *Store) include(g *group, r *request) bool {
	before := g.plan.mark()
	done, err := g.plan.add(r.changes)
	var others []Record
	if err == nil && s.opts.Journal != nil && len(done) > 0 {
		if others, err = s.opts.Journal(r.by, g.plan.now, done); err != nil {
			g.plan.reset(before)
			err = fmt.Errorf("keeping the journal: %w", err)
		}
	}
	switch {
	case err != nil:
		g.refused = append(g.refused, refusal{r, err})
		return true
	case len(g.in) > 0 && g.plan.bytes > maxGroupBytes:
		g.plan.reset(before)
		return false
	case !r.state.CompareAndSwap(waiting, taken):
		g.plan.reset(before) // its caller is gone
		return true
	}
	g.in = append(g.in, r)
	g.others = append(g.others, others...)
	return true
}

// write writes a group and answers its requests. It returns those that are to be tried again: they were not made, because
// of another writer and not because of them.
func (s *Store) write(ctx context.Context, g *group) (again []*request) {
	if len(g.plan.records) == 0 {
		g.answer(answer{Result: Result{Version: g.plan.base.Version()}}, s.metrics)
		return nil
	}
	watch := s.view.watch(g.plan.write)
	defer s.view.unwatch(watch)
	appending, cancel := context.WithTimeout(s.ctx, appendPatience)
	version, err := s.writer.append(appending, g.plan, g.others) //nolint:contextcheck // what was begun outlives who asked for it
	cancel()
	if err != nil {
		return s.lost(ctx, g, watch, err)
	}
	s.failures = 0
	s.metrics.transactions.Inc()
	s.metrics.changes.Add(float64(len(g.plan.records)))
	err = s.view.Wait(ctx, version)
	g.answer(answer{Result: Result{Version: version}, err: err}, s.metrics)
	return nil
}

// lost finds out what became of a group whose transaction ended in an error.
func (s *Store) lost(ctx context.Context, g *group, w *watch, err error) (again []*request) {
	s.discard(err)
	// Opening a writer ends the transaction, one way or the other, and waits until the view has seen how.
	if openErr := s.ready(ctx); openErr != nil {
		g.answer(answer{err: fmt.Errorf("%w: %w", ErrUnknown, errors.Join(err, openErr))}, s.metrics)
		return nil
	}
	switch seen, replayed := s.view.fate(w); {
	case seen:
		s.metrics.transactions.Inc()
		s.metrics.changes.Add(float64(len(g.plan.records)))
		g.answer(answer{Result: Result{Version: s.view.Snapshot().Version()}}, s.metrics)
		return nil
	case replayed:
		g.answer(answer{err: fmt.Errorf("%w: %w", ErrUnknown, err)}, s.metrics)
		return nil
	}
	for _, r := range g.in {
		r.state.Store(waiting)
		again = append(again, r)
	}
	for _, r := range g.refused {
		again = append(again, r.r) // what it was refused for was not made
	}
	return again
}

// discard ends the writer after an error.
func (s *Store) discard(err error) {
	if s.writer != nil {
		s.writer.Close()
		s.writer = nil
	}
	s.failures++
	if errors.Is(err, ErrFenced) || fenced(err) {
		s.metrics.fencings.Inc()
		return
	}
	s.opts.Log.Warn("writing the registry, again with a new writer", slog.Any("error", err))
}

// ready makes sure that there is a writer. Stores that fence each other in turn leave each other the time that opening
// one and writing with it take, and more the longer it goes on: otherwise none would ever finish.
func (s *Store) ready(ctx context.Context) error {
	for s.writer == nil {
		if s.failures > 0 {
			most := s.cost << min(s.failures, maxDoublings)
			sleep(ctx, s.cost+rand.N(most)) //nolint:gosec // spreads, protects nothing
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		began := time.Now()
		w, err := OpenWriter(ctx, s.view, s.open)
		if err != nil {
			s.discard(err)
			if ctx.Err() != nil {
				return err
			}
			continue
		}
		s.writer = w
		s.cost = min(max(2*time.Since(began), firstCost), maxCost)
	}
	return nil
}

// answer answers all requests of a group.
func (g *group) answer(a answer, m *storeMetrics) {
	answerAll(g.in, a)
	for _, r := range g.refused {
		if _, conflict := errors.AsType[*ConflictError](r.err); conflict {
			m.conflicts.Inc()
		}
		r.r.answer <- answer{err: r.err}
	}
}

func answerAll(rs []*request, a answer) {
	for _, r := range rs {
		r.answer <- a
	}
}
