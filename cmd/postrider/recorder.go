package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// newRecorderCmd returns the role that fills the views in Redis; its wiring is in pkg/app/recorder.go.
func newRecorderCmd() *cobra.Command {
	var rebuild bool
	cmd := &cobra.Command{
		Use:   "recorder",
		Short: "Fill the views in Redis, through which the API finds events",
		Long: `Reads the source topics in the consumer group "recorder" and adds every event to the index in Redis. While Redis is away
it waits; nothing is lost. Reading a topic twice changes nothing.

Redis holds nothing that cannot be made again: after a loss of its data stop all recorders and start one with --rebuild.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRole(cmd, func(ctx context.Context, a *app.App) error {
				if rebuild {
					if err := a.Rebuild(ctx); err != nil {
						return err
					}
				}
				return a.AddRecorder(ctx)
			})
		},
	}
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "read the source topics from their start; no recorder may be running")
	return cmd
}
