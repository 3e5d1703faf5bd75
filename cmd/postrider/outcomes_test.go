package main

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
)

func produceOutcomes(t *testing.T, cfg kafka.Config, outcomes ...outcome.Outcome) {
	t.Helper()
	client, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	defer client.Close()
	for _, o := range outcomes {
		value, err := json.Marshal(o)
		require.NoError(t, err)
		r := &kgo.Record{Topic: cfg.Prefix + "outcomes", Key: []byte(o.Subscription.UUID()), Value: value}
		require.NoError(t, client.ProduceSync(t.Context(), r).FirstErr())
	}
}

func testOutcome(sub string, verdict outcome.Verdict, result outcome.Result, status int) outcome.Outcome {
	id := ident.Derive("test", sub)
	return outcome.Outcome{
		Version: 1, Delivery: ident.Derive("test", "d", sub).Base62(delivery.IDPrefix), EventType: "order.created", Tenant: ident.Derive("test", "tenant"),
		Subscription: id, Attempt: 2, Verdict: verdict, Reason: outcome.ReasonFailed, Result: result, Status: status,
		At: time.Now(), DurationMS: 12.34,
	}
}

func TestOutcomes(t *testing.T) {
	cfg := kafkaCmdEnv(t)
	a, b := testOutcome("a", outcome.Retry, outcome.ResultServerError, 503), testOutcome("b", outcome.Dead, outcome.ResultTimeout, 0)
	parked := testOutcome("c", outcome.Parked, outcome.ResultNone, 0)
	produceOutcomes(t, cfg, a, b, parked)

	out, _, err := runKafkaCmd(t, newOutcomesCmd(), "")
	require.NoError(t, err)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Len(t, lines, 4)
	require.Equal(t, strings.Fields("TIME VERDICT REASON STATUS MS ATTEMPT TYPE SUBSCRIPTION DELIVERY"), strings.Fields(lines[0]))
	fields := map[string][]string{}
	for _, line := range lines[1:] {
		f := strings.Fields(line)
		fields[f[8]] = f[2:]
	}
	require.Equal(t, []string{"retry", "failed", "503", "12.3", "2", "order.created", a.Subscription.UUID(), a.Delivery}, fields[a.Subscription.UUID()])
	require.Equal(t, "timeout", fields[b.Subscription.UUID()][2])
	require.Equal(t, []string{"-", "-"}, fields[parked.Subscription.UUID()][2:4])

	for _, args := range []string{
		"--verdict dead", "--subscription " + b.Subscription.UUID(), "--subscription " + b.Subscription.Base62("ep_"),
		"--verdict dead,cancelled --type order.created --tenant " + b.Tenant.Base62("app_"),
	} {
		out, _, err := runKafkaCmd(t, newOutcomesCmd(), "", append(strings.Fields(args), "-o", "json")...)
		require.NoError(t, err)
		var got outcome.Outcome
		require.NoError(t, json.Unmarshal([]byte(out), &got), "one line: %s", out)
		require.Equal(t, b.Delivery, got.Delivery)
	}
	out, _, err = runKafkaCmd(t, newOutcomesCmd(), "", "--type", "other")
	require.NoError(t, err)
	require.Empty(t, out)

	for args, want := range map[string]string{
		"--verdict maybe": `--verdict: "maybe": want delivered`, "--subscription ep_1": `--subscription: "ep_1": want a UUID or ep_`,
		"-o xml": `--output: "xml": want text or json`,
	} {
		_, _, err := runKafkaCmd(t, newOutcomesCmd(), "", strings.Fields(args)...)
		require.ErrorContains(t, err, want)
	}
}

func TestOutcomesFollow(t *testing.T) {
	cfg := kafkaCmdEnv(t)
	produceOutcomes(t, cfg, testOutcome("old", outcome.Retry, outcome.ResultReset, 0))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := make(chan string)
	done := make(chan error, 1)
	go func() {
		done <- tailOutcomes(ctx, cfg, time.Now().Add(-time.Hour), true, func(value []byte) error {
			select {
			case seen <- string(value):
			case <-ctx.Done():
			}
			return nil
		})
	}()
	require.Contains(t, <-seen, ident.Derive("test", "old").UUID())
	produceOutcomes(t, cfg, testOutcome("new", outcome.Retry, outcome.ResultReset, 0))
	require.Contains(t, <-seen, ident.Derive("test", "new").UUID())
	cancel()
	require.NoError(t, <-done, "who watches may stop")
}

func TestTopicsCommand(t *testing.T) {
	cfg := kafkaCmdEnv(t)
	out, _, err := runKafkaCmd(t, newTopicsCmd(), "", "plan")
	require.NoError(t, err)
	require.Contains(t, out, "0 to create, 0 to alter, 20 as declared, 0 refused.")
	require.Contains(t, out, "Warning: the cluster has 1 of 3 brokers")

	t.Setenv("POSTRIDER_KAFKA_PREFIX", "new.")
	out, _, err = runKafkaCmd(t, newTopicsCmd(), "", "plan", "--partitions", "2")
	var code interface{ ExitCode() int }
	require.ErrorAs(t, err, &code)
	require.Equal(t, 2, code.ExitCode())
	require.Regexp(t, `(?m)^\+ new\.deliveries +2 partitions, 1 replicas, delete, 9 d$`, out)
	require.Regexp(t, `(?m)^\+ new\.registry +1 partitions, 1 replicas, compact$`, out)

	_, _, err = runKafkaCmd(t, newTopicsCmd(), "", "apply", "--partitions", "2")
	require.NoError(t, err)
	cfg.Prefix = "new."
	out, _, err = runKafkaCmd(t, newTopicsCmd(), "", "plan", "-o", "json")
	require.NoError(t, err)
	var plan kafka.TopicsPlan
	require.NoError(t, json.Unmarshal([]byte(out), &plan))
	require.Len(t, plan.Topics, 20)

	out, _, err = runKafkaCmd(t, newTopicsCmd(), "", "apply", "--partitions", "3")
	require.ErrorContains(t, err, "topic new.deliveries: has 2 partitions: want 3")
	require.Contains(t, out, "! new.deliveries")
}

func TestPrintPlan(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, printPlan(&out, kafka.TopicsPlan{
		Topics: []kafka.TopicPlan{
			{Topic: "p.a", Action: kafka.TopicKeep, Partitions: 4},
			{Topic: "p.long-name", Action: kafka.TopicAlter, Partitions: 12, AddPartitions: 4, Changes: []kafka.TopicChange{
				{Key: "retention.ms", From: "3600000", To: "777600000"}, {Key: "cleanup.policy", To: "delete"},
			}},
			{Topic: "p.b", Action: kafka.TopicRefuse, Problem: "has 2 partitions: want 3"},
		},
		Warnings: []string{"the cluster is small"},
	}))
	require.Equal(t, `  p.a               4 partitions
~ p.long-name       12 partitions (4 more)
    retention.ms    1 h → 9 d
    cleanup.policy  (unset) → delete
! p.b               has 2 partitions: want 3
Warning: the cluster is small.
0 to create, 1 to alter, 1 as declared, 1 refused.
`, out.String())
}
