package pipeline

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

// laneWorld is a scheduler with one owner whose lanes are named.
type laneWorld struct {
	t *testing.T
	s *scheduler
	o *owned
}

func newLaneWorld(t *testing.T, ceiling, queue int) *laneWorld {
	return &laneWorld{t: t, s: newScheduler(ceiling, queue), o: &owned{lanes: map[ident.ID]*lane{}}}
}

func (w *laneWorld) lane(name string) *lane {
	id := ident.Derive("lane", name)
	if w.o.lanes[id] == nil {
		w.o.lanes[id] = &lane{owner: w.o, sub: id, limit: w.s.ceiling}
	}
	return w.o.lanes[id]
}

// push queues items at the given offsets.
func (w *laneWorld) push(name string, offsets ...int64) {
	l := w.lane(name)
	for _, at := range offsets {
		w.s.push(l, &item{d: &delivery.Delivery{Data: []byte(name)}, at: delivery.Position{Offset: at}, lane: l})
	}
}

// take takes one item without waiting; nil if there is none.
func (w *laneWorld) take() *item {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	return w.s.take()
}

// takes takes all there is and returns it as lane:offset.
func (w *laneWorld) takes() (out []string) {
	for it := w.take(); it != nil; it = w.take() {
		out = append(out, fmt.Sprintf("%s:%d", it.d.Data, it.at.Offset))
	}
	return out
}

func TestLanesTakeTurns(t *testing.T) {
	w := newLaneWorld(t, 10, 100)
	w.push("a", 0, 1, 2, 3)
	w.push("b", 4)
	w.push("c", 5, 6)
	require.Equal(t, []string{"a:0", "b:4", "c:5", "a:1", "c:6", "a:2", "a:3"}, w.takes())
	require.Zero(t, w.s.load())
}

func TestLaneLimitAndRamp(t *testing.T) {
	w := newLaneWorld(t, 8, 100)
	for at := range int64(40) {
		w.push("a", at)
	}
	l := w.lane("a")
	require.Len(t, w.takes(), 8, "the ceiling")
	require.Nil(t, w.take())
	w.s.rampStart(l)
	for range 8 {
		w.s.release(l)
	}
	for i, want := range []int{1, 2, 4, 8, 8} {
		require.Len(t, w.takes(), want, "step %d", i)
		for range want {
			w.s.release(l)
		}
		w.s.rampUp(l)
	}
}

func TestBlockedLaneWaitsAndTheOthersDoNot(t *testing.T) {
	w := newLaneWorld(t, 10, 100)
	w.push("a", 0, 1, 2)
	w.push("b", 3)
	first, second := w.take(), w.take()
	require.Equal(t, int64(0), first.at.Offset)
	require.Equal(t, int64(3), second.at.Offset)
	third := w.take()
	require.True(t, w.s.putBack(third), "refused: a probe is under way")
	require.True(t, w.s.putBack(first), "older than the one that was put back before")
	w.push("b", 4)
	require.Equal(t, []string{"b:4"}, w.takes())
	w.s.unblock(w.lane("a"))
	require.Equal(t, []string{"a:0", "a:1", "a:2"}, w.takes(), "in the order of their offsets")
	require.Equal(t, 3, w.lane("a").inFlight)
}

func TestPutBackAfterTheOwnerDrains(t *testing.T) {
	w := newLaneWorld(t, 10, 100)
	w.push("a", 0, 1)
	it := w.take()
	w.o.draining.Store(true)
	require.Equal(t, it.size(), w.s.drop(w.o), "one waits")
	require.False(t, w.s.putBack(it))
	require.Nil(t, w.take())
	w.o.settling.Done()
	w.o.settling.Wait()
}

func TestOldItemsAreDivertedFirst(t *testing.T) {
	w := newLaneWorld(t, 1, 100)
	w.push("a", 0, 5, 12)
	w.push("b", 1, 2, 13)
	require.Equal(t, []string{"a:0", "b:1"}, w.takes(), "one each, the limit")
	w.lane("a").blocked = true
	w.s.divertBelow(w.o, 10)
	require.ElementsMatch(t, []string{"a:5", "b:2"}, w.takes(), "whatever the limit, and blocked or not")
	w.s.unblock(w.lane("a"))
	require.Empty(t, w.takes(), "the limit holds for the others")
	require.Equal(t, 2, w.s.load())
}

func TestDropForgetsOneOwner(t *testing.T) {
	w := newLaneWorld(t, 1, 4)
	other := &laneWorld{t: t, s: w.s, o: &owned{lanes: map[ident.ID]*lane{}}}
	w.push("a", 0, 1, 2, 3)
	other.push("b", 4, 5)
	w.s.divertBelow(w.o, 2)
	w.s.divertBelow(other.o, 5)
	require.EqualValues(t, 4*(1+itemOverhead), w.s.drop(w.o))
	require.False(t, w.s.crowded(w.o))
	require.Equal(t, []string{"b:4"}, other.takes())
	require.Equal(t, 1, w.s.load())
}

func TestLongLanesAreCounted(t *testing.T) {
	w := newLaneWorld(t, 100, 10) // long from 5
	w.push("a", 0, 1, 2, 3)
	require.False(t, w.s.crowded(w.o))
	w.push("a", 4)
	w.push("b", 5, 6, 7, 8, 9)
	require.True(t, w.s.crowded(w.o))
	w.take()
	require.True(t, w.s.crowded(w.o), "b is long still")
	it := w.take()
	require.False(t, w.s.crowded(w.o))
	require.True(t, w.s.putBack(it))
	require.True(t, w.s.crowded(w.o))
	w.s.divertBelow(w.o, 100)
	require.False(t, w.s.crowded(w.o))
}

// Workers, unblocking, putting back and dropping at once: every item is taken once or dropped, and no worker waits while
// there is work.
func TestSchedulerUnderRace(t *testing.T) {
	w := newLaneWorld(t, 3, 50)
	const items, lanes = 4000, 20
	for i := range lanes {
		w.lane(fmt.Sprint(i))
	}
	var taken atomic.Int64
	var workers, done sync.WaitGroup
	done.Add(items)
	for range 8 {
		workers.Go(func() {
			for it := w.s.next(); it != nil; it = w.s.next() {
				switch rand.IntN(8) {
				case 0:
					if w.s.putBack(it) {
						w.s.unblock(it.lane)
						continue
					}
				case 1:
					w.s.rampStart(it.lane)
				default:
					w.s.rampUp(it.lane)
				}
				taken.Add(1)
				w.s.release(it.lane)
				w.o.settling.Done()
				done.Done()
			}
		})
	}
	for at := range int64(items) {
		w.push(fmt.Sprint(at%lanes), at)
		if at%100 == 0 {
			w.s.divertBelow(w.o, at-50)
		}
	}
	done.Wait()
	require.EqualValues(t, items, taken.Load())
	require.Zero(t, w.s.load())
	w.o.draining.Store(true)
	require.Zero(t, w.s.drop(w.o))
	w.o.settling.Wait()
	w.s.close()
	workers.Wait()
	for _, l := range w.o.lanes {
		require.Zero(t, l.inFlight)
	}
}
