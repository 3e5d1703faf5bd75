package view

import (
	"math"
	"time"
)

// Histogram counts durations in fixed buckets whose bounds grow by the square root of two, from 1 ms to 92 s, so that those of
// different times and endpoints add up. Of the sum it knows the microseconds. The zero value is empty.
type Histogram struct {
	Buckets [durationBuckets]int64
	// Sum is that of all durations.
	Sum time.Duration
}

// durationBuckets: the first ends at 1 ms, the last has no end.
const durationBuckets = 35

// bucketOf is the bucket of a duration.
func bucketOf(d time.Duration) int {
	if d <= time.Millisecond {
		return 0
	}
	return min(int(math.Ceil(2*math.Log2(float64(d)/float64(time.Millisecond)))), durationBuckets-1)
}

// bucketEnd is the longest duration of a bucket.
func bucketEnd(i int) time.Duration {
	return time.Duration(math.Exp2(float64(i)/2) * float64(time.Millisecond))
}

// Observe adds a duration.
func (h *Histogram) Observe(d time.Duration) {
	h.Buckets[bucketOf(d)]++
	h.Sum += d.Truncate(time.Microsecond)
}

// Count is how many durations there are.
func (h *Histogram) Count() (n int64) {
	for _, b := range h.Buckets {
		n += b
	}
	return n
}

// Add adds those of o.
func (h *Histogram) Add(o *Histogram) {
	for i, n := range o.Buckets {
		h.Buckets[i] += n
	}
	h.Sum += o.Sum
}

// Mean is the average, 0 if there are none.
func (h *Histogram) Mean() time.Duration {
	if n := h.Count(); n > 0 {
		return h.Sum / time.Duration(n)
	}
	return 0
}

// Quantile returns the duration below which a share q of them is, 0 to 1: 0 if there are none. It is right to a factor of the
// square root of two, and within a bucket a line between its bounds, so usually much better.
func (h *Histogram) Quantile(q float64) time.Duration {
	count := h.Count()
	if count == 0 {
		return 0
	}
	rank, below := q*float64(count), 0.0
	for i, n := range h.Buckets {
		if n == 0 || below+float64(n) < rank {
			below += float64(n)
			continue
		}
		start := time.Duration(0)
		if i > 0 {
			start = bucketEnd(i - 1)
		}
		return start + time.Duration((rank-below)/float64(n)*float64(bucketEnd(i)-start))
	}
	return bucketEnd(durationBuckets - 1)
}
