package main

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/cmd/postrider/internal/client"
)

// shownChange is a change as the API has it.
type shownChange struct {
	At    time.Time `json:"at"`
	Actor struct {
		Kind string `json:"kind"`
		ID   string `json:"id"`
		Name string `json:"name"`
	} `json:"actor"`
	Action  string   `json:"action"`
	Kind    string   `json:"kind"`
	Object  string   `json:"object"`
	AppID   string   `json:"appId"`
	Changed []string `json:"changed"`
}

func newAuditCmd() *cobra.Command {
	f := &apiFlags{}
	return group("audit", "Show who changed what", "Show who changed what: applications, endpoints, event types and keys.", f, newAuditListCmd(f))
}

// auditPage bounds a page of the audit log, so that a short list reads little.
const auditPage = 250

func newAuditListCmd(f *apiFlags) *cobra.Command {
	var app string
	var limit int
	cmd := &cobra.Command{
		Use: "list", Short: "List changes, newest first", Args: cobra.NoArgs,
		Long:    "List changes, newest first. With -o json every one has the object before and after, without secrets." + apiHelp,
		Example: `  postrider audit list --app acme --limit 20`,
		RunE: f.managing(func(m *manager, _ []string) error {
			if limit < 0 {
				return fmt.Errorf("--limit: %d: want a positive number, or 0 for all", limit)
			}
			path, query := client.Path("audit"), url.Values{}
			if app != "" {
				path = client.Path("app", app, "audit")
			}
			if limit > 0 {
				query.Set("limit", strconv.Itoa(min(limit, auditPage)))
			}
			return list(m, path, query, limit, "AT\tBY\tACTION\tKIND\tOBJECT\tAPP\tCHANGED", func(c *shownChange) []string {
				return []string{stamp(c.At), c.by(), c.Action, c.Kind, c.Object, c.AppID, strings.Join(c.Changed, ",")}
			})
		}),
	}
	cmd.Flags().StringVar(&app, "app", "", "only changes of this application")
	cmd.Flags().IntVar(&limit, "limit", 100, "how many at most; 0 for all")
	return cmd
}

// by says who made a change.
func (c *shownChange) by() string {
	name := c.Actor.Name
	if name == "" {
		name = c.Actor.ID
	}
	if name == "" {
		return c.Actor.Kind
	}
	return c.Actor.Kind + ":" + name
}
