package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/topics"
)

// newTopicsCmd returns the command that compares the declared topics with a cluster, and makes them so.
func newTopicsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "Check, create and alter Postrider's topics",
		Long: `Every topic is declared in the program. "topics plan" shows what a cluster lacks, "topics apply" creates and alters what is
needed. Settings that are not declared are left alone; the partitions of keyed topics never change in place.`,
		Args: subcommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTopicsPlanCmd(), newTopicsApplyCmd())
	return cmd
}

func newTopicsPlanCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Show what apply would do",
		Long: `Shows what "topics apply" would do, and changes nothing. The cluster is asked whether it would do it.

Exit codes: 0 nothing to change, 2 something to change, 1 an error, or a topic that is refused.`,
		Args: cobra.NoArgs,
	}
	opts, output := planFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		plan, _, err := planTopics(cmd, *opts, *output)
		switch {
		case err != nil:
			return err
		case plan.Changed():
			return exitCode(exitChanges)
		}
		return nil
	}
	return cmd
}

func newTopicsApplyCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apply",
		Short: "Create and alter topics",
		Long: `Creates the topics that are missing and alters the settings that differ, and shows what was done. If a topic is refused, nothing
is changed.`,
		Args: cobra.NoArgs,
	}
	opts, output := planFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		plan, cfg, err := planTopics(cmd, *opts, *output)
		if err != nil {
			return err
		}
		return kafka.ApplyTopics(cmd.Context(), cfg, plan)
	}
	return cmd
}

func planFlags(cmd *cobra.Command) (*kafka.PlanOptions, *string) {
	var opts kafka.PlanOptions
	cmd.Flags().IntVar(&opts.Partitions, "partitions", 0,
		"partitions of deliveries, outcomes and endpoint-states (default as declared, or as they are)")
	cmd.Flags().IntVar(&opts.ReplicationFactor, "replication-factor", 0, "replicas of new topics (default 3, or as many as there are brokers)")
	return &opts, outputFlag(cmd)
}

// planTopics makes the plan and prints it. A refused topic is an error.
func planTopics(cmd *cobra.Command, opts kafka.PlanOptions, output string) (kafka.TopicsPlan, kafka.Config, error) {
	if err := checkOutput(output); err != nil {
		return kafka.TopicsPlan{}, kafka.Config{}, err
	}
	if opts.Partitions < 0 || opts.ReplicationFactor < 0 {
		return kafka.TopicsPlan{}, kafka.Config{}, fmt.Errorf("--partitions and --replication-factor: want a positive number")
	}
	cfg, err := loadReachable(cmd)
	if err != nil {
		return kafka.TopicsPlan{}, kafka.Config{}, err
	}
	plan, err := kafka.PlanTopics(cmd.Context(), cfg.Kafka, topics.All(), opts)
	if err != nil {
		return plan, cfg.Kafka, err
	}
	if output == "json" {
		enc := json.NewEncoder(cmd.OutOrStdout())
		enc.SetIndent("", "  ")
		err = enc.Encode(plan)
	} else {
		err = printPlan(cmd.OutOrStdout(), plan)
	}
	if err != nil {
		return plan, cfg.Kafka, err
	}
	return plan, cfg.Kafka, plan.Err()
}

// marks stand before a topic in a printed plan.
var marks = map[kafka.TopicAction]string{
	kafka.TopicCreate: "+", kafka.TopicAlter: "~", kafka.TopicRefuse: "!", kafka.TopicKeep: " ",
}

// printPlan writes a plan for people: one line a topic, then its settings.
func printPlan(out io.Writer, plan kafka.TopicsPlan) error {
	w := &strings.Builder{}
	count := map[kafka.TopicAction]int{}
	for _, t := range plan.Topics {
		count[t.Action]++
		fmt.Fprintf(w, "%s %s\t%s\n", marks[t.Action], t.Topic, summary(t))
		if t.Action == kafka.TopicAlter {
			for _, c := range t.Changes {
				fmt.Fprintf(w, "    %s\t%s → %s\n", c.Key, readable(c.Key, c.From), readable(c.Key, c.To))
			}
		}
	}
	for _, warning := range plan.Warnings {
		fmt.Fprintf(w, "Warning: %s.\n", warning)
	}
	fmt.Fprintf(w, "%d to create, %d to alter, %d as declared, %d refused.\n", count[kafka.TopicCreate], count[kafka.TopicAlter],
		count[kafka.TopicKeep], count[kafka.TopicRefuse])
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	if _, err := io.WriteString(table, w.String()); err != nil {
		return err
	}
	return table.Flush()
}

func summary(t kafka.TopicPlan) string {
	switch t.Action {
	case kafka.TopicRefuse:
		return t.Problem
	case kafka.TopicAlter:
		if t.AddPartitions > 0 {
			return fmt.Sprintf("%d partitions (%d more)", t.Partitions, t.AddPartitions)
		}
	case kafka.TopicCreate:
		parts := []string{fmt.Sprintf("%d partitions, %d replicas", t.Partitions, t.Replicas)}
		for _, c := range t.Changes {
			if c.Key == "cleanup.policy" || c.Key == "retention.ms" {
				parts = append(parts, readable(c.Key, c.To))
			}
		}
		return strings.Join(parts, ", ")
	case kafka.TopicKeep:
	}
	return fmt.Sprintf("%d partitions", t.Partitions)
}

// readable writes milliseconds as days or hours, where they are whole.
func readable(key, value string) string {
	ms, err := strconv.ParseInt(value, 10, 64)
	d := time.Duration(ms) * time.Millisecond
	const day = 24 * time.Hour
	switch {
	case value == "":
		return "(unset)"
	case err != nil || !strings.HasSuffix(key, ".ms") || ms <= 0:
		return value
	case d%day == 0:
		return fmt.Sprintf("%d d", d/day)
	case d%time.Hour == 0:
		return fmt.Sprintf("%d h", d/time.Hour)
	}
	return d.String()
}
