package h2

import (
	"runtime"
	"time"

	"golang.org/x/net/http2"
)

const (
	// maxQueue is what may wait to be written, in bytes, before no more of a body is added; twice as much, before no more requests are. An
	// endpoint that reads nothing has that much of ours.
	maxQueue = 256 << 10
	// maxReplies bounds what answers the peer alone, in bytes: one that asks and reads no answers is none.
	maxReplies = 64 << 10
	// maxKept bounds the buffers that are used again, in bytes.
	maxKept = 64 << 10
)

// queue is what waits to be written.
type queue struct{ text []byte }

// Write implements io.Writer.
func (q *queue) Write(p []byte) (int, error) {
	q.text = append(q.text, p...)
	return len(p), nil
}

// Sizes of what answers a peer, in bytes: the frame's head and what is in it.
const (
	ackSize    = 9
	resetSize  = 9 + 4
	creditSize = 9 + 4
	pingSize   = 9 + 8
)

// write has the queue written.
func (c *Conn) write() {
	if !c.writing && c.ended == nil && c.cut == nil {
		c.writing = true
		go c.writeAll()
	}
}

// reply is as write, for what the peer asked for.
func (c *Conn) reply(bytes int) error {
	if c.replies += bytes; c.replies > maxReplies {
		return http2.ConnectionError(http2.ErrCodeEnhanceYourCalm)
	}
	c.write()
	return nil
}

// writeAll writes until nothing waits. Who is about to add something goes first: it is written with the rest.
func (c *Conn) writeAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.ended == nil && c.cut == nil {
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
		text := c.queue.text
		if len(text) == 0 {
			break
		}
		c.queue.text, c.spare, c.replies = c.spare[:0], nil, 0
		c.part++
		c.mu.Unlock()
		_, err := c.conn.Write(text)
		c.mu.Lock()
		if err != nil {
			c.cutOff(err)
		}
		if cap(text) <= maxKept {
			c.spare = text
		}
		c.pumpAll()
	}
	c.writing = false
}

// lingering is how long a connection is read that cannot be written to any more: the endpoint may have answered, or have said why.
const lingering = time.Second

// cutOff is when nothing can be written any more.
func (c *Conn) cutOff(err error) {
	if c.ended != nil {
		return
	}
	c.leaving, c.cut = true, err
	c.queue.text = nil
	c.endUnwritten()
	if len(c.streams) == 0 {
		c.fail(err)
	} else {
		c.lookAt(time.Now().Add(lingering), time.Now())
	}
}
