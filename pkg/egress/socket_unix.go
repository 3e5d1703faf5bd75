//go:build unix

package egress

import (
	"errors"
	"io"
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
