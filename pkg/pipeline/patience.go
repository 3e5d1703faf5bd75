package pipeline

import "time"

// patience is how long a delivery waits for others of its lane rather than have a connection opened for it. A cold one costs
// as much CPU as fifty requests on each side, and an endpoint that answers in a millisecond needs few; nobody notices the
// delay.
const patience = 25 * time.Millisecond

// enough reports whether those in flight will soon have made room for all that wait.
func (l *lane) enough() bool {
	return l.inFlight > 0 && !l.hurried && l.limit.Clears(len(l.queue), l.inFlight, patience)
}

// postpone has a lane looked at again that could go on but for its patience: its usual time says nothing of an answer that
// does not come.
func (s *scheduler) postpone(l *lane) {
	if l.postponed || !l.free() || !l.enough() {
		return
	}
	l.postponed = true
	if s.postponed = append(s.postponed, l); len(s.postponed) == 1 {
		time.AfterFunc(patience, s.hurry)
	}
}

// hurry ends the patience of the lanes in which nothing moved.
func (s *scheduler) hurry() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now, lanes := time.Now(), s.postponed
	s.postponed = nil
	for _, l := range lanes {
		l.postponed = false
		l.hurried = now.Sub(l.moved) >= patience
		s.offer(l)
	}
}
