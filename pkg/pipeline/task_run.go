package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/task"
)

// LogReader reads the logs of topics; [kafka.Reader] is one. All methods may be called concurrently.
type LogReader interface {
	RangeReader
	// Since returns where the records of a topic since a time start, and where they end.
	Since(ctx context.Context, topic string, at time.Time) (map[int32]kafka.Ends, error)
	// Committed returns what a group has committed.
	Committed(ctx context.Context, group string) (map[string]map[int32]int64, error)
	// Topics returns the topics that match lets through.
	Topics(ctx context.Context, match func(topic string) bool) ([]string, error)
}

// TaskRunnerOptions are what a runner may have. The zero value of a field takes its default.
type TaskRunnerOptions struct {
	Topics Topics
	// AtOnce is how many tasks this process carries out at a time, the others wait; 16 by default. One has some MB in memory.
	AtOnce  int
	Log     *slog.Logger
	Metrics *Metrics
}

// TaskRunner carries out background tasks. It implements [kafka.Handler] over the tasks topic, of which its group decides
// who owns what: the owner of a partition carries out its tasks, and nobody else. What it writes of them to the topic is
// what the next owner goes on with.
type TaskRunner struct {
	opts     TaskRunnerOptions
	registry Registry
	log      *TaskLog
	works    map[task.Kind]TaskWork
	reader   LogReader
	out      Producer
	slots    chan struct{}

	mu    sync.Mutex
	parts map[*kafka.Partition]*taskPart
}

// taskPart is what is at work of one partition.
type taskPart struct{ stop, done chan struct{} }

var _ kafka.Handler = (*TaskRunner)(nil)

// NewTaskRunner returns a runner of the kinds that works has. Tasks of other kinds are left to those who know them.
func NewTaskRunner(
	opts TaskRunnerOptions, reg Registry, log *TaskLog, works map[task.Kind]TaskWork, reader LogReader, out Producer,
) *TaskRunner {
	setDefault(&opts.AtOnce, 16)
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	return &TaskRunner{
		opts: opts, registry: reg, log: log, works: works, reader: reader, out: out,
		slots: make(chan struct{}, opts.AtOnce), parts: map[*kafka.Partition]*taskPart{},
	}
}

// Assign takes the partition's tasks up where their last owner left them.
func (r *TaskRunner) Assign(p *kafka.Partition) error {
	ctx, cancel := context.WithTimeout(p.Context(), taskSync)
	defer cancel()
	if err := r.log.tail.Sync(ctx); err != nil {
		return err
	}
	part := &taskPart{stop: make(chan struct{}), done: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts[p] = part
	go func() {
		defer close(part.done)
		r.own(p, part)
	}()
	return nil
}

// Records does nothing: the log follows the topic itself.
func (*TaskRunner) Records(p *kafka.Partition, records []*kafka.Record) {
	for _, rec := range records {
		p.Finish(rec.Offset)
	}
}

// Revoke ends the tasks after the step they are at, for which it waits a moment.
func (r *TaskRunner) Revoke(ps []*kafka.Partition) {
	limit := time.NewTimer(chunkTimeout)
	defer limit.Stop()
	for _, part := range r.take(ps) {
		select {
		case <-part.done:
		case <-limit.C:
			return // its partition's context ends next, and cuts it off
		}
	}
}

// Lost ends the tasks; the step they are at is cut off with the partition's context.
func (r *TaskRunner) Lost(ps []*kafka.Partition) { r.take(ps) }

func (r *TaskRunner) take(ps []*kafka.Partition) (parts []*taskPart) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range ps {
		if part := r.parts[p]; part != nil {
			close(part.stop)
			delete(r.parts, p)
			parts = append(parts, part)
		}
	}
	return parts
}

// sweepEvery is how often tasks that ended long ago are looked for.
const sweepEvery = time.Hour

// own carries out the tasks of a partition as they come, until it is taken away.
func (r *TaskRunner) own(p *kafka.Partition, part *taskPart) {
	var running sync.WaitGroup
	defer running.Wait()
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	started := map[ident.ID]bool{}
	for {
		atWork, changed := r.log.atWorkIn(p.ID)
		now := make(map[ident.ID]bool, len(atWork)) // a task that ended is in the log as ended before its run ends
		for _, t := range atWork {
			now[t.ID] = true
			if !started[t.ID] {
				running.Go(func() { r.run(p.Context(), part.stop, t) })
			}
		}
		started = now
		select {
		case <-changed:
		case <-sweep.C:
			if err := r.log.sweep(p.Context(), p.ID, time.Now()); err != nil {
				r.opts.Log.Warn("forgetting old tasks", "error", err)
			}
		case <-part.stop:
			return
		case <-p.Context().Done():
			return
		}
	}
}

// Causes of an early end of a task's run.
var (
	errTaskStopped   = errors.New("the task has another owner")
	errTaskCancelled = errors.New("the task was cancelled")
)

// run carries out a task and writes how it ended.
func (r *TaskRunner) run(ctx context.Context, stop <-chan struct{}, t *task.Task) {
	work := r.works[t.Kind]
	if work == nil {
		r.opts.Log.Warn("leaving a task of unknown kind to others", "task", t.ID.UUID(), "kind", string(t.Kind))
		return
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	case <-stop:
		return
	case <-ctx.Done():
		return
	}
	r.opts.Metrics.tasks.Inc()
	defer r.opts.Metrics.tasks.Dec()
	x := &execution{TaskRunner: r, work: work, t: t.Clone()}
	err := x.run(ctx, stop)
	switch {
	case ctx.Err() != nil, errors.Is(err, errTaskStopped):
		return // its next owner goes on
	case errors.Is(err, errTaskCancelled):
		x.t.Status = task.Cancelled
	case err != nil:
		x.t.Status, x.t.Error = task.Failed, safeText(err.Error(), maxDetail)
	default:
		x.t.Status = task.Finished
	}
	x.t.Cursor, x.t.Marks = nil, nil
	if _, err := r.log.put(ctx, x.t); err != nil {
		r.opts.Log.Error("ending a task", "task", t.ID.UUID(), "error", err) // its next owner ends it
		return
	}
	r.opts.Log.Info("task ended", "task", t.ID.UUID(), "kind", string(t.Kind), "status", string(x.t.Status),
		"done", x.t.Progress.Done, "failed", x.t.Progress.Failed, "resumed", x.t.Progress.Resumed, "error", x.t.Error)
}
