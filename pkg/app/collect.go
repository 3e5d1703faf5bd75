package app

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
)

const (
	// freshHeap is how much a process allocates between two collections at least, in bytes. What it holds is small as long as
	// deliveries flow, and Go would collect each time it has grown by as much: hundreds of times a second, for a tenth of
	// all CPU.
	freshHeap = 64 << 20
	// smallestHeap is what GOGC is of at least, whatever is held: Go's own minimum.
	smallestHeap = 4 << 20
	// usualPercent is Go's own GOGC.
	usualPercent = 100
)

// CollectLess has the garbage collected only when [freshHeap] was allocated since the last time, or as much as is held if
// that is more, until stop is called. Where GOGC is set it does nothing; GOMEMLIMIT holds as before.
func CollectLess() (stop func()) {
	if os.Getenv("GOGC") != "" {
		return func() {}
	}
	c := &collecting{percent: usualPercent}
	c.again()
	return func() { c.stopped.Store(true) }
}

// collecting adapts GOGC after every collection.
type collecting struct {
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
	if p := percent(live[0].Value.Uint64()); p != c.percent {
		c.percent = p
		debug.SetGCPercent(p)
	}
	runtime.AddCleanup(new(struct{ _ *int }), (*collecting).again, c) // with a pointer, or it would share its memory with others
}

// percent is the GOGC that lets freshHeap be allocated beside what is held, in steps, as changing it stops the world.
func percent(held uint64) int {
	p := max(usualPercent, freshHeap*100/max(held, smallestHeap))
	return int(p - p%50) //nolint:gosec // 1600 at most
}
