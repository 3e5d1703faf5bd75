package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

type listenOptions struct {
	tenant, subscription, profile, filter string
	types, channels                       []string
	events, retries, ephemeral            bool
	url                                   string
}

// newListenCmd returns the command that forwards a tenant's deliveries while developing.
func newListenCmd() *cobra.Command {
	var opts listenOptions
	cmd := &cobra.Command{
		Use:   "listen --tenant TENANT URL",
		Short: "Forward a tenant's deliveries to a local URL while developing, without touching its endpoints",
		Long: `Forward a tenant's deliveries to a local URL while developing, without touching its endpoints: from now on, and until interrupted.

Each is made as its endpoint gets it, with the envelope, headers and signature of the subscription's profile, and prints a line
with the answer. It is signed with the subscription's own secrets if the keyset is configured, else, or with --ephemeral, with
one that is made here and printed; then the subscription's own headers and authorization are left out. A token of OAuth is never
asked for. Only first tries are forwarded unless --retries is given; what the local server answers changes nothing.

With --events no subscription is needed: the tenant's events are taken from the source topics and matched against --types, --channels
and --filter, as one would match them that subscribed with the tenant's profile, or with --profile.

It reads Kafka without a consumer group and writes nothing: no offsets, no outcomes. Requests go one after the other.`,
		Example: `  postrider listen --tenant acme http://localhost:3000/webhooks
  postrider listen --tenant acme --types 'order.*' --subscription orders http://localhost:3000/
  postrider listen --tenant acme --events --filter 'data.total > 100' --profile svix http://localhost:3000/`,
		Args: cobra.ExactArgs(1),
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.tenant, "tenant", "", "the tenant: uid, UUID or app_ id")
	flags.StringVar(&opts.subscription, "subscription", "", "only deliveries of this subscription: uid, UUID or ep_ id")
	flags.StringSliceVar(&opts.types, "types", nil, "only these event types; wildcards as in subscriptions")
	flags.BoolVar(&opts.retries, "retries", false, "forward retries and redriven deliveries, too")
	flags.BoolVar(&opts.ephemeral, "ephemeral", false, "sign with a secret that is made here and printed")
	flags.BoolVar(&opts.events, "events", false, "take events from the source topics, without a subscription")
	flags.StringSliceVar(&opts.channels, "channels", nil, "with --events: only events of these channels")
	flags.StringVar(&opts.filter, "filter", "", "with --events: only events for which this CEL expression is true")
	flags.StringVar(&opts.profile, "profile", "", "with --events: the profile; the tenant's if left out")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		opts.url = args[0]
		if err := errors.Join(checkOutput(*output), opts.check()); err != nil {
			return err
		}
		return opts.run(cmd, *output == "json")
	}
	return cmd
}

func (o *listenOptions) check() error {
	if u, err := url.Parse(o.url); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return fmt.Errorf("%q: want the URL of a local server, as http://localhost:3000/webhooks", o.url)
	}
	if o.tenant == "" {
		return errors.New("--tenant: missing: want the uid, UUID or app_ id of a tenant")
	}
	for _, t := range o.types {
		if err := subscription.ValidatePattern(t); err != nil {
			return fmt.Errorf("--types: %w", err)
		}
	}
	switch {
	case o.events && (o.subscription != "" || o.retries):
		return errors.New("--events: goes without --subscription and --retries")
	case !o.events && (o.filter != "" || o.profile != "" || len(o.channels) > 0):
		return errors.New("--filter, --profile and --channels: want --events: a delivery has been matched already")
	}
	return nil
}

func (o *listenOptions) run(cmd *cobra.Command, asJSON bool) error {
	conf, err := loadReachable(cmd, topics.Deliveries, topics.Registry)
	if err != nil {
		return err
	}
	keyset, err := app.Keyset(conf)
	if err != nil {
		return err
	}
	view, closeView, err := app.OpenView(cmd.Context(), conf, keyset)
	if err != nil {
		return err
	}
	defer closeView()
	ctx, stop := context.WithCancel(cmd.Context())
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		_ = view.Run(ctx) // it ends with ctx alone
	}()
	defer func() {
		stop()
		<-followed
	}()
	f, err := newForwarder(conf, view, o)
	if err != nil {
		return err
	}
	show := func(line forwarded) error { return line.print(cmd.OutOrStdout()) }
	if asJSON {
		enc := json.NewEncoder(cmd.OutOrStdout())
		show = func(line forwarded) error { return enc.Encode(line) }
	}
	f.tell = func(format string, args ...any) { fmt.Fprintf(cmd.ErrOrStderr(), format+"\n", args...) }
	names, pick, err := o.picker(ctx, conf, f)
	if err != nil {
		return err
	}
	return tail(ctx, conf.Kafka, names, func() { f.tell("listening for %s; interrupt to stop", o.what()) }, func(rec *kgo.Record) error {
		d, sub := pick(rec)
		if d == nil {
			return nil
		}
		line, err := f.forward(ctx, d, sub)
		if err != nil || line == nil {
			return err
		}
		return show(*line)
	})
}

func (o *listenOptions) what() string {
	if o.events {
		return "events of " + o.tenant
	}
	return "deliveries of " + o.tenant
}

// tail calls each for the records that are written to topics from now on, until the context ends; started is called once
// nothing more can be missed.
func tail(ctx context.Context, cfg kafka.Config, names []string, started func(), each func(*kgo.Record) error) error {
	at := map[string]map[int32]kgo.Offset{}
	for _, topic := range names {
		ends, err := kafka.TopicEnds(ctx, cfg, topic)
		if err != nil {
			return err
		}
		at[topic] = map[int32]kgo.Offset{}
		for p, e := range ends {
			at[topic][p] = kgo.NewOffset().At(e.End)
		}
	}
	client, err := kafka.NewClient(cfg, kgo.ConsumePartitions(at), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxWait(tailWait))
	if err != nil {
		return err
	}
	defer client.Close()
	started()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return interrupted(ctx)
		}
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		for iter := fetches.RecordIter(); !iter.Done(); {
			if err := each(iter.Next()); err != nil {
				if ctx.Err() != nil {
					return interrupted(ctx)
				}
				return err
			}
		}
	}
}

// tailWait is how long a broker may hold a fetch that finds nothing.
const tailWait = 500 * time.Millisecond
