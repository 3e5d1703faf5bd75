package pipeline

import (
	"runtime"
	"runtime/metrics"
	"time"
)

// Saturation: with more goroutines ready to run than there are processors, further attempts in flight only wait for each
// other, and the connections that they would open are paid for by all.
const (
	// saturationEvery is how often the runtime is asked.
	saturationEvery = 100 * time.Millisecond
	// saturatedAt is how long the median goroutine waits for a processor when there are too few.
	saturatedAt = 500 * time.Microsecond
	// lateAt is how late a timer wakes the process on average when others keep its processors from it: answers wait in their
	// sockets then, and not in the queues that the runtime knows.
	lateAt = time.Millisecond
	// maxLate is what a single time counts as at most: one alone is no reason.
	maxLate = 3 * time.Millisecond
	// plenty attempts in flight for each processor keep it busy.
	plenty = 8
)

// saturation tells whether goroutines wait for processors, or the process itself does.
type saturation struct {
	sample []metrics.Sample
	before []uint64
	late   time.Duration // moving average
}

func newSaturation() *saturation {
	return &saturation{sample: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
}

// now reports about the time since the last call, which was to be made when the process was woken so late.
func (s *saturation) now(late time.Duration) bool {
	s.late += (min(late, maxLate) - s.late) / 4
	metrics.Read(s.sample)
	h := s.sample[0].Value.Float64Histogram()
	if s.before == nil {
		s.before = make([]uint64, len(h.Counts))
	}
	long := saturated(h, s.before)
	copy(s.before, h.Counts)
	return long || s.late >= lateAt
}

// saturated reports whether the median of what was counted since before is too long.
func saturated(h *metrics.Float64Histogram, before []uint64) bool {
	short, long := uint64(0), uint64(0)
	for i, n := range h.Counts {
		if h.Buckets[i] >= saturatedAt.Seconds() { // the lower bound
			long += n - before[i]
		} else {
			short += n - before[i]
		}
	}
	return long > short
}

// watchSaturation keeps the scheduler informed until the deliverer stops.
func (d *Deliverer) watchSaturation() {
	ticker := time.NewTicker(saturationEvery)
	defer ticker.Stop()
	for {
		select {
		case at := <-ticker.C:
			d.sched.saturated.Store(d.saturated(time.Since(at)))
		case <-d.stopped:
			return
		}
	}
}

// full reports whether the processors have all that they can do.
func (s *scheduler) full() bool {
	return s.saturated.Load() && s.busy >= crowded()
}

// crowd counts the workers that began lately and are not done: those that use processors, for whoever waits for an endpoint does not
// stay among them. While processors are short it has a bound. More would all have a processor later, and so would a tenant's only
// delivery that comes behind a thousand of another's; what is not begun waits in its lane, where tenants take turns.
type crowd struct {
	young  int
	begun  []entry // in order of time
	closed bool    // [scheduler.openDoor] is due
}

type entry struct {
	*worker
	at time.Time
}

// youth is how long a worker counts. An endpoint that answers later does not hold up others, at some thousand deliveries a second.
const youth = 5 * time.Millisecond

func (c *crowd) left(w *worker) {
	if w.young {
		w.young = false
		c.young--
	}
}

// age forgets who began too long ago.
func (c *crowd) age(now time.Time) {
	n := 0
	for n < len(c.begun) && now.Sub(c.begun[n].at) >= youth {
		if e := c.begun[n]; e.since.Equal(e.at) {
			c.left(e.worker)
		}
		n++
	}
	clear(c.begun[:n])
	c.begun = c.begun[n:]
}

// mayEnter reports whether one more may begin. If not, it has somebody look again.
func (s *scheduler) mayEnter() bool {
	if !s.saturated.Load() || s.crowd.young < crowded() {
		return true
	}
	if s.crowd.age(time.Now()); s.crowd.young < crowded() {
		return true
	}
	s.closeDoor()
	return false
}

// crowded is how many workers are enough.
func crowded() int { return plenty * runtime.GOMAXPROCS(0) }

// closeDoor has the door looked after until there is room.
func (s *scheduler) closeDoor() {
	if !s.crowd.closed {
		s.crowd.closed = true
		time.AfterFunc(youth, s.openDoor)
	}
}

// openDoor wakes workers for what was left; as many as there is room for.
func (s *scheduler) openDoor() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowd.closed = false
	if len(s.turns) == 0 || s.closed || s.stopped {
		return
	}
	room := len(s.idle)
	if s.saturated.Load() {
		s.crowd.age(time.Now())
		room = crowded() - s.crowd.young
		s.closeDoor()
	}
	for range room {
		s.wake()
	}
}

// enter counts a worker that has work.
func (s *scheduler) enter(w *worker) {
	if !s.saturated.Load() {
		return
	}
	w.since, w.young = time.Now(), true
	s.crowd.age(w.since) // also where there is always room: nobody else would forget them
	s.crowd.young++
	s.crowd.begun = append(s.crowd.begun, entry{w, w.since})
}
