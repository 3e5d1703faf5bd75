package main

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownEventType is an event type as the API has it.
type shownEventType struct {
	Name         string                     `json:"name"`
	Description  string                     `json:"description"`
	Archived     bool                       `json:"archived"`
	Deprecated   bool                       `json:"deprecated"`
	Schemas      map[string]json.RawMessage `json:"schemas"`
	GroupName    string                     `json:"groupName"`
	FeatureFlags []string                   `json:"featureFlags"`
	CreatedAt    time.Time                  `json:"createdAt"`
	UpdatedAt    time.Time                  `json:"updatedAt"`
}

func (e *shownEventType) state() string {
	switch {
	case e.Archived:
		return "archived"
	case e.Deprecated:
		return "deprecated"
	}
	return "in use"
}

func (e *shownEventType) text() string {
	return lines("Name", e.Name, "Description", e.Description, "State", e.state(), "Group", e.GroupName,
		"Feature flags", strings.Join(e.FeatureFlags, ","), "Schemas", strings.Join(slices.Sorted(maps.Keys(e.Schemas)), ","),
		"Created", stamp(e.CreatedAt), "Updated", stamp(e.UpdatedAt))
}

func newEventTypeCmd() *cobra.Command {
	f := &apiFlags{}
	return group("event-type", "Manage event types: the catalogue that endpoints choose from",
		"Manage event types: the catalogue that endpoints choose from. Their schemas describe the data of events.", f,
		newEventTypeListCmd(f), newEventTypeGetCmd(f), newEventTypeCreateCmd(f), newEventTypeImportCmd(f), newEventTypeExportCmd(f),
		newEventTypeArchiveCmd(f), newEventTypeDeleteCmd(f))
}

func newEventTypeListCmd(f *apiFlags) *cobra.Command {
	var archived, schemas bool
	cmd := &cobra.Command{
		Use: "list", Short: "List event types", Args: cobra.NoArgs,
		RunE: f.managing(func(m *manager, _ []string) error {
			query := url.Values{}
			if archived {
				query.Set("include_archived", "true")
			}
			if schemas {
				query.Set("with_content", "true")
			}
			return list(m, client.Path("event-type"), query, 0, "NAME\tSTATE\tGROUP\tDESCRIPTION", func(e *shownEventType) []string {
				description, _, _ := strings.Cut(e.Description, "\n")
				return []string{e.Name, e.state(), e.GroupName, description}
			})
		}),
	}
	cmd.Flags().BoolVar(&archived, "archived", false, "archived ones, too")
	cmd.Flags().BoolVar(&schemas, "schemas", false, "with their schemas, in json")
	return cmd
}

func newEventTypeGetCmd(f *apiFlags) *cobra.Command {
	return &cobra.Command{
		Use: "get NAME", Short: "Show an event type", Long: "Show an event type; its schemas are in -o json." + apiHelp, Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error {
			return do(m, client.Call{Method: http.MethodGet, Path: client.Path("event-type", args[0])}, (*shownEventType).text)
		}),
	}
}

func newEventTypeCreateCmd(f *apiFlags) *cobra.Command {
	var description, group, schemaFile string
	var deprecated bool
	cmd := &cobra.Command{
		Use: "create NAME --description TEXT", Short: "Create an event type", Args: cobra.ExactArgs(1),
		Long: `Create an event type. One that is archived is replaced and back in use. For many of them see "postrider event-type import".` + apiHelp,
		RunE: f.managing(func(m *manager, args []string) error {
			body := fields{"name": args[0], "description": description}
			body.set(m.cmd, "group", "groupName", group)
			body.set(m.cmd, "deprecated", "deprecated", deprecated)
			if schemaFile != "" {
				schema, err := readJSON(m.cmd, schemaFile)
				if err != nil {
					return err
				}
				body["schemas"] = map[string]json.RawMessage{"1": schema}
			}
			return do(m, client.Call{Method: http.MethodPost, Path: client.Path("event-type"), Body: body}, (*shownEventType).text)
		}),
	}
	cmd.Flags().StringVar(&description, "description", "", "what happened when there is such an event")
	cmd.Flags().StringVar(&group, "group", "", "group that lists show it in")
	cmd.Flags().StringVar(&schemaFile, "schema", "", "file with the JSON Schema of the data, - for standard input")
	cmd.Flags().BoolVar(&deprecated, "deprecated", false, "new subscriptions should choose another")
	f.addWait(cmd)
	_ = cmd.MarkFlagRequired("description")
	return cmd
}

func newEventTypeArchiveCmd(f *apiFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "archive NAME", Short: "Archive an event type: it is kept, and nothing can be published with it", Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error {
			return m.quietly(client.Call{Method: http.MethodDelete, Path: client.Path("event-type", args[0])}, "%s archived", args[0])
		}),
	}
	f.addWait(cmd)
	return cmd
}

func newEventTypeDeleteCmd(f *apiFlags) *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete NAME", Short: "Remove an event type; see archive for one that is to be kept", Args: cobra.ExactArgs(1),
		RunE: f.managing(func(m *manager, args []string) error {
			call := client.Call{
				Method: http.MethodDelete, Path: client.Path("event-type", args[0]), Query: url.Values{"expunge": {"true"}},
			}
			return m.quietly(call, "%s deleted", args[0])
		}),
	}
	f.addWait(cmd)
	return cmd
}
