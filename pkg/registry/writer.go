package registry

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// Writer changes the registry. There is one at a time in a cluster: opening one fences the one before. All methods may
// be called concurrently; changes are made one after the other. A [Store] opens writers as it needs them.
type Writer struct {
	view *View

	mu       sync.Mutex
	appender Appender
	// end is the version of a view that has read everything this writer has written, the marker of its last
	// transaction included: that is the offset of the next record.
	end int64
	// broken is what ended the writer.
	broken error
}

// OpenWriter fences every other writer by means of open, which returns a producer that has already done so, waits until
// the view contains all they wrote, and serves. The order matters: what a predecessor commits after the view was read
// would be overwritten unseen. [View.Run] must be running for as long as the writer is used. Close closes the appender.
func OpenWriter(ctx context.Context, view *View, open func(context.Context) (Appender, error)) (*Writer, error) {
	appender, err := open(ctx)
	if err != nil {
		return nil, fmt.Errorf("opening the registry for writing: %w", err)
	}
	if err := view.Sync(ctx); err != nil {
		appender.Close()
		return nil, fmt.Errorf("opening the registry for writing: %w", err)
	}
	return &Writer{view: view, appender: appender}, nil
}

// Apply makes all the changes or none, in one transaction, and returns the version from which on a snapshot contains
// them; that of the view does when Apply returns. Refusals are [*ConflictError], [*UIDError], [ErrNoTenant] and
// [ErrMoved], joined if there are more, and leave the writer as it is. An error that wraps [ErrBroken] or [ErrFenced]
// ends the writer: open another. Without changes it returns the current version.
//
// If ctx ends after the changes were committed, Apply returns their version together with the error.
func (w *Writer) Apply(ctx context.Context, changes ...Change) (int64, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken != nil {
		return 0, w.broken
	}
	p, err := w.plan(ctx)
	if err != nil {
		return 0, err
	}
	if _, err := p.add(changes); err != nil {
		return 0, err
	}
	if len(p.records) == 0 {
		return p.base.Version(), nil
	}
	version, err := w.append(ctx, p, nil)
	if err != nil {
		return 0, err
	}
	return version, w.view.Wait(ctx, version)
}

// plan returns a plan on top of everything there is.
func (w *Writer) plan(ctx context.Context) (*plan, error) {
	// What this writer wrote is the one thing that can be missing from the snapshot; see the end of Apply.
	if err := w.view.Wait(ctx, w.end); err != nil {
		return nil, err
	}
	return newPlan(w.view.Snapshot(), w.view.vault, w.view.opts.Now()), nil
}

// append writes what was planned, and records of other topics, and returns the version from which on a snapshot contains
// it. An error ends the writer.
func (w *Writer) append(ctx context.Context, p *plan, others []Record) (version int64, err error) {
	records, err := p.finish()
	if err != nil {
		return 0, err
	}
	last, err := w.appender.Append(ctx, p.base.Version(), slices.Values(append(records, others...)))
	if err != nil {
		w.stop(err)
		return 0, w.broken
	}
	w.end = last + 2 // the marker of the transaction is at last + 1
	return last + 1, nil
}

// Snapshot returns the newest snapshot of the writer's view.
func (w *Writer) Snapshot() *Snapshot { return w.view.Snapshot() }

// Close ends the writer. It is idempotent, and waits for a change that is being made.
func (w *Writer) Close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.appender.Close()
	if w.broken == nil {
		w.broken = fmt.Errorf("%w: it was closed", ErrBroken)
	}
}

// stop records what ended the writer: a transaction of unknown fate, or a successor.
func (w *Writer) stop(err error) {
	w.appender.Close()
	if fenced(err) {
		w.broken = fmt.Errorf("%w: %w", ErrFenced, err)
		return
	}
	w.broken = fmt.Errorf("%w: %w", ErrBroken, err)
}

func fenced(err error) bool {
	var e interface{ Fenced() bool }
	return errors.As(err, &e) && e.Fenced()
}
