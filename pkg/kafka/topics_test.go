package kafka_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/topics"
)

// topicsCluster starts an embedded cluster of n brokers.
func topicsCluster(t *testing.T, n int) (*kfake.Cluster, kafka.Config, *kadm.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(n))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	cfg := kafka.Config{Brokers: cluster.ListenAddrs(), Prefix: "p."}
	client, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return cluster, cfg, kadm.NewClient(client)
}

func plan(t *testing.T, cfg kafka.Config, opts kafka.PlanOptions) kafka.TopicsPlan {
	t.Helper()
	p, err := kafka.PlanTopics(t.Context(), cfg, topics.All(), opts)
	require.NoError(t, err)
	return p
}

// actions returns the topics with an action, without the prefix.
func actions(p kafka.TopicsPlan, action kafka.TopicAction) []string {
	names := []string{}
	for _, t := range p.Topics {
		if t.Action == action {
			names = append(names, strings.TrimPrefix(t.Topic, "p."))
		}
	}
	return names
}

func topicPlan(t *testing.T, p kafka.TopicsPlan, name string) kafka.TopicPlan {
	t.Helper()
	for _, tp := range p.Topics {
		if tp.Topic == "p."+name {
			return tp
		}
	}
	t.Fatalf("no plan for %s", name)
	return kafka.TopicPlan{}
}

// list asks with a client of its own: clients remember topics for seconds.
func list(t *testing.T, cfg kafka.Config) kadm.TopicDetails {
	t.Helper()
	client, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	defer client.Close()
	details, err := kadm.NewClient(client).ListTopics(t.Context())
	require.NoError(t, err)
	return details
}

func setConfig(t *testing.T, admin *kadm.Client, topic, key, value string) {
	t.Helper()
	rs, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
	require.NoError(t, err)
	_, err = rs.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	require.NoError(t, err)
}

func config(t *testing.T, admin *kadm.Client, topic, key string) string {
	t.Helper()
	rs, err := admin.DescribeTopicConfigs(t.Context(), topic)
	require.NoError(t, err)
	for _, c := range rs[0].Configs {
		if c.Key == key {
			return c.MaybeValue()
		}
	}
	return ""
}

func TestTopicsAreCreatedOnce(t *testing.T) {
	_, cfg, admin := topicsCluster(t, 3)
	p := plan(t, cfg, kafka.PlanOptions{})
	require.Len(t, actions(p, kafka.TopicCreate), len(topics.All()))
	require.Empty(t, p.Warnings)
	require.True(t, p.Changed())
	require.Empty(t, list(t, cfg), "a plan changes nothing")

	require.NoError(t, kafka.ApplyTopics(t.Context(), cfg, p))
	p = plan(t, cfg, kafka.PlanOptions{})
	require.False(t, p.Changed(), "%+v", p)
	require.NoError(t, p.Err())
	require.Empty(t, p.Warnings)

	details := list(t, cfg)
	require.Len(t, details, len(topics.All()))
	require.Len(t, details["p.outcomes"].Partitions, len(details["p.deliveries"].Partitions))
	require.Equal(t, 3, details["p.deliveries"].Partitions.NumReplicas())
	require.Equal(t, "2", config(t, admin, "p.deliveries", "min.insync.replicas"))
	require.Equal(t, "compact", config(t, admin, "p.registry", "cleanup.policy"))
	require.Equal(t, "864000000", config(t, admin, "p.retry.24h", "retention.ms"))
}

func TestTopicsAlteredByHandAreRepaired(t *testing.T) {
	_, cfg, admin := topicsCluster(t, 3)
	require.NoError(t, kafka.EnsureTopics(t.Context(), cfg, kafka.PlanOptions{}))
	setConfig(t, admin, "p.outcomes", "retention.ms", "60000")
	setConfig(t, admin, "p.outcomes", "segment.ms", "1000")

	p := plan(t, cfg, kafka.PlanOptions{})
	require.Equal(t, []string{"outcomes"}, actions(p, kafka.TopicAlter))
	require.Equal(t, []kafka.TopicChange{{Key: "retention.ms", From: "60000", To: "777600000"}}, topicPlan(t, p, "outcomes").Changes)
	require.NoError(t, kafka.ApplyTopics(t.Context(), cfg, p))
	require.False(t, plan(t, cfg, kafka.PlanOptions{}).Changed())
	require.Equal(t, "1000", config(t, admin, "p.outcomes", "segment.ms"), "what is not declared is left alone")
}

func TestSmallClusterGetsFewerReplicasAndAWarning(t *testing.T) {
	for brokers, want := range map[int][2]string{1: {"1", "1 of 3 brokers"}, 2: {"1", "2 of 3 brokers"}} {
		_, cfg, admin := topicsCluster(t, brokers)
		p := plan(t, cfg, kafka.PlanOptions{})
		require.Len(t, p.Warnings, 1)
		require.Contains(t, p.Warnings[0], want[1])
		require.NoError(t, kafka.ApplyTopics(t.Context(), cfg, p))
		require.Equal(t, want[0], config(t, admin, "p.deliveries", "min.insync.replicas"))
		require.False(t, plan(t, cfg, kafka.PlanOptions{}).Changed())
	}
}

func TestPartitionsOfKeyedTopicsNeverChange(t *testing.T) {
	_, cfg, admin := topicsCluster(t, 3)
	require.NoError(t, kafka.EnsureTopics(t.Context(), cfg, kafka.PlanOptions{Partitions: 6}))
	require.Equal(t, 6, topicPlan(t, plan(t, cfg, kafka.PlanOptions{}), topics.EndpointStates).Partitions)

	p := plan(t, cfg, kafka.PlanOptions{})
	require.False(t, p.Changed(), "a count that was chosen at the start stays")
	require.NoError(t, p.Err())
	require.Len(t, p.Warnings, 1)
	require.Contains(t, p.Warnings[0], "p.deliveries has 6 partitions and is declared with 48")

	p = plan(t, cfg, kafka.PlanOptions{Partitions: 12})
	require.Equal(t, []string{"deliveries"}, actions(p, kafka.TopicRefuse))
	require.ErrorContains(t, p.Err(), "has 6 partitions: want 12")
	setConfig(t, admin, "p.audit", "retention.ms", "1")
	p = plan(t, cfg, kafka.PlanOptions{Partitions: 12})
	require.ErrorContains(t, kafka.ApplyTopics(t.Context(), cfg, p), "nothing was changed")
	require.Equal(t, "1", config(t, admin, "p.audit", "retention.ms"))
}

func TestOutcomesMustGoWithDeliveries(t *testing.T) {
	_, cfg, admin := topicsCluster(t, 3)
	_, err := admin.CreateTopics(t.Context(), 4, 3, nil, "p.outcomes", "p.events")
	require.NoError(t, err)
	p := plan(t, cfg, kafka.PlanOptions{})
	require.Equal(t, []string{"outcomes"}, actions(p, kafka.TopicRefuse))
	require.Contains(t, topicPlan(t, p, "outcomes").Problem, "has 4 partitions: want 48")
	require.Equal(t, 8, topicPlan(t, p, "events").AddPartitions, "events has no state and grows")

	p = plan(t, cfg, kafka.PlanOptions{Partitions: 4})
	require.NoError(t, kafka.ApplyTopics(t.Context(), cfg, p))
	require.Len(t, list(t, cfg)["p.events"].Partitions, 12)
}

func TestPlanSaysWhatTheClusterCannotDo(t *testing.T) {
	cluster, cfg, _ := topicsCluster(t, 3)
	cluster.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		create := req.(*kmsg.CreateTopicsRequest)
		if create.Topics[0].Topic != "p.audit" {
			return nil, nil, false
		}
		resp := create.ResponseKind().(*kmsg.CreateTopicsResponse)
		r := kmsg.NewCreateTopicsResponseTopic()
		r.Topic, r.ErrorCode = "p.audit", kerr.PolicyViolation.Code
		r.ErrorMessage = new("retention is too long")
		resp.Topics = append(resp.Topics, r)
		return resp, nil, true
	})
	p := plan(t, cfg, kafka.PlanOptions{})
	require.Equal(t, []string{"audit"}, actions(p, kafka.TopicRefuse))
	require.ErrorContains(t, p.Err(), "topic p.audit: creating: POLICY_VIOLATION")
	require.ErrorContains(t, p.Err(), "retention is too long")
}

func TestPlanEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, cfg, _ := topicsCluster(t, 1)
	_, err := kafka.PlanTopics(ctx, cfg, topics.All(), kafka.PlanOptions{})
	require.ErrorIs(t, err, context.Canceled)
}

func TestPlanAsJSON(t *testing.T) {
	_, cfg, _ := topicsCluster(t, 3)
	text, err := json.Marshal(plan(t, cfg, kafka.PlanOptions{}).Topics[0])
	require.NoError(t, err)
	require.JSONEq(t, `{"topic":"p.events","action":"create","partitions":12,"replicas":3,"changes":[
		{"key":"cleanup.policy","to":"delete"},{"key":"max.message.bytes","to":"1179648"},
		{"key":"min.insync.replicas","to":"2"},{"key":"retention.ms","to":"777600000"}]}`, string(text))
}
