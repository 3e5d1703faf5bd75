package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/topics"
)

// TaskTail reads the tasks topic on and on; [kafka.Tail] is one. Poll is called from one goroutine.
type TaskTail interface {
	// Poll calls fn for the records that are next, and blocks until there are some.
	Poll(ctx context.Context, fn func(*kafka.Record)) error
	// Sync blocks until Poll has handed over what the topic has at this moment.
	Sync(ctx context.Context) error
}

// TaskLog is the tasks topic as one process sees it: all tasks as they are, whoever carries them out. What this process
// writes it sees at once; what others write, moments later. All methods may be called concurrently.
type TaskLog struct {
	topic      string
	partitions int32
	tail       TaskTail
	out        Producer
	log        *slog.Logger

	mu      sync.Mutex
	tasks   map[ident.ID]*taskEntry
	changed chan struct{} // closed when tasks changes
}

type taskEntry struct {
	task      *task.Task // never written; nil while only its cancelling was read
	partition int32
	offset    int64 // of the task's record
	cancelled bool
}

// Bounds of tasks.
const (
	// maxTenantTasks is how many tasks of one tenant may be at work.
	maxTenantTasks = 20
	// keepTasks is how long an ended task is told about, as long as a dead letter.
	keepTasks = 30 * 24 * time.Hour
	// taskSync bounds the wait for what others wrote, taskPause the pause after a read that failed.
	taskSync  = 5 * time.Second
	taskPause = time.Second
)

// ErrTooManyTasks says that the tenant has as many tasks at work as it may.
var ErrTooManyTasks = fmt.Errorf("%d tasks are at work already: wait for the end of one, or cancel it", maxTenantTasks)

// NewTaskLog returns the log of a topic of so many partitions. The producer takes its records' partitions as they are.
// [TaskLog.Run] must be running.
func NewTaskLog(names Topics, partitions int32, tail TaskTail, out Producer, log *slog.Logger) *TaskLog {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &TaskLog{
		topic: names.Name(topics.Tasks), partitions: partitions, tail: tail, out: out, log: log,
		tasks: map[ident.ID]*taskEntry{}, changed: make(chan struct{}),
	}
}

// Run follows the topic until ctx ends.
func (l *TaskLog) Run(ctx context.Context) {
	for ctx.Err() == nil {
		if err := l.tail.Poll(ctx, l.fold); err != nil && ctx.Err() == nil {
			l.log.Warn("following tasks", "error", err)
			pause(ctx, taskPause)
		}
	}
}

// Start starts a task of a valid kind, filter and rate. It returns when Kafka has the task.
func (l *TaskLog) Start(ctx context.Context, t *task.Task, by audit.Actor) (*task.Task, error) {
	if l.atWork(t.Tenant) >= maxTenantTasks {
		return nil, ErrTooManyTasks
	}
	t = t.Clone()
	t.Version, t.ID, t.By, t.Status = task.Version, ident.New(), by, task.Running
	t.Created = time.Now().UTC().Truncate(time.Millisecond)
	return l.put(ctx, t)
}

func (l *TaskLog) atWork(tenant ident.ID) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.tasks {
		if e.task != nil && e.task.Tenant == tenant && !e.task.Ended() {
			n++
		}
	}
	return n
}

// Get returns a task as it is. One that is not known may have been started by another process just now: then it is waited
// for what the topic has.
func (l *TaskLog) Get(ctx context.Context, id ident.ID) (*task.Task, bool, error) {
	if t, ok := l.get(id); ok {
		return t, true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, taskSync)
	defer cancel()
	if err := l.tail.Sync(ctx); err != nil {
		return nil, false, fmt.Errorf("reading tasks: %w", err)
	}
	t, ok := l.get(id)
	return t, ok, nil
}

func (l *TaskLog) get(id ident.ID) (*task.Task, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.tasks[id]
	if e == nil || e.task == nil {
		return nil, false
	}
	return e.task, true
}

// List returns the tasks that keep lets through, oldest first.
func (l *TaskLog) List(keep func(*task.Task) bool) []*task.Task {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []*task.Task
	for _, e := range l.tasks {
		if e.task != nil && keep(e.task) {
			out = append(out, e.task)
		}
	}
	slices.SortFunc(out, func(a, b *task.Task) int { return bytes.Compare(a.ID[:], b.ID[:]) })
	return out
}

// Cancel asks for the end of a task and returns when Kafka has that. Whoever carries it out ends it within about a second;
// what it has sent is sent.
func (l *TaskLog) Cancel(ctx context.Context, t *task.Task, by audit.Actor) error {
	value, err := json.Marshal(struct {
		By audit.Actor `json:"by"`
		At time.Time   `json:"at"`
	}{by, time.Now().UTC()})
	if err != nil {
		return fmt.Errorf("encoding cancelling: %w", err)
	}
	return l.write(ctx, t, t.CancelKey(), value)
}

// put writes a task as it is now.
func (l *TaskLog) put(ctx context.Context, t *task.Task) (*task.Task, error) {
	t = t.Clone()
	t.Updated = time.Now().UTC().Truncate(time.Millisecond)
	value, err := json.Marshal(t)
	if err != nil {
		return nil, fmt.Errorf("encoding task: %w", err)
	}
	return t, l.write(ctx, t, t.Key(), value)
}

// write writes a record of a task, all of which go to the partition of the task's key, and takes it up.
func (l *TaskLog) write(ctx context.Context, t *task.Task, key string, value []byte) error {
	r := &kafka.Record{Topic: l.topic, Partition: kafka.PartitionOf([]byte(t.Key()), l.partitions), Key: []byte(key), Value: value}
	if err := produceSync(ctx, l.out, r); err != nil {
		return fmt.Errorf("writing task: %w", err)
	}
	l.fold(r)
	return nil
}

// fold takes up a record, unless a later one of the task was taken up before.
func (l *TaskLog) fold(r *kafka.Record) {
	id, cancel, ok := task.ParseKey(string(r.Key))
	if !ok {
		return // a mark, or a stranger's
	}
	var t *task.Task
	if !cancel && r.Value != nil {
		t = &task.Task{}
		switch err := form.Read(r.Value, t, &t.Version, task.Version); {
		case errors.Is(err, form.ErrNewer):
			l.log.Warn("leaving a task to a newer release", "task", id.UUID(), "error", err)
			t = nil // what is known of it is not true any more
		case err != nil || t.ID != id:
			l.log.Error("passing over a task record", "partition", r.Partition, "offset", r.Offset, "error", err)
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.tasks[id]
	switch {
	case e == nil && r.Value == nil:
		return
	case e == nil:
		e = &taskEntry{partition: r.Partition, offset: -1}
		l.tasks[id] = e
	}
	switch {
	case cancel:
		e.cancelled = e.cancelled || r.Value != nil
	case r.Offset <= e.offset:
		return
	case t == nil:
		delete(l.tasks, id)
	default:
		e.task, e.offset = t, r.Offset
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// atWorkIn returns the tasks of a partition that have not ended, oldest first, and a channel that is closed when that may
// have changed.
func (l *TaskLog) atWorkIn(partition int32) ([]*task.Task, <-chan struct{}) {
	l.mu.Lock()
	changed := l.changed
	l.mu.Unlock()
	return l.List(func(t *task.Task) bool {
		e := l.tasks[t.ID] // List has the lock
		return e.partition == partition && !t.Ended()
	}), changed
}

// cancelled reports whether the end of a task was asked for, and returns a channel that is closed when that may have changed.
func (l *TaskLog) cancelled(id ident.ID) (bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.tasks[id]
	return e != nil && e.cancelled, l.changed
}

// sweep forgets the tasks of a partition that ended long ago. The topic must not end with a tombstone, which compaction may
// take away: whoever reads it to its end would wait for it.
func (l *TaskLog) sweep(ctx context.Context, partition int32, now time.Time) error {
	l.mu.Lock()
	var old []*task.Task
	for _, e := range l.tasks {
		if e.partition == partition && e.task != nil && e.task.Ended() && now.Sub(e.task.Updated) > keepTasks {
			old = append(old, e.task)
		}
	}
	l.mu.Unlock()
	if len(old) == 0 {
		return nil
	}
	var errs []error
	for _, t := range old {
		errs = append(errs, l.write(ctx, t, t.CancelKey(), nil), l.write(ctx, t, t.Key(), nil))
	}
	mark := &kafka.Record{Topic: l.topic, Partition: partition, Key: fmt.Appendf(nil, "swept/%d", partition), Value: []byte("{}")}
	return errors.Join(append(errs, produceSync(ctx, l.out, mark))...)
}
