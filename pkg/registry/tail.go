package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/pkg/form"
)

// Run follows the log until ctx is done, and then returns nil. An unreachable log is no error: [View.ConfirmedAt]
// stands still until it is back. Call it once.
func (v *View) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return v.follow(ctx) })
	g.Go(func() error { return v.ask(ctx) })
	return g.Wait()
}

// replay reads the whole log into a new snapshot and publishes it once it has reached the committed end.
func (v *View) replay(ctx context.Context) error {
	v.metrics.replays.Inc()
	asked := v.opts.Now()
	end, err := v.log.End(ctx)
	if err != nil {
		return fmt.Errorf("asking for the registry's end: %w", err)
	}
	at, err := v.log.Start(ctx)
	if err != nil {
		return fmt.Errorf("asking for the registry's start: %w", err)
	}
	v.forget()
	b := v.builder(Empty())
	for at < end {
		if ctx.Err() != nil {
			return fmt.Errorf("replaying the registry, at %d of %d: %w", at, end, context.Cause(ctx))
		}
		if at, err = v.readTo(ctx, b, at); err != nil {
			return fmt.Errorf("replaying the registry: %w", err)
		}
	}
	v.publish(b.snapshot(at))
	v.confirm(asked)
	return nil
}

// follow reads on and on.
func (v *View) follow(ctx context.Context) error {
	healthy := true
	for ctx.Err() == nil {
		err := v.read(ctx)
		if err == nil {
			healthy = true
			continue
		}
		if healthy && ctx.Err() == nil {
			v.opts.Log.LogAttrs(ctx, slog.LevelWarn, "reading the registry", slog.Any("error", err))
		}
		healthy = false
		sleep(ctx, retryEvery)
	}
	return nil
}

// read applies what one read brings, as one snapshot, or replays if reading on is not safe.
func (v *View) read(ctx context.Context) error {
	now := v.Snapshot()
	b := v.builder(now)
	next, err := v.readTo(ctx, b, now.Version())
	if err != nil {
		if !errors.Is(err, form.ErrNewer) && v.lost(ctx, now.Version()) {
			return v.replay(ctx)
		}
		return err
	}
	if next == now.Version() {
		return nil
	}
	// Wall clocks, since the monotonic one stands still while a machine sleeps, and the tombstones do not wait.
	if v.opts.Now().Round(0).Sub(v.ConfirmedAt().Round(0)) > v.opts.MaxGap {
		return v.replay(ctx)
	}
	v.publish(b.snapshot(next))
	return nil
}

// lost reports whether the log does not have the offset any more, or never had: it was truncated or made anew.
func (v *View) lost(ctx context.Context, offset int64) bool {
	start, err := v.log.Start(ctx)
	if err != nil {
		return false
	}
	end, err := v.log.End(ctx)
	return err == nil && (offset < start || offset > end)
}

// readTo reads on from an offset, applies the records to b, and passes over what cannot be decoded. It does not pass over what
// is of a newer release: that is an error, and the view stands still before it. Nobody then takes for deleted what is only not
// understood; a deliverer that has no confirmed view starts no sends.
func (v *View) readTo(ctx context.Context, b *builder, at int64) (next int64, err error) {
	var newer error
	next, err = v.log.Read(ctx, at, func(offset int64, key, value []byte) {
		write, err := b.apply(offset, key, value)
		switch {
		case newer != nil:
			return
		case errors.Is(err, form.ErrNewer):
			newer = fmt.Errorf("offset %d: %w", offset, err)
			return
		case err != nil:
			v.metrics.undecodable.Inc()
			v.opts.Log.Error("passing over a registry record", "offset", offset, "error", err)
		}
		v.saw(write)
	})
	return next, errors.Join(newer, err)
}

func (v *View) builder(s *Snapshot) *builder {
	b := s.builder()
	b.vault, b.only = v.vault, v.opts.Only
	return b
}

// ask asks for the committed end every 500 ms. The instant confirmed is that before the question: what was acknowledged
// by then is below the answer, and what is below the answer has been read.
func (v *View) ask(ctx context.Context) error {
	healthy := true
	for ctx.Err() == nil {
		asked := v.opts.Now()
		if err := v.question(ctx, asked); err == nil {
			healthy = true
		} else if ctx.Err() == nil && healthy {
			healthy = false
			v.opts.Log.LogAttrs(ctx, slog.LevelWarn, "confirming the registry", slog.Any("error", err))
		}
		sleep(ctx, askEvery-v.opts.Now().Sub(asked))
	}
	return nil
}

func (v *View) question(ctx context.Context, asked time.Time) error {
	asking, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	end, err := v.log.End(asking)
	if err != nil {
		return fmt.Errorf("asking for the registry's end: %w", err)
	}
	if at := v.Snapshot().Version(); end < at {
		// Not confirmed, and not replayed either: it may be a new leader that has yet to learn how far it may serve.
		return fmt.Errorf("registry ends at %d, but was read up to %d", end, at)
	}
	if err := v.Wait(asking, end); err != nil { // the log may have lost its end meanwhile
		return fmt.Errorf("reading the registry up to %d: %w", end, err)
	}
	v.confirm(asked)
	return nil
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
