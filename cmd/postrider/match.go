package main

import (
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/history"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

type matchOptions struct {
	source  string
	headers []string
}

func newMatchCmd() *cobra.Command {
	var opts matchOptions
	cmd := &cobra.Command{
		Use:   "match EVENT.json",
		Short: "Say how an event would be read and whom it would match, without sending",
		Long: `Say how an event would be read and whom it would match, without sending.

The file holds the value of a record as it would be in a source topic: a CloudEvent in structured mode, or the JSON of a
configured source, which --source names if there is more than one. With --header ce_type=… and so on it is the data of a
CloudEvent in binary mode.`,
		Example: `  postrider match event.json
  postrider match --source orders event.json`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runMatch(cmd, args[0], opts) },
	}
	cmd.Flags().StringVar(&opts.source, "source", "", "the configured source whose event it is")
	cmd.Flags().StringArrayVar(&opts.headers, "header", nil, "a header of the record, repeatable: --header ce_type=a.b")
	return cmd
}

func runMatch(cmd *cobra.Command, file string, opts matchOptions) error {
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	text, err := readInput(cmd, file)
	if err != nil {
		return err
	}
	record := event.Record{Value: text, Timestamp: time.Now(), Position: delivery.Position{Topic: file}}
	names, values, err := splitHeaders(opts.headers)
	if err != nil {
		return err
	}
	structured := len(names) == 0 && gjson.GetBytes(text, "specversion").Exists()
	if structured {
		names, values = []string{"content-type"}, []string{"application/cloudevents+json"}
	}
	record.Headers = headerSeq(names, values)
	source, err := sourceOf(conf, opts.source, structured || len(names) > 0)
	if err != nil {
		return err
	}
	decoder, err := event.NewDecoder(source)
	if err != nil {
		return err
	}
	ev, err := decoder.Decode(record)
	if err != nil {
		return fmt.Errorf("the event would be rejected: %w", err)
	}
	view, closeRegistry, err := openRegistry(cmd.Context(), conf)
	if err != nil {
		return err
	}
	defer closeRegistry()
	return printMatch(cmd.OutOrStdout(), source.Name, ev, view.Snapshot())
}

// sourceOf returns the source of the name or, without one, the only one that the form of the event leaves.
func sourceOf(conf *config.Config, name string, cloudEvent bool) (event.Source, error) {
	var names []string
	var fitting []event.Source
	for _, s := range conf.AllSources() {
		if s.Name == name {
			return s.Source, nil
		}
		names = append(names, s.Name)
		if (s.Format == event.FormatJSON) != cloudEvent {
			fitting = append(fitting, s.Source)
		}
	}
	switch {
	case name != "":
		return event.Source{}, fmt.Errorf("--source: there is no source %q: want %s", name, strings.Join(names, ", "))
	case cloudEvent || len(fitting) == 1:
		return fitting[0], nil // Postrider's own comes first
	case len(fitting) == 0:
		return event.Source{}, errors.New("the event is no CloudEvent (it has no specversion), and no source of plain " +
			"JSON is configured: see sources in the configuration, or give --header ce_type=… and so on")
	}
	return event.Source{}, fmt.Errorf("more than one source has plain JSON: name one with --source: %s",
		strings.Join(names, ", "))
}

func splitHeaders(pairs []string) (names, values []string, err error) {
	for _, pair := range pairs {
		name, value, ok := strings.Cut(pair, "=")
		if !ok {
			return nil, nil, fmt.Errorf("--header: %q: want name=value", pair)
		}
		names, values = append(names, name), append(values, value)
	}
	return names, values, nil
}

func headerSeq(names, values []string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i, name := range names {
			if !yield(name, []byte(values[i])) {
				return
			}
		}
	}
}

// printMatch prints how ev was read, the deliveries it would become, and why the tenant's other subscriptions get none.
func printMatch(out io.Writer, source string, ev *event.Event, s *registry.Snapshot) error {
	fmt.Fprintf(out, "source        %s\n", source)
	t, known := s.ResolveTenant(ev.Tenant)
	if known {
		fmt.Fprintf(out, "tenant        %s (%s, %s)\n", ev.Tenant, t.Name, t.ID.Base62(subscription.TenantPrefix))
	} else {
		fmt.Fprintf(out, "tenant        %s (unknown: no subscription can match)\n", ev.Tenant)
	}
	fmt.Fprintf(out, "event source  %s\nevent type    %s\nevent id      %s\nevent time    %s\ndata          %d bytes of %s\n",
		ev.Source, ev.Type, ev.ID, ev.Time.UTC().Format(time.RFC3339Nano), len(ev.Data), ev.ContentType)
	if len(ev.Channels) > 0 {
		fmt.Fprintf(out, "channels      %s\n", strings.Join(ev.Channels, ", "))
	}
	if !known {
		return nil
	}
	message := delivery.MessageID(t.ID, ev.Source, ev.ID)
	fmt.Fprintf(out, "message       %s\n\n", message.Base62(delivery.MessagePrefix))
	in, filters := filter.NewInput(ev), &filter.Cache{}
	matched := s.AppendMatch(nil, t.ID, ev.Type, func(sub *subscription.Subscription) bool {
		selection, _ := pipeline.Select(sub, ev, in, filters)
		return selection == pipeline.Selected
	})
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "deliveries: %d, at registry version %d\n", len(matched), s.Version())
	for _, sub := range matched {
		id := delivery.ID(message, sub.ID)
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\n",
			subscriptionName(sub), id.Base62(delivery.IDPrefix), subscription.ProfileOf(sub, t), plainURL(sub.URL))
	}
	fmt.Fprintf(w, "no delivery: %d\n", s.CountOf(t.ID)-len(matched))
	for sub := range s.SubscriptionsOf(t.ID, ident.ID{}) {
		if !slices.Contains(matched, sub) {
			fmt.Fprintf(w, "  %s\t%s\n", subscriptionName(sub), history.WhyNot(sub, ev, in, filters))
		}
	}
	return w.Flush()
}

func subscriptionName(s *subscription.Subscription) string {
	return displayName(s.UID, s.ID.Base62(subscription.SubscriptionPrefix))
}
