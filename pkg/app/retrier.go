package app

import (
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
)

const retrierRole = "retrier"

// waitingFetch is how much of a waiting partition is in memory: a fetch, in bytes. There are eight times as many
// partitions of retry tiers as of deliveries.
const waitingFetch = 64 << 10

// AddRetrier adds the role that moves records back to deliveries when they are due:
//
//	retry.1s … retry.24h ──▶ group "retrier" ──▶ timer ──▶ the next tier, or deliveries
//
// Of the registry it reads what is paused alone.
func (a *App) AddRetrier() error {
	out, err := kafka.NewProducer(a.conf.Kafka.For("retrier-producer", a.opts.Metrics), kafka.ProducerOptions{})
	if err != nil {
		return err
	}
	fail, failed := failures()
	retrier := pipeline.NewRetrier(pipeline.RetrierOptions{
		Topics: a.topics, Buffer: a.conf.Retrier.Buffer, Tracer: a.opts.Tracer, Log: a.opts.Log, Metrics: a.metrics,
	}, out, fail)
	opts := a.groupOptions(retrierRole, a.topics.RetryTopics()...)
	opts.MaxPartitionBytes = waitingFetch
	group, err := kafka.NewGroup(a.conf.Kafka.For("retrier", a.opts.Metrics), opts, retrier)
	if err != nil {
		return err
	}
	a.role(retrierRole, group, out, failed, retrier.Start, retrier.Stop).stop = retrier.SetStopped
	a.followers = append(a.followers, retrierRole)
	return nil
}
