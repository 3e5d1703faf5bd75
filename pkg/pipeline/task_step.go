package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/topics"
)

// TaskWork is what one kind of task does: it finds deliveries, part by part, and makes them. It keeps nothing between two
// calls but what is in the cursor, so that whoever has the cursor goes on. All methods may be called concurrently, for
// different tasks.
type TaskWork interface {
	// Begin returns the cursor of a task that has just been started. It fixes the ends of what the task reads, so that it does
	// not find what it has written itself.
	Begin(ctx context.Context, t *task.Task) (json.RawMessage, error)
	// Find returns what comes after t.Cursor, at most some ten thousand items. From the same cursor it finds the same, but
	// for what Kafka has deleted meanwhile.
	Find(ctx context.Context, t *task.Task) (TaskPart, error)
	// Load makes the deliveries of the first of the items, one at least: as many as may be in memory together.
	Load(ctx context.Context, t *task.Task, items []TaskItem) ([]TaskDelivery, error)
	// After returns the cursor after an item that was found after cursor.
	After(cursor json.RawMessage, item TaskItem) (json.RawMessage, error)
}

// TaskCloser is a [TaskWork] that does something more with an item when its delivery cannot be lost any more. A kill in between
// is no end of it: the next owner calls it, too, for what it finds written.
type TaskCloser interface {
	// Close is told the items that were done, before they are counted.
	Close(ctx context.Context, t *task.Task, items []TaskItem) error
}

// TaskPart is a part of what a task is about.
type TaskPart struct {
	Items []TaskItem
	// Next is the cursor after all of it. Last says that nothing comes after.
	Next json.RawMessage
	Last bool
}

// TaskItem is one delivery that was found.
type TaskItem struct {
	Delivery ident.ID
	// Record is where its data is, Event where the event was read, if these are not the same.
	Record, Event kafka.Place
	// Offset is where it was found: an offset, or what else the cursors of its kind count in.
	Offset int64
}

// TaskDelivery is an item with its data. Without a delivery it is not sent: because it is not among what the task is
// about when looked at closely (Skip), because there is nothing to send (Done), or because Kafka has its data no more.
type TaskDelivery struct {
	Delivery   *delivery.Delivery
	Skip, Done bool
}

// Bounds of the work on a task.
const (
	// maxTaskStep is how many deliveries are written before progress is: what an owner that ends at once leaves uncounted, and
	// the next one has to find.
	maxTaskStep = 500
	// taskTries is how often a step is tried that Kafka did not answer, with pauses from firstBatchRetry on that double up to
	// maxTaskPause: about two minutes.
	taskTries    = 12
	maxTaskPause = 20 * time.Second
)

// execution is one owner's run of a task.
type execution struct {
	*TaskRunner
	work TaskWork
	t    *task.Task // as it is now
	// written are the deliveries that an earlier owner wrote and did not come to count.
	written map[delivery.Key]bool
	// next is when the next step may begin, by the task's rate.
	next time.Time
}

// run goes on with the task until nothing is left of it.
func (x *execution) run(ctx context.Context, stop <-chan struct{}) error {
	// A step is carried to its end when the task is stopped, so that it is counted; everything else is cut off.
	watched, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go x.watch(watched, cancel, stop)
	if err := x.insist(watched, x.begin); err != nil {
		return err
	}
	for {
		var part TaskPart
		err := x.insist(watched, func(ctx context.Context) (err error) {
			part, err = x.work.Find(ctx, x.t)
			return err
		})
		if err != nil {
			return fmt.Errorf("finding deliveries: %w", err)
		}
		if err := x.part(ctx, watched, part); err != nil || part.Last {
			return err
		}
	}
}

// watch ends the run when the task is cancelled or has another owner.
func (x *execution) watch(ctx context.Context, cancel context.CancelCauseFunc, stop <-chan struct{}) {
	for {
		asked, changed := x.log.cancelled(x.t.ID)
		if asked {
			cancel(errTaskCancelled)
			return
		}
		select {
		case <-changed:
		case <-stop:
			cancel(errTaskStopped)
			return
		case <-ctx.Done():
			return
		}
	}
}

// begin fixes what the task is about or, if that was done, finds what its last owner wrote and did not count.
func (x *execution) begin(ctx context.Context) error {
	if len(x.t.Cursor) > 0 {
		return x.resume(ctx)
	}
	ends, err := x.reader.Since(ctx, x.opts.Topics.Name(topics.Deliveries), time.Time{})
	if err != nil {
		return err
	}
	marks := map[int32]int64{}
	only := kafka.PartitionOf([]byte(x.t.Subscription.UUID()), int32(len(ends))) //nolint:gosec // Kafka counts them in 32 bits
	for p, e := range ends {
		if x.t.Subscription.IsZero() || p == only {
			marks[p] = e.End
		}
	}
	cursor, err := x.work.Begin(ctx, x.t)
	if err != nil {
		return err
	}
	x.t.Cursor, x.t.Marks = cursor, marks
	return x.save(ctx)
}

// resume reads what was written to deliveries since the last owner counted.
func (x *execution) resume(ctx context.Context) error {
	x.written = map[delivery.Key]bool{}
	for _, p := range slices.Sorted(maps.Keys(x.t.Marks)) {
		_, err := x.reader.Range(ctx, x.opts.Topics.Name(topics.Deliveries), p, x.t.Marks[p], func(r *kafka.Record) error {
			if !writtenBy(r, x.t) {
				return nil
			}
			d, err := decode(r)
			if err != nil {
				return fmt.Errorf("reading delivery %s: %w", position(r), err)
			}
			x.written[d.Key()] = true
			return nil
		})
		if err != nil {
			return fmt.Errorf("finding what was written: %w", err)
		}
	}
	return nil
}

// writtenBy reports whether a record of deliveries was written by a task.
func writtenBy(r *kafka.Record, t *task.Task) bool {
	for _, h := range r.Headers {
		if h.Key == delivery.HeaderTask {
			return string(h.Value) == t.ID.UUID()
		}
	}
	return false
}

// part sends, or counts, what was found.
func (x *execution) part(ctx, watched context.Context, part TaskPart) error {
	p := &x.t.Progress
	items := part.Items
	switch {
	case !x.t.DryRun:
		p.Counted = p.Done + p.Failed + len(items)
		p.Complete = part.Last
		if err := x.save(ctx); err != nil {
			return err
		}
	case !x.t.Filter.OfEvent():
		p.Counted += len(items)
		items = nil
	}
	for len(items) > 0 {
		if err := pauseUntil(watched, x.next); err != nil {
			return err
		}
		n, err := x.step(ctx, watched, items)
		if err != nil {
			return err
		}
		items = items[n:]
	}
	x.t.Cursor, p.Complete = part.Next, part.Last
	return x.save(ctx)
}

// step sends the first of the items, counts them, and returns how many they are. Writing is not tried again: the producer
// gives nothing up that Kafka might still take.
func (x *execution) step(ctx, watched context.Context, items []TaskItem) (int, error) {
	if err := x.wanted(); err != nil {
		return 0, err
	}
	started := time.Now()
	var made []TaskDelivery
	err := x.insist(watched, func(ctx context.Context) (err error) {
		made, err = x.work.Load(ctx, x.t, items[:min(len(items), maxTaskStep, x.t.PerSecond)])
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("reading deliveries: %w", err)
	}
	if err := x.send(ctx, made); err != nil {
		return 0, fmt.Errorf("writing deliveries: %w", err)
	}
	if err := x.close(ctx, items, made); err != nil {
		return 0, err
	}
	if x.t.Cursor, err = x.work.After(x.t.Cursor, items[len(made)-1]); err != nil {
		return 0, err
	}
	x.next = started.Add(time.Duration(len(made)) * time.Second / time.Duration(x.t.PerSecond))
	return len(made), x.save(ctx)
}

// send writes deliveries and counts them.
func (x *execution) send(ctx context.Context, made []TaskDelivery) error {
	p := &x.t.Progress
	var records []*kafka.Record
	acks := &acks{}
	for _, m := range made {
		switch {
		case m.Skip && !x.t.DryRun:
			p.Counted--
		case m.Skip:
		case x.t.DryRun:
			p.Counted++
		case m.Done:
			p.Done++
		case m.Delivery == nil:
			p.Failed++
		case x.written[m.Delivery.Key()]:
			p.Done++
			p.Resumed++
		default:
			p.Done++
			records = append(records, x.produce(ctx, m.Delivery, acks))
		}
	}
	if err := acks.wait(ctx); err != nil {
		return err
	}
	for _, r := range records {
		x.t.Marks[r.Partition] = max(x.t.Marks[r.Partition], r.Offset+1)
	}
	x.opts.Metrics.taskDeliveries.WithLabelValues(string(x.t.Kind)).Add(float64(len(records)))
	return nil
}

// close tells the work what was done.
func (x *execution) close(ctx context.Context, items []TaskItem, made []TaskDelivery) error {
	closer, ok := x.work.(TaskCloser)
	if !ok || x.t.DryRun {
		return nil
	}
	var done []TaskItem
	for i, m := range made {
		if m.Done || m.Delivery != nil {
			done = append(done, items[i])
		}
	}
	return closer.Close(ctx, x.t, done)
}

func (x *execution) produce(ctx context.Context, d *delivery.Delivery, acks *acks) *kafka.Record {
	r := encode(x.opts.Topics.Name(topics.Deliveries), d)
	r.Headers = append(r.Headers, kafka.Header{Key: delivery.HeaderTask, Value: []byte(x.t.ID.UUID())})
	acks.produce(ctx, x.out, r)
	return r
}

// errNoEndpoint ends a task whose subscription is gone.
var errNoEndpoint = errors.New("the endpoint was deleted")

// wanted says why the task's deliveries would not be sent.
func (x *execution) wanted() error {
	if x.t.Subscription.IsZero() {
		return nil
	}
	switch sub, ok := x.registry.Snapshot().Subscription(x.t.Subscription); {
	case !ok:
		return errNoEndpoint
	case sub.Disabled:
		return errors.New("the endpoint is disabled, so that nothing is sent to it")
	}
	return nil
}

// save writes how far the task is.
func (x *execution) save(ctx context.Context) error {
	_, err := x.log.put(ctx, x.t)
	return err
}

// insist calls do until it succeeds, its tries are used up, or nothing more is to be done.
func (x *execution) insist(ctx context.Context, do func(context.Context) error) error {
	retry := firstBatchRetry
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := do(ctx)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case try == taskTries, errors.Is(err, errNoEndpoint):
			return err
		}
		x.opts.Log.Warn("task goes on in a moment", "task", x.t.ID.UUID(), "error", err)
		if err := pauseUntil(ctx, time.Now().Add(retry)); err != nil {
			return err
		}
		retry = min(2*retry, maxTaskPause)
	}
}

// pauseUntil waits until a time; it returns the cause of ctx's end if that comes first.
func pauseUntil(ctx context.Context, at time.Time) error {
	if !pause(ctx, time.Until(at)) {
		return context.Cause(ctx)
	}
	return nil
}
