package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/history"
)

// Exit codes of reconcile beside 0, all accounted for, and 1, an error.
const (
	exitFound    = 2 // something is wrong
	exitUnproven = 3 // nothing was found to be wrong, but not all could be proven
)

type reconcileOptions struct {
	source, from, to string
	atOnce           int
}

// newReconcileCmd returns the command that proves what became of a range of events.
func newReconcileCmd() *cobra.Command {
	var opts reconcileOptions
	cmd := &cobra.Command{
		Use:   "reconcile --source TOPIC",
		Short: "Prove what became of every event of a range, for every subscription",
		Long: `Prove what became of every event of a range of a source topic, for every subscription, and list what is wrong.

The events are matched anew, with the registry as it was when each was routed, and every delivery that there should be is looked
for: delivered, dead, cancelled, parked or waiting. It finds source records that no routed record accounts for (hole), deliveries
that were never made (missed), made and gone (lost), or made for nobody (extra), records that could not be read and were not
rejected (unrejected), and routed records that count wrong (counts). The system may be at work meanwhile. Nothing is written.

What cannot be proven is said to be so: records that the routers have not come to (not_routed), that the source has no more
(source_gone), that were routed with a registry that may have been compacted since, after 9 days (registry_compacted), or whose
outcomes may have expired, after 9 days too (records_expired). The sources must be configured as they were.

Exit codes: 0 all is accounted for; 1 an error; 2 something is wrong; 3 nothing was found wrong, but not all could be proven.

It reads deliveries and outcomes from the time of the range on. Of deliveries, a million at a time are held in memory, about
100 MB; a range with more is read in as many passes as that takes, see --at-once.`,
		Example: `  postrider reconcile --source postrider.events --from 24h --to 1h
  postrider reconcile --source orders --from 2026-11-22T00:00:00Z --to 2026-11-23T00:00:00Z -o json
  postrider reconcile --source orders --from 0:1000,1:990 --to 0:2000,1:2010`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.source, "source", "", "the source topic, with its whole name")
	flags.StringVar(&opts.from, "from", "", "where to begin: a time, how long ago, or partition:offset,…; the start of the log if left out")
	flags.StringVar(&opts.to, "to", "", "where to end, not included: as --from; the end of the log if left out")
	flags.IntVar(&opts.atOnce, "at-once", 1_000_000, "how many deliveries to hold in memory at a time")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		report, err := opts.run(cmd)
		if err != nil {
			return err
		}
		if err := printReconciliation(cmd.OutOrStdout(), report, *output == "json"); err != nil {
			return err
		}
		switch {
		case !report.OK():
			return exitCode(exitFound)
		case !report.Proven():
			return exitCode(exitUnproven)
		}
		return nil
	}
	return cmd
}

func (o *reconcileOptions) run(cmd *cobra.Command) (*history.Report, error) {
	now := time.Now()
	from, err := history.ParseBound(o.from, now)
	if err != nil {
		return nil, fmt.Errorf("--from: %w", err)
	}
	to, err := history.ParseBound(o.to, now)
	if err != nil {
		return nil, fmt.Errorf("--to: %w", err)
	}
	switch {
	case o.source == "":
		return nil, errors.New("--source: missing: want the name of a source topic")
	case o.atOnce < 1:
		return nil, fmt.Errorf("--at-once: %d: want at least 1", o.atOnce)
	}
	conf, err := loadConfig(cmd)
	if err != nil {
		return nil, err
	}
	opts, err := app.HistoryOptions(conf)
	if err != nil {
		return nil, err
	}
	if opts.Router.Decoder(o.source) == nil {
		return nil, fmt.Errorf("--source: no source of the configuration reads topic %q", o.source)
	}
	span, err := history.Resolve(cmd.Context(), conf.Kafka, o.source, from, to)
	if err != nil {
		return nil, err
	}
	progress := newReadProgress(cmd.ErrOrStderr())
	defer progress.end()
	opts.AtOnce, opts.Progress = o.atOnce, progress.tell
	return history.Reconcile(cmd.Context(), opts, span)
}

// maxSubscriptionLines is how many subscriptions are listed for people: those with the most missing, then with the most that
// is not delivered.
const maxSubscriptionLines = 20

func printReconciliation(out io.Writer, r *history.Report, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetIndent("", "  ")
		return enc.Encode(r)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tPARTITION\tFROM\tTO\tRECORDS\n", r.Topic)
	for _, p := range r.Partitions {
		fmt.Fprintf(w, "\t%d\t%d\t%d\t%d\n", p.Partition, p.From, p.To, p.Records)
	}
	e, d := r.Events, r.Deliveries
	fmt.Fprintf(w, "\nevents\t%d: %d matched, %d unmatched, %d rejected, %d in holes, %d unprovable\n",
		e.Records, e.Matched, e.Unmatched, e.Rejected, e.InHoles, e.Unprovable)
	fmt.Fprintf(w, "deliveries\t%s\n", d)
	fmt.Fprintf(w, "filtered\t%d by channels and filters\n", r.Filtered)
	if r.Repeated > 0 {
		fmt.Fprintf(w, "repeated\t%d left by crashes, matched by another version of the registry\n", r.Repeated)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if err := printSubscriptions(out, r.Subscriptions); err != nil {
		return err
	}
	return printFindings(out, r)
}

func printSubscriptions(out io.Writer, all []history.SubscriptionReport) error {
	if len(all) == 0 {
		return nil
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b history.SubscriptionReport) int {
		if a.Missing != b.Missing {
			return b.Missing - a.Missing
		}
		return (b.Expected - b.Delivered) - (a.Expected - a.Delivered)
	})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nSUBSCRIPTION\tEXPECTED\tDELIVERED\tDEAD\tCANCELLED\tPARKED\tWAITING\tMISSING")
	for _, s := range all[:min(len(all), maxSubscriptionLines)] {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n",
			s.Subscription, s.Expected, s.Delivered, s.Dead, s.Cancelled, s.Parked, s.Waiting, s.Missing)
	}
	if more := len(all) - maxSubscriptionLines; more > 0 {
		fmt.Fprintf(w, "and %d more; -o json has all\n", more)
	}
	return w.Flush()
}

func printFindings(out io.Writer, r *history.Report) error {
	fmt.Fprintln(out)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		place := fmt.Sprintf("%d/%d", f.Partition, f.First)
		if f.Last != f.First {
			place += fmt.Sprintf("–%d", f.Last)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", f.Kind, place, f.Subscription, f.Delivery, f.Detail)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	total := 0
	for _, n := range r.Found {
		total += n
	}
	if total > len(r.Findings) {
		fmt.Fprintf(out, "and %d more\n", total-len(r.Findings))
	}
	for _, cause := range slices.Sorted(maps.Keys(r.Unprovable)) {
		fmt.Fprintf(out, "%d cannot be proven: %s\n", r.Unprovable[cause], cause)
	}
	switch {
	case !r.OK():
		fmt.Fprintf(out, "%d found to be wrong.\n", total)
	case !r.Proven():
		fmt.Fprintln(out, "Nothing was found to be wrong; not all could be proven.")
	default:
		fmt.Fprintln(out, "All is accounted for.")
	}
	return nil
}
