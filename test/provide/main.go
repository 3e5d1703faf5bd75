// Provide runs a command with a Kafka broker and a Redis server beside it:
//
//	go run ./test/provide -- go test ./...
//
// It uses, in this order: the addresses in POSTRIDER_TEST_KAFKA and
// POSTRIDER_TEST_REDIS; containers, if a Docker engine answers and has the images;
// local processes. POSTRIDER_TEST_PROVIDER (docker or process) fixes the way. The
// command sees all three variables and so shares one broker and one server among
// its processes. Its exit code is the command's; what was started is stopped.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/term"

	"github.com/postrider/postrider/test/internal/node"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/test/redistest"
)

func main() {
	args := os.Args[1:]
	if len(args) > 0 && args[0] == "--" {
		args = args[1:]
	}
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: go run ./test/provide -- COMMAND [ARGUMENT ...]")
		os.Exit(2)
	}
	code, err := run(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "provide: %v\n", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run returns the exit code of the command.
func run(args []string) (code int, err error) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()

	s := &servers{}
	defer func() { err = errors.Join(err, s.close()) }()
	started := make(chan error, 1)
	go func() { started <- s.start(ctx) }()
	select {
	case err = <-started:
	case sig := <-signals:
		cancel()
		err = errors.Join(fmt.Errorf("starting servers: %v", sig), <-started)
	}
	if err != nil {
		return 1, err
	}
	fmt.Fprintf(os.Stderr, "provide: Kafka %s (%s), Redis %s (%s)\n", s.kafka, s.kafkaWay, s.redis, s.redisWay)

	// The context is not the command's: it ends by the signals that are passed on.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), kafkatest.AddrVar+"="+s.kafka, redistest.AddrVar+"="+s.redis)
	if s.kafkaWay != given {
		// Tests that start clusters of their own do it the same way.
		cmd.Env = append(cmd.Env, node.WayVar+"="+s.kafkaWay)
	}
	return supervise(cmd, signals)
}

// supervise runs the command to its end and passes signals on.
func supervise(cmd *exec.Cmd, signals <-chan os.Signal) (int, error) {
	if err := cmd.Start(); err != nil {
		return 127, fmt.Errorf("starting command: %w", err)
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()

	// "go run" does not pass signals on; when it is gone, so is who asked for this.
	parent := os.Getppid()
	orphaned := time.NewTicker(time.Second)
	defer orphaned.Stop()
	terminal := term.IsTerminal(int(os.Stdin.Fd()))
	for {
		select {
		case sig := <-signals:
			// A terminal sends Ctrl-C to the command as well; twice would mean "now".
			if sig != syscall.SIGINT || !terminal {
				_ = cmd.Process.Signal(sig)
			}
		case <-orphaned.C:
			if os.Getppid() != parent {
				_ = cmd.Process.Signal(syscall.SIGTERM)
				parent = os.Getppid()
			}
		case err := <-done:
			if exit, ok := errors.AsType[*exec.ExitError](err); ok {
				return exitCode(exit), nil
			}
			return 0, err
		}
	}
}

// exitCode is the code that a shell would give: of a command that was ended by a
// signal, 128 and the number of the signal.
func exitCode(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return exit.ExitCode()
}

// servers are what the command is given.
type servers struct {
	kafka, kafkaWay string // addresses, comma separated; how they are provided
	redis, redisWay string

	cluster *kafkatest.Cluster // nil if the environment gave the addresses
	server  *redistest.Server
}

const given = "given"

func (s *servers) start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		if s.kafka = os.Getenv(kafkatest.AddrVar); s.kafka != "" {
			s.kafkaWay = given
			return nil
		}
		if s.cluster, err = kafkatest.Launch(ctx, kafkatest.SharedOptions()); err != nil {
			return fmt.Errorf("starting Kafka: %w", err)
		}
		s.kafka, s.kafkaWay = strings.Join(s.cluster.Brokers(), ","), s.cluster.Way()
		return nil
	})
	group.Go(func() (err error) {
		if s.redis = os.Getenv(redistest.AddrVar); s.redis != "" {
			s.redisWay = given
			return nil
		}
		if s.server, err = redistest.Launch(ctx); err != nil {
			return fmt.Errorf("starting Redis: %w", err)
		}
		s.redis, s.redisWay = s.server.Addr, s.server.Way()
		return nil
	})
	return group.Wait()
}

func (s *servers) close() error {
	var errs []error
	if s.cluster != nil {
		errs = append(errs, s.cluster.Close())
	}
	if s.server != nil {
		errs = append(errs, s.server.Close())
	}
	return errors.Join(errs...)
}
