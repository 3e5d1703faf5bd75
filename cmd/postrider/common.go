package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/kafka"
)

// exitChanges is the exit code of a plan that has something to change, as of similar tools: 0 is nothing to do, 1 an error.
const exitChanges = 2

// exitCode is an error that says nothing and ends the process with its number.
type exitCode int

// Error implements error.
func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// ExitCode returns the number, for main.
func (e exitCode) ExitCode() int { return int(e) }

// loadConfig returns the configuration of cmd: the file of --config (or POSTRIDER_CONFIG), the environment, and the flags
// that config.AddFlags registered, on root or on cmd itself.
func loadConfig(cmd *cobra.Command) (*config.Config, error) {
	path := os.Getenv("POSTRIDER_CONFIG")
	if f := cmd.Flag("config"); f != nil && f.Changed {
		path = f.Value.String()
	}
	return config.Load(path, cmd.Flags(), os.Environ())
}

// loadReachable is loadConfig for commands that need Kafka and topics of Postrider's own, named without the prefix: it
// fails with one clear line if no broker answers or a topic is missing.
func loadReachable(cmd *cobra.Command, own ...string) (*config.Config, error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	for i, name := range own {
		own[i] = cfg.Kafka.Prefix + name
	}
	if err := kafka.Reach(cmd.Context(), cfg.Kafka, own...); err != nil {
		return nil, err
	}
	return cfg, nil
}

// outputFlag adds -o to cmd and returns where its value will be; [checkOutput] checks it.
func outputFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("output", "o", "text", "how to print: text or json")
}

// checkOutput refuses an output that is neither text nor json.
func checkOutput(output string) error {
	if output != "text" && output != "json" {
		return fmt.Errorf("--output: %q: want text or json", output)
	}
	return nil
}
