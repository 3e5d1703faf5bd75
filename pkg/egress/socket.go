package egress

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"syscall"
	"time"
)

// socket is the lowest part of a connection, below TLS, be it one or two. It can be read without waiting, and knows what
// was written.
type socket struct {
	net.Conn
	raw     syscall.RawConn
	now     bool  // reads do not wait
	asking  bool  // what is written belongs to the question
	written int64 // bytes, since the connection was made
	// deadline is that of the exchange; armed is what the system was told, which may be earlier.
	deadline, armed time.Time
	// question is what the next read writes before it waits, nil for nothing; see [Conn.Ask].
	question *question
	cutOff   bool // a question was not taken whole
	leaving  bool // what is written is a farewell
	// Of a read by a system call of its own: its buffer, its result, and the functions that make it, which are made once.
	into      []byte
	n         int
	err       error
	read, ask func(fd uintptr) bool
}

// newSocket takes what a dialer made. A connection of another kind can be used for one exchange.
func newSocket(conn net.Conn) *socket {
	s := &socket{Conn: conn}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.read, s.ask = s.readFile, s.askFile
	return s
}

// socketOf returns the socket below a connection, nil for one that this package did not make.
func socketOf(conn net.Conn) *socket {
	switch c := conn.(type) {
	case *socket:
		return c
	case *tls.Conn:
		return socketOf(c.NetConn())
	}
	return nil
}

// lead is how long before its time a deadline that was set for an earlier exchange is replaced: longer than most exchanges
// take, so that few come to it.
const lead = time.Second

// until sets the deadline of an exchange. The system is not told as long as it has an earlier one that is far enough: if that
// passes first, [socket.Read] goes on.
func (s *socket) until(deadline time.Time) error {
	s.deadline = deadline
	if !s.armed.IsZero() && !s.armed.After(deadline) && time.Until(s.armed) > lead {
		return nil
	}
	return s.exactly()
}

// exactly tells the system the deadline of the exchange.
func (s *socket) exactly() error {
	if s.armed.Equal(s.deadline) {
		return nil
	}
	s.armed = s.deadline
	return s.SetDeadline(s.deadline)
}

// early reports whether err is the end of a time that was not the exchange's, which has been set now.
func (s *socket) early(err error) bool {
	return errors.Is(err, os.ErrDeadlineExceeded) && time.Now().Before(s.deadline) && s.exactly() == nil
}

// Read implements io.Reader.
func (s *socket) Read(p []byte) (n int, err error) {
	switch {
	case s.now:
		return s.call(s.read, p)
	case s.question != nil:
		return s.answer(p)
	}
	for {
		if n, err = s.Conn.Read(p); n > 0 || !s.early(err) {
			return n, err
		}
	}
}

// call reads by a function of the socket's.
func (s *socket) call(f func(fd uintptr) bool, p []byte) (int, error) {
	if s.raw == nil || !readable {
		return 0, net.ErrClosed
	}
	s.into, s.n, s.err = p, 0, nil
	err := s.raw.Read(f)
	s.into = nil
	if err != nil {
		return 0, err
	}
	return s.n, s.err
}

// Write implements io.Writer.
func (s *socket) Write(p []byte) (int, error) {
	if s.asking {
		s.hold(p)
		return len(p), nil
	}
	n, err := s.Conn.Write(p)
	s.written += int64(n)
	return n, err
}

// farewell is how long TLS may wait to say that it closes: it would take 5 s, of a worker or of all idle connections that are closed after
// this one, for an endpoint that reads nothing.
const farewell = 10 * time.Millisecond

// SetWriteDeadline implements net.Conn.
func (s *socket) SetWriteDeadline(at time.Time) error {
	if s.leaving {
		if soon := time.Now().Add(farewell); at.After(soon) {
			at = soon
		}
	}
	return s.Conn.SetWriteDeadline(at)
}

// nothingYet is what a read returns that would wait. TLS takes it for a deadline, after which it can go on.
type nothingYet struct{}

var _ net.Error = nothingYet{}

// Error implements error.
func (nothingYet) Error() string { return "nothing to read yet" }

// Timeout implements net.Error.
func (nothingYet) Timeout() bool { return true }

// Temporary implements net.Error.
func (nothingYet) Temporary() bool { return true }
