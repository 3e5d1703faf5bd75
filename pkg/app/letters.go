package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// Letters are what waits for a person: dead letters and rejected records. Close them.
type Letters struct {
	Dead     *pipeline.DeadLetters
	Rejected *pipeline.RejectedRecords
	History  History
	Audit    AuditWriter
	out      *kafka.Producer
	fetcher  *kafka.Fetcher
	// users are the roles beside the API that need them to their end.
	users sync.WaitGroup
}

// Letters opens them:
//
//	deadletters ──▶ fold of the open ones ──▶ Redrive ──▶ deliveries, and a mark in deadletters
//	                                      └─▶ Discard ──▶ a mark in deadletters
//	rejected    ──▶ fold of the open ones ──▶ Reingest ──▶ source topics, and a mark in rejected
//	outcomes    ──▶ History, by the index in Redis if that has them
func (a *App) Letters(ctx context.Context) (*Letters, error) {
	view, err := a.View(ctx)
	if err != nil {
		return nil, err
	}
	sources, err := newSources(a.conf.AllSources())
	if err != nil {
		return nil, err
	}
	dead, rejected := a.topics.Name(topics.DeadLetters), a.topics.Name(topics.Rejected)
	l := &Letters{}
	// Marks go to the partitions of what they close.
	if l.out, err = kafka.NewProducer(a.conf.Kafka.For("letters", a.opts.Metrics), kafka.ProducerOptions{Pinned: []string{dead, rejected}}); err != nil {
		return nil, err
	}
	if l.fetcher, err = kafka.NewFetcher(a.conf.Kafka.For("letter-reader", a.opts.Metrics)); err != nil {
		return nil, err
	}
	tail := func(topic string) func() (pipeline.TopicTail, error) {
		return func() (pipeline.TopicTail, error) { return kafka.OpenTail(a.conf.Kafka, topic) }
	}
	l.Dead = pipeline.NewDeadLetters(pipeline.DeadLettersOptions{
		Topics: a.topics, Tail: tail(dead), From: l.fetcher, Out: l.out, Registry: view, Log: a.opts.Log,
	})
	l.Rejected = pipeline.NewRejectedRecords(pipeline.RejectedRecordsOptions{
		Topics: a.topics, Tail: tail(rejected), From: l.fetcher, Out: l.out, Decoder: sources.decoder, Log: a.opts.Log,
	})
	l.History = History{pipeline.Histories{Topics: a.topics, From: kafka.NewReader(a.conf.Kafka), Records: l.fetcher}}
	if a.opts.Views != nil {
		l.History.from.Index = a.opts.Views
	}
	l.Audit = AuditWriter{topic: a.topics.Name(topics.Audit), out: l.out}
	return l, nil
}

// Run follows the topics until ctx ends.
func (l *Letters) Run(ctx context.Context) error {
	following, ctx := errgroup.WithContext(ctx)
	following.Go(func() error { return l.Dead.Run(ctx) })
	following.Go(func() error { return l.Rejected.Run(ctx) })
	return following.Wait()
}

// usersTimeout bounds the wait for the tasks role, which may take as long to leave its group.
const usersTimeout = 20 * time.Second

// Close waits until nobody uses them, for 20 s at most, and for 5 s until what is being written is acknowledged, and closes the
// connections. A task that ends its step would fail without them.
func (l *Letters) Close(ctx context.Context) error {
	using, done := context.WithTimeout(ctx, usersTimeout)
	defer done()
	left := make(chan struct{})
	go func() {
		l.users.Wait()
		close(left)
	}()
	select {
	case <-left:
	case <-using.Done():
	}
	l.fetcher.Close()
	return flushed(ctx, l.out.Close)
}

// History reads what was tried of a delivery.
type History struct{ from pipeline.Histories }

// historyTimeout bounds a look into the outcomes; a history that takes longer is not shown.
const historyTimeout = 10 * time.Second

// Of implements api.History.
func (h History) Of(ctx context.Context, d *delivery.Delivery, from, to time.Time) ([]outcome.Outcome, bool, error) {
	bounded, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	rows, complete, err := h.from.Of(bounded, d, from, to)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		return nil, false, nil
	}
	return rows, complete, err
}

// AuditWriter writes audit entries of what changes no object of the registry.
type AuditWriter struct {
	topic string
	out   pipeline.Producer
}

// auditTimeout bounds the wait for Kafka: who asked for what is written down has done it, and waits for the answer.
const auditTimeout = 10 * time.Second

// Write implements api.AuditWriter. It returns when Kafka has the entries, or with an error after 10 s.
func (w AuditWriter) Write(ctx context.Context, entries ...audit.Entry) error {
	ctx, cancel := context.WithTimeout(ctx, auditTimeout)
	defer cancel()
	done := make(chan error, len(entries))
	for _, e := range entries {
		value, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("encoding audit entry: %w", err)
		}
		key := operatorKey
		if !e.Tenant.IsZero() {
			key = e.Tenant.UUID()
		}
		w.out.Produce(ctx, &kafka.Record{
			Topic: w.topic, Key: []byte(key), Value: value, Headers: []kafka.Header{{Key: "content-type", Value: []byte("application/json")}},
		}, func(_ *kafka.Record, err error) { done <- err })
	}
	var errs []error
	for range entries {
		select {
		case err := <-done:
			errs = append(errs, err)
		case <-ctx.Done():
			return fmt.Errorf("writing audit entries: %w", ctx.Err())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("writing audit entries: %w", err)
	}
	return nil
}
