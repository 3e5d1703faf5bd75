package registry

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
)

// Writer changes the registry. There is one at a time in a cluster: opening one fences the one before. All methods may
// be called concurrently; changes are made one after the other.
type Writer struct {
	view *View

	mu       sync.Mutex
	appender Appender
	// version contains everything this writer has written.
	version int64
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
	// What this writer wrote is the one thing that can be missing from the snapshot; see the end of this function.
	if err := w.view.Wait(ctx, w.version); err != nil {
		return 0, err
	}
	base := w.view.Snapshot()
	records, err := newPlan(base, changes)
	if err != nil {
		return 0, err
	}
	if len(records) == 0 {
		return base.Version(), nil
	}
	last, err := w.appender.Append(ctx, pairs(records))
	if err != nil {
		w.end(err)
		return 0, w.broken
	}
	w.version = last + 1
	return w.version, w.view.Wait(ctx, w.version)
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

// end records what ended the writer: a transaction of unknown fate, or a successor.
func (w *Writer) end(err error) {
	w.appender.Close()
	var fenced interface{ Fenced() bool }
	if errors.As(err, &fenced) && fenced.Fenced() {
		w.broken = fmt.Errorf("%w: %w", ErrFenced, err)
		return
	}
	w.broken = fmt.Errorf("%w: %w", ErrBroken, err)
}

func pairs(records []record) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, r := range records {
			if !yield(r.key, r.value) {
				return
			}
		}
	}
}
