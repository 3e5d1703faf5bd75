//go:build unix

package egress

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// readable: a socket can be read without waiting.
const readable = true

// readFile is for syscall.RawConn's Read. It never asks to wait.
func (s *socket) readFile(fd uintptr) bool {
	for {
		s.n, s.err = syscall.Read(int(fd), s.into)
		switch {
		case errors.Is(s.err, syscall.EINTR):
			continue
		case errors.Is(s.err, syscall.EAGAIN):
			s.n, s.err = 0, nothingYet{}
		case s.err != nil:
			s.n = 0
		case s.n == 0:
			s.err = io.EOF
		}
		return true
	}
}

// askFile is for syscall.RawConn's Read, too. Once the question was written it waits for what comes.
func (s *socket) askFile(fd uintptr) bool {
	s.readFile(fd)
	if !errors.Is(s.err, nothingYet{}) {
		return true
	}
	if s.err = nil; s.question == nil {
		return false // woken for nothing
	}
	n, err := s.writeFile(fd)
	if err != nil {
		s.err = &net.OpError{Op: "write", Net: "tcp", Err: os.NewSyscallError("write", err)}
		return true
	}
	return !s.took(n)
}

// writeFile writes what the system takes at once.
func (s *socket) writeFile(fd uintptr) (int, error) {
	for {
		n, err := syscall.Write(int(fd), s.question.left())
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		}
		return max(n, 0), err
	}
}
