package pipeline

import "time"

// patience is how long a delivery waits for others of its lane rather than have a connection opened for it. A cold one costs
// as much CPU as fifty requests on each side, and an endpoint that answers in a millisecond needs few; nobody notices the
// delay.
const patience = 25 * time.Millisecond

// fast is what an endpoint usually takes at most whose lane waits for a processor: what is in flight to another waits for the
// endpoint, and uses none.
const fast = 25 * time.Millisecond

// enough reports whether more of a lane in flight would help nobody: those that are will soon have made room for all that
// wait, or there is no processor for them.
func (s *scheduler) enough(l *lane) bool {
	if l.inFlight == 0 || l.hurried {
		return false
	}
	return l.limit.Clears(len(l.queue), l.inFlight, patience) || l.limit.Usual() < fast && s.full()
}

// eligible reports whether the lane's first item may start.
func (s *scheduler) eligible(l *lane) bool { return l.free() && l.inFlight < s.share() && !s.enough(l) }

// share is how many workers a lane may have: its most while none is busy, and less in the measure in which they are (a dynamic
// threshold, Choudhury and Hahne, 1998). A lane that hangs shows it only after a while, and some of them would have all workers by
// then. The last eighth is for lanes that have none: as long as one is free, a lane may have one.
func (s *scheduler) share() int {
	all := s.bounds.workers
	free := all - s.busy
	if free <= all/8 {
		return 1
	}
	return (s.bounds.concurrency*free + all - 1) / all
}

// postpone has a lane looked at again that could go on but for its patience: its usual time says nothing of an answer that
// does not come.
func (s *scheduler) postpone(l *lane) {
	if l.postponed || !l.free() || !s.enough(l) {
		return
	}
	l.postponed = true
	if s.postponed = append(s.postponed, l); len(s.postponed) == 1 {
		time.AfterFunc(patience, s.hurry)
	}
}

// overdue is how many times the usual time an answer takes that does not come.
const overdue = 4

// hurry ends the patience of the lanes in which nothing moved.
func (s *scheduler) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, lanes := time.Now(), s.postponed
	s.postponed = nil
	for _, l := range lanes {
		l.postponed = false
		l.hurried = now.Sub(l.moved) >= max(patience, overdue*l.limit.Recent())
		s.offer(l)
	}
}
