package pipeline

import (
	"time"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
)

// watchWindow keeps what is finished above the oldest unfinished offset within what commit metadata can describe: any span
// up to [windowSpan] as a bitmap, and a wider one as runs if they are few. A window that is wide and in many pieces hangs on
// old deliveries. From half of the bounds on, those are diverted that are queued behind attempts that do not end; from five sixths
// on, others that are queued, old and not about to have their turn; and beyond the bounds the partition waits for those in flight.
// Where most lanes wait it is backlog, which shrinks by itself.
func (d *Deliverer) watchWindow(o *owned) {
	tracker := o.p.Tracker()
	span, runs := tracker.Span(), tracker.Runs()
	if span <= windowSpan/2 || span <= maxSpan/2 && runs <= maxRuns/2 {
		return
	}
	if span > maxSpan || span > windowSpan && runs > maxRuns {
		o.p.Hold(kafka.HoldWindow)
		d.watchAgain(o)
	}
	lowest, ok := tracker.Lowest()
	if !ok {
		return
	}
	below := lowest
	now := time.Now()
	if (span > easedSpan && runs > easedRuns || span > maxSpan/2) && !d.sched.backlogged(o, now) {
		below += span - windowSpan/2
	}
	d.sched.divertBelow(o, below, now)
}

// watchAgain looks after a window later that holds its partition: by then it shows which lanes stand, and what else would look, an
// arrival or an end, may not come before their attempts time out.
func (d *Deliverer) watchAgain(o *owned) {
	if !o.watched.CompareAndSwap(false, true) {
		return
	}
	time.AfterFunc(stuckAfter, func() {
		o.watched.Store(false)
		if !o.draining.Load() {
			d.eased(o)
		}
	})
}

const (
	// windowSpan leaves room for one more poll before the span of a bitmap is used up.
	windowSpan = offset.SafeSpan - 12_000
	// maxRuns always fit, with lengths of up to two bytes: four base64 characters for three bytes of about four each.
	maxRuns = 600
	// easedRuns let a partition go on: what is in flight to endpoints that hang, up to half of the usual workers, is no reason to
	// wait for it. Beyond them and easedSpan what is old is diverted.
	easedRuns = maxRuns / 6 * 5
	easedSpan = windowSpan / 6 * 5
	// maxSpan bounds the account in memory: 16 bytes an offset.
	maxSpan = 1 << 19
)

// eased releases what a finished delivery makes room for in its partition.
func (d *Deliverer) eased(o *owned) {
	if o.p.Held(kafka.HoldBacklog) && !d.sched.crowded(o) {
		o.p.Release(kafka.HoldBacklog)
	}
	if !o.p.Held(kafka.HoldWindow) {
		return
	}
	d.watchWindow(o)
	if span := o.p.Tracker().Span(); span < windowSpan/2 || span < maxSpan/2 && o.p.Tracker().Runs() < easedRuns {
		o.p.Release(kafka.HoldWindow)
	}
}

// holdAll holds every partition for the bytes in memory.
func (d *Deliverer) holdAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.crammed.Store(true)
	for _, o := range d.owned {
		o.p.Hold(kafka.HoldBytes)
	}
}

// easeBytes lets every partition go on once the bytes in memory are well below their bound, whoever gave them back: a
// partition that is held may have nothing of its own left that could end.
func (d *Deliverer) easeBytes() {
	if !d.crammed.Load() || !d.roomy() {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.roomy() { // holdAll came in between
		return
	}
	d.crammed.Store(false)
	for _, o := range d.owned {
		o.p.Release(kafka.HoldBytes)
	}
}

// roomy reports whether the bytes in memory are well below their bound.
func (d *Deliverer) roomy() bool { return d.sched.bytes.Load() < d.opts.MaxBytes/5*4 }
