package app

import (
	"context"
	"errors"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
)

// Publishing is what the API needs to publish events, and to read them and what became of them again. Close it when no request is left.
type Publishing struct {
	Publisher *pipeline.Publisher
	Reader    *pipeline.EventReader
	Resender  *pipeline.Resender
	Outcomes  *pipeline.OutcomeReader
	out       *kafka.Producer
	fetcher   *kafka.Fetcher
}

// Publishing opens it:
//
//	Publisher ──▶ Redis: is the id free? ──▶ events, or deliveries of one subscription ──▶ Redis: found at once
//	Reader    ◀── source topics and deliveries, at the positions that the index has
//	Resender  ◀── the same ──▶ deliveries
//	Outcomes  ◀── outcomes, at the positions that the views have
//
// It needs [Options].Views.
func (a *App) Publishing() (*Publishing, error) {
	if a.opts.Views == nil {
		return nil, errors.New("publishing: needs Redis")
	}
	sources, err := newSources(a.conf.AllSources())
	if err != nil {
		return nil, err
	}
	p := &Publishing{}
	if p.out, err = kafka.NewProducer(a.conf.Kafka.For("publisher", a.opts.Metrics), kafka.ProducerOptions{}); err != nil {
		return nil, err
	}
	if p.fetcher, err = kafka.NewFetcher(a.conf.Kafka.For("event-reader", a.opts.Metrics)); err != nil {
		return nil, err
	}
	p.Publisher, err = pipeline.NewPublisher(pipeline.PublisherOptions{
		Topics: a.topics, Log: a.opts.Log, Metrics: a.metrics, IndexTimeout: a.conf.Redis.CallTimeout,
	}, p.out, a.opts.Views)
	if err != nil {
		return nil, err
	}
	p.Reader = pipeline.NewEventReader(pipeline.EventReaderOptions{Topics: a.topics, Decoder: sources.decoder}, p.fetcher)
	p.Outcomes = pipeline.NewOutcomeReader(a.topics, p.fetcher, p.fetcher, a.opts.Views)
	p.Resender = &pipeline.Resender{
		Sender: pipeline.Sender{Topics: a.topics, Out: p.out}, Decoder: sources.decoder, Records: p.fetcher,
	}
	return p, nil
}

// Close waits until what is being published is acknowledged or ctx ends, and closes the connections.
func (p *Publishing) Close(ctx context.Context) error {
	p.fetcher.Close()
	return p.out.Close(ctx)
}
