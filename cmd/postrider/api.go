package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// newAPICmd returns the role that serves the management API and the portal; its wiring is in pkg/app/api.go.
func newAPICmd() *cobra.Command {
	return &cobra.Command{
		Use:   "api",
		Short: "Serve the management API and the portal",
		Long: `Serves the management API on api.listen: tenants, endpoints, event types, keys, and publishing of events. Paths and bodies
are those of the Svix API, so that its clients work with another base URL. Any number of processes may run; the registry has
one writer at a time, and they take turns. Keys are made with "postrider key create".

The reference of the API is at /api/v1/docs. The portal, where customers and operators do the same in a browser, is at the
path of api.portal_url.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runRole(cmd, func(ctx context.Context, a *app.App) error { return a.AddAPI(ctx) })
		},
	}
}
