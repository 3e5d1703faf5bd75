package app

import (
	"context"
	"errors"

	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
)

const recorderRole = "recorder"

// AddRecorder adds the role that fills the index of events:
//
//	source topics ──▶ group "recorder" ──▶ decoder of the topic's source ──▶ Redis
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
	recorder := pipeline.NewRecorder(pipeline.RecorderOptions{
		Decoder: sources.decoder, Log: a.opts.Log, Metrics: a.metrics,
	}, view, a.opts.Views)
	opts := a.groupOptions(recorderRole, sources.topics...)
	opts.Pattern = sources.pattern
	group, err := kafka.NewGroup(a.conf.Kafka.For(recorderRole, a.opts.Metrics), opts, recorder)
	if err != nil {
		return err
	}
	_, failed := failures()
	a.role(recorderRole, group, nil, failed, func() {}, func() {})
	a.followers = append(a.followers, recorderRole)
	return nil
}

// Rebuild lets the recorder read its topics from their start when it runs next, so that an index which Redis lost is made
// again. No recorder may be running.
func (a *App) Rebuild(ctx context.Context) error {
	return kafka.ForgetGroup(ctx, a.conf.Kafka, a.conf.Kafka.Prefix+recorderRole)
}
