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
	s := newSaturation()
	ticker := time.NewTicker(saturationEvery)
	defer ticker.Stop()
	for {
		select {
		case at := <-ticker.C:
			d.sched.saturated.Store(s.now(time.Since(at)))
		case <-d.stopped:
			return
		}
	}
}

// full reports whether the processors have all that they can do.
func (s *scheduler) full() bool {
	return s.saturated.Load() && s.busy >= plenty*runtime.GOMAXPROCS(0)
}
