package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/config"
)

// loadConfig returns the configuration of cmd: the file of --config (or POSTRIDER_CONFIG), the environment, and the flags
// that config.AddFlags registered, on root or on cmd itself.
func loadConfig(cmd *cobra.Command) (*config.Config, error) {
	path := os.Getenv("POSTRIDER_CONFIG")
	if f := cmd.Flag("config"); f != nil && f.Changed {
		path = f.Value.String()
	}
	return config.Load(path, cmd.Flags(), os.Environ())
}
