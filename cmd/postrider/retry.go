package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// newRetryCmd returns the role that brings deliveries back when they are due; its wiring is in pkg/app/retrier.go.
func newRetryCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "retry",
		Short: "Bring deliveries back when they are due",
		Long: `Reads the retry tiers in the consumer group "retrier" and moves each record towards the deliveries topic when it is due.
Two processes are enough for anything but a failover test: the work is a copy per hop.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRole(cmd, func(_ context.Context, a *app.App) error { return a.AddRetrier() })
		},
	}
}
