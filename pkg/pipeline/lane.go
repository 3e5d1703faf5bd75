package pipeline

import (
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/ident"
)

// item is a delivery in memory.
type item struct {
	d       *delivery.Delivery
	at      delivery.Position // the deliveries record
	arrived time.Time
	lane    *lane   // since it was admitted
	common  *common // nil if it shares nothing, see [bodies]
	// later is how many deliveries of a later pass its owner had made when it came, see [Deliverer.overtaken].
	later int
}

// size is what an item holds of the byte budget: the data, and about what its metadata takes.
func (i *item) size() int64 { return int64(len(i.d.Data)) + itemOverhead }

// itemOverhead is the memory of an item beside its data: the record's headers and the decoded delivery, in bytes.
const itemOverhead = 1 << 10

// lane is the queue of one subscription in one partition. Its fields are guarded by the scheduler's lock, but for decided.
type lane struct {
	owner    *owned
	sub      ident.ID
	tenant   *tenancy
	queue    []*item
	bytes    int64 // of the queue
	most     int   // its length at most since it was empty
	inFlight int
	// limit is how many may be in flight now.
	limit gate.Limit
	// blocked: a probe is under way, the others wait for its end.
	blocked bool
	// paused: nothing starts before a timer of the scheduler's.
	paused bool
	// ready: the lane is among its tenant's lanes with work.
	ready bool
	// long: the queue keeps its partition held. A lane that is diverted keeps nobody.
	long bool
	// moved is when an attempt of the lane ended last, or when the first one in flight started.
	moved time.Time
	// relieving: a full lane holds its partition and is about to be diverted, unless it drains first.
	relieving bool
	// diverting: what arrives is written to the retry tiers, until the queue is half empty.
	diverting bool
	// diverted is when that ended last.
	diverted time.Time
	// postponed: it waits for its own, see [scheduler.postpone]. hurried: it has for long enough.
	postponed, hurried bool

	// decided is what was looked up for the last of its deliveries.
	decided atomic.Pointer[decision]

	drain  drain
	period int64 // of the owner's activity, when the last record came
}

// free reports whether the lane has work and room for it.
func (l *lane) free() bool {
	return len(l.queue) > 0 && !l.blocked && !l.paused && l.inFlight < l.limit.Value()
}

// stuck reports whether the lane has attempts in flight of which none has ended for a while.
func (l *lane) stuck(now time.Time) bool { return l.inFlight > 0 && now.Sub(l.moved) > stuckAfter }

// mayEase reports whether a full lane may be half empty when pushBack is over. Of one whose speed is not known it will be by then.
func (l *lane) mayEase(now time.Time) bool {
	speed, known := l.drain.speed(now)
	return !known || 2*speed*pushBack.Seconds() >= float64(len(l.queue))
}

// stuckAfter is how long a lane may go without an end before others come first where workers are scarce.
const stuckAfter = time.Second

// drain measures how fast a lane empties, and gives the deliveries that are diverted from it times to come back at.
type drain struct {
	ends  int
	since time.Time
	rate  float64 // ends a second, of the last second that there were any; 0 if not known
	// tail is the time of the last slot that was given; beyond counts those for which there was none.
	tail   time.Time
	beyond int
}

const (
	// assumedRate is taken for a lane of which nothing is known, in deliveries a second; slowestRate for one that stands.
	assumedRate = 10
	slowestRate = 1
	// fewEnds are enough to tell a rate by, and in a part of a second, soonEnough, to tell it better than an earlier one.
	fewEnds    = 4
	soonEnough = 100 * time.Millisecond
	// maxSlot is how far ahead slots are given. What finds none comes back between half of it and all of it, and asks again.
	maxSlot = 5 * time.Minute
	// spread is over how many times what finds no slot is spread.
	spread = 256
)

// started begins a measurement: before it the lane was idle, and what ends then would tell how much came for it.
func (d *drain) started(now time.Time) { d.ends, d.since = 0, now }

func (d *drain) ended(now time.Time) {
	d.ends++
	if elapsed := now.Sub(d.since); elapsed >= time.Second {
		d.rate = float64(d.ends) / elapsed.Seconds()
		d.ends, d.since = 0, now
	}
}

// speed is the rate of this second if it tells something already, or of the last one that did. It reports false if neither is there.
func (d *drain) speed(now time.Time) (float64, bool) {
	switch elapsed := now.Sub(d.since); {
	case d.ends >= fewEnds && elapsed > 0 && (d.rate == 0 || elapsed >= soonEnough):
		return max(float64(d.ends)/elapsed.Seconds(), slowestRate), true
	case d.rate > 0:
		return max(d.rate, slowestRate), true
	}
	return assumedRate, false
}

// slot is when a delivery comes back that is diverted from behind as many others: after those and all that were diverted
// before, at the rate at which the lane drains. It reports false if that is too far ahead to be promised.
func (d *drain) slot(queued int, now time.Time) (time.Time, bool) {
	speed, _ := d.speed(now)
	every := time.Duration(float64(time.Second) / speed)
	if behind := now.Add(time.Duration(queued) * every); d.tail.Before(behind) {
		d.tail = behind
	}
	if next := d.tail.Add(every); !next.After(now.Add(maxSlot)) {
		d.tail = next
		return next, true
	}
	d.beyond++
	return now.Add(maxSlot/2 + time.Duration(d.beyond%spread)*(maxSlot/2)/spread), false
}
