package kafka

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/plugin/kprom"

	"github.com/postrider/postrider/topics"
)

// DialFunc opens a connection to a broker.
type DialFunc = func(ctx context.Context, network, host string) (net.Conn, error)

// maxRecordBytes is the largest record batch a producer makes: the event limit of 1 MiB and 128 KiB for headers, as the
// internal topics allow.
const maxRecordBytes = 1<<20 + 128<<10

// reachTimeout bounds the first contact with the cluster; a wrong address is told within it.
const reachTimeout = 10 * time.Second

// NewClient returns a client for c with the options all of Postrider's producers share: acks from all in-sync replicas,
// idempotent, no record lost to a timeout. Extra options come last and win.
func NewClient(c Config, extra ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.Options()
	if err != nil {
		return nil, err
	}
	opts = append(opts,
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(maxRecordBytes),
		kgo.ProducerLinger(usualLinger),
		// Snappy shrinks these records as far as LZ4 does, and franz-go's LZ4 holds 4 MiB a writer.
		kgo.ProducerBatchCompression(kgo.SnappyCompression(), kgo.NoCompression()),
		kgo.MaxBufferedRecords(maxBuffered),
		kgo.RecordPartitioner(newPartitioner(nil)), // Kafka's own, so that keys land where other clients put them
	)
	if c.Metrics != nil {
		opts = append(opts, kgo.WithHooks(kprom.NewMetrics("postrider_kafka", kprom.Registerer(c.Metrics),
			kprom.WithStaticLabel(prometheus.Labels{"client": c.ClientID}))))
	}
	client, err := kgo.NewClient(append(opts, extra...)...)
	if err != nil {
		return nil, fmt.Errorf("making Kafka client: %w", err)
	}
	return client, nil
}

// Reach returns nil once a broker answered and all the wanted topics exist, or one error, a line, that says what is
// missing, after 10 s at most.
func Reach(ctx context.Context, c Config, wanted ...string) error {
	client, err := NewClient(c)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	if err := client.Ping(ctx); err != nil {
		return fmt.Errorf("kafka.brokers: %v cannot be reached: %w", c.Brokers, err)
	}
	absent, err := missing(ctx, client, slices.Compact(slices.Sorted(slices.Values(wanted))))
	if err != nil {
		return fmt.Errorf("listing topics at %v: %w", c.Brokers, err)
	}
	var own, others []string
	for _, topic := range absent {
		if declared(c.Prefix, topic) {
			own = append(own, topic)
		} else {
			others = append(others, topic)
		}
	}
	switch {
	case len(own) > 0:
		return fmt.Errorf("topics %v do not exist: run 'postrider topics apply' first", append(own, others...))
	case len(others) > 0:
		return fmt.Errorf("topics %v do not exist: create them, since Postrider only creates its own", others)
	}
	return nil
}

// missing returns those of the topics that do not exist. One that this client may not know of counts as there: whoever reads or
// writes it is told then, and nobody else has to be allowed to.
func missing(ctx context.Context, client *kgo.Client, wanted []string) (topics []string, err error) {
	if len(wanted) == 0 {
		return nil, nil // no names would be all
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, topic := range wanted {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = &topic
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return nil, err
	}
	for _, t := range resp.Topics {
		if errors.Is(kerr.ErrorForCode(t.ErrorCode), kerr.UnknownTopicOrPartition) {
			topics = append(topics, *t.Topic)
		}
	}
	return topics, nil
}

// declared tells whether a topic is one of Postrider's own.
func declared(prefix, topic string) bool {
	return slices.ContainsFunc(topics.All(), func(t topics.Topic) bool { return prefix+t.Name == topic })
}

// Partitions returns how many partitions a topic has.
func Partitions(ctx context.Context, c Config, topic string) (int32, error) {
	client, err := NewClient(c)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	details, err := kadm.NewClient(client).ListTopics(ctx, topic)
	if err != nil {
		return 0, fmt.Errorf("listing topics at %v: %w", c.Brokers, err)
	}
	if !details.Has(topic) {
		return 0, fmt.Errorf("topic %s does not exist: run 'postrider topics apply' first", topic)
	}
	return int32(len(details[topic].Partitions)), nil //nolint:gosec // Kafka counts partitions in 32 bits
}
