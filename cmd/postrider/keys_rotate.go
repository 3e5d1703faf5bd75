package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// rotateAttempts is how often subscriptions and tenants are looked at again because somebody else changed one meanwhile.
const rotateAttempts = 5

func newKeysRotateCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate",
		Short: "Encrypt all stored secrets that are not encrypted with the primary key with it",
		Long: `Encrypt all stored secrets that are not encrypted with the primary key with it, those that are not encrypted at all
included. Deliveries go on. Running it again goes on where it ended; when it has nothing to do, older keys can be removed.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conf, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			keyset, err := app.NeedKeyset(conf)
			if err != nil {
				return err
			}
			r := &rotation{keyset: keyset, topic: conf.Kafka.Prefix + topics.Audit}
			use := app.StoreUse{AsStored: true, Journal: r.journal}
			if err := app.WithStore(cmd.Context(), conf, use, r.run); err != nil {
				return err
			}
			return r.report(cmd)
		},
	}
}

// rotation is one run. It works on the registry as it is stored, so that nothing but secrets is touched.
type rotation struct {
	keyset *seal.Keyset
	topic  string
	// Of the whole run.
	changed, secrets, current int
	unopened                  []string
	last                      bool // the batch that is being written is the last
}

// run seals what needs it, in batches, until nothing does.
func (r *rotation) run(ctx context.Context, store *registry.Store) error {
	for attempt := 1; ; attempt++ {
		err := r.once(ctx, store)
		if _, conflict := errors.AsType[*registry.ConflictError](err); !conflict || attempt == rotateAttempts {
			return err
		}
	}
}

func (r *rotation) once(ctx context.Context, store *registry.Store) error {
	r.current, r.unopened = 0, nil
	type work struct {
		change  registry.Change
		secrets int
	}
	var todo []work
	for t := range store.Snapshot().Tenants() {
		c := *t
		if n := r.seal(&c, t.ID.Base62(subscription.TenantPrefix), t.ID, ident.ID{}); n > 0 {
			todo = append(todo, work{registry.ResealTenant(&c), n})
		}
	}
	for s := range store.Snapshot().Subscriptions() {
		c := *s
		if n := r.seal(&c, s.ID.Base62(subscription.SubscriptionPrefix), s.Tenant, s.ID); n > 0 {
			todo = append(todo, work{registry.Reseal(&c), n})
		}
	}
	done := 0
	for batch := range slices.Chunk(todo, applyBatch) {
		var changes []registry.Change
		secrets := 0
		for _, w := range batch {
			changes = append(changes, w.change)
			secrets += w.secrets
		}
		done += len(batch)
		r.last = done == len(todo)
		r.changed, r.secrets = r.changed+len(batch), r.secrets+secrets // the journal of the last batch tells the sum
		result, err := store.Apply(ctx, commandActor("keys rotate"), changes...)
		if err != nil && result.Version == 0 {
			r.changed, r.secrets = r.changed-len(batch), r.secrets-secrets
			return err
		}
	}
	return nil
}

// withSecrets is a copy of a subscription or a tenant, of which EachSecret changes nothing that others hold.
type withSecrets interface {
	EachSecret(seal func(field, value string) (string, error)) error
}

// seal seals every secret of o with the primary key, and returns how many were not.
func (r *rotation) seal(o withSecrets, name string, tenant, sub ident.ID) (n int) {
	_ = o.EachSecret(func(field, value string) (string, error) {
		if r.keyset.Current(value) {
			r.current++
			return value, nil
		}
		associated := registry.Associated(tenant, sub, field)
		plain := value
		if seal.IsSealed(value) {
			opened, err := r.keyset.Open(value, associated)
			if err != nil {
				r.unopened = append(r.unopened, fmt.Sprintf("%s: %s: %s", name, field, err))
				return value, nil
			}
			plain = opened
		}
		text, err := r.keyset.Seal(plain, associated)
		if err != nil {
			r.unopened = append(r.unopened, fmt.Sprintf("%s: %s: %s", name, field, err))
			return value, nil
		}
		n++
		return text, nil
	})
	return n
}

// rotationKind is the kind of object in the audit entry of a run.
const rotationKind = "encryption"

// journal keeps one entry for a run, with its last batch: one for every subscription would say nothing.
func (r *rotation) journal(by audit.Actor, at time.Time, done []registry.Applied) ([]registry.Record, error) {
	if !r.last {
		return nil, nil
	}
	after, err := json.Marshal(map[string]any{"primary": r.keyset.Primary(), "subscriptions": r.changed, "secrets": r.secrets})
	if err != nil {
		return nil, err
	}
	value, err := json.Marshal(audit.Entry{
		Version: 1, ID: ident.New().Base62(audit.IDPrefix), At: at, Actor: by, Action: audit.Updated, Kind: rotationKind,
		Object: strconv.FormatUint(uint64(r.keyset.Primary()), 10), RegistryVersion: done[len(done)-1].Version, After: after,
	})
	if err != nil {
		return nil, err
	}
	return []registry.Record{{
		Topic: r.topic, Key: "operator", Value: value, Headers: [][2]string{{"content-type", "application/json"}},
	}}, nil
}

func (r *rotation) report(cmd *cobra.Command) error {
	fmt.Fprintf(cmd.OutOrStdout(), "%d secrets of %d subscriptions and tenants encrypted with key %d; %d were already\n",
		r.secrets, r.changed, r.keyset.Primary(), r.current)
	if n := len(r.unopened); n > 0 {
		for _, text := range r.unopened[:min(n, 20)] {
			fmt.Fprintln(cmd.ErrOrStderr(), text)
		}
		return fmt.Errorf("%d secrets could not be decrypted and stay as they are: add the keys they need, or set them anew", n)
	}
	return nil
}
