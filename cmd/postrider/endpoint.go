package main

import (
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownEndpoint is an endpoint as the API has it.
type shownEndpoint struct {
	ID           string            `json:"id"`
	UID          string            `json:"uid"`
	URL          string            `json:"url"`
	Description  string            `json:"description"`
	Disabled     bool              `json:"disabled"`
	ThrottleRate int               `json:"throttleRate"`
	EventTypes   []string          `json:"eventTypes"`
	Channels     []string          `json:"channels"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

func (e *shownEndpoint) state() string {
	if e.Disabled {
		return "disabled"
	}
	return "enabled"
}

func (e *shownEndpoint) text() string {
	return lines("ID", e.ID, "UID", e.UID, "URL", plainURL(e.URL), "Description", e.Description, "State", e.state(),
		"Event types", orAll(e.EventTypes), "Channels", orAll(e.Channels), "Throttle rate", number(e.ThrottleRate),
		"Metadata", pairs(e.Metadata), "Created", stamp(e.CreatedAt), "Updated", stamp(e.UpdatedAt))
}

func newEndpointCmd() *cobra.Command {
	f := &apiFlags{}
	return group("endpoint", "Manage endpoints: where an application's events are sent to",
		`Manage endpoints: where an application's events are sent to. Application and endpoint are named by id or uid. In tables
URLs are without what may be secret in them; see -o json.`, f,
		newEndpointListCmd(f), newEndpointGetCmd(f), newEndpointCreateCmd(f), newEndpointUpdateCmd(f), newEndpointDeleteCmd(f),
		newEndpointSecretCmd(f), newEndpointRotateCmd(f), newEndpointSwitchCmd(f, "enable", false), newEndpointSwitchCmd(f, "disable", true),
		newEndpointValidateCmd(f), newEndpointExampleCmd(f), newEndpointStatusCmd(f), newEndpointAttemptsCmd(f), newEndpointHealthCmd(f))
}

func newEndpointListCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list APP", Short: "List the endpoints of an application", Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error {
			return list(m, client.Path("app", args[0], "endpoint"), nil, 0, "ID\tUID\tSTATE\tEVENT TYPES\tCHANNELS\tURL",
				func(e *shownEndpoint) []string {
					return []string{e.ID, e.UID, e.state(), orAll(e.EventTypes), orAll(e.Channels), plainURL(e.URL)}
				})
		}),
	}
}

func newEndpointGetCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "get APP ENDPOINT", Short: "Show an endpoint", Args: cobra.ExactArgs(2),
		RunE: f.managing(func(m *manager, args []string) error {
			return do(m, client.Call{Method: http.MethodGet, Path: endpointAt(args)}, (*shownEndpoint).text)
		}),
	}
}

// endpointAt is the path of the endpoint that the first two arguments name, and of a resource below it.
func endpointAt(args []string, below ...string) string {
	return client.Path(append([]string{"app", args[0], "endpoint", args[1]}, below...)...)
}

// endpointInput are the flags of what an endpoint consists of.
type endpointInput struct {
	url, uid, description string
	eventTypes, channels  []string
	throttle              int
	disabled              bool
	metadata              map[string]string
	headers               map[string]string // of a new one
	secretFile            string            // likewise
}

func (in *endpointInput) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&in.url, "url", "", "where to send to")
	flags.StringVar(&in.uid, "uid", "", "a name for it that is unique in the application")
	flags.StringVar(&in.description, "description", "", "what it is for")
	flags.StringSliceVar(&in.eventTypes, "event-type", nil, "event type or pattern such as contact.*, may be repeated; all if left out or ''")
	flags.StringSliceVar(&in.channels, "channel", nil, "only events of this channel, may be repeated; all if left out or ''")
	flags.IntVar(&in.throttle, "throttle-rate", 0, "the most attempts a second; 0 for no limit")
	flags.StringToStringVar(&in.metadata, "metadata", nil, "name=value, may be repeated; replaces what is there")
}

// addNew adds the flags that only a new endpoint has.
func (in *endpointInput) addNew(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&in.disabled, "disabled", false, "do not send to it yet")
	cmd.Flags().StringToStringVar(&in.headers, "header", nil, "name=value, sent with every attempt, may be repeated")
	cmd.Flags().StringVar(&in.secretFile, "secret-file", "", "file with the signing secret; one is made if left out")
}

func (in *endpointInput) body(cmd *cobra.Command) (fields, error) {
	body := fields{}
	body.set(cmd, "url", "url", in.url)
	body.set(cmd, "uid", "uid", orNull(in.uid))
	body.set(cmd, "description", "description", in.description)
	body.set(cmd, "event-type", "eventTypes", someOrNull(in.eventTypes))
	body.set(cmd, "channel", "channels", someOrNull(in.channels))
	body.set(cmd, "throttle-rate", "throttleRate", orNull(in.throttle))
	body.set(cmd, "metadata", "metadata", in.metadata)
	if cmd.Flags().Lookup("header") == nil {
		return body, nil
	}
	body.set(cmd, "disabled", "disabled", in.disabled)
	body.set(cmd, "header", "headers", in.headers)
	secret, err := secretOf(in.secretFile)
	if err != nil {
		return nil, err
	}
	if secret != "" {
		body["secret"] = secret
	}
	return body, nil
}

// secretOf reads a secret; there is none without a file.
func secretOf(file string) (string, error) {
	if file == "" {
		return "", nil
	}
	raw, err := os.ReadFile(file) //nolint:gosec // the user names it
	if err != nil {
		return "", fmt.Errorf("--secret-file: %w", err)
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", fmt.Errorf("--secret-file: %s is empty", file)
	}
	return secret, nil
}

func newEndpointCreateCmd(f *apiFlags) *cobra.Command {
	var in endpointInput
	cmd := &cobra.Command{
		Use: "create APP --url URL", Short: "Create an endpoint", Args: cobra.ExactArgs(1),
		Example: `  postrider endpoint create acme --url https://erp.acme.com/events --uid erp --event-type 'order.*'
  postrider endpoint secret acme erp`,
		RunE: f.managing(func(m *manager, args []string) error {
			body, err := in.body(m.cmd)
			if err != nil {
				return err
			}
			return do(m, client.Call{Method: http.MethodPost, Path: client.Path("app", args[0], "endpoint"), Body: body}, (*shownEndpoint).text)
		}),
	}
	in.add(cmd)
	in.addNew(cmd)
	f.addWait(cmd)
	_ = cmd.MarkFlagRequired("url")
	return cmd
}

func newEndpointUpdateCmd(f *apiFlags) *cobra.Command {
	var in endpointInput
	cmd := &cobra.Command{
		Use: "update APP ENDPOINT", Short: "Change an endpoint: what has no flag stays as it is", Args: cobra.ExactArgs(2),
		Example: `  postrider endpoint update acme erp --event-type order.created,order.paid
  postrider endpoint update acme erp --channel ''`,
		RunE: f.managing(func(m *manager, args []string) error {
			body, err := in.body(m.cmd)
			if err != nil {
				return err
			}
			return do(m, client.Call{Method: http.MethodPatch, Path: endpointAt(args), Body: body}, (*shownEndpoint).text)
		}),
	}
	in.add(cmd)
	f.addWait(cmd)
	return cmd
}

func newEndpointDeleteCmd(f *apiFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete APP ENDPOINT", Short: "Delete an endpoint: deliveries under way are cancelled", Args: cobra.ExactArgs(2),
		RunE: f.managing(func(m *manager, args []string) error {
			return m.quietly(client.Call{Method: http.MethodDelete, Path: endpointAt(args)}, "%s deleted", args[1])
		}),
	}
	f.addWait(cmd)
	return cmd
}

// orAll renders a list of what is selected; none of it is all.
func orAll(names []string) string {
	if len(names) == 0 {
		return "all"
	}
	return strings.Join(names, ",")
}

// number renders a limit; none is nothing.
func number(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

// someOrNull is null for nothing, which stands for all.
func someOrNull(names []string) any {
	if len(names) == 0 || len(names) == 1 && names[0] == "" {
		return nil
	}
	return names
}
