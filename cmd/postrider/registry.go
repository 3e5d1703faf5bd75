package main

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/registry"
)

func newRegistryCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "registry",
		Short: "Keep the registry in a file, or bring it elsewhere",
		Long: `Keep the registry in a file, or bring it elsewhere: tenants, subscriptions, event types, API keys and pauses, everything that is
in it. Events, deliveries and attempts are not.`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRegistryExportCmd(), newRegistryImportCmd())
	return cmd
}

func newRegistryExportCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "export",
		Short: "Write everything in the registry to standard output",
		Long: `Write everything in the registry to standard output: JSON, a line that says what it is and one for each object.

Secrets are written as they are stored, encrypted, and API keys as hashes, so the file opens nothing without the keyset: keep that
too, elsewhere. URLs are in clear. No keyset is needed to export. The same registry gives the same bytes.

If the registry has records that this release cannot read, all others are written and the exit code is 1.`,
		Example: `  postrider registry export > registry.jsonl
  postrider registry export | gzip > registry-$(date +%F).jsonl.gz`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			view, closeRegistry, err := openRegistry(cmd.Context(), conf)
			if err != nil {
				return err
			}
			defer closeRegistry()
			out := bufio.NewWriter(cmd.OutOrStdout())
			if err := registry.Export(out, view.Snapshot()); err != nil {
				return err
			}
			return errors.Join(out.Flush(), unread(view.Snapshot()))
		},
	}
}

// unread says what the file lacks.
func unread(s *registry.Snapshot) error {
	keys := slices.Collect(s.Unread())
	if len(keys) == 0 {
		return nil
	}
	more := ""
	if n := len(keys) - maxImportErrors; n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	return fmt.Errorf("the file is good but not complete: this release cannot read what the registry has of %s%s: export with the newest that writes to it",
		strings.Join(keys[:min(len(keys), maxImportErrors)], ", "), more)
}
