package pipeline

import (
	"cmp"
	"sort"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
)

// parting is an item that goes back into the retry tiers without an attempt.
type parting struct {
	*item
	reason outcome.Reason
	due    time.Time
	// slot: due was given to this item, which has its place in the lane when it comes back.
	slot bool
	// settling: the item left its queue for a worker before, and the owner's count of what is settling has it.
	settling bool
}

// divert parts with an item that arrived or is taken out of its queue. The scheduler's lock is held.
func (s *scheduler) divert(it *item, reason outcome.Reason, now time.Time) {
	p := parting{item: it, reason: reason}
	p.due, p.slot = it.lane.drain.slot(len(it.lane.queue), now)
	if soonest := now.Add(windowDelay); reason == outcome.ReasonWindowFull && p.due.Before(soonest) {
		p.due = soonest
	}
	s.parts = append(s.parts, p)
	s.parting.Signal()
}

// part parts with an item that a worker has, and gives back its place in its lane.
func (s *scheduler) part(it *item, reason outcome.Reason, due time.Time) {
	s.release(it.lane)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts = append(s.parts, parting{item: it, reason: reason, due: due, settling: true})
	s.parting.Signal()
}

// windowDelay is how long a delivery stays away at least that held the window open: its lane stands.
const windowDelay = 5 * time.Second

// soon reports whether as many of a lane will have had their turn before they were back: its endpoint is quick enough, and what they
// wait for are processors.
func (l *lane) soon(n int) bool {
	return !l.blocked && !l.paused && l.limit.Clears(n, l.limit.Value(), windowDelay)
}

// divertBelow parts with what holds an owner's window open: what is queued below the given offset, unless it will have had its turn
// soon, and all of lanes that stand, since it would only be the next. A lane's queue is in offset order.
func (s *scheduler) divertBelow(o *owned, offset int64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range o.lanes {
		n := len(l.queue)
		if !l.stands(now) {
			n = sort.Search(n, func(i int) bool { return l.queue[i].at.Offset >= offset })
			if l.soon(n) {
				continue
			}
		}
		var size int64
		for _, it := range l.queue[:n] {
			s.divert(it, outcome.ReasonWindowFull, now)
			size += it.size()
		}
		if n > 0 {
			s.set(l, l.queue[n:], -size)
		}
	}
}

// stands reports whether a lane's deliveries wait for an end that does not come: of attempts that take longer than those before them,
// as endpoints may take seconds, or of a probe or what follows a time-out, of which nobody knows that it ends before it times out.
func (l *lane) stands(now time.Time) bool {
	if l.blocked || l.limit.IsSilent() {
		return l.inFlight > 0 && now.Sub(l.moved) > pushBack
	}
	return l.stuck(now) && now.Sub(l.moved) > overdue*l.limit.Recent()
}

// backlogged reports whether more than half of a partition's active lanes have deliveries that wait: for workers, then, or for what
// they all wait for. None of them harms the others, and what is old in it has its turn soon. In a partition that has been held for
// long no lane is active, and a few may be left that do: then it is half of all lanes.
func (s *scheduler) backlogged(o *owned, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting := 0
	for _, l := range o.lanes {
		if len(l.queue) > 0 {
			waiting++
		}
	}
	return 2*waiting > cmp.Or(o.activeLanes(now), len(o.lanes))
}

// relieve begins to divert a lane that was full and keeps its partition held still: nothing arrives meanwhile, so a slow one is a
// little less than full by then, and half empty in seconds.
func (s *scheduler) relieve(l *lane, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.relieving = false
	if l.long && s.harms(l, now) {
		s.startDiverting(l)
	}
}

func (s *scheduler) startDiverting(l *lane) {
	l.diverting = true
	s.measure(l)
}

// harms reports whether others wait because of a full lane: no attempt of it ends, or at most half of the lanes that are active
// in its partition are long. Where most are, all of them wait for something else, and a lone lane harms nobody: those push back.
func (s *scheduler) harms(l *lane, now time.Time) bool {
	o := l.owner
	active := o.activeLanes(now)
	return active >= 2 && (l.stuck(now) || 2*o.longLanes <= active)
}

// nextPartings waits for items to part with and takes at most the given number; none after [scheduler.close].
func (s *scheduler) nextPartings(most int) []parting {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.parts) == 0 || s.behind && s.bytes.Load() < s.bounds.share/2 {
		if s.closed {
			return nil
		}
		s.parting.Wait()
	}
	n := min(most, len(s.parts))
	out := make([]parting, n)
	copy(out, s.parts)
	clear(s.parts[:n])
	s.parts = s.parts[n:]
	for _, p := range out {
		if !p.settling {
			p.lane.owner.settling.Add(1)
			s.queued--
		}
	}
	return out
}

// read notes that so many records of a partition are read at once. Where they are many there are more of them, and what is parted
// with waits while there is memory for it: nobody minds when it is written, but behind it in the log are others' deliveries.
func (s *scheduler) read(n int) {
	if n < manyRecords {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.behind = true; s.caughtUp == nil {
		s.caughtUp = time.AfterFunc(caughtUpAfter, s.catchUp)
	} else {
		s.caughtUp.Reset(caughtUpAfter)
	}
}

func (s *scheduler) catchUp() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behind = false
	s.parting.Broadcast()
}

// drop forgets everything that waits for an owner: it is read again by the next one.
func (s *scheduler) drop(o *owned) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range o.lanes {
		for _, it := range l.queue {
			s.give(it)
		}
		s.queued -= len(l.queue)
		s.set(l, nil, -l.bytes)
	}
	kept := s.parts[:0]
	for _, p := range s.parts {
		if p.lane.owner != o || p.settling {
			kept = append(kept, p)
			continue
		}
		s.give(p.item)
		s.queued--
	}
	clear(s.parts[len(kept):])
	s.parts = kept
}

// activity counts the lanes of a partition that had records lately, by periods.
type activity struct {
	period   int64 // counts from 1
	began    time.Time
	now, was int // lanes in this period and in the one before
}

// saw notes a record of a lane.
func (o *owned) saw(l *lane, now time.Time) {
	o.turnPeriod(now)
	if l.period != o.activity.period {
		l.period = o.activity.period
		o.activity.now++
	}
}

func (o *owned) turnPeriod(now time.Time) {
	a := &o.activity
	if past := now.Sub(a.began); past < activePeriod {
		return
	} else if past < 2*activePeriod {
		a.was = a.now
	} else {
		a.was = 0
	}
	a.period, a.began, a.now = a.period+1, now, 0
}

// activeLanes is how many lanes of the partition had records in the last period or so.
func (o *owned) activeLanes(now time.Time) int {
	o.turnPeriod(now)
	return max(o.activity.now, o.activity.was)
}

const (
	// activePeriod is over what time active lanes are counted.
	activePeriod = 5 * time.Second
	// pushBack is how long a full lane may hold its partition before it is diverted, and how long a probe, or what follows a time-out,
	// may take before what waits for it leaves a wide window.
	pushBack = 25 * time.Millisecond
	// diverters write the records of items that are parted with, partings at a time: one acknowledgement is waited for by as
	// many, and no worker waits for any.
	diverters = 2
	partings  = 1000
	// manyRecords at once say that a partition has a backlog. caughtUpAfter is how long after the last of them it has none.
	manyRecords   = 500
	caughtUpAfter = 50 * time.Millisecond
)

// fullLane holds the partition of a full lane, and diverts the lane if that lasts.
func (d *Deliverer) fullLane(l *lane) {
	l.owner.p.Hold(kafka.HoldBacklog)
	d.sched.mu.Lock()
	defer d.sched.mu.Unlock()
	if l.relieving {
		return
	}
	l.relieving = true
	time.AfterFunc(pushBack, func() {
		d.sched.relieve(l, time.Now())
		if !l.owner.draining.Load() {
			d.eased(l.owner)
		}
	})
}

// divertLoop writes what is parted with. It ends with the scheduler.
func (d *Deliverer) divertLoop() {
	for batch := d.sched.nextPartings(partings); batch != nil; batch = d.sched.nextPartings(partings) {
		d.divert(batch)
	}
}

// divert writes the retry records of a batch and waits for them. Only the first park after an attempt is recorded: a breaker
// that stays open for a day would fill the outcomes with rows that say the same.
func (d *Deliverer) divert(batch []parting) {
	now := time.Now()
	due := make([]time.Time, len(batch))
	errs := make([]error, len(batch))
	var pending atomic.Int64
	pending.Store(int64(len(batch)))
	written := make(chan struct{})
	for i, p := range batch {
		next := copyFor(p.d, p.reason)
		next.Parks++
		due[i] = p.due
		if soonest := now.Add(minPark); due[i].Before(soonest) {
			due[i] = soonest
		}
		due[i] = ceilMilli(due[i])
		if next.Due = due[i]; p.slot {
			next.Slot = due[i]
		}
		d.out.Produce(p.lane.owner.p.Context(), d.opts.Topics.waiting(next, now), func(_ *kafka.Record, err error) {
			if errs[i] = err; pending.Add(-1) == 0 {
				close(written)
			}
		})
	}
	select {
	case <-written:
	case <-d.stopped: // no partition is owned any more, and Kafka may be away
		for _, p := range batch {
			d.drop(p.item)
		}
		return
	}
	for i, p := range batch {
		if d.written(p.item, errs[i]) {
			d.parked(p, due[i])
		}
	}
}

func (d *Deliverer) parked(p parting, due time.Time) {
	v := verdict{Verdict: outcome.Parked, reason: p.reason, due: due}
	if p.d.Parks > 0 {
		d.opts.Metrics.verdicts.of(because{v.Verdict, v.reason}).Inc()
		d.finish(p.item)
		return
	}
	d.record(p.item, d.row(p.item, v, time.Now()), nil)
}

// minPark is the shortest tier: records with less to wait would stand behind others that become ready later.
const minPark = time.Second
