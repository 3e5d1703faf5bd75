package pipeline

import (
	"time"

	"github.com/postrider/postrider/pkg/outcome"
)

// restRate is how many deliveries a second come back after an endpoint's rest, as after an open breaker by default.
const restRate = 50

// early reports whether a delivery comes before its endpoint may be asked again, and sees to it that it comes later: the
// endpoint rests, or its subscription has a rate limit and the next slot is not there yet. What is early by less than the
// shortest tier waits at the head of its lane, and the lane with it. A delivery whose age limit is reached does not wait
// for a rest, as it does not for a breaker.
func (d *Deliverer) early(c *candidate) bool {
	now := time.Now()
	var at time.Time
	if !d.lastTry(c) {
		at = c.ep.rest.Due(now, restRate)
	}
	if at.IsZero() && c.sub.ThrottleRate > 0 {
		at = c.ep.pace.Take(now, c.sub.ThrottleRate)
	}
	switch {
	case at.IsZero():
		return false
	case at.Sub(now) > minPark:
		if limit, ok := c.ageLimit(); ok && at.After(limit) {
			at = limit
		}
		d.park(c.item, outcome.ReasonRateLimited, at)
	case !d.sched.putBack(c.item, at):
		d.abandon(c.item)
	}
	return true
}
