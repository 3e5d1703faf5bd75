package pipeline

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

// scheduler hands the items of all lanes of all partitions to the workers. Tenants take turns by deficit round robin over
// bytes (Shreedhar and Varghese, 1995), and so do the lanes of a tenant, one item each: neither a long queue nor many
// queues of one tenant keep another's waiting.
type scheduler struct {
	bounds bounds

	mu sync.Mutex
	// idle are the workers that wait. Who came last is woken first: its stack is in the processor's caches still.
	idle    []*worker
	parting sync.Cond // of diverters
	tenants map[ident.ID]*tenancy
	turns   []*tenancy // those with lanes that have work
	parts   []parting
	// behind: there is more to read than was read, see [scheduler.read]. caughtUp ends that.
	behind   bool
	caughtUp *time.Timer
	// postponed are the lanes that wait for their own.
	postponed []*lane
	queued    int
	busy      int // workers
	ends      int // of items that were taken, since the crowd's bound was set
	closed    bool
	stopped   bool // nothing is taken, see [Deliverer.SetStopped]

	holders atomic.Int32 // tenants with bytes in memory
	bytes   atomic.Int64
	// saturated: goroutines wait for processors, and crowd bounds how many more there are of them.
	saturated atomic.Bool
	crowd     crowd
}

// bounds are those of a scheduler.
type bounds struct {
	// concurrency is the most attempts in flight of a lane; queue the length at which one is full, and laneBytes what it holds then
	// at the latest.
	concurrency, queue int
	laneBytes          int64
	workers            int
	// share is the most bytes of one tenant while others have some as well.
	share int64
}

// tenancy is one tenant's part of a scheduler, guarded by its lock but for bytes.
type tenancy struct {
	lanes   []*lane // those with work, in turn
	deficit int64
	// listed: it is among the turns. granted: its turn has begun, and its quantum is in the deficit.
	listed, granted bool
	bytes           atomic.Int64
}

// quantum is what a tenant may send in one turn, in bytes: a few deliveries of usual size.
const quantum = 8 << 10

func newScheduler(b bounds) *scheduler {
	s := &scheduler{bounds: b, tenants: map[ident.ID]*tenancy{}}
	s.parting.L = &s.mu
	return s
}

// admit puts items that arrived in their lanes, and returns the lanes that are full now. It takes the lock once for all of them:
// who reads a partition has the workers for competitors, and would wait for its turn after them at each.
func (s *scheduler) admit(o *owned, items []*item, now time.Time) (full []*lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range items {
		it.lane = s.lane(o, it.d.Tenant, it.d.Subscription)
		s.hold(it)
		if s.push(it, now) && !slices.Contains(full, it.lane) {
			full = append(full, it.lane)
		}
	}
	return full
}

// lane returns the lane of a subscription in a partition. The lock is held.
func (s *scheduler) lane(o *owned, tenant, sub ident.ID) *lane {
	l := o.lanes[sub]
	if l == nil {
		t := s.tenants[tenant]
		if t == nil {
			t = &tenancy{}
			s.tenants[tenant] = t
		}
		l = &lane{owner: o, sub: sub, tenant: t, limit: gate.NewLimit(s.bounds.concurrency)}
		o.lanes[sub] = l
	}
	return l
}

// hold counts the bytes of an item that is in memory; give takes them back.
func (s *scheduler) hold(it *item) {
	s.bytes.Add(it.size())
	if it.lane.tenant.bytes.Add(it.size()) == it.size() {
		s.holders.Add(1)
	}
}

func (s *scheduler) give(it *item) {
	s.bytes.Add(-it.size())
	if it.lane.tenant.bytes.Add(-it.size()) == 0 {
		s.holders.Add(-1)
	}
}

// push queues an item and reports whether its lane is full now. An item whose lane is being diverted, or whose tenant has
// more than its share, is parted with at once, unless it comes back at a slot that it was given before. The lock is held.
func (s *scheduler) push(it *item, now time.Time) (full bool) {
	l := it.lane
	l.owner.saw(l, now)
	s.queued++
	if it.d.Slot.IsZero() {
		switch {
		case l.diverting:
			s.divert(it, outcome.ReasonLaneFull, now)
			return false
		case s.holders.Load() > 1 && l.tenant.bytes.Load() > s.bounds.share:
			s.divert(it, outcome.ReasonTenantShare, now)
			return false
		}
	}
	if len(l.queue) == 0 && l.inFlight == 0 {
		l.drain.started(now)
	}
	s.set(l, append(l.queue, it), it.size())
	s.offer(l)
	if full = s.filled(l, 1); full && (!l.mayEase(now) || now.Sub(l.diverted) < activePeriod) && s.harms(l, now) {
		s.startDiverting(l) // the others would wait in vain, or to learn the same once more
		return false
	}
	return full
}

// set replaces a lane's queue by one that holds so many bytes more, and keeps count of its owner's long ones.
func (s *scheduler) set(l *lane, queue []*item, more int64) {
	l.queue, l.bytes, l.most = queue, l.bytes+more, max(l.most, len(queue))
	if len(queue) == 0 {
		if l.most > keptQueue {
			l.queue = nil // or it would be as large as it ever was for as long as the partition is owned
		}
		l.most = 0
	}
	if l.diverting && !s.filled(l, 2) {
		l.diverting, l.diverted = false, time.Now()
	}
	s.measure(l)
}

// keptQueue is the longest queue whose memory the next may have.
const keptQueue = 64

// filled reports whether a lane's queue is one part full, of so many.
func (s *scheduler) filled(l *lane, parts int) bool {
	return len(l.queue)*parts >= s.bounds.queue || l.bytes*int64(parts) >= s.bounds.laneBytes
}

func (s *scheduler) measure(l *lane) {
	long := s.filled(l, 2) && !l.diverting
	switch {
	case long && !l.long:
		l.owner.longLanes++
	case l.long && !long:
		l.owner.longLanes--
	}
	l.long = long
}

// crowded reports whether any lane of o is long.
func (s *scheduler) crowded(o *owned) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return o.longLanes > 0
}

// offer lists l among its tenant's lanes if it has work that may start.
func (s *scheduler) offer(l *lane) {
	if !l.ready && s.eligible(l) {
		l.ready = true
		t := l.tenant
		t.lanes = append(t.lanes, l)
		if !t.listed {
			t.listed = true
			s.turns = append(s.turns, t)
		}
	}
	if l.ready {
		// Whoever takes it offers the lane again, and so wakes the next worker. Who finds no room would look in vain.
		if s.mayEnter() {
			s.wake()
		}
		return
	}
	s.postpone(l)
}

// worker is who takes items, one at a time.
type worker struct {
	wake  chan struct{}
	lane  *lane     // of its last item
	run   int64     // bytes, see [scheduler.more]
	young bool      // see [crowd]
	since time.Time // likewise
}

func newWorker() *worker { return &worker{wake: make(chan struct{}, 1)} }

// next waits for an item and takes it; nil after [scheduler.close].
func (s *scheduler) next(w *worker) *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.crowd.left(w)
	for {
		if !s.stopped && s.mayEnter() {
			if it := s.another(w); it != nil {
				s.enter(w)
				return it
			}
		}
		if s.closed {
			return nil
		}
		// Who is woken looks at the turns first: the lane that it was woken for has one, and more would not wake the next.
		w.lane = nil
		s.idle = append(s.idle, w)
		s.mu.Unlock()
		<-w.wake
		s.mu.Lock()
	}
}

// another takes an item for w.
func (s *scheduler) another(w *worker) *item {
	if it := s.more(w); it != nil {
		return it
	}
	it := s.take()
	if it != nil {
		w.lane, w.run = it.lane, longestRun-it.size()
	}
	return it
}

// longestRun is what a worker takes of one lane in a row, in bytes: four quanta.
const longestRun = 4 * quantum

// more takes the next item of the lane of which w had its last one, where processors are short: the connection, the endpoint and
// what is prepared for it are in their caches, and with a thousand endpoints that is a fourth of what a delivery costs. Its tenant's
// later turns pay for it.
func (s *scheduler) more(w *worker) *item {
	l := w.lane
	if l == nil || !s.saturated.Load() || !s.eligible(l) || w.run < l.queue[0].size() {
		return nil
	}
	w.run -= l.queue[0].size()
	if len(s.turns) > 1 {
		l.tenant.deficit -= l.queue[0].size()
	}
	return s.shift(l)
}

// wake wakes a worker, if one waits.
func (s *scheduler) wake() {
	if last := len(s.idle) - 1; last >= 0 {
		s.idle[last].wake <- struct{}{}
		s.idle = s.idle[:last]
	}
}

// take takes the item whose turn it is. A round adds a quantum to every tenant that has work, so the largest item has its
// turn after about a hundred of them.
func (s *scheduler) take() *item {
	for len(s.turns) > 0 {
		t := s.turns[0]
		l := s.first(t)
		switch {
		case l == nil:
			t.listed, t.granted, t.deficit = false, false, 0
			s.pass(false)
			continue
		case len(s.turns) == 1:
			return s.dequeue(l)
		case !t.granted:
			t.granted = true
			t.deficit += quantum
		}
		size := l.queue[0].size()
		if t.deficit < size {
			t.granted = false
			s.pass(true)
			continue
		}
		t.deficit -= size
		return s.dequeue(l)
	}
	return nil
}

// pass ends the turn of the first tenant.
func (s *scheduler) pass(again bool) {
	t := s.turns[0]
	s.turns = behindFirst(s.turns)
	if again {
		s.turns = append(s.turns, t)
	}
}

// first returns the first lane of a tenant that may go on, and takes out those before it: an end of theirs offers them
// again. Where half of the workers are busy, that of a lane which is stuck waits for such an end, too.
func (s *scheduler) first(t *tenancy) *lane {
	for len(t.lanes) > 0 {
		l := t.lanes[0]
		if s.eligible(l) && (2*s.busy < s.bounds.workers || !l.stuck(time.Now())) {
			return l
		}
		l.ready = false
		t.lanes = behindFirst(t.lanes)
		s.postpone(l)
	}
	return nil
}

// dequeue takes the first item of the lane, which is the first of its tenant's and becomes the last.
func (s *scheduler) dequeue(l *lane) *item {
	t := l.tenant
	t.lanes = behindFirst(t.lanes)
	l.ready = false
	it := s.shift(l)
	s.offer(l)
	return it
}

// shift takes the first item of a lane.
func (s *scheduler) shift(l *lane) *item {
	it := l.queue[0]
	s.set(l, behindFirst(l.queue), -it.size())
	s.dispatch(it)
	return it
}

// behindFirst takes the first out of a queue. One that is empty then has its memory for the next.
func behindFirst[T any](queue []*T) []*T {
	queue[0] = nil
	if len(queue) == 1 {
		return queue[:0]
	}
	return queue[1:]
}

// dispatch accounts for an item that leaves its queue for a worker. The owner's count of what is settling rises under the
// lock that [scheduler.drop] takes, so a revoke that has dropped the queues sees all of it.
func (s *scheduler) dispatch(it *item) {
	l := it.lane
	if l.inFlight == 0 {
		now := time.Now()
		if now.Sub(l.moved) > stuckAfter { // it was idle
			l.drain.started(now)
		}
		l.moved = now
	}
	l.inFlight++
	l.owner.settling.Add(1)
	s.queued--
	s.busy++
}

// release gives back an item's place in its lane.
func (s *scheduler) release(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left(l, time.Now())
}

// attempted gives back the place of an item of which an attempt has ended, and lets that change the lane's limit; deliveries are
// waiting if they are queued. If it was a probe, it ends what [scheduler.putBack] began.
func (s *scheduler) attempted(l *lane, change func(limit *gate.Limit, waiting bool, now time.Time)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	l.blocked = false
	change(&l.limit, len(l.queue) > 0, now)
	s.left(l, now)
}

func (s *scheduler) left(l *lane, now time.Time) {
	l.inFlight--
	s.busy--
	s.ends++
	l.moved, l.hurried = now, false
	l.drain.ended(now)
	s.offer(l)
}

// putBack returns an item to its place in its lane, which stays blocked until [scheduler.unblock], or if until is set waits
// until then. It reports false if the owner is draining: then the item has no lane to go back to.
func (s *scheduler) putBack(it *item, until time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := it.lane
	if l.owner.draining.Load() {
		return false
	}
	at := 0 // others that were put back may be older
	for at < len(l.queue) && l.queue[at].at.Offset < it.at.Offset {
		at++
	}
	s.set(l, slices.Insert(l.queue, at, it), it.size())
	l.inFlight--
	s.busy--
	l.owner.settling.Done()
	s.queued++
	switch {
	case until.IsZero():
		l.blocked = true
	case !l.paused:
		l.paused = true
		time.AfterFunc(time.Until(until), func() { s.resume(l) })
	}
	return true
}

// resume ends a pause.
func (s *scheduler) resume(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.paused = false
	s.offer(l)
}

// unblock lets a lane go on after a probe that came to nothing.
func (s *scheduler) unblock(l *lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.blocked = false
	s.offer(l)
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
	s.closed, s.behind = true, false
	if s.caughtUp != nil {
		s.caughtUp.Stop()
	}
	for len(s.idle) > 0 {
		s.wake()
	}
	s.parting.Broadcast()
}
