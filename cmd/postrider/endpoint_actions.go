package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

type shownSecret struct {
	Key string `json:"key"`
}

func (s *shownSecret) text() string { return s.Key + "\n" }

func newEndpointSecretCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "secret APP ENDPOINT", Short: "Show the signing secret of an endpoint", Args: cobra.ExactArgs(2),
		RunE: f.managing(func(m *manager, args []string) error {
			return do(m, client.Call{Method: http.MethodGet, Path: endpointAt(args, "secret")}, (*shownSecret).text)
		}),
	}
}

func newEndpointRotateCmd(f *apiFlags) *cobra.Command {
	var grace int
	var secretFile string
	cmd := &cobra.Command{
		Use: "rotate-secret APP ENDPOINT", Short: "Replace the signing secret of an endpoint and show the new one", Args: cobra.ExactArgs(2),
		Long: `Replace the signing secret of an endpoint and show the new one. The old one signs as well for a grace period, a day unless
--grace says otherwise.` + apiHelp,
		RunE: f.managing(func(m *manager, args []string) error {
			body := fields{}
			body.set(m.cmd, "grace", "gracePeriodSeconds", grace)
			secret, err := secretOf(secretFile)
			if err != nil {
				return err
			}
			if secret != "" {
				body["key"] = secret
			}
			if _, err := m.call(client.Call{Method: http.MethodPost, Path: endpointAt(args, "secret", "rotate"), Body: body}, nil); err != nil {
				return err
			}
			return do(m, client.Call{Method: http.MethodGet, Path: endpointAt(args, "secret")}, (*shownSecret).text)
		}),
	}
	cmd.Flags().IntVar(&grace, "grace", 0, "seconds that the old secret signs as well; 0 for not at all")
	cmd.Flags().StringVar(&secretFile, "secret-file", "", "file with the new secret; one is made if left out")
	f.addWait(cmd)
	return cmd
}

// newEndpointSwitchCmd returns enable or disable.
func newEndpointSwitchCmd(f *apiFlags, verb string, disabled bool) *cobra.Command {
	short := map[bool]string{
		false: "Send to an endpoint again, also to one that was disabled for failing",
		true:  "Stop sending to an endpoint",
	}[disabled]
	cmd := &cobra.Command{
		Use: verb + " APP ENDPOINT", Short: short, Args: cobra.ExactArgs(2),
		RunE: f.managing(func(m *manager, args []string) error {
			call := client.Call{Method: http.MethodPatch, Path: endpointAt(args), Body: fields{"disabled": disabled}}
			return do(m, call, func(e *shownEndpoint) string { return fmt.Sprintf("%s %s\n", args[1], e.state()) })
		}),
	}
	f.addWait(cmd)
	return cmd
}

// shownValidation is what would come of an endpoint.
type shownValidation struct {
	Valid    bool `json:"valid"`
	Problems []struct {
		Field  string `json:"field"`
		Detail string `json:"detail"`
	} `json:"problems"`
	Checks []struct {
		Name   string `json:"name"`
		Status string `json:"status"`
		Detail string `json:"detail"`
	} `json:"checks"`
}

func (v *shownValidation) text() string {
	var b strings.Builder
	for _, p := range v.Problems {
		fmt.Fprintf(&b, "problem   %s: %s\n", p.Field, p.Detail)
	}
	for _, c := range v.Checks {
		fmt.Fprintf(&b, "%-8s  %s", c.Status, c.Name)
		if c.Detail != "" {
			fmt.Fprintf(&b, ": %s", c.Detail)
		}
		b.WriteByte('\n')
	}
	if v.Valid {
		b.WriteString("valid\n")
	}
	return b.String()
}

func newEndpointValidateCmd(f *apiFlags) *cobra.Command {
	var in endpointInput
	cmd := &cobra.Command{
		Use: "validate APP --url URL", Short: "Try out an endpoint without creating it", Args: cobra.ExactArgs(1),
		Long: `Try out an endpoint without creating it: tells for what it would be refused and whether its host can be reached from the API.
No request is sent to it. The exit code is 1 if it is not valid.` + apiHelp,
		RunE: f.managing(func(m *manager, args []string) error {
			body, err := in.body(m.cmd)
			if err != nil {
				return err
			}
			valid := false
			call := client.Call{Method: http.MethodPost, Path: client.Path("app", args[0], "endpoint", "validate"), Body: body}
			if err := do(m, call, (*shownValidation).text, func(v *shownValidation) { valid = v.Valid }); err != nil {
				return err
			}
			if !valid {
				return exitCode(1)
			}
			return nil
		}),
	}
	in.add(cmd)
	in.addNew(cmd)
	_ = cmd.MarkFlagRequired("url")
	return cmd
}

func newEndpointExampleCmd(f *apiFlags) *cobra.Command {
	var index int
	cmd := &cobra.Command{
		Use: "send-example APP ENDPOINT EVENT-TYPE", Short: "Send an example of an event type to one endpoint", Args: cobra.ExactArgs(3),
		RunE: f.managing(func(m *manager, args []string) error {
			body := fields{"eventType": args[2]}
			body.set(m.cmd, "index", "exampleIndex", index)
			return do(m, client.Call{Method: http.MethodPost, Path: endpointAt(args, "send-example"), Body: body}, (*shownEvent).text)
		}),
	}
	cmd.Flags().IntVar(&index, "index", 0, "which of the examples of the event type's schema")
	return cmd
}
