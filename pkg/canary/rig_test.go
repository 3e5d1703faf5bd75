package canary

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
)

// objects is the log of a registry that holds these.
type objects []any

func (o objects) Start(context.Context) (int64, error) { return 0, nil }
func (o objects) End(context.Context) (int64, error)   { return int64(len(o)), nil }
func (o objects) Read(_ context.Context, from int64, yield func(int64, []byte, []byte)) (int64, error) {
	for i := from; i < int64(len(o)); i++ {
		var key string
		switch v := o[i].(type) {
		case *subscription.Tenant:
			key = "tenant/" + v.ID.UUID()
		case *subscription.Subscription:
			key = "subscription/" + v.ID.UUID()
		}
		value, err := json.Marshal(o[i])
		if err != nil {
			return from, err
		}
		yield(i, []byte(key), value)
	}
	return int64(len(o)), nil
}

// rig is a canary in surroundings that do as they are told.
type rig struct {
	*Canary
	t    *testing.T
	snap *registry.Snapshot

	mu     sync.Mutex
	writes int
	refuse error // of writes
	sent   []pipeline.Publication
	down   error // Kafka
	rows   []outcome.Outcome
	unsure bool
	asked  []ident.ID
}

func newRig(t *testing.T, change ...func(*subscription.Subscription)) *rig {
	t.Helper()
	r := &rig{t: t}
	r.Canary = New(Options{
		Interval: 10 * time.Second, LostAfter: time.Minute, URL: "http://api/canary", Instance: "api-1", Registry: r, Publisher: r, History: r,
		Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry(),
	})
	sub, err := r.subscription(nil)
	require.NoError(t, err)
	for _, c := range change {
		c(sub)
	}
	r.hold(&subscription.Tenant{ID: Tenant, UID: UID}, sub)
	return r
}

// hold makes the registry hold these.
func (r *rig) hold(all ...any) {
	r.t.Helper()
	view, err := registry.Open(r.t.Context(), objects(all), registry.Options{})
	require.NoError(r.t, err)
	r.snap = view.Snapshot()
}

func (r *rig) Snapshot() *registry.Snapshot { return r.snap }

func (r *rig) Apply(context.Context, audit.Actor, ...registry.Change) (registry.Result, error) {
	r.writes++
	return registry.Result{}, r.refuse
}

func (r *rig) Publish(_ context.Context, p pipeline.Publication) (pipeline.Published, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down == nil {
		r.sent = append(r.sent, p)
	}
	return pipeline.Published{}, r.down
}

func (r *rig) Of(_ context.Context, d *delivery.Delivery, _, _ time.Time) ([]outcome.Outcome, bool, error) {
	r.asked = append(r.asked, d.ID)
	return r.rows, !r.unsure, nil
}
