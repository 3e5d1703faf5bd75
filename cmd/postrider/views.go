package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
)

// newViewsCmd returns the command for what is in Redis.
func newViewsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "views",
		Short: "Make the views in Redis again",
		Long:  `The views in Redis, through which the API finds events and attempts, hold nothing that cannot be made again.`,
		Args:  subcommand,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(&cobra.Command{
		Use:   "rebuild",
		Short: "Make the views again, after a loss of Redis' data",
		Long: `Stop all recorders, run this, and start them again: they read the source topics, outcomes and statuses from the start, and
the views become what they were. What is there of attempts is deleted first; the index of events is added to. Deliveries go
on all the time. It is refused while a recorder runs.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			if err := app.RebuildViews(cmd.Context(), conf); err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), "The views are made again by the next recorder that runs.")
			return err
		},
	})
	return cmd
}
