package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// newRouterCmd returns the role that expands events into deliveries; its wiring is in pkg/app/router.go.
func newRouterCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "router",
		Short: "Expand events into deliveries, one per matching subscription",
		Long: `Reads the source topics in the consumer group "router" and writes one delivery per matching subscription. Scale it on the
lag of the source topics. Records that cannot be read as events go to the rejected topic.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRole(cmd, func(ctx context.Context, a *app.App) error { return a.AddRouter(ctx) })
		},
	}
}
