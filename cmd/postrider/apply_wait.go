package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
)

// defaultApplyWait is that of --wait without a time: a change is with every role after about a second, and a Redis that
// has just started is trusted after five.
const defaultApplyWait = 10 * time.Second

// roleWaiter returns a function that waits, for at most a time, until all live roles have a version of the registry. It
// reaches Redis before anything is written; with no time it needs no Redis and waits for nothing.
func roleWaiter(cmd *cobra.Command, conf *config.Config, atMost time.Duration) (wait func(version int64) error, stop func(), err error) {
	if atMost < 0 {
		return nil, nil, fmt.Errorf("--wait: %s: want a positive time", atMost)
	}
	if atMost == 0 {
		return func(int64) error { return nil }, func() {}, nil
	}
	views, err := app.OpenViews(conf, nil)
	if err != nil {
		return nil, nil, err
	}
	stop = func() { _ = views.Close() } // nothing is buffered
	if _, err := views.Live(cmd.Context()); err != nil {
		stop()
		return nil, nil, fmt.Errorf("--wait: nothing was applied: %w", err)
	}
	return func(version int64) error {
		ctx, cancel := context.WithTimeoutCause(cmd.Context(), atMost, fmt.Errorf("not within %s", atMost))
		defer cancel()
		members, err := views.WaitApplied(ctx, version)
		if err != nil {
			return err
		}
		if len(members) == 0 {
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "no router and no deliverer is live")
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "applied by all %d live routers and deliverers\n", len(members))
		return err
	}, stop, nil
}
