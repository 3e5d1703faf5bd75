package egress

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"
)

// Conn is a connection to an endpoint for one HTTP/1.1 exchange at a time: [Transport.Connect] gives it, and either
// [Conn.Keep] or [Conn.Close] takes it back. One of HTTP/2 is for many, see [Conn.Share]. One goroutine may write while another reads.
type Conn struct {
	net.Conn
	socket  *socket
	idle    *idle
	lane    *lane
	reused  bool
	http2   bool
	written int64   // of the socket, when the exchange began
	one     [1]byte // of [Conn.Quiet]
	cut     func()
	// Of [Conn.CutAt]: the end of whose context, and how it is called off.
	ends  <-chan struct{}
	stop  func() bool
	leave func() // of [Conn.Share]
	over  bool   // it is closed
	// Of the list of idle connections, or of shared ones.
	since        time.Time
	older, newer *Conn
}

func newConn(conn net.Conn, s *socket) *Conn {
	c := &Conn{Conn: conn, socket: s}
	if secure, ok := conn.(*tls.Conn); ok {
		c.http2 = secure.ConnectionState().NegotiatedProtocol == protocols[0]
	}
	c.cut = func() { _ = c.socket.Close() } // whoever uses it sees it fail
	return c
}

// begin prepares a connection for an exchange, and reports whether it can be used.
func (c *Conn) begin(deadline time.Time) bool {
	c.written = c.socket.written
	return c.socket.until(deadline) == nil
}

// Ask writes a whole request, whose answer is read next. On a kept connection it is that read which writes it, once it has
// seen that the endpoint has neither closed the connection nor sent anything since its last answer: what came before a
// request is no answer to it. If there was something, the read returns it and [Conn.Untouched] tells. What TLS says to
// itself, such as new session tickets, does not count.
func (c *Conn) Ask(request []byte) error {
	if c.reused {
		c.socket.asking = true
		defer func() { c.socket.asking = false }()
	}
	_, err := c.Write(request)
	return err
}

// Asked reports whether nothing is left to be written of what [Conn.Ask] was given.
func (c *Conn) Asked() bool { return c.socket.question == nil && !c.socket.cutOff }

// Quiet looks at a kept connection as [Conn.Ask] does, for who writes it themselves. Both directions keep to the deadline then, whoever
// uses them.
func (c *Conn) Quiet() bool {
	c.socket.now = true
	n, err := c.Read(c.one[:])
	c.socket.now = false
	c.written = c.socket.written // TLS may have complained of what came
	return n == 0 && errors.Is(err, nothingYet{}) && c.socket.exactly() == nil
}

// SetWriteDeadline implements net.Conn, until the next exchange.
func (c *Conn) SetWriteDeadline(at time.Time) error {
	c.socket.armed = time.Time{}
	return c.Conn.SetWriteDeadline(at)
}

// Fresh reports whether the connection was made for this exchange.
func (c *Conn) Fresh() bool { return !c.reused }

// Untouched reports whether nothing was written in this exchange, not even a part of a TLS record. No writer may be at
// work.
func (c *Conn) Untouched() bool {
	if q := c.socket.question; q != nil { // besides, TLS may have complained of what came
		return q.taken == 0
	}
	return c.socket.written == c.written
}

// CutAt has the connection closed, without a farewell, when ctx ends: also when the exchange is over, until one with another
// context calls that off. It reports false if it is too late to do so. Nearly all exchanges of a connection have the same.
func (c *Conn) CutAt(ctx context.Context) bool {
	ends := ctx.Done()
	if ends == c.ends {
		return true
	}
	if c.stop != nil && !c.stop() {
		return false
	}
	if c.ends, c.stop = ends, nil; ends != nil {
		c.stop = context.AfterFunc(ctx, c.cut)
	}
	return true
}

// Cut closes the socket at once, whatever is under way. [Conn.Close] still has to be called.
func (c *Conn) Cut() { c.cut() }

// HTTP2 reports whether the endpoint chose HTTP/2.
func (c *Conn) HTTP2() bool { return c.http2 }

// Share takes the deadline off a connection that many requests will use at a time, until [Conn.Close], and has them start. idle is how long
// it is to stay when it is not used. What start returns is called when no more requests are to begin: because the transport is closed, or
// others are used now and there may be no more ([Config.MaxIdleConns]). It must not wait.
func (c *Conn) Share(start func(idle time.Duration) (leave func())) error {
	c.socket.armed = time.Time{}
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.idle.share(c, start(c.idle.mayRest()))
	return nil
}

// Keep gives the connection back for the next exchange: the request was written, the response read, and neither side has
// said that it is the last.
func (c *Conn) Keep() { c.idle.put(c) }

// Close ends the connection, which is in use. It hardly waits for an endpoint that reads nothing.
func (c *Conn) Close() {
	c.socket.leaving = true
	if c.stop != nil {
		c.stop()
	}
	// TLS answers a peer's wish for new keys where it reads, and would have its farewell wait behind that.
	_ = c.socket.Conn.SetWriteDeadline(time.Now().Add(farewell))
	_ = c.Conn.Close() // nothing is lost: what was not answered was reported
	c.idle.gone(c)
}
