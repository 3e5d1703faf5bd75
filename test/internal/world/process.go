package world

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/app"
)

// Process is a running app.
type Process struct {
	cancel context.CancelFunc
	done   chan error
	ended  bool
}

// Start runs roles as one process would: router, deliverer, retrier, disabler, tasks. It logs errors, or with POSTRIDER_TEST_LOG
// everything, unless opts has a log. It has processors enough, whatever the machine is busy with, unless opts knows better. What still runs when the test ends is stopped.
func (w *World) Start(opts app.Options, roles ...string) *Process {
	w.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	if opts.Log == nil {
		level := slog.LevelError
		if os.Getenv("POSTRIDER_TEST_LOG") != "" {
			level = slog.LevelDebug
		}
		opts.Log = slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	}
	if opts.Saturated == nil {
		opts.Saturated = func() bool { return false }
	}
	conf := w.Conf
	a, err := app.New(ctx, &conf, opts)
	require.NoError(w.T, err)
	for _, role := range roles {
		require.NoError(w.T, add(ctx, a, role))
	}
	p := &Process{cancel: cancel, done: make(chan error, 1)}
	go func() { p.done <- a.Run(ctx) }()
	w.end = append(w.end, func() { require.NoError(w.T, p.Stop()) })
	return p
}

func add(ctx context.Context, a *app.App, role string) error {
	switch role {
	case "router":
		return a.AddRouter(ctx)
	case "deliverer":
		return a.AddDeliverer(ctx)
	case "retrier":
		return a.AddRetrier()
	case "disabler":
		return a.AddDisabler(ctx)
	case "tasks":
		_, err := a.AddTasks(ctx, nil)
		return err
	default:
		return fmt.Errorf("role %q: want router, deliverer, retrier, disabler or tasks", role)
	}
}

// Stop ends the process as SIGTERM does.
func (p *Process) Stop() error {
	if p.ended {
		return nil
	}
	p.ended = true
	p.cancel()
	return <-p.done
}

// Letters follows dead letters and rejected records as an API does, and returns when they are read.
func (w *World) Letters() *app.Letters {
	w.T.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	conf := w.Conf
	a, err := app.New(ctx, &conf, app.Options{})
	require.NoError(w.T, err)
	letters, err := a.Letters(ctx)
	require.NoError(w.T, err)
	var running sync.WaitGroup
	running.Go(func() { _ = a.Run(ctx) }) // the registry's view
	running.Go(func() { _ = letters.Run(ctx) })
	w.end = append(w.end, func() {
		require.NoError(w.T, letters.Close(context.Background()))
		cancel()
		running.Wait()
	})
	for range 100 {
		_, err := letters.Dead.Open()
		_, err2 := letters.Rejected.Open()
		if err == nil && err2 == nil {
			return letters
		}
		rest := time.NewTimer(100 * time.Millisecond)
		<-rest.C
	}
	w.T.Fatal("the letters are not read after ten seconds")
	return nil
}
