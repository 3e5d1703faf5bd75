package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/access"
	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

func newKeyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key",
		Short: "Manage API keys, which people and programs use the HTTP API with (for encryption see \"postrider keys\")",
		Long: `Manage API keys, which people and programs use the HTTP API with. They are written to the registry, without the API.
These are not the keys that encrypt stored secrets: for those see "postrider keys".`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newKeyCreateCmd(), newKeyListCmd(), newKeyDeleteCmd())
	return cmd
}

type keyOptions struct {
	name, role, tenant string
	expires            time.Duration
	output             *string
}

func newKeyCreateCmd() *cobra.Command {
	var opts keyOptions
	cmd := &cobra.Command{
		Use:   "create --name NAME --role operator|tenant|read-only [--tenant TENANT]",
		Short: "Create an API key and show its token, once",
		Long: `Create an API key and show its token, once: only a hash of it is stored.

operator may do everything. tenant administers the tenant of --tenant. read-only sees what is not secret, of the tenant of
--tenant or of all.`,
		Example: `  postrider key create --name deploy --role operator --expires 720h
  postrider key create --name "Acme ERP" --role tenant --tenant acme -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runKeyCreate(cmd, opts) },
	}
	cmd.Flags().StringVar(&opts.name, "name", "", "what people recognise it by")
	cmd.Flags().StringVar(&opts.role, "role", "", "operator, tenant or read-only")
	cmd.Flags().StringVar(&opts.tenant, "tenant", "", "the only tenant it is good for: uid, UUID or app_ id")
	cmd.Flags().DurationVar(&opts.expires, "expires", 0, "how long it is good, 720h for example; for ever if left out")
	opts.output = outputFlag(cmd)
	_ = cmd.MarkFlagRequired("name")
	_ = cmd.MarkFlagRequired("role")
	return cmd
}

// shownKey is a key as commands print it.
type shownKey struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"`
	Role    string    `json:"role"`
	Tenant  string    `json:"tenant,omitempty"`
	Hint    string    `json:"hint"`
	Created time.Time `json:"created"`
	Expires time.Time `json:"expires,omitzero"`
	// Token is shown at creation only.
	Token string `json:"token,omitempty"`
}

func showKey(k *access.Key) shownKey {
	s := shownKey{
		ID: k.ID.Base62(access.KeyIDPrefix), Name: k.Name, Role: string(k.Role), Hint: k.Hint, Created: k.Created, Expires: k.Expires,
	}
	if !k.Tenant.IsZero() {
		s.Tenant = k.Tenant.Base62(subscription.TenantPrefix)
	}
	return s
}

func runKeyCreate(cmd *cobra.Command, opts keyOptions) error {
	if err := checkOutput(*opts.output); err != nil {
		return err
	}
	if opts.expires < 0 {
		return fmt.Errorf("--expires: %s: want a positive time", opts.expires)
	}
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	return app.WithStore(cmd.Context(), conf, app.StoreUse{AsStored: true}, func(ctx context.Context, store *registry.Store) error {
		var tenant ident.ID
		if opts.tenant != "" {
			t, ok := store.Snapshot().ResolveTenant(opts.tenant)
			if !ok {
				return fmt.Errorf("--tenant: there is no tenant %q", opts.tenant)
			}
			tenant = t.ID
		}
		now := time.Now().UTC().Truncate(time.Millisecond)
		var expires time.Time
		if opts.expires > 0 {
			expires = now.Add(opts.expires)
		}
		key, token := access.NewKey(opts.name, access.Role(opts.role), tenant, now, expires)
		if err := key.Validate(); err != nil {
			return err
		}
		if result, err := store.Apply(ctx, commandActor("key create"), registry.PutKey(key)); err != nil && result.Version == 0 {
			return err
		}
		return printNewKey(cmd, *opts.output, key, token)
	})
}

func printNewKey(cmd *cobra.Command, output string, key *access.Key, token string) error {
	shown := showKey(key)
	shown.Token = token
	if output == "json" {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(shown)
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s created; its token is shown this once:\n%s\n", shown.ID, token)
	return err
}

func newKeyListCmd() *cobra.Command {
	var output *string
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List API keys",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(*output); err != nil {
				return err
			}
			conf, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			view, closeRegistry, err := openRegistry(cmd.Context(), conf)
			if err != nil {
				return err
			}
			defer closeRegistry()
			return printKeys(cmd, *output, view.Snapshot())
		},
	}
	output = outputFlag(cmd)
	return cmd
}

func printKeys(cmd *cobra.Command, output string, s *registry.Snapshot) error {
	keys := []shownKey{}
	for k := range s.Keys() {
		keys = append(keys, showKey(k))
	}
	if output == "json" {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(keys)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tNAME\tROLE\tTENANT\tTOKEN ENDS IN\tCREATED\tEXPIRES")
	for _, k := range keys {
		expires := "never"
		if !k.Expires.IsZero() {
			expires = k.Expires.Format(time.RFC3339)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Name, k.Role, k.Tenant, k.Hint, k.Created.Format(time.RFC3339), expires)
	}
	return w.Flush()
}

func newKeyDeleteCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "delete ID",
		Short: "Delete an API key: from then on its token is refused",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			id, err := ident.ParseBase62(access.KeyIDPrefix, args[0])
			if err != nil {
				if id, err = ident.ParseUUID(args[0]); err != nil {
					return fmt.Errorf("%q: want the id of a key, see 'postrider key list'", args[0])
				}
			}
			conf, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return app.WithStore(cmd.Context(), conf, app.StoreUse{AsStored: true}, func(ctx context.Context, store *registry.Store) error {
				return deleteKey(ctx, cmd, store, id)
			})
		},
	}
}

func deleteKey(ctx context.Context, cmd *cobra.Command, store *registry.Store, id ident.ID) error {
	if _, ok := store.Snapshot().Key(id); !ok {
		return errors.New("there is no such key: see 'postrider key list'")
	}
	change := registry.Delete(registry.Key{Kind: registry.KindKey, ID: id}, registry.Any)
	if result, err := store.Apply(ctx, commandActor("key delete"), change); err != nil && result.Version == 0 {
		return err
	}
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s deleted\n", id.Base62(access.KeyIDPrefix))
	return err
}
