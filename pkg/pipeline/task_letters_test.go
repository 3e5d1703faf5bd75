package pipeline

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/task"
)

// lettersMember is a process that knows the dead letters and carries out the tasks about them.
type lettersMember struct {
	*taskMember
	letters *DeadLetters
}

func (w *tasksWorld) joinLetters(out Producer) *lettersMember {
	w.t.Helper()
	m := &lettersMember{letters: NewDeadLetters(DeadLettersOptions{
		Tail: func() (TopicTail, error) { return &letterTail{b: w.broker, topic: "deadletters"}, nil }, From: w.broker, Out: out, Registry: w.reg,
	})}
	ctx, cancel := context.WithCancel(context.Background())
	var following sync.WaitGroup
	following.Go(func() { _ = m.letters.Run(ctx) })
	w.t.Cleanup(func() { cancel(); following.Wait() })
	work := LetterTasks{Letters: m.letters, most: 400}
	m.taskMember = w.joinFor(out, map[task.Kind]TaskWork{task.RedriveLetters: work, task.DiscardLetters: work})
	return m
}

// bury adds n dead letters.
func (w *tasksWorld) bury(n int) {
	w.t.Helper()
	for i := range n {
		d := deliveryOf(w.sub, i)
		d.Reason, d.Attempts, d.Pass = string(outcome.ReasonExhausted), 3, 5
		r := encode("deadletters", d)
		r.Timestamp = time.Now()
		w.put(r)
		time.Sleep(time.Millisecond)
	}
	time.Sleep(time.Second)
}

func (w *tasksWorld) startLetters(log *TaskLog, kind task.Kind, dry bool) *task.Task {
	w.t.Helper()
	t, err := log.Start(w.t.Context(), &task.Task{
		Tenant: acme.ID, Kind: kind, PerSecond: 500, DryRun: dry, Letters: &letter.DeadFilter{Reasons: []outcome.Reason{outcome.ReasonExhausted}},
	}, audit.Actor{Kind: "key", ID: "key_1"})
	require.NoError(w.t, err)
	return t
}

// redriven counts what a task wrote, and marks what is marked by place.
func (w *tasksWorld) redriven(do *task.Task) (keys map[delivery.Key]int, marks map[string]int) {
	w.t.Helper()
	keys, marks = map[delivery.Key]int{}, map[string]int{}
	for _, r := range w.acknowledged("deliveries") {
		require.True(w.t, writtenBy(r, do))
		d, err := decode(r)
		require.NoError(w.t, err)
		keys[d.Key()]++
	}
	for _, r := range w.acknowledged("deadletters") {
		if _, mark := letter.ReadDead(letterRecord(r)); mark != nil {
			require.Equal(w.t, "key:key_1", mark.By)
			marks[mark.Of.String()]++
		}
	}
	return keys, marks
}

// Wherever a process dies that redrives in the background, the next one goes on: each letter is delivered once, and closed.
func TestARedriveGoesOnWhereverItsProcessDies(t *testing.T) {
	const n = 1300
	for _, c := range []struct {
		of string
		at int
	}{
		{"deliveries", 1},
		{"deliveries", 499},
		{"deliveries", 500},
		{"deliveries", 700},
		{"deliveries", n},
		{"deadletters", 1},
		{"deadletters", 500},
		{"deadletters", 700},
		{"deadletters", n},
	} {
		t.Run(fmt.Sprint(c.of, c.at), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newTasksWorld(t)
				w.bury(n)
				out := &dying{tasksWorld: w, of: c.of, left: c.at, dead: make(chan struct{})}
				first := w.joinLetters(out)
				do := w.startLetters(first.log, task.RedriveLetters, false)
				<-out.dead
				synctest.Wait()
				first.die()
				second := w.joinLetters(w)
				now := w.end(second.log, do.ID)
				require.Equal(t, task.Finished, now.Status, now.Error)
				if c.of == "deliveries" {
					require.Equal(t, n, now.Progress.Done)
				} else { // what was marked and not counted is found by nobody
					require.GreaterOrEqual(t, now.Progress.Done, n-maxTaskStep)
				}
				keys, marks := w.redriven(do)
				require.Len(t, keys, n)
				require.Len(t, w.acknowledged("deliveries"), n, "each once")
				require.Len(t, marks, n)
				open, err := second.letters.Open()
				require.NoError(t, err)
				held, _ := open.Len()
				require.Zero(t, held)
			})
		})
	}
}

// A discard closes and sends nothing, a dry run does nothing but count, and what died since is not of the task.
func TestLettersInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newTasksWorld(t)
		w.bury(700)
		m := w.joinLetters(w)
		dry := w.end(m.log, w.startLetters(m.log, task.RedriveLetters, true).ID)
		require.Equal(t, task.Progress{Counted: 700, Complete: true}, dry.Progress)
		do := w.startLetters(m.log, task.DiscardLetters, false)
		time.Sleep(500 * time.Millisecond)
		late := encode("deadletters", deliveryOf(w.sub, 1000))
		late.Headers = append(late.Headers, kafka.Header{Key: delivery.HeaderReason, Value: []byte(outcome.ReasonExhausted)})
		late.Timestamp = time.Now()
		w.put(late)
		now := w.end(m.log, do.ID)
		require.Equal(t, task.Finished, now.Status, now.Error)
		require.Equal(t, task.Progress{Counted: 700, Complete: true, Done: 700}, now.Progress)
		require.Empty(t, w.acknowledged("deliveries"))
		open, err := m.letters.Open()
		require.NoError(t, err)
		_, there := open.Get(deliveryOf(w.sub, 1000).ID)
		held, _ := open.Len()
		require.True(t, there && held == 1, "%d are open", held)

		w.reg.set(snapshotOf(t))
		none := w.end(m.log, w.startLetters(m.log, task.RedriveLetters, false).ID)
		require.Equal(t, task.Progress{Complete: true}, none.Progress, "nobody is there to send it to")
	})
}
