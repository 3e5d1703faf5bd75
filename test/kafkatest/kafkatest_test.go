package kafkatest_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/postrider/postrider/test/kafkatest"
)

func TestMain(m *testing.M) { os.Exit(kafkatest.Main(m)) }

// limit bounds every step against a broker; each takes well under a second
// unless it has to wait for a lost broker to be noticed, or the machine is busy.
const limit = 3 * time.Minute

func TestKafkaSharedCarriesARecord(t *testing.T) {
	t.Parallel()
	brokers := kafkatest.Shared(t)
	require.Equal(t, brokers, kafkatest.Shared(t))
	topic := "kafkatest-" + rand.Text() // the broker may outlive this run
	kafkatest.CreateTopic(t, topic, 1, nil, kgo.SeedBrokers(brokers...))
	carry(t, topic, "first", kgo.SeedBrokers(brokers...))
}

func TestKafkaKeepsItsDataOverARestart(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Options{Properties: map[string]string{"num.partitions": "7"}})
	kafkatest.CreateTopic(t, "kept", -1, nil, c.ClientOpts()...)
	require.Len(t, describe(t, "kept", c).Partitions, 7, "the extra property")
	produce(t, "kept", "before", c.ClientOpts()...)
	addresses := c.Brokers()

	require.NoError(t, c.Stop(0))
	require.NoError(t, c.Restart(0))
	require.Equal(t, addresses, c.Brokers())
	require.Equal(t, "before", consume(t, "kept", c.ClientOpts()...))

	require.NoError(t, c.Kill(0))
	require.NoError(t, c.Restart(0))
	require.Equal(t, "before", consume(t, "kept", c.ClientOpts()...))

	require.NoError(t, c.Pause(0))
	require.NoError(t, c.Resume(0))
	require.Equal(t, "before", consume(t, "kept", c.ClientOpts()...))
}

func TestKafkaOfThreeSurvivesTheLossOfOne(t *testing.T) {
	t.Parallel()
	c := kafkatest.Start(t, kafkatest.Options{Brokers: 3})
	require.Len(t, c.Brokers(), 3)
	kafkatest.CreateTopic(t, "replicated", 1, nil, c.ClientOpts()...)
	leader := int(describe(t, "replicated", c).Partitions[0].Leader) - 1

	require.NoError(t, c.Kill(leader))
	produce(t, "replicated", "without one", c.ClientOpts()...)
	require.NoError(t, c.Restart(leader))
	require.Equal(t, "without one", consume(t, "replicated", c.ClientOpts()...))
}

func TestKafkaAsksForTheRightPassword(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []kafkatest.Mechanism{kafkatest.ScramSHA256, kafkatest.Plain} {
		t.Run(string(mechanism), func(t *testing.T) {
			t.Parallel()
			c := kafkatest.Start(t, kafkatest.Options{
				TLS:  true,
				SASL: &kafkatest.SASL{Mechanism: mechanism, User: "rider", Password: `pa"ss\word`},
			})
			kafkatest.CreateTopic(t, "guarded", 1, nil, c.ClientOpts()...)
			carry(t, "guarded", "secret", c.ClientOpts()...)

			wrong := plain.Auth{User: c.User(), Pass: "wrong"}.AsMechanism()
			if mechanism == kafkatest.ScramSHA256 {
				wrong = scram.Auth{User: c.User(), Pass: "wrong"}.AsSha256Mechanism()
			}
			authority, err := os.ReadFile(c.CAFile())
			require.NoError(t, err)
			pool := x509.NewCertPool()
			require.True(t, pool.AppendCertsFromPEM(authority))
			client, err := kgo.NewClient(kgo.SeedBrokers(c.Brokers()...), kgo.SASL(wrong),
				kgo.DialTLSConfig(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}))
			require.NoError(t, err)
			defer client.Close()
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			require.ErrorIs(t, client.Ping(ctx), kerr.SaslAuthenticationFailed)
		})
	}
}

func TestKafkaOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]kafkatest.Options{
		"negative":       {Brokers: -1},
		"no such broker": {BrokerProperties: map[int]map[string]string{1: {}}},
		"mechanism":      {SASL: &kafkatest.SASL{Mechanism: "GSSAPI", User: "u", Password: "p"}},
		"no password":    {SASL: &kafkatest.SASL{Mechanism: kafkatest.Plain, User: "u"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := kafkatest.Launch(t.Context(), options)
			require.ErrorContains(t, err, "options of Kafka cluster")
		})
	}
}

func TestKafkaShowsTheLogOfABrokerThatDoesNotStart(t *testing.T) {
	t.Parallel()
	_, err := kafkatest.Launch(t.Context(), kafkatest.Options{
		Properties: map[string]string{"authorizer.class.name": "no.such.Authorizer"},
	})
	require.ErrorContains(t, err, "has ended; its log:")
	require.ErrorContains(t, err, "no.such.Authorizer")
}

func carry(t *testing.T, topic, value string, opts ...kgo.Opt) {
	t.Helper()
	produce(t, topic, value, opts...)
	require.Equal(t, value, consume(t, topic, opts...))
}

func describe(t *testing.T, topic string, c *kafkatest.Cluster) kadm.TopicDetail {
	t.Helper()
	adm, ctx := admin(t, c.ClientOpts()...)
	topics, err := adm.ListTopics(ctx, topic)
	require.NoError(t, err)
	return topics[topic]
}

func admin(t *testing.T, opts ...kgo.Opt) (*kadm.Client, context.Context) {
	t.Helper()
	client, err := kgo.NewClient(opts...)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(func() { cancel(); client.Close() })
	return kadm.NewClient(client), ctx
}

func produce(t *testing.T, topic, value string, opts ...kgo.Opt) {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.RequiredAcks(kgo.AllISRAcks()))...)
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	require.NoError(t, client.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: []byte(value)}).FirstErr())
}

// consume returns the first record of the topic.
func consume(t *testing.T, topic string, opts ...kgo.Opt) string {
	t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.ConsumeTopics(topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))...)
	require.NoError(t, err)
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for {
		fetches := client.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		if records := fetches.Records(); len(records) > 0 {
			return string(records[0].Value)
		}
	}
}
