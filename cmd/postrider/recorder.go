package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// newRecorderCmd returns the role that fills the views in Redis; its wiring is in pkg/app/recorder.go.
func newRecorderCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "recorder",
		Short: "Fill the views in Redis, through which the API finds events and attempts",
		Long: `Reads the source topics, outcomes and statuses in the consumer group "recorder": every event is added to the index in Redis,
every row of outcomes to the views of attempts. The last attempt of each event type is written to statuses. While Redis is
away it waits; nothing is lost, and deliveries go on. Reading a topic twice changes nothing.

Redis holds nothing that cannot be made again: see "postrider views rebuild".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRole(cmd, func(ctx context.Context, a *app.App) error { return a.AddRecorder(ctx) })
		},
	}
}
