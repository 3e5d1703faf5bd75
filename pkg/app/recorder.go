package app

import (
	"context"
	"errors"
	"time"

	"github.com/postrider/postrider/pkg/config"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

const recorderRole = "recorder"

// recorderCollects is how long brokers may collect records for the recorder: with what it gathers itself, views are half a second late.
const recorderCollects = 200 * time.Millisecond

// AddRecorder adds the role that fills the views in Redis:
//
//	source topics ──▶ group "recorder" ──▶ decoder of the topic's source ──▶ Redis
//	outcomes ───────▶      the same    ──▶ rows ──▶ Redis ──▶ statuses
//	statuses ───────▶      the same    ──▶ Redis
//
// It needs [Options].Views.
func (a *App) AddRecorder(ctx context.Context) error {
	if a.opts.Views == nil {
		return errors.New("recorder: needs Redis")
	}
	view, err := a.View(ctx)
	if err != nil {
		return err
	}
	sources, err := newSources(a.conf.AllSources())
	if err != nil {
		return err
	}
	own := []string{a.topics.Name(topics.Outcomes), a.topics.Name(topics.Statuses)}
	if err := kafka.Reach(ctx, a.conf.Kafka, own...); err != nil {
		return err
	}
	out, err := kafka.NewProducer(a.conf.Kafka.For(recorderRole+"-producer", a.opts.Metrics), kafka.ProducerOptions{})
	if err != nil {
		return err
	}
	if text, err := a.opts.Views.OtherLayout(ctx); err == nil && text != "" { // Redis may be away; the recorder waits for it
		a.opts.Log.WarnContext(ctx, "the views of attempts are not whole", "reason", text)
	}
	recorder := pipeline.NewRecorder(pipeline.RecorderOptions{
		Decoder: sources.decoder, Topics: a.topics, Log: a.opts.Log, Metrics: a.metrics,
	}, view, a.opts.Views, out)
	if a.opts.Metrics != nil {
		if err := a.opts.Metrics.Register(recorder.Collector()); err != nil {
			return err
		}
	}
	opts := a.groupOptions(recorderRole, sources.and(own)...)
	opts.Pattern, opts.Collect = sources.pattern, recorderCollects
	group, err := kafka.NewGroup(a.conf.Kafka.For(recorderRole, a.opts.Metrics), opts, recorder)
	if err != nil {
		return err
	}
	_, failed := failures()
	a.role(recorderRole, group, out, failed, func() {}, func() {})
	a.followers = append(a.followers, recorderRole)
	return nil
}

// RebuildViews deletes what the recorder made of outcomes and lets it read all of its topics from their start when it runs
// next, so that the views are made again. No recorder may be running; that is the error if one is.
func RebuildViews(ctx context.Context, conf *config.Config) error {
	topic := pipeline.Topics{Prefix: conf.Kafka.Prefix}
	if err := kafka.Reach(ctx, conf.Kafka, topic.Name(topics.Outcomes), topic.Name(topics.Statuses)); err != nil {
		return err
	}
	// First the group, which says whether a recorder runs: it would write into what is being deleted.
	if err := kafka.ForgetGroup(ctx, conf.Kafka, conf.Kafka.Prefix+recorderRole); err != nil {
		return err
	}
	views, err := OpenViews(conf, nil)
	if err != nil {
		return err
	}
	return errors.Join(views.ForgetOutcomes(ctx), views.Close())
}
