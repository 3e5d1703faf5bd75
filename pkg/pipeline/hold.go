package pipeline

import (
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
)

// watchWindow keeps the distance between the oldest unfinished offset and the newest within what commit metadata can
// always describe. Beyond it the partition waits. A wide window that is mostly unfinished is backlog, and shrinks by
// itself. One that is mostly finished hangs on a few old deliveries: those that are queued are diverted, so that nothing
// but what is in flight is waited for.
func (d *Deliverer) watchWindow(o *owned) {
	tracker := o.p.Tracker()
	span := tracker.Span()
	if span <= windowSpan {
		return
	}
	o.p.Hold(kafka.HoldWindow)
	if 2*int64(tracker.InFlight()) > span {
		return
	}
	if lowest, ok := tracker.Lowest(); ok {
		d.sched.divertBelow(o, lowest+span-windowSpan/2)
	}
}

// windowSpan leaves room for one more poll before the metadata's bound.
const windowSpan = offset.SafeSpan - 12_000

// eased releases what a finished delivery makes room for in its partition.
func (d *Deliverer) eased(o *owned) {
	if o.p.Held(kafka.HoldBacklog) && !d.sched.crowded(o) {
		o.p.Release(kafka.HoldBacklog)
	}
	if !o.p.Held(kafka.HoldWindow) {
		return
	}
	d.watchWindow(o)
	if o.p.Tracker().Span() < windowSpan/2 {
		o.p.Release(kafka.HoldWindow)
	}
}

// holdAll holds every partition for the bytes in memory.
func (d *Deliverer) holdAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full.Store(true)
	for _, o := range d.owned {
		o.p.Hold(kafka.HoldBytes)
	}
}

// easeBytes lets every partition go on once the bytes in memory are well below their bound, whoever gave them back: a
// partition that is held may have nothing of its own left that could end.
func (d *Deliverer) easeBytes() {
	if !d.full.Load() || !d.roomy() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.full.Store(false)
	for _, o := range d.owned {
		o.p.Release(kafka.HoldBytes)
	}
}

// roomy reports whether the bytes in memory are well below their bound.
func (d *Deliverer) roomy() bool { return d.bytes.Load() < d.opts.MaxBytes/5*4 }
