package pipeline

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
)

// tasksWorld is a cluster of one partition a topic, in memory, with the outcomes of one subscription.
type tasksWorld struct {
	*broker
	t   *testing.T
	sub *subscription.Subscription
	reg *registered

	mu sync.Mutex
	// away is what reading answers, gone are deliveries that were deleted.
	away error
	gone map[int64]bool
}

func newTasksWorld(t *testing.T) *tasksWorld {
	t.Helper()
	sub := subscriptionNamed("one")
	return &tasksWorld{
		broker: newBroker(t), t: t, sub: sub, reg: &registered{snap: snapshotOf(t, sub), confirmed: time.Now}, gone: map[int64]bool{},
	}
}

// fail adds n deliveries that are dead.
func (w *tasksWorld) fail(n int) {
	for i := range n {
		d := deliveryOf(w.sub, i)
		rec := encode("deliveries", d)
		w.put(rec)
		w.row(d, outcome.Dead, position(rec))
	}
}

func (w *tasksWorld) put(r *kafka.Record) {
	require.NoError(w.t, produceSync(w.t.Context(), w.broker, r))
}

func (w *tasksWorld) row(d *delivery.Delivery, v outcome.Verdict, at delivery.Position) {
	row := outcome.Outcome{
		Delivery: d.ID.Base62(delivery.IDPrefix), Subscription: w.sub.ID, EventType: d.EventType, Verdict: v, At: time.Now(), Record: at,
	}
	value, err := json.Marshal(row)
	require.NoError(w.t, err)
	w.put(&kafka.Record{Topic: "outcomes", Key: []byte(w.sub.ID.UUID()), Value: value})
}

func (w *tasksWorld) Since(_ context.Context, topic string, _ time.Time) (map[int32]kafka.Ends, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return map[int32]kafka.Ends{0: {End: int64(len(w.acknowledged(topic)))}}, w.away
}

func (w *tasksWorld) Committed(context.Context, string) (map[string]map[int32]int64, error) {
	return nil, nil
}

func (w *tasksWorld) Topics(context.Context, func(string) bool) ([]string, error) { return nil, nil }

// Fetch implements RecordFetcher.
func (w *tasksWorld) Fetch(_ context.Context, places []kafka.Place, _ int) (map[kafka.Place]*kafka.Record, []kafka.Place, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.away != nil {
		return nil, nil, w.away
	}
	all, found := w.acknowledged("deliveries"), map[kafka.Place]*kafka.Record{}
	for _, p := range places {
		if !w.gone[p.Offset] {
			found[p] = all[p.Offset]
		}
	}
	return found, nil, nil
}

// tail follows the tasks topic.
type tail struct {
	w    *tasksWorld
	next int
}

func (f *tail) Poll(ctx context.Context, fn func(*kafka.Record)) error {
	b := f.w.broker
	defer context.AfterFunc(ctx, func() { b.change(func() {}) })()
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.log) == f.next {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.wake.Wait()
	}
	for ; f.next < len(b.log); f.next++ {
		if r := b.log[f.next]; r.Topic == "tasks" {
			fn(r)
		}
	}
	return ctx.Err()
}

func (*tail) Sync(ctx context.Context) error {
	pause(ctx, time.Second) // it has polled by then
	return ctx.Err()
}

// taskMember is a process that carries out tasks.
type taskMember struct {
	log    *TaskLog
	runner *TaskRunner
	p      *kafka.Partition
	cut    context.CancelFunc
	ended  sync.WaitGroup
}

// join starts a process that owns the tasks. Its records go to out.
func (w *tasksWorld) join(out Producer) *taskMember {
	w.t.Helper()
	work := &OutcomeWork{Rows: NewKafkaRows(Topics{}, w), Records: w, most: 400}
	return w.joinFor(out, map[task.Kind]TaskWork{task.Recover: work, task.BulkReplay: work})
}

func (w *tasksWorld) joinFor(out Producer, works map[task.Kind]TaskWork) *taskMember {
	w.t.Helper()
	m := &taskMember{log: NewTaskLog(Topics{}, 1, &tail{w: w}, out, nil)}
	m.runner = NewTaskRunner(TaskRunnerOptions{}, w.reg, m.log, works, w, out)
	ctx, cancel := context.WithCancel(context.Background())
	m.p, m.cut = kafka.NewPartition(ctx, "tasks", 0, offset.NewTracker(0, offset.Set{})), cancel
	m.ended.Go(func() { m.log.Run(ctx) })
	require.NoError(w.t, m.runner.Assign(m.p))
	w.t.Cleanup(m.die)
	return m
}

// die ends a process at once: what it waits for does not come any more.
func (m *taskMember) die() {
	m.cut()
	m.runner.Lost([]*kafka.Partition{m.p})
	m.ended.Wait()
	synctest.Wait()
}

func (w *tasksWorld) start(log *TaskLog, perSecond int) *task.Task {
	w.t.Helper()
	t, err := log.Start(w.t.Context(), &task.Task{
		Tenant: acme.ID, Subscription: w.sub.ID, Kind: task.Recover, PerSecond: perSecond,
	}, audit.Actor{})
	require.NoError(w.t, err)
	return t
}

func (w *tasksWorld) end(log *TaskLog, id ident.ID) *task.Task {
	w.t.Helper()
	for range 1000 {
		if t, ok := log.get(id); ok && t.Ended() {
			return t
		}
		time.Sleep(time.Second)
	}
	require.Fail(w.t, "the task did not end")
	return nil
}

// again counts what a task wrote, by its key in the deliverer's window.
func (w *tasksWorld) again(t *task.Task) (keys map[delivery.Key]int, records int) {
	w.t.Helper()
	keys = map[delivery.Key]int{}
	for _, r := range w.acknowledged("deliveries") {
		if writtenBy(r, t) {
			d, err := decode(r)
			require.NoError(w.t, err)
			require.Equal(w.t, delivery.Trigger{Kind: delivery.TriggerRecover, ID: t.ID.UUID()}, d.Trigger)
			keys[d.Key()]++
			records++
		}
	}
	return keys, records
}

// dying is the producer of a process that dies when it has written so many deliveries, or records of another topic.
type dying struct {
	*tasksWorld
	of   string // deliveries if empty
	left int
	dead chan struct{}
}

func (d *dying) Produce(ctx context.Context, r *kafka.Record, promise func(*kafka.Record, error)) {
	if d.left > 0 {
		if r.Topic == cmp.Or(d.of, "deliveries") {
			d.left--
		}
		d.broker.Produce(ctx, r, promise)
		return
	}
	select {
	case <-d.dead:
	default:
		close(d.dead)
	}
	go func() {
		<-ctx.Done()
		promise(r, ctx.Err())
	}()
}

// Wherever a process dies, before or after it has written something and before it has counted it, the next one writes what
// was not written, and that alone.
func TestATaskIsWrittenOnceWhereverItsProcessDies(t *testing.T) {
	const n = 1300
	for _, at := range []int{1, 399, 400, 401, 650, 900, 1299, 1300} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTasksWorld(t)
				w.fail(n)
				out := &dying{tasksWorld: w, left: at, dead: make(chan struct{})}
				first := w.join(out)
				do := w.start(first.log, 500)
				<-out.dead
				synctest.Wait()
				first.die()
				_, written := w.again(do)
				require.Equal(t, at, written, "before it died")
				second := w.join(w)
				now := w.end(second.log, do.ID)
				require.Equal(t, task.Finished, now.Status, now.Error)
				require.Equal(t, n, now.Progress.Done)
				require.True(t, now.Progress.Complete)
				require.Equal(t, n, now.Progress.Counted)
				require.LessOrEqual(t, now.Progress.Resumed, maxTaskStep)
				if at%400 != 0 { // its parts are of 400
					require.Positive(t, now.Progress.Resumed)
				}
				keys, records := w.again(do)
				require.Len(t, keys, n)
				require.Equal(t, n, records, "each once")
			})
		})
	}
}

// An owner that does not know yet that it is none any more writes what its successor writes. The deliverer's window drops
// one of the two.
func TestTwoOwnersOfATask(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTasksWorld(t)
		w.fail(1000)
		first := w.join(w)
		do := w.start(first.log, 100)
		time.Sleep(3 * time.Second)
		second := w.join(w)
		w.end(second.log, do.ID)
		keys, records := w.again(do)
		require.Len(t, keys, 1000)
		require.Greater(t, records, 1000, "both were at work")
		sent, window := 0, newWindow(1<<16)
		for _, r := range w.acknowledged("deliveries") {
			if d, err := decode(r); err == nil && writtenBy(r, do) && !window.repeated(d.Key()) {
				sent++
			}
		}
		require.Equal(t, 1000, sent)
	})
}

// However small the parts, what is found is what has the wanted verdict last, each once.
func TestWhatIsFoundDoesNotDependOnTheParts(t *testing.T) {
	for seed := range uint64(6) {
		w := newTasksWorld(t)
		rnd := rand.New(rand.NewPCG(seed, 1))
		last := map[ident.ID]outcome.Verdict{}
		verdicts := []outcome.Verdict{outcome.Dead, outcome.Dead, outcome.Delivered, outcome.Retry, outcome.Cancelled}
		for range 100 {
			d := deliveryOf(w.sub, rnd.IntN(30))
			last[d.ID] = verdicts[rnd.IntN(len(verdicts))]
			w.row(d, last[d.ID], delivery.Position{Topic: "deliveries"})
		}
		var want []ident.ID
		for id, v := range last {
			if v == outcome.Dead {
				want = append(want, id)
			}
		}
		for _, most := range []int{1, 2, 7, 100} {
			work := &OutcomeWork{Rows: NewKafkaRows(Topics{}, w), most: most}
			do := &task.Task{Kind: task.Recover, Subscription: w.sub.ID}
			var err error
			do.Cursor, err = work.Begin(t.Context(), do)
			require.NoError(t, err)
			later := deliveryOf(w.sub, 60+most)
			w.row(later, outcome.Dead, delivery.Position{}) // after it began
			var got []ident.ID
			for last := false; !last; {
				part, err := work.Find(t.Context(), do)
				require.NoError(t, err)
				for i, item := range part.Items {
					got = append(got, item.Delivery)
					do.Cursor, err = work.After(do.Cursor, item)
					require.NoError(t, err)
					if rnd.IntN(3) == 0 && i < len(part.Items)-1 {
						break // its owner ended
					}
				}
				if last = part.Last && len(part.Items) == 0; len(part.Items) == 0 {
					do.Cursor = part.Next
				}
			}
			require.ElementsMatch(t, want, got, "seed %d, parts of %d", seed, most)
			want = append(want, later.ID)
		}
	}
}

// Kafka may be away for a while; what it has lost is counted; a task whose endpoint is gone ends, and says so.
func TestTasksThatMeetTrouble(t *testing.T) {
	t.Run("away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTasksWorld(t)
			w.fail(10)
			w.away = errors.New("no broker")
			m := w.join(w)
			do := w.start(m.log, 100)
			time.Sleep(20 * time.Second)
			w.mu.Lock()
			w.away = nil
			w.mu.Unlock()
			require.Equal(t, 10, w.end(m.log, do.ID).Progress.Done)
		})
	})
	t.Run("away for good", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTasksWorld(t)
			w.away = errors.New("no broker")
			m := w.join(w)
			now := w.end(m.log, w.start(m.log, 100).ID)
			require.Equal(t, task.Failed, now.Status)
			require.Contains(t, now.Error, "no broker")
		})
	})
	t.Run("lost", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTasksWorld(t)
			w.fail(10)
			w.gone[3], w.gone[4] = true, true
			m := w.join(w)
			now := w.end(m.log, w.start(m.log, 100).ID)
			require.Equal(t, task.Progress{Counted: 10, Complete: true, Done: 8, Failed: 2}, now.Progress)
		})
	})
	t.Run("disabled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			w := newTasksWorld(t)
			w.fail(10)
			m := w.join(w)
			do := w.start(m.log, 1)
			time.Sleep(3500 * time.Millisecond)
			off := *w.sub
			off.Disabled = true
			w.reg.set(snapshotOf(t, &off))
			now := w.end(m.log, do.ID)
			require.Equal(t, task.Failed, now.Status)
			require.Contains(t, now.Error, "disabled")
			require.Less(t, now.Progress.Done, 6)
		})
	})
}

// Tasks that ended long ago are forgotten, and the topic does not end with a tombstone. A tenant has so many at work and no more.
func TestTaskLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTasksWorld(t)
		m := w.join(w)
		do := w.start(m.log, 1)
		w.end(m.log, do.ID)
		time.Sleep(keepTasks + 2*time.Hour)
		_, ok, err := m.log.Get(t.Context(), do.ID)
		require.NoError(t, err)
		require.False(t, ok)
		all := w.acknowledged("tasks")
		require.NotEmpty(t, all[len(all)-1].Value)
		require.True(t, slices.ContainsFunc(all, func(r *kafka.Record) bool { return string(r.Key) == do.Key() && r.Value == nil }))
		m.die()

		w.fail(1)
		log := NewTaskLog(Topics{}, 1, &tail{w: w}, w, nil)
		for range maxTenantTasks {
			w.start(log, 1)
		}
		_, err = log.Start(t.Context(), &task.Task{Tenant: acme.ID}, audit.Actor{})
		require.ErrorIs(t, err, ErrTooManyTasks)
		_, err = log.Start(t.Context(), &task.Task{Tenant: ident.New()}, audit.Actor{})
		require.NoError(t, err, "another tenant")
	})
}
