package gate

import (
	"sync"
	"time"
)

// Pace spaces the attempts of one endpoint by the generic cell rate algorithm (ITU-T I.371, as virtual scheduling): what is
// too early is told when to come back, and nothing is saved up but a tenth of a second's worth, so that timers that fire
// late cost no throughput. The zero Pace is ready; its methods may be called concurrently.
type Pace struct {
	mu sync.Mutex
	// next is when the next attempt would start if all were evenly spaced.
	next time.Time
}

// paceSlack is how much earlier than evenly spaced an attempt may start.
const paceSlack = 100 * time.Millisecond

// Take takes a slot at a rate of attempts a second and returns the zero time; or takes none, and returns when there is one.
func (p *Pace) Take(now time.Time, perSecond int) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	every := time.Second / time.Duration(perSecond)
	slack := max(0, paceSlack-every)
	if at := p.next.Add(-slack); at.After(now) {
		if at.Sub(now) <= time.Second { // else the rate was raised, or the clock was set back
			return at
		}
		p.next = now
	}
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(every)
	return time.Time{}
}
