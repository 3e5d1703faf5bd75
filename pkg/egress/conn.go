package egress

import (
	"context"
	"errors"
	"net"
	"time"
)

// Conn is a connection to an endpoint for one HTTP/1.1 exchange at a time: [Transport.Connect] gives it, and either
// [Conn.Keep] or [Conn.Close] takes it back. One goroutine may write while another reads.
type Conn struct {
	net.Conn
	socket  *socket
	idle    *idle
	lane    *lane
	reused  bool
	written int64   // of the socket, when the exchange began
	one     [1]byte // of [Conn.quiet]
	cut     func()
	// Of the list of idle connections.
	since        time.Time
	older, newer *Conn
}

func newConn(conn net.Conn, s *socket) *Conn {
	c := &Conn{Conn: conn, socket: s}
	c.cut = func() { _ = c.socket.Close() } // whoever uses it sees it fail
	return c
}

// begin prepares a kept connection for another exchange, and reports whether it is fit for one.
func (c *Conn) begin(deadline time.Time) bool {
	c.reused, c.written = true, c.socket.written
	return c.SetDeadline(deadline) == nil && c.quiet()
}

// quiet reports whether the endpoint has neither closed the connection nor sent anything since its last answer: what came
// before a request is no answer to it. What TLS says to itself, such as new session tickets, does not count.
func (c *Conn) quiet() bool {
	c.socket.now = true
	n, err := c.Read(c.one[:])
	c.socket.now = false
	return n == 0 && errors.Is(err, nothingYet{})
}

// Fresh reports whether the connection was made for this exchange.
func (c *Conn) Fresh() bool { return !c.reused }

// Untouched reports whether nothing was written in this exchange, not even a part of a TLS record. No writer may be at
// work.
func (c *Conn) Untouched() bool { return c.socket.written == c.written }

// CutAt has the connection closed, without a farewell, when ctx ends. stop calls that off; it reports false if it is too
// late.
func (c *Conn) CutAt(ctx context.Context) (stop func() bool) { return context.AfterFunc(ctx, c.cut) }

// Cut closes the socket at once, whatever is under way. [Conn.Close] still has to be called.
func (c *Conn) Cut() { c.cut() }

// Keep gives the connection back for the next exchange: the request was written, the response read, and neither side has
// said that it is the last.
func (c *Conn) Keep() { c.idle.put(c) }

// Close ends the connection, which is in use.
func (c *Conn) Close() {
	_ = c.Conn.Close() // nothing is lost: what was not answered was reported
	c.idle.gone(c)
}
