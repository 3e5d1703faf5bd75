package egress

import (
	"crypto/tls"
	"net"
	"syscall"
)

// socket is the lowest part of a connection, below TLS, be it one or two. It can be read without waiting, and knows what
// was written.
type socket struct {
	net.Conn
	raw     syscall.RawConn
	now     bool  // reads do not wait
	written int64 // bytes, since the connection was made
	// Of a read that does not wait: its buffer, its result, and the function that makes it, which is made once.
	into []byte
	n    int
	err  error
	read func(fd uintptr) bool
}

// newSocket takes what a dialer made. A connection of another kind can be used for one exchange.
func newSocket(conn net.Conn) *socket {
	s := &socket{Conn: conn}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	s.read = s.readFile
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

// Read implements io.Reader.
func (s *socket) Read(p []byte) (int, error) {
	if !s.now {
		return s.Conn.Read(p)
	}
	if s.raw == nil || !readable {
		return 0, net.ErrClosed
	}
	s.into = p
	err := s.raw.Read(s.read)
	s.into = nil
	if err != nil {
		return 0, err
	}
	return s.n, s.err
}

// Write implements io.Writer.
func (s *socket) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	s.written += int64(n)
	return n, err
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
