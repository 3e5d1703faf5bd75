package broker

import (
	"fmt"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/test/kafkatest"
	"github.com/postrider/postrider/topics"
)

// installation returns a configuration with a prefix of its own in the shared cluster, and an admin client.
func installation(t *testing.T) (kafka.Config, *kadm.Client) {
	t.Helper()
	cfg := kafka.Config{Brokers: kafkatest.Shared(t), Prefix: fmt.Sprintf("topics-%s.", uuid.NewString()[:8])}
	client, err := kafka.NewClient(cfg)
	require.NoError(t, err)
	t.Cleanup(client.Close)
	return cfg, kadm.NewClient(client)
}

func planTopics(t *testing.T, cfg kafka.Config, partitions int) kafka.TopicsPlan {
	t.Helper()
	p, err := kafka.PlanTopics(t.Context(), cfg, topics.All(), kafka.PlanOptions{Partitions: partitions})
	require.NoError(t, err)
	return p
}

// topicConfigs returns all settings of a topic.
func topicConfigs(t *testing.T, admin *kadm.Client, topic string) map[string]string {
	t.Helper()
	rs, err := admin.DescribeTopicConfigs(t.Context(), topic)
	require.NoError(t, err)
	r, err := rs.On(topic, nil)
	require.NoError(t, err)
	require.NoError(t, r.Err)
	configs := make(map[string]string, len(r.Configs))
	for _, c := range r.Configs {
		configs[c.Key] = c.MaybeValue()
	}
	return configs
}

func setTopicConfig(t *testing.T, admin *kadm.Client, topic, key, value string) {
	t.Helper()
	rs, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, topic)
	require.NoError(t, err)
	r, err := rs.On(topic, nil)
	require.NoError(t, err)
	require.NoError(t, r.Err)
}

func TestKafkaHasEveryTopicAsDeclared(t *testing.T) {
	cfg, admin := installation(t)
	p := planTopics(t, cfg, 4)
	require.NoError(t, p.Err(), "the cluster checked every topic")
	require.NoError(t, kafka.ApplyTopics(t.Context(), cfg, p))

	p = planTopics(t, cfg, 0)
	require.False(t, p.Changed(), "%+v", p)
	require.NoError(t, p.Err())
	for _, declared := range topics.All() {
		t.Run(declared.Name, func(t *testing.T) {
			configs := topicConfigs(t, admin, cfg.Prefix+declared.Name)
			for key, want := range declared.Configs() {
				require.Equal(t, want, configs[key], key)
			}
		})
	}
	registry := topicConfigs(t, admin, cfg.Prefix+topics.Registry)
	require.Equal(t, "compact", registry["cleanup.policy"])
	require.Equal(t, "777600000", registry["min.compaction.lag.ms"])
	require.Equal(t, "864000000", topicConfigs(t, admin, cfg.Prefix+"retry.24h")["retention.ms"])
}

func TestKafkaTopicAlteredByHandIsRepaired(t *testing.T) {
	cfg, admin := installation(t)
	require.NoError(t, kafka.ApplyTopics(t.Context(), cfg, planTopics(t, cfg, 2)))
	outcomes := cfg.Prefix + topics.Outcomes
	setTopicConfig(t, admin, outcomes, "retention.ms", "60000")
	setTopicConfig(t, admin, outcomes, "segment.ms", "600000")

	p := planTopics(t, cfg, 2)
	var changed []kafka.TopicPlan
	for _, tp := range p.Topics {
		if tp.Action != kafka.TopicKeep {
			changed = append(changed, tp)
		}
	}
	require.Len(t, changed, 1)
	require.Equal(t, outcomes, changed[0].Topic)
	require.Equal(t, []kafka.TopicChange{{Key: "retention.ms", From: "60000", To: "777600000"}}, changed[0].Changes)
	require.NoError(t, kafka.ApplyTopics(t.Context(), cfg, p))
	require.False(t, planTopics(t, cfg, 2).Changed())
	require.Equal(t, "600000", topicConfigs(t, admin, outcomes)["segment.ms"], "what is not declared is left alone")
}

func TestKafkaPartitionsOfKeyedTopicsStay(t *testing.T) {
	cfg, admin := installation(t)
	require.NoError(t, kafka.ApplyTopics(t.Context(), cfg, planTopics(t, cfg, 2)))
	p := planTopics(t, cfg, 3)
	require.ErrorContains(t, p.Err(), "has 2 partitions: want 3")
	require.ErrorContains(t, kafka.ApplyTopics(t.Context(), cfg, p), "nothing was changed")
	details, err := admin.ListTopics(t.Context(), cfg.Prefix+topics.Deliveries)
	require.NoError(t, err)
	require.Len(t, details[cfg.Prefix+topics.Deliveries].Partitions, 2)
}

func TestKafkaRefusesAtPlanTimeWhatItCannotDo(t *testing.T) {
	cfg, _ := installation(t)
	broken := topics.All()[0]
	broken.Cleanup = "shred"
	p, err := kafka.PlanTopics(t.Context(), cfg, []topics.Topic{broken}, kafka.PlanOptions{})
	require.NoError(t, err)
	require.ErrorContains(t, p.Err(), "creating: INVALID_CONFIG")
	require.ErrorContains(t, p.Err(), "shred")
}
