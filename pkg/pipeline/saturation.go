package pipeline

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// Saturation: with more goroutines ready to run than there are processors, further attempts in flight only wait for each
// other, and the connections that they would open are paid for by all.
const (
	// saturationEvery is how often the runtime is asked.
	saturationEvery = 100 * time.Millisecond
	// saturatedAt is how long the median goroutine waits for a processor when there are too few.
	saturatedAt = 500 * time.Microsecond
	// shortAt is what the process's threads wait for processors together, by the time that its processors have: others keep them
	// from it. Answers wait in their sockets then, and not in the queues that the runtime knows.
	shortAt = 0.2
	// plenty attempts in flight for each processor keep it busy.
	plenty = 8
)

// saturation tells whether goroutines wait for processors, or the process itself does.
type saturation struct {
	sample []metrics.Sample
	before []uint64
	waited time.Duration // by threads
	asked  time.Time
}

func newSaturation() *saturation {
	return &saturation{sample: []metrics.Sample{{Name: "/sched/latencies:seconds"}}}
}

// now reports about the time since the last call.
func (s *saturation) now() bool {
	metrics.Read(s.sample)
	h := s.sample[0].Value.Float64Histogram()
	if s.before == nil {
		s.before = make([]uint64, len(h.Counts))
	}
	long := saturated(h, s.before)
	copy(s.before, h.Counts)
	return s.short(threadsWaited(threadsDir), time.Now()) || long
}

// short reports whether threads that have waited for so long lack processors.
func (s *saturation) short(waited time.Duration, now time.Time) bool {
	share := (waited - s.waited).Seconds() / now.Sub(s.asked).Seconds() / float64(runtime.GOMAXPROCS(0))
	first := s.asked.IsZero()
	s.waited, s.asked = waited, now
	return !first && share >= shortAt
}

// threadsDir is where Linux tells of the threads of a process. Elsewhere it is not there, and nothing known of their waiting.
const threadsDir = "/proc/self/task"

// threadsWaited is how long the threads of the process were ready to run and had no processor: the second field of schedstat
// (kernel.org, Documentation/scheduler/sched-stats.rst), in nanoseconds.
func threadsWaited(dir string) (sum time.Duration) {
	threads, err := os.ReadDir(dir)
	if err != nil {
		return 0
	}
	for _, thread := range threads {
		text, err := os.ReadFile(filepath.Join(dir, thread.Name(), "schedstat")) //nolint:gosec // of this process
		if err != nil {                                                          // it ended
			continue
		}
		if fields := strings.Fields(string(text)); len(fields) > 1 {
			ns, _ := strconv.ParseInt(fields[1], 10, 64)
			sum += time.Duration(ns)
		}
	}
	return sum
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
	last := time.Now()
	for {
		select {
		case <-ticker.C:
			now := time.Now()
			d.sched.judge(d.opts.Saturated(), now.Sub(last))
			last = now
		case <-d.stopped:
			return
		}
	}
}

// judge notes whether processors were short in a time that passed, and sets how many workers are enough.
func (s *scheduler) judge(saturated bool, passed time.Duration) {
	s.saturated.Store(saturated)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowd.most = int(keptUp * float64(s.ends) * youth.Seconds() / passed.Seconds())
	s.ends = 0
}

// full reports whether the processors have all that they can do.
func (s *scheduler) full() bool {
	return s.saturated.Load() && s.busy >= s.crowdSize()
}

// crowd counts the workers that began lately and are not done: those that use processors, for whoever waits for an endpoint does not
// stay among them. While processors are short it has a bound. More would all have a processor later, and so would a tenant's only
// delivery that comes behind a thousand of another's; what is not begun waits in its lane, where tenants take turns.
type crowd struct {
	young  int
	most   int     // for the rate at which items ended
	begun  []entry // in order of time
	closed bool    // [scheduler.openDoor] is due
}

type entry struct {
	*worker
	at time.Time
}

const (
	// youth is how long a worker counts: who waits longer waits for an endpoint and uses no processor.
	youth = 5 * time.Millisecond
	// keptUp is the part of the rate that a crowd keeps up if all endpoints take longer than youth. It is below 1, for a rate that
	// thousands in flight have may be had with a few, and ends where the rest leaves processors free.
	keptUp = 0.5
)

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
	if !s.saturated.Load() || s.crowd.young < s.crowdSize() {
		return true
	}
	if s.crowd.age(time.Now()); s.crowd.young < s.crowdSize() {
		return true
	}
	s.closeDoor()
	return false
}

// crowdSize is how many workers are enough.
func (s *scheduler) crowdSize() int { return max(plenty*runtime.GOMAXPROCS(0), s.crowd.most) }

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
		room = s.crowdSize() - s.crowd.young
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
