package pipeline

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// laneWorld is a scheduler with one owner whose lanes are named.
type laneWorld struct {
	t *testing.T
	s *scheduler
	o *owned
}

func newLaneWorld(t *testing.T, concurrency, queue int) *laneWorld {
	b := bounds{concurrency: concurrency, queue: queue, laneBytes: 1 << 40, workers: 1000, share: 1 << 40}
	return &laneWorld{t: t, s: newScheduler(b), o: &owned{lanes: map[ident.ID]*lane{}}}
}

// ids are those of the lane of that name; what is before a slash names the tenant.
func ids(name string) (tenant, sub ident.ID) {
	of, _, _ := strings.Cut(name, "/")
	return ident.Derive("tenant", of), ident.Derive("lane", name)
}

func (w *laneWorld) lane(name string) *lane {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	tenant, sub := ids(name)
	return w.s.lane(w.o, tenant, sub)
}

// push queues items at the given offsets and reports whether the lane is full.
func (w *laneWorld) push(name string, offsets ...int64) (full bool) {
	var items []*item
	for _, at := range offsets {
		items = append(items, &item{d: &delivery.Delivery{Data: []byte(name)}, at: delivery.Position{Offset: at}})
	}
	return w.admit(name, items...)
}

func (w *laneWorld) admit(name string, items ...*item) (full bool) {
	for _, it := range items {
		it.d.Tenant, it.d.Subscription = ids(name)
	}
	return len(w.s.admit(w.o, items, time.Now())) > 0
}

// limit changes the limit of a lane of which nothing ended.
func (w *laneWorld) limit(l *lane, change func(limit *gate.Limit)) {
	w.s.mu.Lock()
	defer w.s.mu.Unlock()
	change(&l.limit)
	w.s.offer(l)
}

// widen lets a lane have as many in flight as there may be, and need them: its endpoint takes a second.
func (w *laneWorld) widen(name string) {
	w.limit(w.lane(name), func(limit *gate.Limit) {
		for range w.s.bounds.concurrency {
			limit.Answered(time.Second, true, time.Now())
		}
	})
}

// parted takes what is to be parted with, as lane:offset.
func (w *laneWorld) parted() (out []string) {
	w.s.mu.Lock()
	n := len(w.s.parts)
	w.s.mu.Unlock()
	if n == 0 {
		return nil
	}
	for _, p := range w.s.nextPartings(n) {
		out = append(out, fmt.Sprintf("%s:%d", p.d.Data, p.at.Offset))
	}
	return out
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
	w.push("x/a", 0, 1, 2, 3)
	w.push("x/b", 4)
	w.push("x/c", 5, 6)
	require.Equal(t, []string{"x/a:0", "x/b:4", "x/c:5", "x/a:1", "x/c:6", "x/a:2", "x/a:3"}, w.takes())
	require.Zero(t, w.s.load())
}

// However many lanes a tenant has, and however large its deliveries are, another one has as many bytes in the same time.
func TestTenantsTakeTurnsByBytes(t *testing.T) {
	w := newLaneWorld(t, 1, 1000)
	for i := range int64(400) {
		w.push(fmt.Sprintf("many/%d", i), i)
	}
	one := w.lane("one/lane")
	w.widen("one/lane")
	for i := range int64(20) {
		w.admit("one/lane", &item{d: &delivery.Delivery{Data: make([]byte, 19<<10)}, at: delivery.Position{Offset: 400 + i}})
	}
	var bytes [2]int64
	for range 220 {
		it := w.take()
		i := 0
		if it.lane == one {
			i = 1
			w.s.release(one)
			w.o.settling.Done()
		}
		bytes[i] += it.size()
	}
	require.InDelta(t, bytes[0], bytes[1], 20<<10+quantum)
}

func TestLaneLimitGrowsWithWhatWaits(t *testing.T) {
	w := newLaneWorld(t, 8, 100)
	for at := range int64(60) {
		w.push("a", at)
	}
	l := w.lane("a")
	answered := func(n int) {
		for range n {
			w.s.attempted(l, func(limit *gate.Limit, waiting bool, now time.Time) { limit.Answered(time.Second, waiting, now) })
		}
	}
	require.Len(t, w.takes(), 4, "where a limit begins")
	answered(4)
	require.Len(t, w.takes(), 8, "the most")
	answered(8)
	require.Len(t, w.takes(), 8)
	for range 7 {
		w.s.attempted(l, func(limit *gate.Limit, _ bool, now time.Time) { limit.Restart(now) })
	}
	require.Empty(t, w.takes(), "one is in flight still")
	answered(1)
	require.Len(t, w.takes(), 2)
}

// An endpoint that answers fast is given no more connections than its queue needs, unless an answer does not come.
func TestLaneWaitsForItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 8, 100)
		l := w.lane("a")
		w.limit(l, func(limit *gate.Limit) {
			for range 8 {
				limit.Answered(5*time.Millisecond, true, time.Now())
			}
		})
		w.push("a", 0, 1, 2, 3, 4, 5)
		require.Equal(t, []string{"a:0"}, w.takes(), "the others are made within the patience")
		w.push("a", 6)
		require.Equal(t, []string{"a:1"}, w.takes(), "those six are not")
		time.Sleep(patience - time.Millisecond)
		synctest.Wait()
		require.Empty(t, w.takes())
		w.s.release(l)
		require.Empty(t, w.takes(), "five wait for one")
		time.Sleep(2 * patience)
		synctest.Wait()
		require.Equal(t, []string{"a:2", "a:3", "a:4", "a:5", "a:6"}, w.takes(), "nothing moves")
		require.Empty(t, w.s.postponed)
	})
}

func TestBlockedLaneWaitsAndTheOthersDoNot(t *testing.T) {
	w := newLaneWorld(t, 10, 100)
	w.push("a", 0, 1, 2)
	w.push("b", 3)
	byOffset := map[int64]*item{}
	for it := w.take(); it != nil; it = w.take() {
		byOffset[it.at.Offset] = it
	}
	require.Len(t, byOffset, 4)
	require.True(t, w.s.putBack(byOffset[2], time.Time{}), "refused: a probe is under way")
	require.True(t, w.s.putBack(byOffset[0], time.Time{}), "older than the one that was put back before")
	w.push("a", 5)
	w.push("b", 4)
	require.Equal(t, []string{"b:4"}, w.takes())
	w.s.unblock(w.lane("a"))
	require.Equal(t, []string{"a:0", "a:2", "a:5"}, w.takes(), "in the order of their offsets")
	require.Equal(t, 4, w.lane("a").inFlight)
}

func TestPausedLaneGoesOnByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 10, 100)
		w.push("a", 0, 1)
		it := w.take()
		require.True(t, w.s.putBack(it, time.Now().Add(300*time.Millisecond)))
		time.Sleep(299 * time.Millisecond)
		synctest.Wait()
		require.Nil(t, w.take())
		time.Sleep(time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{"a:0", "a:1"}, w.takes())
	})
}

// Where workers are scarce, lanes that get no end do not take the rest of them.
func TestStuckLanesLeaveWorkersToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 10, 100)
		w.s.bounds.workers = 8
		w.push("hung", 0, 1, 2, 3, 4, 5)
		require.Len(t, w.takes(), 4)
		time.Sleep(stuckAfter + time.Millisecond)
		w.widen("hung")
		require.Empty(t, w.takes(), "half of the workers are busy")
		w.push("well", 6)
		require.Equal(t, []string{"well:6"}, w.takes())
		w.s.release(w.lane("well"))
		w.s.release(w.lane("hung"))
		require.Equal(t, []string{"hung:4", "hung:5"}, w.takes(), "it moves again")
	})
}

func TestPutBackAfterTheOwnerDrains(t *testing.T) {
	w := newLaneWorld(t, 10, 100)
	w.push("a", 0, 1)
	it := w.take()
	w.o.draining.Store(true)
	w.s.drop(w.o)
	require.Equal(t, it.size(), w.s.bytes.Load(), "one waited, and one is in flight")
	require.False(t, w.s.putBack(it, time.Time{}))
	require.Nil(t, w.take())
	w.o.settling.Done()
	w.o.settling.Wait()
}

func TestOldItemsAreDiverted(t *testing.T) {
	w := newLaneWorld(t, 1, 100)
	w.push("x/a", 0, 5, 12)
	w.push("x/b", 1, 2, 13)
	require.Equal(t, []string{"x/a:0", "x/b:1"}, w.takes(), "one each, the limit")
	w.lane("x/a").blocked = true
	w.s.divertBelow(w.o, 10, time.Now())
	require.ElementsMatch(t, []string{"x/a:5", "x/b:2"}, w.parted(), "whatever the limit, and blocked or not")
	w.s.unblock(w.lane("x/a"))
	require.Empty(t, w.takes(), "the limit holds for the others")
	require.Equal(t, 2, w.s.load())
}

// A full lane is diverted if others are active, and until it is half empty; a lone one is not.
func TestFullLaneIsDiverted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 1, 4)
		w.push("other", 0)
		w.take()
		w.push("full", 1, 2, 3, 4)
		w.s.relieve(w.lane("full"), time.Now())
		require.False(t, w.s.crowded(w.o), "a lane that is diverted holds nobody")
		w.push("full", 5, 6)
		require.Equal(t, []string{"full:5", "full:6"}, w.parted())
		w.take()
		w.push("full", 7)
		require.Equal(t, []string{"full:7"}, w.parted(), "three wait still")
		w.s.release(w.lane("full"))
		w.take()
		w.s.release(w.lane("full"))
		w.take()
		require.False(t, w.push("full", 8))
		require.Empty(t, w.parted())
		require.False(t, w.push("full", 9, 10, 11), "nobody waits to learn it once more")
		require.Equal(t, []string{"full:11"}, w.parted())
		for range 5 {
			w.s.release(w.lane("full"))
			w.take()
		}

		time.Sleep(2 * activePeriod)
		require.True(t, w.push("full", 12, 13, 14, 15, 16))
		w.s.relieve(w.lane("full"), time.Now())
		require.True(t, w.push("full", 17))
		require.Empty(t, w.parted(), "nobody else is active")
		require.True(t, w.s.crowded(w.o))
	})
}

// A full lane of a quick endpoint holds its partition, and is half empty after that or diverted: nothing arrives meanwhile, so one that
// is slow now is not full when it is looked at.
func TestLaneThatWasFullIsDiverted(t *testing.T) {
	for left, diverted := range map[int]bool{4: true, 3: true, 2: true, 1: false} {
		w := newLaneWorld(t, 1, 4)
		w.push("other", 0)
		w.take()
		w.lane("full").drain.rate = 2 / pushBack.Seconds()
		require.True(t, w.push("full", 1, 2, 3, 4))
		for range 4 - left {
			w.take()
			w.s.release(w.lane("full"))
		}
		w.s.relieve(w.lane("full"), time.Now())
		require.Equal(t, diverted, w.lane("full").diverting, left)
		require.False(t, w.s.crowded(w.o), "others of the partition go on")
	}
}

// Where a lane's speed is known and it cannot be half empty in time, nobody waits for it.
func TestFullLaneOfAKnownSpeedIsDivertedAtOnce(t *testing.T) {
	for speed, atOnce := range map[float64]bool{0: false, 1: true, 1.9 / pushBack.Seconds(): true, 2.1 / pushBack.Seconds(): false} {
		w := newLaneWorld(t, 1, 4)
		w.push("other", 0)
		w.take()
		w.push("full", 1)
		w.lane("full").drain.rate = speed
		require.Equal(t, !atOnce, w.push("full", 2, 3, 4), speed)
		require.Equal(t, atOnce, w.lane("full").diverting, speed)
	}
}

// What a lane drains at shows while something waits, not while as much comes as goes.
func TestSpeedOfALane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 1, 1000)
		l := w.lane("a")
		ends := func(n int, every time.Duration) {
			for range n {
				time.Sleep(every)
				w.take()
				w.s.attempted(l, func(*gate.Limit, bool, time.Time) {})
			}
		}
		for at := range int64(50) {
			w.push("a", at)
			ends(1, 100*time.Millisecond)
		}
		speed, known := l.drain.speed(time.Now())
		require.False(t, known)
		require.InDelta(t, assumedRate, speed, 0)
		for at := range int64(600) {
			w.push("a", 50+at)
		}
		ends(3, time.Millisecond)
		_, known = l.drain.speed(time.Now())
		require.False(t, known)
		ends(1, time.Millisecond)
		speed, known = l.drain.speed(time.Now())
		require.True(t, known)
		require.InDelta(t, 1000, speed, 1)
		ends(100, 10*time.Millisecond)
		speed, _ = l.drain.speed(time.Now())
		require.InDelta(t, 100, speed, 5, "of the last second")
		ends(90, time.Millisecond)
		speed, _ = l.drain.speed(time.Now())
		require.InDelta(t, 100, speed, 5, "a moment tells nothing")
		ends(20, time.Millisecond)
		speed, _ = l.drain.speed(time.Now())
		require.InDelta(t, 1000, speed, 50)
	})
}

// A few large deliveries fill a lane, as many small ones do, and however they leave it, it holds nothing then.
func TestLaneIsFullOfBytes(t *testing.T) {
	w := newLaneWorld(t, 2, 1000)
	w.s.bounds.laneBytes = 100 << 10
	large := func(offset int64) *item {
		return &item{d: &delivery.Delivery{Data: make([]byte, 30<<10)}, at: delivery.Position{Offset: offset}}
	}
	w.push("other", 0)
	w.take()
	w.widen("full")
	w.lane("full").drain.rate = 2 / pushBack.Seconds()
	require.False(t, w.admit("full", large(1)))
	require.False(t, w.s.crowded(w.o))
	require.False(t, w.admit("full", large(2)))
	require.True(t, w.s.crowded(w.o), "more than half of it")
	require.False(t, w.admit("full", large(3)))
	require.True(t, w.admit("full", large(4)))
	w.s.relieve(w.lane("full"), time.Now())
	require.False(t, w.admit("full", large(5)))
	require.Len(t, w.parted(), 1)
	first := w.take()
	require.True(t, w.s.putBack(first, time.Time{}))
	w.s.unblock(w.lane("full"))
	w.take()
	w.take()
	require.True(t, w.lane("full").diverting, "62 KiB wait")
	w.s.release(w.lane("full"))
	w.take()
	require.False(t, w.lane("full").diverting)
	w.lane("full").blocked = true
	w.s.divertBelow(w.o, 10, time.Now())
	require.Len(t, w.parted(), 1)
	require.Zero(t, w.lane("full").bytes)
	require.False(t, w.admit("full", large(6)))
	w.s.drop(w.o)
	require.Zero(t, w.lane("full").bytes)
}

// A lane that was flooded once holds no memory for it afterwards; one that is busy does not allocate.
func TestLaneForgetsItsFlood(t *testing.T) {
	for length, kept := range map[int64]bool{keptQueue: true, keptQueue + 1: false} {
		w := newLaneWorld(t, 1000, 1000)
		w.widen("a")
		for at := range length {
			w.push("a", at)
		}
		for range length {
			w.take()
			w.s.release(w.lane("a"))
		}
		require.Equal(t, kept, w.lane("a").queue != nil, length)
	}
}

// Lanes that hang are not known to for a while. However many they are, they leave workers for others by then.
func TestLanesThatHangLeaveWorkers(t *testing.T) {
	for hung, atMost := range map[int]int{1: 32, 20: 300, 100: 500} {
		w := newLaneWorld(t, 32, 1000)
		w.s.bounds.workers = 512
		for i := range hung {
			name := fmt.Sprint("hung", i)
			w.widen(name)
			for at := range int64(40) {
				w.push(name, at)
			}
		}
		require.LessOrEqual(t, len(w.takes()), atMost, hung)
		require.GreaterOrEqual(t, w.s.busy, atMost*4/5, hung)
		w.push("well", 1)
		require.Equal(t, []string{"well:1"}, w.takes(), hung)
	}
}

// Where most lanes are long, they wait for something else than their endpoints; one that gets no end is diverted all the same.
func TestLongLanesAmongOthersArePushedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 1, 4)
		w.push("a", 0, 1, 2, 3, 4)
		w.push("b", 5, 6, 7)
		w.push("c", 8)
		w.s.relieve(w.lane("a"), time.Now())
		w.push("a", 9)
		require.Empty(t, w.parted())
		w.take()
		time.Sleep(stuckAfter + time.Millisecond)
		w.s.relieve(w.lane("a"), time.Now())
		w.push("a", 10)
		require.Equal(t, []string{"a:10"}, w.parted())
	})
}

// What comes back at its slot has its place, whoever else waits.
func TestSlotIsHonoured(t *testing.T) {
	w := newLaneWorld(t, 1, 2)
	w.push("other", 0)
	w.push("full", 1, 2, 3)
	w.s.relieve(w.lane("full"), time.Now())
	w.admit("full", &item{d: &delivery.Delivery{Slot: time.Now()}, at: delivery.Position{Offset: 4}})
	require.Empty(t, w.parted())
	require.Len(t, w.lane("full").queue, 4)
}

// What is parted with waits until the backlog is read, or memory runs short.
func TestReadingComesBeforeParting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 1, 4)
		w.s.bounds.share = 40 * itemOverhead
		w.push("other", 0)
		w.push("full", 1, 2, 3, 4)
		w.s.relieve(w.lane("full"), time.Now())
		var parted atomic.Int64
		var diverter sync.WaitGroup
		diverter.Go(func() {
			for batch := w.s.nextPartings(100); batch != nil; batch = w.s.nextPartings(100) {
				parted.Add(int64(len(batch)))
			}
		})
		w.s.read(manyRecords)
		w.push("full", 5)
		synctest.Wait()
		require.Zero(t, parted.Load())
		time.Sleep(caughtUpAfter - time.Millisecond)
		w.s.read(manyRecords)
		time.Sleep(caughtUpAfter - time.Millisecond)
		synctest.Wait()
		require.Zero(t, parted.Load(), "there was more")
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		require.EqualValues(t, 1, parted.Load())

		w.s.read(manyRecords)
		for at := range int64(20) {
			w.push("full", 6+at)
		}
		synctest.Wait()
		require.EqualValues(t, 21, parted.Load(), "half of a share is taken")
		w.s.read(manyRecords - 1)
		w.s.close()
		diverter.Wait()
	})
}

func TestTenantBeyondItsShareIsDiverted(t *testing.T) {
	w := newLaneWorld(t, 1, 1000)
	w.s.bounds.share = 10 * (itemOverhead + 1)
	for i := range int64(20) {
		w.push("a", i)
	}
	require.Empty(t, w.parted(), "nobody else needs the room")
	w.push("b", 20)
	w.push("a", 21)
	w.push("b", 22)
	require.Equal(t, []string{"a:21"}, w.parted())
}

// Slots follow each other at the rate at which the lane drains; what has none is spread.
func TestSlots(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	var d drain
	at, ok := d.slot(100, now)
	require.True(t, ok)
	require.Equal(t, now.Add(10*time.Second+100*time.Millisecond), at, "at the assumed rate")
	d.started(now)
	for i := range 400 {
		d.ended(now.Add(time.Duration(i) * 5 * time.Millisecond))
	}
	now = now.Add(2 * time.Second)
	for i := range 1000 {
		next, ok := d.slot(100, now)
		require.True(t, ok)
		if i > 0 {
			require.InDelta(t, 5*time.Millisecond, next.Sub(at), float64(100*time.Microsecond))
		}
		at = next
	}
	var slow drain
	seen := map[time.Time]bool{}
	for range 10_000 {
		at, ok := slow.slot(1000, now)
		require.False(t, at.After(now.Add(maxSlot)))
		if !ok {
			require.False(t, at.Before(now.Add(maxSlot/2)))
			seen[at] = true
		}
	}
	require.Len(t, seen, spread)
}

func TestDropForgetsOneOwner(t *testing.T) {
	w := newLaneWorld(t, 1, 4)
	other := &laneWorld{t: t, s: w.s, o: &owned{lanes: map[ident.ID]*lane{}}}
	w.push("a", 0, 1, 2, 3)
	other.push("b", 4, 5)
	w.s.divertBelow(w.o, 2, time.Now())
	other.s.divertBelow(other.o, 5, time.Now())
	w.s.drop(w.o)
	require.EqualValues(t, 2*(1+itemOverhead), w.s.bytes.Load())
	require.EqualValues(t, 1, w.s.holders.Load())
	require.False(t, w.s.crowded(w.o))
	require.Equal(t, []string{"b:4"}, other.parted())
	require.Equal(t, []string{"b:5"}, other.takes())
	require.Zero(t, w.s.load())
}

func TestLongLanesAreCounted(t *testing.T) {
	w := newLaneWorld(t, 100, 10) // long from 5
	w.push("x/a", 0, 1, 2, 3)
	require.False(t, w.s.crowded(w.o))
	w.push("x/a", 4)
	w.push("x/b", 5, 6, 7, 8, 9)
	require.True(t, w.s.crowded(w.o))
	w.take()
	require.True(t, w.s.crowded(w.o), "b is long still")
	it := w.take()
	require.False(t, w.s.crowded(w.o))
	require.True(t, w.s.putBack(it, time.Time{}))
	require.True(t, w.s.crowded(w.o))
	w.s.divertBelow(w.o, 100, time.Now())
	require.False(t, w.s.crowded(w.o))
}

// A worker that waited passes on what woke it, also if that was the lane of its last item: another's only item does not stay behind.
func TestWhoWaitedLooksAtTheTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 10, 50)
		w.s.saturated.Store(true)
		w.widen("x/a")
		var taken, workers sync.WaitGroup
		ends := make([]chan struct{}, 5)
		for i := range ends {
			ends[i] = make(chan struct{})
		}
		for range 3 {
			workers.Go(func() {
				me := newWorker()
				for it := w.s.next(me); it != nil; it = w.s.next(me) {
					taken.Done()
					<-ends[it.at.Offset]
					w.s.release(it.lane)
				}
			})
		}
		synctest.Wait()
		taken.Add(5)
		w.push("x/a", 0)
		w.push("z/c", 1)
		synctest.Wait()
		// Who had a's item waits first, and so is woken second and, as things are, runs first.
		close(ends[0])
		synctest.Wait()
		close(ends[1])
		synctest.Wait()
		lanes := []*lane{w.lane("x/a"), w.lane("y/b")}
		for _, l := range lanes {
			l.blocked = true
		}
		w.push("x/a", 2, 3)
		w.push("y/b", 4)
		w.s.mu.Lock()
		for _, l := range lanes { // each wakes one
			l.blocked = false
			w.s.offer(l)
		}
		w.s.mu.Unlock()
		taken.Wait()
		for _, end := range ends[2:] {
			close(end)
		}
		w.s.close()
		workers.Wait()
	})
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
			me := newWorker()
			for it := w.s.next(me); it != nil; it = w.s.next(me) {
				end := func() { w.s.release(it.lane) }
				switch rand.IntN(8) {
				case 0:
					if w.s.putBack(it, time.Time{}) {
						w.s.unblock(it.lane)
						continue
					}
				case 1:
					if w.s.putBack(it, time.Now().Add(time.Millisecond)) {
						continue
					}
				case 2:
					end = func() {
						w.s.attempted(it.lane, func(limit *gate.Limit, _ bool, now time.Time) { limit.Restart(now) })
					}
				case 3:
					w.s.part(it, outcome.ReasonBreakerOpen, time.Now())
					continue
				case 4:
				default:
					end = func() {
						w.s.attempted(it.lane, func(limit *gate.Limit, waiting bool, now time.Time) { limit.Answered(0, waiting, now) })
					}
				}
				taken.Add(1)
				end()
				w.s.give(it)
				w.o.settling.Done()
				done.Done()
			}
		})
	}
	workers.Go(func() {
		for batch := w.s.nextPartings(10); batch != nil; batch = w.s.nextPartings(10) {
			for _, p := range batch {
				taken.Add(1)
				w.s.give(p.item)
				w.o.settling.Done()
				done.Done()
			}
		}
	})
	for at := range int64(items) {
		w.push(fmt.Sprint(at%lanes), at)
		if at%100 == 0 {
			w.s.divertBelow(w.o, at-50, time.Now())
		}
	}
	done.Wait()
	require.EqualValues(t, items, taken.Load())
	require.Zero(t, w.s.load())
	w.o.draining.Store(true)
	w.s.drop(w.o)
	require.Zero(t, w.s.bytes.Load())
	require.Zero(t, w.s.holders.Load())
	w.o.settling.Wait()
	w.s.close()
	workers.Wait()
	require.Zero(t, w.s.busy)
	for _, l := range w.o.lanes {
		require.Zero(t, l.inFlight)
	}
}
