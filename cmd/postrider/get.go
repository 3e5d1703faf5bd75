package main

import (
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/url"
	"strings"
	"text/tabwriter"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// redacted stands for what get does not show.
const redacted = "<redacted>"

type getOptions struct {
	output, tenant string
	showSecrets    bool
}

func newGetCmd() *cobra.Command {
	var opts getOptions
	cmd := &cobra.Command{
		Use:   "get tenants|subscriptions [ID|UID]",
		Short: "Show tenants or subscriptions",
		Long: `Show tenants or subscriptions, all or one.

A tenant is named by its uid, UUID or app_ id. A subscription is named by its UUID or ep_ id, or with --tenant by its uid.
Secrets and the values of headers are not shown without --show-secrets.`,
		Example: `  postrider get tenants
  postrider get subscriptions --tenant acme
  postrider get subscriptions orders --tenant acme -o yaml`,
		ValidArgs: []string{"tenants", "subscriptions"},
		Args:      cobra.RangeArgs(1, 2),
		RunE:      func(cmd *cobra.Command, args []string) error { return runGet(cmd, args, opts) },
	}
	cmd.Flags().StringVarP(&opts.output, "output", "o", "table", "table, json or yaml")
	cmd.Flags().StringVar(&opts.tenant, "tenant", "", "only subscriptions of this tenant")
	cmd.Flags().BoolVar(&opts.showSecrets, "show-secrets", false, "show secrets and the values of headers, in json and yaml")
	return cmd
}

func runGet(cmd *cobra.Command, args []string, opts getOptions) error {
	switch opts.output {
	case "table", "json", "yaml":
	default:
		return fmt.Errorf("--output: %q: want table, json or yaml", opts.output)
	}
	what, name := args[0], ""
	if len(args) == 2 {
		name = args[1]
	}
	if what != "tenants" && what != "tenant" && what != "subscriptions" && what != "subscription" {
		return fmt.Errorf("%q: want tenants or subscriptions", what)
	}
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	open := openRegistry
	if opts.showSecrets {
		open = openSecrets
	}
	view, closeRegistry, err := open(cmd.Context(), conf)
	if err != nil {
		return err
	}
	defer closeRegistry()
	g := getter{s: view.Snapshot(), opts: opts, out: cmd.OutOrStdout()}
	if strings.HasPrefix(what, "tenant") {
		return g.tenants(name)
	}
	return g.subscriptions(name)
}

type getter struct {
	s    *registry.Snapshot
	opts getOptions
	out  io.Writer
}

func (g getter) tenants(name string) error {
	all := g.s.Tenants()
	if name != "" {
		t, err := g.tenant(name)
		if err != nil {
			return err
		}
		all = one(t)
	}
	return g.print("ID\tUID\tNAME\tPROFILE\tSUBSCRIPTIONS", func(yield func(row) bool) {
		for t := range all {
			id, shown := t.ID.Base62(subscription.TenantPrefix), *t
			if !g.opts.showSecrets {
				_ = shown.EachSecret(func(string, string) (string, error) { return redacted, nil }) // which does not fail
			}
			profile := subscription.ProfileOf(&subscription.Subscription{}, t)
			ok := yield(row{
				cells: []string{id, t.UID, t.Name, profile, fmt.Sprint(g.s.CountOf(t.ID))},
				value: struct {
					AppID string `json:"appId"`
					*subscription.Tenant
					Version int64 `json:"version"`
				}{id, &shown, t.Version},
			})
			if !ok {
				return
			}
		}
	})
}

func (g getter) subscriptions(name string) error {
	all, err := g.selected(name)
	if err != nil {
		return err
	}
	return g.print("ID\tTENANT\tUID\tSTATE\tPROFILE\tEVENT TYPES\tURL", func(yield func(row) bool) {
		for s := range all {
			t, ok := g.s.Tenant(s.Tenant)
			tenant := s.Tenant.Base62(subscription.TenantPrefix)
			if ok {
				tenant = displayName(t.UID, tenant)
			}
			shown := g.redact(s)
			id := s.ID.Base62(subscription.SubscriptionPrefix)
			ok = yield(row{
				cells: []string{id, tenant, s.UID, state(s), subscription.ProfileOf(s, t), eventTypes(s), plainURL(s.URL)},
				value: struct {
					EndpointID string `json:"endpointId"`
					*subscription.Subscription
					Version int64 `json:"version"`
				}{id, shown, s.Version},
			})
			if !ok {
				return
			}
		}
	})
}

// selected returns the subscriptions that the arguments name.
func (g getter) selected(name string) (iter.Seq[*subscription.Subscription], error) {
	if g.opts.tenant != "" {
		t, err := g.tenant(g.opts.tenant)
		if err != nil {
			return nil, fmt.Errorf("--tenant: %w", err)
		}
		if name == "" {
			return g.s.SubscriptionsOf(t.ID, ident.ID{}), nil
		}
		s, ok := g.s.ResolveSubscription(t.ID, name)
		if !ok {
			return nil, fmt.Errorf("tenant %s has no subscription %q", g.opts.tenant, name)
		}
		return one(s), nil
	}
	if name == "" {
		return g.s.Subscriptions(), nil
	}
	for t := range g.s.Tenants() {
		if s, ok := g.s.ResolveSubscription(t.ID, name); ok && s.UID != name {
			return one(s), nil
		}
	}
	return nil, fmt.Errorf("there is no subscription with id %q; with a uid, name its tenant: --tenant", name)
}

func (g getter) tenant(name string) (*subscription.Tenant, error) {
	t, ok := g.s.ResolveTenant(name)
	if !ok {
		return nil, fmt.Errorf("there is no tenant %q", name)
	}
	return t, nil
}

// redact returns s without what must not be seen over a shoulder.
func (g getter) redact(s *subscription.Subscription) *subscription.Subscription {
	if g.opts.showSecrets {
		return s
	}
	c := *s
	_ = c.EachSecret(func(string, string) (string, error) { return redacted, nil }) // which does not fail
	c.URL = plainURL(s.URL)
	return &c
}

// row is one object, for tables and for JSON.
type row struct {
	cells []string
	value any
}

func (g getter) print(heading string, rows iter.Seq[row]) error {
	if g.opts.output == "table" {
		w := tabwriter.NewWriter(g.out, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, heading)
		for r := range rows {
			fmt.Fprintln(w, strings.Join(r.cells, "\t"))
		}
		return w.Flush()
	}
	values := []any{}
	for r := range rows {
		values = append(values, r.value)
	}
	text, err := json.MarshalIndent(values, "", "  ")
	if err != nil {
		return err
	}
	text = append(text, '\n')
	if g.opts.output == "yaml" {
		if text, err = yaml.JSONToYAML(text); err != nil {
			return err
		}
	}
	_, err = g.out.Write(text)
	return err
}

func state(s *subscription.Subscription) string {
	switch {
	case s.Locked:
		return "locked"
	case s.Disabled:
		return "disabled"
	}
	return "enabled"
}

func eventTypes(s *subscription.Subscription) string {
	if len(s.EventTypes) == 0 {
		return "all"
	}
	return strings.Join(s.EventTypes, ", ")
}

// plainURL returns a URL without user and query, where credentials may be.
func plainURL(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return redacted
	}
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

func one[T any](v T) iter.Seq[T] {
	return func(yield func(T) bool) { yield(v) }
}
