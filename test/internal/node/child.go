package node

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// stopLimit is how long a server may take to end after SIGTERM. A broker of a
// test ends in well under a second; one that waits for a controller that is
// gone never does, and then the test wants to know.
const stopLimit = 3 * time.Minute

// Child is a [Node] that is a child process in a process group of its own.
type Child struct {
	Command []string // program and arguments
	Dir     string   // working directory
	Env     []string // whole environment; nil: the test's own
	LogFile string   // stdout and stderr are appended here

	proc *os.Process
	done chan struct{} // closed when the process has been waited for
	code *int          // its exit code, once done is closed
}

var _ Node = (*Child)(nil)

// Start runs the command. It fails if the program cannot be run, not if it ends
// soon after.
func (c *Child) Start(ctx context.Context) error {
	if c.Running(ctx) {
		return errors.New("starting child: it runs already")
	}
	out, err := os.OpenFile(c.LogFile, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("opening log of child: %w", err)
	}
	// The context bounds the start alone: the child lives until it is stopped.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), c.Command[0], c.Command[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = c.Dir, c.Env, out, out
	cmd.SysProcAttr = attributes()

	started, done, code := make(chan error), make(chan struct{}), new(int)
	go func() {
		// The parent-death signal is tied to the thread that forked, not to the
		// process. Unless this thread is kept for as long as the child lives, the
		// runtime may end it and the kernel would kill a healthy broker.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = out.Close() }()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		_ = cmd.Wait()
		*code = cmd.ProcessState.ExitCode()
		close(done)
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("starting %s: %w", c.Command[0], err)
	}
	c.proc, c.done, c.code = cmd.Process, done, code
	return nil
}

// Stop sends SIGTERM and waits; after 30 s it kills and returns an error.
func (c *Child) Stop(ctx context.Context) error {
	if !c.Running(ctx) {
		return nil
	}
	// A stopped process would keep the SIGTERM pending.
	if err := errors.Join(c.signal(syscall.SIGTERM), c.signal(syscall.SIGCONT)); err != nil {
		return fmt.Errorf("stopping child: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(ctx, stopLimit, errors.New("child did not end after SIGTERM"))
	defer cancel()
	select {
	case <-c.done:
		return nil
	case <-ctx.Done():
		return errors.Join(context.Cause(ctx), c.Kill(context.WithoutCancel(ctx)))
	}
}

// Kill sends SIGKILL to the process group and waits until the child is gone.
func (c *Child) Kill(ctx context.Context) error {
	if !c.Running(ctx) {
		return nil
	}
	if err := c.signal(syscall.SIGKILL); err != nil {
		return fmt.Errorf("killing child: %w", err)
	}
	<-c.done
	return nil
}

// Pause sends SIGSTOP.
func (c *Child) Pause(context.Context) error { return c.signal(syscall.SIGSTOP) }

// Resume sends SIGCONT.
func (c *Child) Resume(context.Context) error { return c.signal(syscall.SIGCONT) }

// Running implements [Node].
func (c *Child) Running(context.Context) bool {
	if c.done == nil {
		return false
	}
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

// PID is the id of the child, which may have ended; 0 if it was never started.
func (c *Child) PID() int {
	if c.proc == nil {
		return 0
	}
	return c.proc.Pid
}

// ExitCode waits for the end of a child that was started and returns its exit code, -1 if a signal ended it.
func (c *Child) ExitCode() int {
	<-c.done
	return *c.code
}

// Log returns the end of the log file.
func (c *Child) Log() string {
	data, err := os.ReadFile(c.LogFile)
	if err != nil {
		return fmt.Sprintf("reading log of child: %v", err)
	}
	return tail(string(data))
}

// Remove kills the child. Its files belong to whoever made them.
func (c *Child) Remove() error { return c.Kill(context.Background()) }

func (c *Child) signal(s syscall.Signal) error {
	if c.proc == nil {
		return errors.New("sending a signal: not started")
	}
	// The negative id is the group: a server's helpers end with it.
	if err := syscall.Kill(-c.proc.Pid, s); err != nil {
		return fmt.Errorf("sending %v to child: %w", s, err)
	}
	return nil
}
