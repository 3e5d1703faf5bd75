package main

import (
	"context"
	"time"

	"github.com/postrider/postrider/test/internal/rig"
	"github.com/postrider/postrider/test/verify/history"
)

// patient retries every second or so for as long as a check lasts.
var patient = rig.Subscription{Retry: rig.Retry{Every: time.Second, MaxTries: 100}}

// tenants makes n tenants with m subscriptions each, all like the given one and each with an endpoint of its own.
func (in *installation) tenants(n, m int, like rig.Subscription) []rig.Tenant {
	return rig.Tenants(n, m, func(s *rig.Subscription) {
		id := s.ID
		*s = like
		s.ID, s.URL = id, in.endpoints.url+id
	})
}

// apply writes subscriptions and adds them to the history.
func (in *installation) apply(ctx context.Context, all []rig.Tenant) error {
	if err := in.Apply(ctx, all); err != nil {
		return err
	}
	for _, t := range all {
		for _, s := range t.Subscriptions {
			in.history.Subscriptions = append(in.history.Subscriptions, history.Subscription{
				ID: s.ID, Tenant: t.UID, Types: s.Types, Lives: []history.Life{{From: time.Now()}}, MaxTries: s.Retry.MaxTries,
			})
		}
	}
	return nil
}
