package flow

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/task"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// taskLog is a process that starts tasks and carries none out.
func taskLog(w *world.World) *pipeline.TaskLog {
	w.T.Helper()
	names := pipeline.Topics{Prefix: w.Conf.Kafka.Prefix}
	partitions, err := kafka.Partitions(w.T.Context(), w.Conf.Kafka, names.Name(topics.Tasks))
	require.NoError(w.T, err)
	out, err := kafka.NewProducer(w.Conf.Kafka, kafka.ProducerOptions{Pinned: []string{names.Name(topics.Tasks)}})
	require.NoError(w.T, err)
	tail, err := kafka.OpenTail(w.Conf.Kafka, names.Name(topics.Tasks))
	require.NoError(w.T, err)
	log := pipeline.NewTaskLog(names, partitions, tail, out, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { log.Run(ctx) })
	w.Finally(func() {
		cancel()
		following.Wait()
		tail.Close()
		require.NoError(w.T, out.Close(context.Background()))
	})
	return log
}

var somebody = audit.Actor{Kind: audit.ActorCommand, Name: "test"}

func startTask(t *testing.T, log *pipeline.TaskLog, s *subscription.Subscription, kind task.Kind, change ...func(*task.Task)) *task.Task {
	t.Helper()
	in := &task.Task{
		Tenant: s.Tenant, Subscription: s.ID, Kind: kind, PerSecond: task.DefaultPerSecond,
		Filter: task.Filter{Since: time.Now().Add(-24 * time.Hour)},
	}
	for _, c := range change {
		c(in)
	}
	require.NoError(t, in.Validate(time.Now()))
	made, err := log.Start(t.Context(), in, somebody)
	require.NoError(t, err)
	return made
}

// ended waits for the end of a task.
func ended(t *testing.T, log *pipeline.TaskLog, started *task.Task) *task.Task {
	t.Helper()
	for range 600 {
		now, ok, err := log.Get(t.Context(), started.ID)
		require.NoError(t, err)
		require.True(t, ok)
		if now.Ended() {
			return now
		}
		time.Sleep(time.Second)
	}
	require.Fail(t, "the task did not end")
	return nil
}

// written counts the records in deliveries of a trigger, by delivery.
func written(w *world.World, trigger delivery.Trigger) map[string]int {
	w.T.Helper()
	n := map[string]int{}
	w.Read(topics.Deliveries, func(r *kgo.Record) {
		if header(r, delivery.HeaderTrigger) == trigger.String() && header(r, delivery.HeaderPass) == "" {
			n[header(r, delivery.HeaderDelivery)]++
		}
	})
	return n
}

func header(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// requireWritten fails unless all of n were written once.
func requireWritten(t *testing.T, n int, records map[string]int) {
	t.Helper()
	require.Len(t, records, n)
	for id, times := range records {
		require.Equal(t, 1, times, id)
	}
}

// ill is an endpoint that refuses until it is well.
func ill(well *atomic.Bool) *endpoints {
	return newEndpoints(func(context.Context, string, int) (attempt.Response, error) {
		if well.Load() {
			return reply(200), nil
		}
		return reply(400), nil
	})
}

// noRetry makes the first failure final.
func noRetry(s *subscription.Subscription) {
	s.Retry = &subscription.RetryPolicy{Kind: subscription.RetryFixed, Interval: subscription.Duration(time.Second), Jitter: subscription.JitterNone, MaxTries: 1}
}

// What failed is sent again once, under the same ids: not what was sent by hand meanwhile and arrived, nor what is of another
// time or endpoint. What fails again can be recovered again.
func TestRecover(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		var well atomic.Bool
		e := ill(&well)
		s, other := w.Subscribe("one", noRetry), w.Subscribe("other", noRetry)
		start(w, e, "router", "deliverer", "retrier", "tasks")
		log := taskLog(w)
		w.Send(5, "early")
		time.Sleep(time.Hour)
		since := time.Now()
		w.Send(40, "a")
		time.Sleep(time.Minute)
		well.Store(true)
		w.Send(7, "delivered")
		time.Sleep(time.Minute)
		require.Len(t, e.times(s.URL), 52)

		rec := w.Last(topics.Deliveries) // a failed one that is sent by hand
		w.Read(topics.Deliveries, func(r *kgo.Record) {
			if string(r.Key) == s.ID.UUID() && header(r, delivery.HeaderEvent) == "a-0" {
				rec = r
			}
		})
		out, err := kafka.NewProducer(w.Conf.Kafka, kafka.ProducerOptions{})
		require.NoError(t, err)
		defer func() { require.NoError(t, out.Close(t.Context())) }()
		_, err = pipeline.Sender{Topics: pipeline.Topics{Prefix: w.Conf.Kafka.Prefix}, Out: out}.Resend(t.Context(), rec)
		require.NoError(t, err)
		time.Sleep(time.Minute)
		require.Len(t, e.times(s.URL), 53)

		well.Store(false)
		for range 2 { // what fails once more is recovered once more
			do := startTask(t, log, s, task.Recover, func(t *task.Task) { t.Filter.Since = since })
			now := ended(t, log, do)
			require.Equal(t, task.Finished, now.Status, now.Error)
			require.Equal(t, task.Progress{Counted: 39, Complete: true, Done: 39}, now.Progress)
			requireWritten(t, 39, written(w, delivery.Trigger{Kind: delivery.TriggerRecover, ID: do.ID.UUID()}))
			time.Sleep(time.Minute)
		}
		well.Store(true)
		count := startTask(t, log, s, task.Recover, func(t *task.Task) { t.DryRun = true })
		require.Equal(t, task.Progress{Counted: 44, Complete: true}, ended(t, log, count).Progress, "with the early ones")
		do := startTask(t, log, s, task.Recover, func(t *task.Task) { t.Filter.Until = since })
		require.Equal(t, 5, ended(t, log, do).Progress.Done, "the early ones alone")
		time.Sleep(time.Minute)
		require.Len(t, e.times(s.URL), 53+2*39+5)
		require.Len(t, e.times(other.URL), 52)
		ids := map[string]bool{}
		w.Read(topics.Deliveries, func(r *kgo.Record) {
			if string(r.Key) == s.ID.UUID() {
				ids[header(r, delivery.HeaderDelivery)] = true
			}
		})
		require.Len(t, ids, 52, "the ids are what they were")
	})
}

// A task goes on in another process, and keeps to its rate: each delivery is written once.
func TestATaskOutlivesItsProcess(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		var well atomic.Bool
		s := w.Subscribe("one", noRetry)
		start(w, ill(&well), "router", "deliverer", "retrier")
		log := taskLog(w)
		w.Send(100, "a")
		time.Sleep(time.Minute)
		well.Store(true)
		first := start(w, nil, "tasks")
		begun := time.Now()
		do := startTask(t, log, s, task.Recover, func(t *task.Task) { t.PerSecond = 4 })
		time.Sleep(12 * time.Second)
		require.NoError(t, first.Stop())
		now, _, err := log.Get(t.Context(), do.ID)
		require.NoError(t, err)
		require.Equal(t, task.Running, now.Status)
		require.Positive(t, now.Progress.Done)
		require.Less(t, now.Progress.Done, 60)
		start(w, nil, "tasks")
		now = ended(t, log, do)
		require.Equal(t, task.Finished, now.Status, now.Error)
		require.Equal(t, task.Progress{Counted: 100, Complete: true, Done: 100}, now.Progress)
		require.GreaterOrEqual(t, time.Since(begun), 24*time.Second, "no more than its rate")
		requireWritten(t, 100, written(w, delivery.Trigger{Kind: delivery.TriggerRecover, ID: do.ID.UUID()}))
	})
}

// A cancelled task ends soon; what it has written stays. One that waits for an owner can be cancelled as well.
func TestCancelATask(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		var well atomic.Bool
		s := w.Subscribe("one", noRetry)
		start(w, ill(&well), "router", "deliverer", "retrier")
		log := taskLog(w)
		w.Send(50, "a")
		time.Sleep(time.Minute)
		waiting := startTask(t, log, s, task.Recover)
		require.NoError(t, log.Cancel(t.Context(), waiting, somebody))
		start(w, nil, "tasks")
		require.Equal(t, task.Cancelled, ended(t, log, waiting).Status)
		do := startTask(t, log, s, task.Recover, func(t *task.Task) { t.PerSecond = 1 })
		time.Sleep(10 * time.Second)
		require.NoError(t, log.Cancel(t.Context(), do, somebody))
		time.Sleep(3 * time.Second)
		now, _, err := log.Get(t.Context(), do.ID)
		require.NoError(t, err)
		require.Equal(t, task.Cancelled, now.Status)
		require.Equal(t, 50, now.Progress.Counted)
		require.Positive(t, now.Progress.Done)
		require.Less(t, now.Progress.Done, 15)
		requireWritten(t, now.Progress.Done, written(w, delivery.Trigger{Kind: delivery.TriggerRecover, ID: do.ID.UUID()}))
	})
}

// A new subscription gets what it would have got: by its filters, once, and not what it has got itself, nor what it was
// disabled for and never tried.
func TestReplayMissing(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(200))
		start(w, e, "router", "deliverer", "retrier", "tasks")
		log := taskLog(w)
		for i := range 20 {
			w.Event(fmt.Sprint("before-", i), []string{"contact.updated", "contact.deleted"}[i%2], []string{"", "eu"}[i/10], `{}`)
		}
		time.Sleep(time.Minute)
		s := w.Subscribe("one", func(s *subscription.Subscription) {
			s.EventTypes, s.Channels, s.Created = []string{"contact.updated"}, []string{"eu"}, time.Now()
		})
		time.Sleep(time.Minute)
		for i := range 3 {
			w.Event(fmt.Sprint("after-", i), "contact.updated", "eu", `{}`)
		}
		do := startTask(t, log, s, task.ReplayMissing)
		now := ended(t, log, do)
		require.Equal(t, task.Finished, now.Status, now.Error)
		require.Equal(t, task.Progress{Counted: 5, Complete: true, Done: 5}, now.Progress)
		time.Sleep(time.Minute)
		require.Len(t, e.times(s.URL), 8)
		seen := map[string]bool{}
		for _, o := range w.Outcomes() {
			require.False(t, seen[o.Delivery])
			seen[o.Delivery] = true
		}
		again := startTask(t, log, s, task.ReplayMissing)
		require.Zero(t, ended(t, log, again).Progress.Counted, "nothing is missing any more")
	})
}

// A replay takes what its filters let through, whatever became of it.
func TestBulkReplay(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		var well atomic.Bool
		e := ill(&well)
		s := w.Subscribe("one", noRetry)
		start(w, e, "router", "deliverer", "retrier", "tasks")
		log := taskLog(w)
		for i := range 12 {
			well.Store(i%3 == 0)
			w.Event(fmt.Sprint("e-", i), []string{"contact.updated", "contact.deleted"}[i%2], []string{"", "eu"}[i/6], `{}`)
			time.Sleep(5 * time.Second)
		}
		well.Store(true)
		for _, c := range []struct {
			name   string
			filter task.Filter
			want   int
		}{
			{"everything", task.Filter{}, 12},
			{"what was delivered", task.Filter{Verdicts: []outcome.Verdict{outcome.Delivered}}, 4},
			{"a reason", task.Filter{Reasons: []outcome.Reason{outcome.ReasonExhausted}}, 8},
			{"a class of status codes", task.Filter{StatusClass: 400}, 8},
			{"a type", task.Filter{EventTypes: []string{"contact.deleted"}}, 6},
			{"a channel", task.Filter{Channel: "eu"}, 6},
			{"a channel that is none", task.Filter{Channel: "us"}, 0},
		} {
			c.filter.Since = time.Now().Add(-time.Hour)
			count := ended(t, log, startTask(t, log, s, task.BulkReplay, func(t *task.Task) { t.Filter, t.DryRun = c.filter, true }))
			require.Equal(t, task.Finished, count.Status, count.Error)
			require.Equal(t, task.Progress{Counted: c.want, Complete: true}, count.Progress, c.name)
		}
		before := len(e.times(s.URL))
		do := ended(t, log, startTask(t, log, s, task.BulkReplay, func(t *task.Task) {
			t.Filter.Verdicts, t.Filter.Channel = []outcome.Verdict{outcome.Dead}, "eu"
		}))
		require.Equal(t, task.Progress{Counted: 4, Complete: true, Done: 4}, do.Progress)
		time.Sleep(time.Minute)
		require.Len(t, e.times(s.URL), before+4)
	})
}
