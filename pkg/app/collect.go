package app

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// freshHeap is how much a process allocates between two collections at least, in bytes, where nobody has said how much
	// memory it has. What it holds is small as long as deliveries flow, and Go would collect each time it has grown by as much:
	// hundreds of times a second, for a tenth of all CPU.
	freshHeap = 128 << 20
	// leastFresh and mostFresh bound it where GOMEMLIMIT is set: a quarter of that.
	leastFresh = 64 << 20
	mostFresh  = 256 << 20
	// smallestHeap is what GOGC is of at least, whatever is held: Go's own minimum.
	smallestHeap = 4 << 20
	// usualPercent is Go's own GOGC.
	usualPercent = 100
)

// CollectLess has the garbage collected only when 128 MiB were allocated since the last time, or a quarter of GOMEMLIMIT (64 to
// 256 MiB), or as much as is held if that is more, until stop is called. Where GOGC is set it does nothing; GOMEMLIMIT holds as
// before.
func CollectLess() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	c := &collecting{fresh: fresh(debug.SetMemoryLimit(-1)), percent: usualPercent} // -1 asks
	c.again()
	return func() { c.stopped.Store(true) }
}

// collecting adapts GOGC after every collection.
type collecting struct {
	fresh   uint64
	percent int
	stopped atomic.Bool
}

// again is called once, and then after every collection: the object that it leaves behind is part of the garbage.
func (c *collecting) again() {
	if c.stopped.Load() {
		debug.SetGCPercent(usualPercent)
		return
	}
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	if p := percent(live[0].Value.Uint64(), c.fresh); p != c.percent {
		c.percent = p
		debug.SetGCPercent(p)
	}
	runtime.AddCleanup(new(struct{ _ *int }), (*collecting).again, c) // with a pointer, or it would share its memory with others
}

// fresh is how much is allocated between two collections at least where there may be so much memory; math.MaxInt64 is no
// limit.
func fresh(limit int64) uint64 {
	if limit == math.MaxInt64 {
		return freshHeap
	}
	return uint64(min(max(limit/4, leastFresh), mostFresh))
}

// percent is the GOGC that lets so much be allocated beside what is held, in steps, as changing it stops the world.
func percent(held, fresh uint64) int {
	p := max(usualPercent, fresh*100/max(held, smallestHeap))
	return int(p - p%50) //nolint:gosec // 6400 at most
}
