package registry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/audit"
)

// Journal returns the records that are written with what an [Store.Apply] has done, in the same transaction: they are
// there if and only if the changes are. It is called before they are written, more than once if it takes more than one
// attempt, and must do nothing else. An error refuses the changes.
type Journal func(by audit.Actor, at time.Time, done []Applied) ([]Record, error)

// StoreOptions are the settings of a [Store]. The zero value works.
type StoreOptions struct {
	// Now is the clock; nil takes the view's.
	Now func() time.Time
	// Journal may be nil.
	Journal Journal
	// Log gets what operators should know; nil discards it.
	Log *slog.Logger
	// Metrics registers the metrics of writing; nil keeps none.
	Metrics prometheus.Registerer
}

// Result says where changes are.
type Result struct {
	// Version is the one from which on a snapshot contains the changes; that of the store's view does when Apply returns.
	Version int64
}

// Store changes the registry for many callers. It opens a [Writer] when the first change comes and another when that one
// was fenced or broke, and finds out by itself whether a transaction of unknown fate was committed: no change is made
// twice, and none conflicts with itself. Changes that come together are written together. Any number of processes may
// have one. All methods may be called concurrently.
type Store struct {
	view    *View
	open    func(context.Context) (Appender, error)
	opts    StoreOptions
	metrics *storeMetrics

	// ctx ends what the worker waits for.
	ctx    context.Context //nolint:containedctx // the worker's life, ended by Close
	cancel context.CancelFunc
	worker sync.WaitGroup

	mu      sync.Mutex
	queue   []*request
	working bool
	closed  bool

	// Of the worker alone.
	writer *Writer
	// failures counts writers that were lost since the last transaction; cost is what opening one and writing with it took.
	failures int
	cost     time.Duration
}

const (
	// maxQueue bounds the callers that wait: more are told so instead of waiting for minutes.
	maxQueue = 10_000
	// patience is how long the worker tries to make a batch of changes, or to find out about it.
	patience = 45 * time.Second
	// closePatience is how long Close waits for changes that are being made.
	closePatience = 10 * time.Second
)

// OpenStore returns a store over a view for which [View.Run] is running as long as the store is used. open returns a
// producer that has fenced all others; nothing is opened before the first change. Close it.
func OpenStore(view *View, open func(context.Context) (Appender, error), opts StoreOptions) *Store {
	if opts.Now == nil {
		opts.Now = view.opts.Now
	}
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{view: view, open: open, opts: opts, cost: firstCost}
	s.metrics = newStoreMetrics(opts.Metrics, opts.Log)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Snapshot returns the newest snapshot of the store's view.
func (s *Store) Snapshot() *Snapshot { return s.view.Snapshot() }

// View returns the view that the store was opened over.
func (s *Store) View() *View { return s.view }

// request is one Apply.
type request struct {
	by      audit.Actor
	changes []Change
	state   atomic.Int32
	answer  chan answer
}

// States of a request. It is given up only while it waits: once it is in a transaction its fate is open.
const (
	waiting int32 = iota
	taken
	givenUp
)

type answer struct {
	Result
	err error
}

// Apply makes all the changes or none, in one transaction. Refusals are [*ConflictError], [*UIDError], [*SizeError],
// [ErrNoTenant], [ErrMoved] and [ErrTaken], joined if there are more. Without changes, or if they change nothing, it
// returns the current version.
//
// Any other error says that nothing was changed, unless it wraps [ErrUnknown]. An error with a Version says that the
// changes were made, but were not read back in time.
func (s *Store) Apply(ctx context.Context, by audit.Actor, changes ...Change) (Result, error) {
	if err := context.Cause(ctx); err != nil {
		return Result{}, fmt.Errorf("writing the registry: %w", err)
	}
	if len(changes) == 0 {
		return Result{Version: s.Snapshot().Version()}, nil
	}
	r := &request{by: by, changes: changes, answer: make(chan answer, 1)}
	if err := s.enqueue(r); err != nil {
		return Result{}, err
	}
	select {
	case a := <-r.answer:
		return a.Result, a.err
	case <-ctx.Done():
	}
	if r.state.CompareAndSwap(waiting, givenUp) {
		return Result{}, fmt.Errorf("waiting to write the registry: %w", context.Cause(ctx))
	}
	select {
	case a := <-r.answer:
		return a.Result, a.err
	default:
		return Result{}, fmt.Errorf("%w: %w", ErrUnknown, context.Cause(ctx))
	}
}

func (s *Store) enqueue(r *request) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.closed:
		return ErrClosed
	case len(s.queue) >= maxQueue:
		return ErrBusy
	}
	s.queue = append(s.queue, r)
	if !s.working {
		s.working = true
		s.worker.Go(s.work)
	}
	return nil
}

// Close lets changes that are being made end, for at most 10 s, and closes the writer. It is idempotent.
func (s *Store) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	late := time.AfterFunc(closePatience, s.cancel)
	s.worker.Wait()
	late.Stop()
	s.cancel()
	if s.writer != nil {
		s.writer.Close()
		s.writer = nil
	}
}
