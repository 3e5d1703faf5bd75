package gate

import (
	"sync"
	"time"
)

// Rest is what an endpoint may ask for with Retry-After: that nothing is sent to it for a while. Its zero value does not
// rest; its methods may be called concurrently.
type Rest struct {
	mu    sync.Mutex
	until time.Time
	put   int // deliveries that were put off
}

// Begin lets the endpoint rest until a time; what it asked for before is not shortened.
func (r *Rest) Begin(until time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if until.After(r.until) {
		r.until, r.put = until, 0
	}
}

// Due returns the zero time if the endpoint does not rest; else when a delivery that comes now is to come back, and counts
// it: the first at the rest's end, the others behind it at so many a second.
func (r *Rest) Due(now time.Time, perSecond float64) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.until.After(now) {
		return time.Time{}
	}
	due := r.until.Add(time.Duration(float64(r.put) / perSecond * float64(time.Second)))
	r.put++
	return due
}
