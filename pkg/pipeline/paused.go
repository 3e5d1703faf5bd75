package pipeline

import (
	"cmp"
	"time"

	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/registry"
)

// paused reports whether operators have paused the delivery's subscription or its tenant, and if so puts it off, whatever it is:
// nothing of it is counted, and no age limit ends it before it was tried. What is put off comes back at the rate of a breaker's
// ramp, in the order in which it came but for what the lane's workers held at once, which is put off in any order and may so take
// places that are seconds apart. It is put off again as long as the pause lasts.
func (d *Deliverer) paused(c *candidate, snap *registry.Snapshot) bool {
	p := snap.Paused(c.sub)
	if p == nil {
		return false
	}
	now := time.Now()
	ramp := cmp.Or(d.opts.Breaker.RampRate, restRate)
	due := c.ep.paused.Due(now, ramp)
	if due.IsZero() {
		c.ep.paused.Begin(now.Add(lookAgain(now.Sub(p.Since))))
		due = c.ep.paused.Due(now, ramp)
	}
	d.park(c.item, outcome.ReasonPaused, due)
	return true
}

// lookAgain is how long a delivery stays away from a pause that has lasted for a time: a quarter of it, so that a short pause ends
// soon after it was ended, and a long one does not move its backlog through the retry tiers all the time.
func lookAgain(lasted time.Duration) time.Duration {
	const soonest, latest = 10 * time.Second, 5 * time.Minute
	return min(max(lasted/4, soonest), latest)
}

// SetStopped keeps workers from taking anything, or lets them. An attempt that is under way ends.
func (d *Deliverer) SetStopped(stopped bool) {
	s := d.sched
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = stopped
	for len(s.idle) > 0 {
		s.wake()
	}
}

// SetStopped keeps everything where it is, or goes on: what became due meanwhile is moved at once, the earliest first.
func (r *Retrier) SetStopped(stopped bool) {
	r.halted.Store(stopped)
	select {
	case r.wake <- struct{}{}:
	default: // it looks anyway
	}
}
