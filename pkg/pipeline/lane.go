package pipeline

import (
	"slices"
	"sync"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

// item is a delivery in memory.
type item struct {
	d       *delivery.Delivery
	at      delivery.Position // the deliveries record
	arrived time.Time
	lane    *lane
	divert  bool // to be parked without an attempt: the window is full
}

// size is what an item holds of the byte budget: the data, and about what its metadata takes.
func (i *item) size() int64 { return int64(len(i.d.Data)) + itemOverhead }

// itemOverhead is the memory of an item beside its data: the record's headers and the decoded delivery, in bytes.
const itemOverhead = 1 << 10

// lane is the queue of one subscription in one partition. Its fields are guarded by the scheduler's lock.
type lane struct {
	owner    *owned
	sub      ident.ID
	queue    []*item
	inFlight int
	// limit is how many may be in flight now: it ramps up 1, 2, 4 … to the scheduler's ceiling after an endpoint has
	// recovered. The adaptive limit will go here.
	limit int
	// blocked: a probe is under way, the others wait for its end.
	blocked bool
	// ready: the lane is in the scheduler's ring.
	ready bool
}

func (l *lane) eligible() bool {
	return len(l.queue) > 0 && !l.blocked && l.inFlight < l.limit
}

// scheduler hands the items of all lanes of all partitions to the workers: one from each lane in turn, so that a long
// queue does not keep a short one waiting. Deficit round robin across tenants will go here.
type scheduler struct {
	mu      sync.Mutex
	wake    sync.Cond
	ring    []*lane // lanes with work, in turn
	diverts []*item // taken before all lanes: they wait for nothing
	ceiling int     // of a lane's limit
	long    int     // a lane of that length keeps its partition held
	queued  int
	closed  bool
}

func newScheduler(ceiling, laneQueue int) *scheduler {
	s := &scheduler{ceiling: ceiling, long: (laneQueue + 1) / 2}
	s.wake.L = &s.mu
	return s
}

// push queues items of one lane and returns the lane's length.
func (s *scheduler) push(l *lane, items ...*item) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(l, append(l.queue, items...))
	s.queued += len(items)
	s.offer(l)
	return len(l.queue)
}

// set replaces a lane's queue and keeps count of its owner's long ones.
func (s *scheduler) set(l *lane, queue []*item) {
	was, is := len(l.queue) >= s.long, len(queue) >= s.long
	l.queue = queue
	switch {
	case is && !was:
		l.owner.longLanes++
	case was && !is:
		l.owner.longLanes--
	}
}

// crowded reports whether any lane of o is long.
func (s *scheduler) crowded(o *owned) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.longLanes > 0
}

// offer puts l into the ring if it has work that may start.
func (s *scheduler) offer(l *lane) {
	if !l.ready && l.eligible() {
		l.ready = true
		s.ring = append(s.ring, l)
	}
	if l.ready {
		s.wake.Signal() // whoever takes it offers the lane again, and so wakes the next worker
	}
}

// next waits for an item and takes it; nil after [scheduler.close].
func (s *scheduler) next() *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if it := s.take(); it != nil {
			return it
		}
		if s.closed {
			return nil
		}
		s.wake.Wait()
	}
}

func (s *scheduler) take() *item {
	if len(s.diverts) > 0 {
		it := s.diverts[0]
		s.diverts[0] = nil
		s.diverts = s.diverts[1:]
		s.dispatch(it)
		return it
	}
	for len(s.ring) > 0 {
		l := s.ring[0]
		s.ring[0] = nil
		s.ring = s.ring[1:]
		l.ready = false
		if !l.eligible() {
			continue
		}
		it := l.queue[0]
		l.queue[0] = nil
		s.set(l, l.queue[1:])
		s.dispatch(it)
		s.offer(l)
		return it
	}
	return nil
}

// dispatch accounts for an item that leaves its queue. The owner's count of what is settling rises under the lock that
// [scheduler.drop] takes, so a revoke that has dropped the queues sees all of it.
func (s *scheduler) dispatch(it *item) {
	it.lane.inFlight++
	it.lane.owner.settling.Add(1)
	s.queued--
}

// release gives back an item's place in its lane.
func (s *scheduler) release(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.inFlight--
	s.offer(l)
}

// putBack returns an item to its place in its lane, which stays blocked until [scheduler.unblock]. It reports false if
// the owner is draining: then the item has no lane to go back to.
func (s *scheduler) putBack(it *item) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if it.lane.owner.draining.Load() {
		return false
	}
	at := 0 // others that were put back may be older
	for at < len(it.lane.queue) && it.lane.queue[at].at.Offset < it.at.Offset {
		at++
	}
	s.set(it.lane, slices.Insert(it.lane.queue, at, it))
	it.lane.blocked = true
	it.lane.inFlight--
	it.lane.owner.settling.Done()
	s.queued++
	return true
}

// unblock lets a lane go on after a probe.
func (s *scheduler) unblock(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.blocked = false
	s.offer(l)
}

// rampStart and rampUp narrow a lane to one and widen it again: 1, 2, 4 … with every success.
func (s *scheduler) rampStart(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.limit = 1
	s.offer(l)
}

func (s *scheduler) rampUp(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l.limit < s.ceiling {
		l.limit = min(l.limit*2, s.ceiling)
		s.offer(l)
	}
}

// divertBelow takes what is queued of an owner below the given offset out of its lanes and to the front of the work: it is
// to be parked. A lane's queue is in offset order.
func (s *scheduler) divertBelow(o *owned, offset int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range o.lanes {
		n := 0
		for n < len(l.queue) && l.queue[n].at.Offset < offset {
			l.queue[n].divert = true
			s.diverts = append(s.diverts, l.queue[n])
			s.wake.Signal()
			n++
		}
		s.set(l, l.queue[n:])
	}
}

// drop forgets everything that waits for an owner and returns its size in bytes: it is read again by the next one.
func (s *scheduler) drop(o *owned) (size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range o.lanes {
		for _, it := range l.queue {
			size += it.size()
		}
		s.queued -= len(l.queue)
		s.set(l, nil)
	}
	kept := s.diverts[:0]
	for _, it := range s.diverts {
		if it.lane.owner != o {
			kept = append(kept, it)
			continue
		}
		size += it.size()
		s.queued--
	}
	clear(s.diverts[len(kept):])
	s.diverts = kept
	return size
}

// load returns how many items wait.
func (s *scheduler) load() (queued int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.queued
}

func (s *scheduler) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.wake.Broadcast()
}
