package app

import (
	"context"
	"errors"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/topics"
)

// AddDisabler adds the role, a part of the API's process, that brings to the registry what the deliverers decided:
//
//	operational ──▶ group "disabler" ──▶ endpoint.disabled, automatic ──▶ registry.Store
//
// Who owns a partition there also tells its tenants of failures, see withNotices.
func (a *App) AddDisabler(ctx context.Context) error {
	store, err := a.Store(ctx)
	if err != nil {
		return err
	}
	stage := pipeline.NewDisabler(pipeline.DisablerOptions{Log: a.opts.Log, Metrics: a.metrics}, disabler{store})
	handler, err := a.withNotices(ctx, stage)
	if err != nil {
		return err
	}
	group, err := kafka.NewGroup(a.conf.Kafka.For("disabler", a.opts.Metrics),
		a.groupOptions("disabler", a.topics.Name(topics.Operational)), handler)
	if err != nil {
		return err
	}
	_, failed := failures()
	a.role("disabler", group, nil, failed, func() {}, func() {})
	return nil
}

// disabler writes to the registry what a deliverer decided.
type disabler struct{ store *registry.Store }

// Disable disables a subscription unless it was enabled again, disabled or deleted since.
func (d disabler) Disable(ctx context.Context, id ident.ID, why pipeline.Disabling) error {
	for {
		old, ok := d.store.Snapshot().Subscription(id)
		if !ok || old.Disabled || old.Generation != why.Generation {
			return nil
		}
		s := *old
		s.Disabled, s.Locked, s.DisabledReason = true, why.Lock, why.Reason
		_, err := d.store.Apply(ctx, audit.Actor{Kind: audit.ActorSystem, Name: "deliverer: " + why.Reason}, registry.PutSubscription(&s))
		if _, changed := errors.AsType[*registry.ConflictError](err); !changed {
			return err
		}
	}
}
