package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/topics"
)

// selection says which records a command by hand is about.
type selection struct {
	delivery     string
	subscription string
	reason       string
	since        time.Duration
	all          bool
	dryRun       bool
}

// newRedriveCmd returns the command that puts dead letters back to work.
func newRedriveCmd() *cobra.Command {
	var sel selection
	cmd := &cobra.Command{
		Use:   "redrive",
		Short: "Put dead letters back into delivery",
		Long: `Puts dead letters back into the deliveries topic. A dead letter that is redriven twice is delivered once; one that dies
again is a new dead letter. The retry policy starts anew.`,
		Example: `  postrider redrive --subscription 0b9c3f0e-2f6e-5b53-9a5e-0d2f6a3c7e11 --since 24h --dry-run
  postrider redrive --delivery dlv_0001X…
  postrider redrive --all --reason exhausted`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return sel.run(cmd, topics.DeadLetters, "redriven", func(s pipeline.Sender) sendFunc { return s.Redrive })
		},
	}
	sel.flags(cmd)
	return cmd
}

type sendFunc func(ctx context.Context, r *kafka.Record) (*delivery.Delivery, error)

func (s *selection) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.delivery, "delivery", "", "only this delivery (dlv_…)")
	f.StringVar(&s.subscription, "subscription", "", "only deliveries of this subscription (UUID or ep_…)")
	f.StringVar(&s.reason, "reason", "", "only records with this reason, for example exhausted")
	f.DurationVar(&s.since, "since", 0, "only records written since, for example 24h; 0 is all")
	f.BoolVar(&s.all, "all", false, "no --delivery or --subscription: really all")
	f.BoolVar(&s.dryRun, "dry-run", false, "count and list, do nothing")
}

func (s *selection) check() error {
	if s.delivery == "" && s.subscription == "" && !s.all {
		return errors.New("want --delivery, --subscription or --all")
	}
	if s.delivery != "" {
		if _, err := ident.ParseBase62(delivery.IDPrefix, s.delivery); err != nil {
			return fmt.Errorf("--delivery: %w", err)
		}
	}
	id, err := parseID("--subscription", subscription.SubscriptionPrefix, s.subscription)
	if err != nil {
		return err
	}
	if !id.IsZero() {
		s.subscription = id.UUID()
	}
	return nil
}

// run reads the topic twice: first to find the last record of every selected delivery, earlier ones being earlier tries
// of the same; then to send those. Only their places are kept in between.
func (s *selection) run(cmd *cobra.Command, topic, done string, action func(pipeline.Sender) sendFunc) error {
	if err := s.check(); err != nil {
		return err
	}
	conf, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	names := pipeline.Topics{Prefix: conf.Kafka.Prefix}
	if err := kafka.Reach(ctx, conf.Kafka, names.Name(topic), names.Name(topics.Deliveries)); err != nil {
		return err
	}
	last := map[string]delivery.Position{}
	err = eachRecord(ctx, conf, names.Name(topic), func(r *kafka.Record) error {
		if id := header(r, delivery.HeaderDelivery); s.matches(r, id) {
			last[id] = delivery.Position{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset}
		}
		return nil
	})
	if err != nil {
		return err
	}
	out, err := kafka.NewProducer(conf.Kafka)
	if err != nil {
		return err
	}
	send := action(pipeline.Sender{Topics: names, Out: out})
	err = eachRecord(ctx, conf, names.Name(topic), func(r *kafka.Record) error {
		id := header(r, delivery.HeaderDelivery)
		if at, ok := last[id]; !ok || at.Partition != r.Partition || at.Offset != r.Offset {
			return nil
		}
		if !s.dryRun {
			if _, err := send(ctx, r); err != nil {
				return err
			}
		}
		_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s  %s\n", id, header(r, delivery.HeaderReason))
		return err
	})
	if s.dryRun {
		done = "would be " + done
	}
	_, _ = fmt.Fprintf(cmd.OutOrStdout(), "%d %s\n", len(last), done)
	return errors.Join(err, out.Close(ctx))
}

// eachRecord calls fn for every record of a topic, partition by partition, up to its end.
func eachRecord(ctx context.Context, conf *config.Config, topic string, fn func(*kafka.Record) error) error {
	partitions, err := kafka.Partitions(ctx, conf.Kafka, topic)
	if err != nil {
		return err
	}
	reader := kafka.NewReader(conf.Kafka)
	for p := range partitions {
		if _, err := reader.Range(ctx, topic, p, 0, fn); err != nil {
			return err
		}
	}
	return nil
}

func (s *selection) matches(r *kafka.Record, id string) bool {
	switch {
	case id == "":
		return false
	case s.delivery != "" && id != s.delivery:
		return false
	case s.subscription != "" && string(r.Key) != s.subscription:
		return false
	case s.reason != "" && header(r, delivery.HeaderReason) != s.reason:
		return false
	case s.since > 0 && time.Since(r.Timestamp) > s.since:
		return false
	}
	return true
}

func header(r *kafka.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}
