package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// applyBatch is how many objects are written in one transaction: readers stop at its start until it ends, and a thousand
// take a few ms.
const applyBatch = 1000

type applyOptions struct {
	file          string
	dryRun, prune bool
	wait          time.Duration // for the roles; 0 does not
}

func newApplyCmd() *cobra.Command {
	var opts applyOptions
	cmd := &cobra.Command{
		Use:   "apply -f FILE",
		Short: "Create and update the tenants and subscriptions of a file",
		Long: `Create and update the tenants and subscriptions of a file.

What is in the file becomes so; applying it again changes nothing. Signing secrets that the file leaves out are made
once, shown once and kept. Nothing is written if anything in the file is wrong: all errors are told, each with its line,
column and field.`,
		Example: `  postrider apply -f subscriptions.yaml --dry-run
  postrider apply -f subscriptions.yaml --prune --wait`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runApply(cmd, opts) },
	}
	cmd.Flags().StringVarP(&opts.file, "file", "f", "", "the subscriptions file, - for standard input")
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().BoolVar(&opts.prune, "prune", false,
		"delete subscriptions of the file's tenants that are not in the file")
	cmd.Flags().DurationVar(&opts.wait, "wait", 0, "wait until all live routers and deliverers act on it, --wait=1m for at most a minute")
	cmd.Flags().Lookup("wait").NoOptDefVal = defaultApplyWait.String()
	cmd.MarkFlagsMutuallyExclusive("wait", "dry-run")
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

func runApply(cmd *cobra.Command, opts applyOptions) error {
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	profiles, err := app.Profiles(conf)
	if err != nil {
		return err
	}
	rules, err := fileRules(conf, profiles)
	if err != nil {
		return err
	}
	text, err := readInput(cmd, opts.file)
	if err != nil {
		return err
	}
	file, err := subscription.ParseFile(opts.file, text, rules)
	if err != nil {
		return err
	}
	wait, stopWaiting, err := roleWaiter(cmd, conf, opts.wait)
	if err != nil {
		return err
	}
	defer stopWaiting()
	a := &applier{out: cmd.OutOrStdout(), file: file, opts: registry.FileOptions{Prune: opts.prune, CheckSecret: rules.CheckSecret}}
	if opts.dryRun {
		return a.dryRun(cmd.Context(), conf)
	}
	a.opts.NewSecret = newSecret(profiles)
	if err := app.WithStore(cmd.Context(), conf, app.StoreUse{}, a.apply); err != nil {
		return err
	}
	return wait(a.version)
}

// dryRun prints what apply would do to the registry as it is.
func (a *applier) dryRun(ctx context.Context, conf *config.Config) error {
	view, closeRegistry, err := openSecrets(ctx, conf)
	if err != nil {
		return err
	}
	defer closeRegistry()
	return a.plan(view.Snapshot())
}

// applier applies one file.
type applier struct {
	out  io.Writer
	file *subscription.File
	opts registry.FileOptions
	// version is that of the registry when all was applied.
	version int64
	count   map[registry.Verb]int
	told    map[string]bool
}

// plan prints what apply would do.
func (a *applier) plan(s *registry.Snapshot) error {
	a.opts.NewSecret = func(string) (string, error) { return "made when applied", nil }
	steps, err := registry.Reconcile(s, a.file, a.opts)
	if err != nil {
		return err
	}
	a.print(steps)
	a.summary(s.Version(), " (dry run: nothing was written)")
	return nil
}

// applyAttempts is how often a file is reconciled anew because somebody else changed one of its objects meanwhile.
const applyAttempts = 5

// apply makes the registry what the file says. What somebody else changes meanwhile is read again and decided again.
func (a *applier) apply(ctx context.Context, store *registry.Store) error {
	for attempt := 1; ; attempt++ {
		err := a.applyOnce(ctx, store)
		if _, conflict := errors.AsType[*registry.ConflictError](err); conflict && attempt < applyAttempts {
			continue
		}
		return explain(err)
	}
}

// applyOnce writes the steps in batches and prints each batch once it is committed: a secret that was shown is valid.
func (a *applier) applyOnce(ctx context.Context, store *registry.Store) error {
	steps, err := registry.Reconcile(store.Snapshot(), a.file, a.opts)
	if err != nil {
		return err
	}
	a.version = store.Snapshot().Version()
	for batch := range slices.Chunk(steps, applyBatch) {
		var changes []registry.Change
		for _, s := range batch {
			if s.Verb != registry.Unchanged {
				changes = append(changes, s.Change)
			}
		}
		result, err := store.Apply(ctx, commandActor("apply"), changes...)
		if err != nil && result.Version == 0 {
			return err
		}
		a.version = result.Version
		a.print(batch)
	}
	a.summary(a.version, "")
	return nil
}

// explain adds to an error of the store what to do about it.
func explain(err error) error {
	if errors.Is(err, registry.ErrUnknown) {
		return fmt.Errorf("%w: apply again; secrets of this batch that were written are in the registry: see postrider get", err)
	}
	return err
}

func (a *applier) print(steps []registry.Step) {
	if a.count == nil {
		a.count, a.told = map[registry.Verb]int{}, map[string]bool{}
	}
	for _, s := range steps {
		name := stepName(s)
		if a.told[name] {
			continue // written before a conflict made the file be read again
		}
		a.told[name] = true
		a.count[s.Verb]++
		fmt.Fprintf(a.out, "%-9s %s", s.Verb, name)
		if s.NewSecret != "" {
			fmt.Fprintf(a.out, " secret: %s", s.NewSecret)
		}
		fmt.Fprintln(a.out)
	}
}

func (a *applier) summary(version int64, note string) {
	fmt.Fprintf(a.out, "%d created, %d updated, %d unchanged, %d deleted at registry version %d%s\n",
		a.count[registry.Created], a.count[registry.Updated], a.count[registry.Unchanged], a.count[registry.Deleted],
		version, note)
}

// stepName names the object of a step as the file does, and by its id.
func stepName(s registry.Step) string {
	tenant := displayName(s.Tenant.UID, s.Tenant.ID.Base62(subscription.TenantPrefix))
	if s.Subscription == nil {
		return fmt.Sprintf("tenant %s (%s)", tenant, s.Tenant.ID.Base62(subscription.TenantPrefix))
	}
	id := s.Subscription.ID.Base62(subscription.SubscriptionPrefix)
	return fmt.Sprintf("subscription %s/%s (%s)", tenant, displayName(s.Subscription.UID, id), id)
}

func displayName(uid, id string) string {
	if uid != "" {
		return uid
	}
	return id
}

// maxInput is how much a command reads of its input: a file of 100,000 subscriptions is about 40 MB.
const maxInput = 256 << 20

// readInput reads a file, or standard input for "-".
func readInput(cmd *cobra.Command, name string) ([]byte, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // who runs the command names the file
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	text, err := io.ReadAll(io.LimitReader(in, maxInput+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(text) > maxInput {
		return nil, fmt.Errorf("reading %s: more than %d MiB", name, maxInput>>20)
	}
	return text, nil
}
