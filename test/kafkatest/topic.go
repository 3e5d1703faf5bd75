package kafkatest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicLimit bounds making a topic; it takes milliseconds on an idle broker, and
// seconds behind hundreds of partitions that another test makes.
const topicLimit = 3 * time.Minute

// CreateTopic makes a topic and returns when every broker serves it. The options
// are those of a client of the cluster; a negative number of partitions means the
// cluster's default, and so do configs that are not given.
//
// A created topic is not there at once: a broker that is busy with other topics
// learns of it a second later, and by then a producer has given up.
func CreateTopic(tb testing.TB, topic string, partitions int32, configs map[string]*string, opts ...kgo.Opt) {
	tb.Helper()
	client, err := kgo.NewClient(opts...)
	if err != nil {
		tb.Fatalf("creating topic %s: %v", topic, err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(tb.Context(), topicLimit)
	defer cancel()
	if _, err := kadm.NewClient(client).CreateTopic(ctx, partitions, -1, configs, topic); err != nil {
		tb.Fatalf("creating topic %s: %v", topic, err)
	}
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		err := served(ctx, client, topic)
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			tb.Fatalf("waiting for topic %s: %v (last: %v)", topic, ctx.Err(), err)
		}
	}
}

// served asks every broker for the topic and checks that it knows all leaders.
func served(ctx context.Context, client *kgo.Client, topic string) error {
	all := kmsg.NewPtrMetadataRequest()
	all.Topics = []kmsg.MetadataRequestTopic{}
	cluster, err := all.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, b := range cluster.Brokers {
		req, asked := kmsg.NewPtrMetadataRequest(), kmsg.NewMetadataRequestTopic()
		asked.Topic = &topic
		req.Topics = append(req.Topics, asked)
		meta, err := req.RequestWith(ctx, client.Broker(int(b.NodeID)))
		if err != nil {
			return fmt.Errorf("asking broker %d: %w", b.NodeID, err)
		}
		for _, t := range meta.Topics {
			if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
				return fmt.Errorf("broker %d: %w", b.NodeID, err)
			}
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil || p.Leader < 0 {
					return fmt.Errorf("broker %d, partition %d: leader %d, error %w", b.NodeID, p.Partition, p.Leader, err)
				}
			}
		}
	}
	return nil
}
