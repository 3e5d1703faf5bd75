package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/topics"
)

// outcomesOptions are the flags of outcomes.
type outcomesOptions struct {
	subscription, tenant string
	verdicts, types      []string
	since                time.Duration
	follow               bool
}

// newOutcomesCmd returns the command that shows what became of attempts.
func newOutcomesCmd() *cobra.Command {
	var opts outcomesOptions
	cmd := &cobra.Command{
		Use:   "outcomes",
		Short: "Show the outcomes of attempts",
		Long: `Reads the outcomes topic from --since ago and shows one line an attempt, park or cancellation. With --follow it goes on with what
comes. With -o json every line is the record as it stands in the topic.`,
		Example: `  postrider outcomes --since 1h --verdict dead
  postrider outcomes --follow --subscription ep_0000001UEyiCaBFCTZqAc1Wp3Da -o json | jq .detail`,
		Args: cobra.NoArgs,
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.subscription, "subscription", "", "only of this subscription: UUID or ep_ id")
	flags.StringVar(&opts.tenant, "tenant", "", "only of this tenant: UUID or app_ id")
	flags.StringSliceVar(&opts.verdicts, "verdict", nil, "only with these verdicts: delivered, retry, dead, cancelled, parked")
	flags.StringSliceVar(&opts.types, "type", nil, "only of these event types")
	flags.DurationVar(&opts.since, "since", time.Hour, "how far back to begin; 0 with --follow shows only what comes")
	flags.BoolVarP(&opts.follow, "follow", "f", false, "go on with what comes")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		keep, err := opts.filter()
		if err != nil {
			return err
		}
		if err := checkOutput(*output); err != nil {
			return err
		}
		cfg, err := loadReachable(cmd, topics.Outcomes)
		if err != nil {
			return err
		}
		printer := outcomePrinter{out: cmd.OutOrStdout(), json: *output == "json"}
		return tailOutcomes(cmd.Context(), cfg.Kafka, time.Now().Add(-opts.since), opts.follow, func(value []byte) error {
			return printer.print(value, keep)
		})
	}
	return cmd
}

// filter returns what decides whether an outcome is shown.
func (o outcomesOptions) filter() (func(*outcome.Outcome) bool, error) {
	subscription, err := parseID("--subscription", "ep_", o.subscription)
	if err != nil {
		return nil, err
	}
	tenant, err := parseID("--tenant", "app_", o.tenant)
	if err != nil {
		return nil, err
	}
	for _, v := range o.verdicts {
		switch outcome.Verdict(v) {
		case outcome.Delivered, outcome.Retry, outcome.Dead, outcome.Cancelled, outcome.Parked:
		default:
			return nil, fmt.Errorf("--verdict: %q: want delivered, retry, dead, cancelled or parked", v)
		}
	}
	return func(out *outcome.Outcome) bool {
		return (subscription.IsZero() || out.Subscription == subscription) && (tenant.IsZero() || out.Tenant == tenant) &&
			(len(o.verdicts) == 0 || slices.Contains(o.verdicts, string(out.Verdict))) &&
			(len(o.types) == 0 || slices.Contains(o.types, out.EventType))
	}, nil
}

// parseID reads a UUID or the prefixed form; empty is the zero ID.
func parseID(flag, prefix, s string) (ident.ID, error) {
	if s == "" {
		return ident.ID{}, nil
	}
	read := ident.ParseUUID
	if strings.HasPrefix(s, prefix) {
		read = func(s string) (ident.ID, error) { return ident.ParseBase62(prefix, s) }
	}
	id, err := read(s)
	if err != nil {
		return ident.ID{}, fmt.Errorf("%s: %q: want a UUID or %s and 27 characters", flag, s, prefix)
	}
	return id, nil
}

// outcomePrinter writes outcomes, one a line.
type outcomePrinter struct {
	out    io.Writer
	json   bool
	headed bool
}

// outcomeLine are the columns; their widths fit what is usual, and longer values push the rest aside.
const outcomeLine = "%-23s  %-9s  %-13s  %6s  %8s  %7s  %-32s  %-36s  %s\n"

func (p *outcomePrinter) print(value []byte, keep func(*outcome.Outcome) bool) error {
	var o outcome.Outcome
	if err := json.Unmarshal(value, &o); err != nil {
		return fmt.Errorf("reading outcome: %w", err)
	}
	if !keep(&o) {
		return nil
	}
	if p.json {
		_, err := fmt.Fprintf(p.out, "%s\n", value)
		return err
	}
	if !p.headed {
		p.headed = true
		_, err := fmt.Fprintf(p.out, outcomeLine, "TIME", "VERDICT", "REASON", "STATUS", "MS", "ATTEMPT", "TYPE", "SUBSCRIPTION", "DELIVERY")
		if err != nil {
			return err
		}
	}
	status := string(o.Result)
	switch {
	case o.Status != 0:
		status = fmt.Sprint(o.Status)
	case !o.Attempted():
		status = "-"
	}
	took := "-"
	if o.Attempted() {
		took = fmt.Sprintf("%.1f", o.DurationMS)
	}
	_, err := fmt.Fprintf(p.out, outcomeLine, o.At.Local().Format("2006-01-02 15:04:05.000"), o.Verdict, o.Reason, status, took,
		fmt.Sprint(o.Attempt), o.EventType, o.Subscription, o.Delivery)
	return err
}

// tailOutcomes calls each for the outcomes that were written from a time on: up to the end of the topic at the time of the call,
// or until the context ends. Outcomes of a subscription come in order.
func tailOutcomes(ctx context.Context, cfg kafka.Config, from time.Time, follow bool, each func([]byte) error) error {
	topic := cfg.Prefix + topics.Outcomes
	// Control records are kept, since the last offset of a partition may be one.
	client, err := kafka.NewClient(cfg, kgo.KeepControlRecords())
	if err != nil {
		return err
	}
	defer client.Close()
	starts, ends, err := stretch(ctx, kadm.NewClient(client), topic, from)
	if err != nil {
		return fmt.Errorf("looking up %s: %w", topic, err)
	}
	left := make(map[int32]bool)
	assign := make(map[int32]kgo.Offset)
	for partition, start := range starts {
		if follow || start < ends[partition] {
			assign[partition], left[partition] = kgo.NewOffset().At(start), true
		}
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: assign})
	for len(left) > 0 {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading %s: %w", topic, err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			r := iter.Next()
			if !r.Attrs.IsControl() && (follow || r.Offset < ends[r.Partition]) {
				if err := each(r.Value); err != nil {
					return err
				}
			}
			if !follow && r.Offset+1 >= ends[r.Partition] {
				delete(left, r.Partition)
			}
		}
	}
	return nil
}

// interrupted is no error where someone ended what they were watching.
func interrupted(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return nil
	}
	return ctx.Err()
}

// stretch returns the first offset from a time on and the end of every partition.
func stretch(ctx context.Context, admin *kadm.Client, topic string, from time.Time) (starts, ends map[int32]int64, err error) {
	listedEnds, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = listedEnds.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	listedStarts, err := admin.ListOffsetsAfterMilli(ctx, from.UnixMilli(), topic)
	if err == nil {
		err = listedStarts.Error()
	}
	if err != nil {
		return nil, nil, err
	}
	starts, ends = make(map[int32]int64), make(map[int32]int64)
	listedEnds.Each(func(o kadm.ListedOffset) { ends[o.Partition] = o.Offset })
	listedStarts.Each(func(o kadm.ListedOffset) { starts[o.Partition] = o.Offset })
	return starts, ends, nil
}
