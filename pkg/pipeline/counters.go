package pipeline

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/outcome"
)

// counters are those of a vector, by their labels. The vector itself takes a lock and hashes texts; here every delivery finds
// its counter in a map that is not changed any more.
type counters[K comparable] struct {
	make func(K) prometheus.Counter

	known atomic.Pointer[map[K]prometheus.Counter]
	mu    sync.Mutex // of who adds one
}

// of returns the counter of k, which is made, and shown from then on, when it is asked for first.
func (c *counters[K]) of(k K) prometheus.Counter {
	if known := c.known.Load(); known != nil {
		if counter, ok := (*known)[k]; ok {
			return counter
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	more := map[K]prometheus.Counter{}
	if known := c.known.Load(); known != nil {
		more = maps.Clone(*known)
	}
	counter := c.make(k)
	more[k] = counter
	c.known.Store(&more)
	return counter
}

func byResult(v *prometheus.CounterVec) *counters[outcome.Result] {
	return &counters[outcome.Result]{make: func(r outcome.Result) prometheus.Counter { return v.WithLabelValues(string(r)) }}
}

// because is a verdict with its reason.
type because struct {
	outcome.Verdict
	outcome.Reason
}

func byVerdict(v *prometheus.CounterVec) *counters[because] {
	return &counters[because]{make: func(b because) prometheus.Counter {
		return v.WithLabelValues(string(b.Verdict), string(b.Reason))
	}}
}
