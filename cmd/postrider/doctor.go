package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
)

// newDoctorCmd returns the command that looks for what is wrong with an installation; the checks are in doctor_checks.go.
func newDoctorCmd() *cobra.Command {
	var urls []string
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong with an installation, and say what to do",
		Long: `Checks, from where it runs and with the configuration of the roles, what they need: Kafka and its version, topics and their
settings, Redis, its version and clock, the keyset, profiles, and the certificates of the configuration. With --url it goes the way to
an endpoint as an attempt would, and sends nothing: DNS, the address guard, the proxy, TLS.

It changes nothing. Exit codes: 0 nothing is wrong, though there may be warnings; 1 something is.`,
		Example: `  postrider doctor --config postrider.yaml
  kubectl exec deploy/postrider-deliver -- /postrider doctor --url https://example.com/`,
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringArrayVar(&urls, "url", nil, "an endpoint to reach, repeatable")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		conf, err := loadConfig(cmd)
		if err != nil {
			return err
		}
		x := &examination{conf: conf, urls: urls, now: time.Now()}
		x.run(cmd.Context())
		if *output == "json" {
			enc := json.NewEncoder(cmd.OutOrStdout())
			enc.SetIndent("", "  ")
			err = enc.Encode(x.findings)
		} else {
			err = printCheckups(cmd.OutOrStdout(), x.findings)
		}
		if err == nil && x.failed() {
			err = exitCode(1)
		}
		return err
	}
	return cmd
}

// Levels of a checkup.
const (
	levelOK      = "ok"
	levelWarning = "warning"
	levelFailure = "failure"
)

// checkup is what came of a check.
type checkup struct {
	Level  string `json:"level"`
	What   string `json:"what"`
	Detail string `json:"detail"`
	// Do says what to do; empty if nothing is wrong.
	Do string `json:"do,omitempty"`
}

// printCheckups writes a line a checkup, and what to do below it.
func printCheckups(out io.Writer, findings []checkup) error {
	b := &strings.Builder{}
	for _, f := range findings {
		fmt.Fprintf(b, "%s\t%s\t%s\n", f.Level, f.What, f.Detail)
		if f.Do != "" {
			fmt.Fprintf(b, "\t\t→ %s\n", f.Do)
		}
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	return w.Flush()
}
