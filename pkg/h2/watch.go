package h2

import (
	"os"
	"time"

	"golang.org/x/net/http2"
)

// A dead connection would fail every request until its deadline: a ping after so long a silence, answered within so long, finds out.
// net/http's transport has the same in pkg/egress.
const (
	pingAfter   = 15 * time.Second
	pingTimeout = 5 * time.Second
)

// watch has the timer look no later than a new request needs it.
func (c *Conn) watch(s *stream) {
	at := s.began.Add(pingAfter)
	if s.deadline.Before(at) {
		at = s.deadline
	}
	if at.Before(c.looks) {
		c.lookAt(at, s.began)
	}
}

func (c *Conn) lookAt(at, now time.Time) {
	c.looks = at
	c.timer.Reset(at.Sub(now))
}

// look ends what has lasted too long.
func (c *Conn) look() {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	next := now.Add(pingAfter)
	for _, s := range c.streams {
		switch {
		case !s.deadline.After(now):
			c.leaving = c.leaving || c.read.Before(s.began) // nothing has come since: no other is to wait for it as well
			c.reset(s, http2.ErrCodeCancel, os.ErrDeadlineExceeded)
		case s.deadline.Before(next):
			next = s.deadline
		}
	}
	switch {
	case c.ended != nil:
		return
	case c.cut != nil:
		c.fail(c.cut)
		return
	}
	if len(c.streams) == 0 {
		next = c.rest(now)
	} else {
		next = earlier(next, c.listen(now))
	}
	if c.ended == nil {
		c.lookAt(next, now)
	}
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// rest is for who is not used. It returns when it has been for too long.
func (c *Conn) rest(now time.Time) time.Time {
	c.pinged = time.Time{}
	over := c.idled.Add(c.opts.Idle)
	if !over.After(now) {
		c.fail(errNobody)
	}
	if !c.writing {
		c.queue.text, c.spare = nil, nil // it may be a while
	}
	return over
}

// listen asks an endpoint that has been silent for long whether it is there, and returns when to look again.
func (c *Conn) listen(now time.Time) time.Time {
	heard := c.read
	if heard.Before(c.began) {
		heard = c.began
	}
	switch {
	case c.pinged.IsZero() && now.Sub(heard) >= pingAfter:
		c.pinged = now
		_ = c.framer.WritePing(false, [8]byte{'a', 'l', 'i', 'v', 'e', '?'})
		c.write()
	case c.pinged.IsZero():
		return heard.Add(pingAfter)
	case c.read.After(c.pinged):
		c.pinged = time.Time{}
		return c.read.Add(pingAfter)
	case now.Sub(c.pinged) >= pingTimeout:
		c.fail(errLost)
	}
	return c.pinged.Add(pingTimeout)
}
