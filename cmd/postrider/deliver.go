package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// newDeliverCmd returns the role that makes attempts; its wiring is in pkg/app/deliverer.go.
func newDeliverCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "deliver",
		Short: "Send deliveries to their endpoints",
		Long: `Reads the deliveries in the consumer group "deliverer", makes the attempts and writes their outcomes, retries and dead
letters. Scale it on the lag of the deliveries topic. SIGTERM drains: attempts under way may end within deliverer.drain.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRole(cmd, func(ctx context.Context, a *app.App) error { return a.AddDeliverer(ctx) })
		},
	}
}
