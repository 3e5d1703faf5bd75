package app

import (
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/topics"
)

// AddDisabler adds the role, a part of the API's process, that brings to the registry what the deliverers decided:
//
//	operational ──▶ group "disabler" ──▶ endpoint.disabled, automatic ──▶ registry
func (a *App) AddDisabler(to pipeline.SubscriptionDisabler) error {
	disabler := pipeline.NewDisabler(pipeline.DisablerOptions{Log: a.opts.Log, Metrics: a.metrics}, to)
	group, err := kafka.NewGroup(a.conf.Kafka.For("disabler", a.opts.Metrics),
		a.groupOptions("disabler", a.topics.Name(topics.Operational)), disabler)
	if err != nil {
		return err
	}
	_, failed := failures()
	a.role("disabler", group, nil, failed, func() {}, func() {})
	return nil
}
