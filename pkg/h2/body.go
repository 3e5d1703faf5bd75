package h2

import (
	"golang.org/x/net/http2"
)

// pump puts of a request's body into the queue what the windows and the queue have room for.
func (c *Conn) pump(s *stream) {
	for len(s.rest) > 0 {
		n := min(int64(len(s.rest)), c.window, s.window, maxFrame)
		if n <= 0 || len(c.queue.text) >= maxQueue {
			if !s.waits {
				s.waits = true
				c.waiting = append(c.waiting, s.id)
			}
			return
		}
		c.window -= n
		s.window -= n
		_ = c.framer.WriteData(s.id, n == int64(len(s.rest)), s.rest[:n])
		s.rest = s.rest[n:]
	}
}

// pumpAll goes on with the bodies that wait, in their order.
func (c *Conn) pumpAll() {
	if len(c.waiting) == 0 {
		return
	}
	ids := c.waiting
	c.waiting = nil
	for _, id := range ids {
		if s := c.streams[id]; s != nil {
			s.waits = false
			c.pump(s)
		}
	}
	c.write()
}

// opened takes a credit of the peer's.
func (c *Conn) opened(f *http2.WindowUpdateFrame) error {
	if f.StreamID == 0 {
		if c.window += int64(f.Increment); c.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
		c.pumpAll()
		return nil
	}
	s := c.streams[f.StreamID]
	if s == nil {
		return nil
	}
	if s.window += int64(f.Increment); s.window > maxWindow {
		c.reset(s, http2.ErrCodeFlowControl, streamError(s, http2.ErrCodeFlowControl))
		return nil
	}
	c.pump(s)
	c.write()
	return nil
}

// resize changes the windows of all streams (RFC 9113, section 6.9.2): they may become negative.
func (c *Conn) resize(initial int64) error {
	for _, s := range c.streams {
		if s.window += initial - c.initial; s.window > maxWindow {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	}
	c.initial = initial
	c.pumpAll()
	return nil
}
