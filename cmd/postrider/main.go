// Command postrider carries domain events from Kafka to the HTTPS endpoints of whoever subscribed to them. Every role
// and every tool is a subcommand; each stands in a file of its own with its wiring on top.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/config"
)

func main() {
	redirectLogs(slog.New(slog.DiscardHandler)) // roles log them; tools have nobody to read them
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRootCmd().ExecuteContext(ctx)
	stop()
	var code exitCode
	switch {
	case err == nil:
	case errors.As(err, &code):
		os.Exit(int(code))
	default:
		fmt.Fprintln(os.Stderr, "postrider:", err)
		os.Exit(1)
	}
}

func newRootCmd() *cobra.Command {
	root := &cobra.Command{
		Use:   "postrider",
		Short: "Carry events from Kafka to HTTPS endpoints",
		Long: `Postrider carries domain events from Kafka to the HTTPS endpoints of whoever subscribed to them: signed, retried, with a
circuit breaker per endpoint, and with a record of every attempt. "postrider dev" shows all of it in one process.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          subcommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.PersistentFlags().String("config", "", "configuration file, YAML (POSTRIDER_CONFIG)")
	config.AddFlags(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: groupRoles, Title: "Roles:"},
		&cobra.Group{ID: groupManage, Title: "Manage:"},
		&cobra.Group{ID: groupEvents, Title: "Events and deliveries:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add(groupRoles, newRouterCmd(), newDeliverCmd(), newRetryCmd(), newAPICmd(), newRecorderCmd(), newDevCmd())
	add(groupManage, newStatusCmd(), newDoctorCmd(), newTopicsCmd(), newACLsCmd(), newApplyCmd(), newGetCmd(), newRegistryCmd(), newKeyCmd(), newKeysCmd(), newAppCmd(),
		newEndpointCmd(), newEventTypeCmd(), newAuditCmd(), newViewsCmd(), newPauseCmd(), newResumeCmd(), newEgressCmd(), newDrainCmd())
	add(groupEvents, newSendCmd(), newPublishCmd(), newMatchCmd(), newOutcomesCmd(), newDeadLettersCmd(), newRejectedCmd(),
		newResendCmd(), newRecoverCmd(), newReplayCmd(), newTaskCmd(), newVerifyCmd(), newExplainCmd(), newReconcileCmd(), newListenCmd())
	return root
}

// subcommand are the arguments of a command that only holds others: none. What was meant is told in the same line.
func subcommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := "see --help"
	if meant := cmd.SuggestionsFor(args[0]); len(meant) > 0 {
		hint = "did you mean " + strings.Join(meant, " or ") + "?"
	}
	return fmt.Errorf("%q is no command of %s: %s", args[0], cmd.CommandPath(), hint)
}

// Groups of commands in the help.
const (
	groupRoles  = "roles"
	groupManage = "manage"
	groupEvents = "events"
)
