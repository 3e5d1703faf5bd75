// Package redistest runs real Redis for tests, on 127.0.0.1, as a local process
// or as a container.
//
// [Start] gives a test a server of its own, which it may kill and restart.
// [Shared] gives the address of one that all tests share; such a test keeps to
// keys of its own. [Launch] is the same outside of tests.
//
// The environment decides how Redis is provided:
//
//	POSTRIDER_TEST_REDIS        address for Shared; nothing is started
//	POSTRIDER_TEST_PROVIDER     process or docker; empty: docker if it can, else process
//	POSTRIDER_TEST_REDIS_IMAGE  image for docker; empty: redis:7
//
// redis-server is installed if it is missing, the user is root and the system has
// apt-get.
package redistest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/postrider/postrider/test/internal/node"
)

// The environment variables of this package, see its doc.
const (
	AddrVar  = "POSTRIDER_TEST_REDIS"
	ImageVar = "POSTRIDER_TEST_REDIS_IMAGE"
)

const (
	startLimit = 2 * time.Minute       // a start takes tens of milliseconds on an idle machine
	pollEvery  = 10 * time.Millisecond // small beside that
	tryLimit   = 2 * time.Second       // for one PING; one that hangs is made anew
)

// Server is a running Redis that keeps nothing on disk: after Kill and Restart it
// is empty, as Postrider's views must survive. Its methods are not safe for
// concurrent use.
type Server struct {
	Addr string // host:port for clients

	way  node.Way
	node node.Node
	dir  string // of a process: its log
	up   bool
}

// Image returns the image that the docker way runs.
func Image() string {
	if image := os.Getenv(ImageVar); image != "" {
		return image
	}
	return "redis:7"
}

// Start runs a server for the test and closes it when the test ends.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := Launch(tb.Context())
	if err != nil {
		tb.Fatalf("starting Redis: %v", err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Errorf("closing Redis: %v", err)
		}
	})
	return s
}

// Launch runs a server and returns when it serves. The context bounds the start
// alone; the server runs until Close, at the longest until this process ends.
func Launch(ctx context.Context) (_ *Server, err error) {
	s := &Server{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	image := Image()
	if s.way, err = node.Choose(ctx, image); err != nil {
		return nil, err
	}
	if err := s.prepare(ctx, image); err != nil {
		return nil, fmt.Errorf("preparing Redis as %s: %w", s.way, err)
	}
	if err := s.run(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Server) prepare(ctx context.Context, image string) error {
	ports, err := node.FreePorts(ctx, 1)
	if err != nil {
		return err
	}
	s.Addr = "127.0.0.1:" + strconv.Itoa(ports[0])
	command := []string{
		"redis-server", "--bind", "127.0.0.1", "--port", strconv.Itoa(ports[0]),
		"--save", "", "--appendonly", "no",
	}
	if s.way == node.Docker {
		s.node = &node.Container{Image: image, Cmd: command}
		return nil
	}
	if command[0], err = node.Program(ctx, "redis-server", "redis-server"); err != nil {
		return fmt.Errorf("%w\nRedis for tests needs one of: redis-server in PATH; a Docker engine with the image %s; "+
			"the address of a server in %s", err, image, AddrVar)
	}
	if s.dir, err = os.MkdirTemp("", "postrider-redis-"); err != nil {
		return fmt.Errorf("making directory: %w", err)
	}
	s.node = &node.Child{Command: command, Dir: s.dir, LogFile: filepath.Join(s.dir, "redis.log")}
	return nil
}

// run starts the server and waits until it answers.
func (s *Server) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startLimit, fmt.Errorf("not done within %v", startLimit))
	defer cancel()
	if err := s.node.Start(ctx); err != nil {
		return err
	}
	s.up = true
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := s.ping(ctx)
		if err == nil {
			return nil
		}
		if !s.node.Running(ctx) {
			return fmt.Errorf("waiting for Redis: it has ended; its log:\n%s", s.node.Log())
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("waiting for Redis: %w (last: %w); its log:\n%s", context.Cause(ctx), err, s.node.Log())
		}
	}
}

// ping asks on a connection of its own, without a client library: one that keeps
// a pool would log every refused try.
func (s *Server) ping(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, tryLimit)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.Addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	pong := make([]byte, len("+PONG"))
	if _, err := io.ReadFull(conn, pong); err != nil {
		return err
	}
	if string(pong) != "+PONG" {
		return fmt.Errorf("PING was answered with %q", pong)
	}
	return nil
}

// Way tells how the server is provided: "process" or "docker".
func (s *Server) Way() string { return string(s.way) }

// PID is the server's process id; 0 if it is a container.
func (s *Server) PID() int {
	if child, ok := s.node.(*node.Child); ok {
		return child.PID()
	}
	return 0
}

// Kill ends the server with SIGKILL; what it held is gone.
func (s *Server) Kill() error {
	s.up = false
	return s.node.Kill(context.Background())
}

// Restart starts the server again, empty and at the same address, killing it
// before if it runs, and returns when it serves.
func (s *Server) Restart() error {
	if s.up {
		if err := s.Kill(); err != nil {
			return err
		}
	}
	return s.run(context.Background())
}

// Pause freezes the server: its connections stay open and nothing answers.
func (s *Server) Pause() error { return s.node.Pause(context.Background()) }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.node.Resume(context.Background()) }

// Close kills the server and removes its files. It may be called again.
func (s *Server) Close() error {
	s.up = false
	var errs []error
	if s.node != nil {
		errs = append(errs, s.node.Remove())
	}
	if s.dir != "" {
		errs = append(errs, os.RemoveAll(s.dir))
	}
	return errors.Join(errs...)
}
