package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/seal"
)

// What to do about objects that are there already and differ from the file's.
const (
	conflictFail    = "fail"
	conflictSkip    = "skip"
	conflictReplace = "replace"
)

// importBatchBytes bounds the records of one transaction, as [applyBatch] their number: an object may have a megabyte.
const importBatchBytes = 4 << 20

type importOptions struct {
	file, onConflict string
	dryRun           bool
}

func newRegistryImportCmd() *cobra.Command {
	var opts importOptions
	cmd := &cobra.Command{
		Use:   "import -f FILE",
		Short: "Bring what 'registry export' wrote into the registry",
		Long: `Bring what 'registry export' wrote into the registry, with ids, times and secrets as they were. Importing it again changes nothing;
what is in the registry and not in the file stays.

An object that is there already and differs is a conflict: all are told with their fields, and nothing is written, unless
--on-conflict says to skip it (what is there stays) or to replace it. What another object stands in the way of, because it has the
uid or the token, is refused in any case. So are files of newer releases, and secrets that the keyset does not open: import needs
the keys that the file was encrypted with. All errors are told, each with its line and field, before anything is written.

It is written in transactions of a thousand objects at most, in order of their references, with entries in the audit log. If it ends
early it says how far it got; run it again, it goes on. Objects are not checked against the rules of this configuration: they are
what they were where they came from. A pause in the file is one here, too.`,
		Example: `  postrider registry import -f registry.jsonl --dry-run
  gunzip < registry.jsonl.gz | postrider registry import -f - --on-conflict skip`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runImport(cmd, opts) },
	}
	cmd.Flags().StringVarP(&opts.file, "file", "f", "", "what 'registry export' wrote, - for standard input")
	cmd.Flags().BoolVar(&opts.dryRun, "dry-run", false, "say what would be done, and do nothing")
	cmd.Flags().StringVar(&opts.onConflict, "on-conflict", conflictFail, "what to do about objects that are there and differ: fail, skip or replace")
	_ = cmd.MarkFlagRequired("file")
	return cmd
}

func runImport(cmd *cobra.Command, opts importOptions) error {
	switch opts.onConflict {
	case conflictFail, conflictSkip, conflictReplace:
	default:
		return fmt.Errorf("--on-conflict: %q: want %s, %s or %s", opts.onConflict, conflictFail, conflictSkip, conflictReplace)
	}
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	objects, err := readExport(cmd, opts.file)
	if err != nil {
		return err
	}
	i := &importing{out: cmd.OutOrStdout(), file: opts.file, objects: objects, onConflict: opts.onConflict, written: map[registry.Key]bool{}}
	if hasSecrets(objects) {
		if i.keyset, err = app.NeedKeyset(conf); err != nil {
			return err
		}
		if err := i.checkSecrets(); err != nil {
			return err
		}
	}
	if !opts.dryRun {
		return app.WithStore(cmd.Context(), conf, app.StoreUse{AsStored: true}, i.run)
	}
	view, closeRegistry, err := openRegistry(cmd.Context(), conf)
	if err != nil {
		return err
	}
	defer closeRegistry()
	plan, err := i.decide(view.Snapshot())
	if err != nil {
		return err
	}
	i.tell(plan.steps)
	i.report(plan, view.Snapshot().Version(), " (dry run: nothing was written)")
	return nil
}

// readExport reads a file, or standard input for "-".
func readExport(cmd *cobra.Command, name string) ([]registry.Exported, error) {
	in := cmd.InOrStdin()
	if name != "-" {
		f, err := os.Open(name) //nolint:gosec // who runs the command names the file
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Close() }() // it was only read
		in = f
	}
	objects, err := registry.ReadExport(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return objects, nil
}

// importing is one import.
type importing struct {
	out        io.Writer
	file       string
	objects    []registry.Exported
	onConflict string
	// keyset opens the file's secrets; nil if it has none.
	keyset *seal.Keyset
	// written are the objects of transactions that are through, also when the rest is decided anew.
	written           map[registry.Key]bool
	created, replaced int
}

// importStep is one object that is to be written.
type importStep struct {
	registry.Exported
	key      registry.Key
	change   registry.Change
	replaces bool
	// differs says in what, if it replaces.
	differs string
}

// importPlan says what of the file is to be written to a registry, and what not.
type importPlan struct {
	steps     []importStep
	unchanged int
	// skipped are the objects that stay as they are there, and why.
	skipped []string
}

// decide compares the file with a registry. Its error names all that stands against it.
func (i *importing) decide(s *registry.Snapshot) (*importPlan, error) {
	plan, failing := &importPlan{}, []error{}
	for _, e := range i.objects {
		key := registry.KeyOf(e.Object)
		there := s.Object(key)
		step := importStep{Exported: e, key: key, change: registry.Restore(e.Object, there.Version()), replaces: !there.IsZero()}
		if !step.replaces {
			plan.steps = append(plan.steps, step)
			continue
		}
		fields, err := registry.Differ(i.opened(there), i.opened(e.Object))
		if err != nil {
			return nil, err
		}
		step.differs = fmt.Sprintf("line %d: %s: differs from what is there in %s", e.Line, key, strings.Join(fields, ", "))
		switch {
		case len(fields) == 0 && i.written[key]:
		case len(fields) == 0:
			plan.unchanged++
		case i.onConflict == conflictFail:
			failing = append(failing, fmt.Errorf("%s: %s", i.file, step.differs))
		case i.onConflict == conflictSkip:
			plan.skipped = append(plan.skipped, step.differs)
		default:
			plan.steps = append(plan.steps, step)
		}
	}
	if len(failing) > 0 {
		failing = append(first(failing), fmt.Errorf("%d conflicts, nothing was written: choose --on-conflict %s or %s",
			len(failing), conflictSkip, conflictReplace))
		return nil, errors.Join(failing...)
	}
	return plan, i.try(s, plan)
}

// try returns what the registry would refuse.
func (i *importing) try(s *registry.Snapshot, plan *importPlan) error {
	var refused []error
	for n, err := range s.Try(changesOf(plan.steps)) {
		if err != nil {
			refused = append(refused, fmt.Errorf("%s: line %d: %w", i.file, plan.steps[n].Line, err))
		}
	}
	return errors.Join(first(refused)...)
}

func changesOf(steps []importStep) []registry.Change {
	changes := make([]registry.Change, len(steps))
	for n, s := range steps {
		changes[n] = s.change
	}
	return changes
}

// maxImportErrors bounds what is told at once.
const maxImportErrors = 20

// first returns the first errors of a list, and how many more there are.
func first(errs []error) []error {
	if len(errs) <= maxImportErrors {
		return errs
	}
	return append(slices.Clone(errs[:maxImportErrors]), fmt.Errorf("and %d more", len(errs)-maxImportErrors))
}

// run writes what is to be written. What somebody else changes meanwhile is read again and decided again.
func (i *importing) run(ctx context.Context, store *registry.Store) error {
	for attempt := 1; ; attempt++ {
		err := i.once(ctx, store)
		if _, conflict := errors.AsType[*registry.ConflictError](err); conflict && attempt < applyAttempts {
			continue
		}
		if err != nil && len(i.written) > 0 {
			return fmt.Errorf("%w\n%d of %d objects were written before that: run it again, it goes on", err, len(i.written), len(i.objects))
		}
		return err
	}
}

func (i *importing) once(ctx context.Context, store *registry.Store) error {
	plan, err := i.decide(store.Snapshot())
	if err != nil {
		return err
	}
	version := store.Snapshot().Version()
	for batch := range importBatches(plan.steps) {
		result, err := store.Apply(ctx, commandActor("registry import"), changesOf(batch)...)
		if err != nil && result.Version == 0 {
			return fmt.Errorf("%s: lines %d to %d: %w", i.file, batch[0].Line, batch[len(batch)-1].Line, err)
		}
		version = result.Version
		for _, s := range batch {
			i.written[s.key] = true
		}
		i.tell(batch)
	}
	i.report(plan, version, "")
	return nil
}

// importBatches yields what is written in one transaction each.
func importBatches(steps []importStep) iter.Seq[[]importStep] {
	return func(yield func([]importStep) bool) {
		for len(steps) > 0 {
			n, bytes := 0, 0
			for n < len(steps) && n < applyBatch && (n == 0 || bytes+steps[n].Bytes <= importBatchBytes) {
				bytes += steps[n].Bytes
				n++
			}
			if !yield(steps[:n]) {
				return
			}
			steps = steps[n:]
		}
	}
}

// tell counts what is written, and prints what it replaces.
func (i *importing) tell(steps []importStep) {
	for _, s := range steps {
		if !s.replaces {
			i.created++
			continue
		}
		i.replaced++
		fmt.Fprintln(i.out, "replaced", s.differs)
	}
}

// report tells what was left, of a plan of which all was done, and the sums.
func (i *importing) report(plan *importPlan, version int64, note string) {
	for _, s := range plan.skipped {
		fmt.Fprintln(i.out, "skipped", s)
	}
	fmt.Fprintf(i.out, "%d created, %d replaced, %d skipped, %d unchanged at registry version %d%s\n",
		i.created, i.replaced, len(plan.skipped), plan.unchanged, version, note)
}
