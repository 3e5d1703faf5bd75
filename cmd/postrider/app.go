package main

import (
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownApp is an application as the API has it.
type shownApp struct {
	ID           string            `json:"id"`
	UID          string            `json:"uid"`
	Name         string            `json:"name"`
	ThrottleRate int               `json:"throttleRate"`
	Metadata     map[string]string `json:"metadata"`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

func (a *shownApp) text() string {
	return lines("ID", a.ID, "UID", a.UID, "Name", a.Name, "Throttle rate", number(a.ThrottleRate), "Metadata", pairs(a.Metadata),
		"Created", stamp(a.CreatedAt), "Updated", stamp(a.UpdatedAt))
}

func newAppCmd() *cobra.Command {
	f := &apiFlags{}
	return group("app", "Manage applications: the tenants that own endpoints and events",
		"Manage applications: the tenants that own endpoints and events. An application is named by its id (app_…) or uid.", f,
		newAppListCmd(f), newAppGetCmd(f), newAppCreateCmd(f), newAppUpdateCmd(f), newAppDeleteCmd(f))
}

func newAppListCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List applications", Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			return list(m, client.Path("app"), nil, 0, "ID\tUID\tNAME\tCREATED", func(a *shownApp) []string {
				return []string{a.ID, a.UID, a.Name, stamp(a.CreatedAt)}
			})
		}),
	}
}

func newAppGetCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "get APP", Short: "Show an application", Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error {
			return do(m, client.Call{Method: http.MethodGet, Path: client.Path("app", args[0])}, (*shownApp).text)
		}),
	}
}

// appInput are the flags of what an application consists of.
type appInput struct {
	name, uid string
	throttle  int
	metadata  map[string]string
}

func (in *appInput) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&in.name, "name", "", "name, for people")
	cmd.Flags().StringVar(&in.uid, "uid", "", "name in the producer's world, which events carry")
	cmd.Flags().IntVar(&in.throttle, "throttle-rate", 0, "the most attempts a second for all endpoints together; 0 for no limit")
	cmd.Flags().StringToStringVar(&in.metadata, "metadata", nil, "name=value, may be repeated; replaces what is there")
}

func (in *appInput) body(cmd *cobra.Command) fields {
	body := fields{}
	body.set(cmd, "name", "name", in.name)
	body.set(cmd, "uid", "uid", orNull(in.uid))
	body.set(cmd, "throttle-rate", "throttleRate", orNull(in.throttle))
	body.set(cmd, "metadata", "metadata", in.metadata)
	return body
}

func newAppCreateCmd(f *apiFlags) *cobra.Command {
	var in appInput
	cmd := &cobra.Command{
		Use: "create --name NAME [--uid UID]", Short: "Create an application",
		Example: `  postrider app create --name "Acme Inc." --uid acme`, Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			return do(m, client.Call{Method: http.MethodPost, Path: client.Path("app"), Body: in.body(m.cmd)}, (*shownApp).text)
		}),
	}
	in.add(cmd)
	f.addWait(cmd)
	_ = cmd.MarkFlagRequired("name")
	return cmd
}

func newAppUpdateCmd(f *apiFlags) *cobra.Command {
	var in appInput
	cmd := &cobra.Command{
		Use: "update APP", Short: "Change an application: what has no flag stays as it is", Args: cobra.ExactArgs(1),
		Example: `  postrider app update acme --throttle-rate 100 --metadata plan=gold`,
		RunE: f.managing(func(m *manager, args []string) error {
			return do(m, client.Call{Method: http.MethodPatch, Path: client.Path("app", args[0]), Body: in.body(m.cmd)}, (*shownApp).text)
		}),
	}
	in.add(cmd)
	f.addWait(cmd)
	return cmd
}

func newAppDeleteCmd(f *apiFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete APP", Short: "Delete an application with its endpoints and keys", Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error {
			return m.quietly(client.Call{Method: http.MethodDelete, Path: client.Path("app", args[0])}, "%s deleted", args[0])
		}),
	}
	f.addWait(cmd)
	return cmd
}

// orNull is null for the zero value, with which a PATCH takes a value away.
func orNull[T comparable](v T) any {
	var zero T
	if v == zero {
		return nil
	}
	return v
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// pairs renders a map, sorted.
func pairs(m map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, name+"="+m[name])
	}
	return strings.Join(out, " ")
}
