// Package canary sends events of a tenant of Postrider's own all the way to a receiver of Postrider's own, and tells how long it
// takes and when it last came through: what no figure of a single role says.
//
//	Run, in every api process, each interval ──▶ Publisher ──▶ events ──▶ router ──▶ deliveries ──▶ deliverer
//	ServeHTTP, at canary.url: any api process ◀──────────────────── signed, over HTTP ◀──────────────────┘
//
// Every api process sends events of its own, and receives what the Service gives to it. An event that its sender has not
// received within LostAfter was received by another process, if its outcome says so, or is lost.
//
// Metrics (see metrics.go): postrider_canary_events_total, postrider_canary_latency_seconds, postrider_canary_age_seconds,
// postrider_canary_interval_seconds.
package canary

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
)

// Registry is the registry for writing; [registry.Store] is one.
type Registry interface {
	Snapshot() *registry.Snapshot
	Apply(ctx context.Context, by audit.Actor, changes ...registry.Change) (registry.Result, error)
}

// Publisher writes events; [pipeline.Publisher] is one.
type Publisher interface {
	Publish(ctx context.Context, p pipeline.Publication) (pipeline.Published, error)
}

// History reads what was tried of a delivery between two times, and says whether that is all.
type History interface {
	Of(ctx context.Context, d *delivery.Delivery, from, to time.Time) ([]outcome.Outcome, bool, error)
}

// Options are what a canary needs.
type Options struct {
	// Interval is the time between two events, LostAfter how long one may take.
	Interval, LostAfter time.Duration
	// URL is where deliverers reach [Canary.ServeHTTP].
	URL string
	// Instance tells this process from others.
	Instance  string
	Registry  Registry
	Publisher Publisher
	History   History
	Log       *slog.Logger
	Metrics   prometheus.Registerer
}

// Canary sends and receives. It is safe for concurrent use.
type Canary struct {
	opts    Options
	metrics *metrics

	mu      sync.Mutex
	sent    int
	pending map[string]time.Time // when events were sent that were not received here, by their id
	newest  time.Time            // when the newest event was sent that came here
}

// New returns a canary that sends nothing before [Canary.Run]; it receives at once.
func New(opts Options) *Canary {
	c := &Canary{opts: opts, pending: map[string]time.Time{}, newest: time.Now()}
	c.metrics = newMetrics(opts.Metrics, c.age)
	c.metrics.interval.Set(opts.Interval.Seconds())
	return c
}

// age is how long ago the newest event was sent that came here; without one, how long it is waited for.
func (c *Canary) age() float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(time.Since(c.newest), 0).Seconds()
}

// Run sends until ctx ends. What fails is counted and told to log, and tried again an interval later.
func (c *Canary) Run(ctx context.Context) {
	t := time.NewTicker(c.opts.Interval)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			c.beat(ctx)
		case <-ctx.Done():
			return
		}
	}
}

// beat does what is due each interval. A subscription that was only just written gets its first event with the next one, when
// routers know of it.
func (c *Canary) beat(ctx context.Context) {
	c.settle(ctx)
	changed, err := c.ensure(ctx)
	if err == nil && !changed {
		err = c.send(ctx)
	}
	if err != nil && ctx.Err() == nil {
		c.metrics.events.WithLabelValues(resultFailed).Inc()
		c.opts.Log.Warn("canary was not sent", "error", err)
	}
}

// payload is the data of an event.
type payload struct {
	Event string `json:"event"`
	// Sent is in Unix microseconds.
	Sent int64 `json:"sent_us"`
}

// publishTimeout bounds the wait for Kafka.
const publishTimeout = 10 * time.Second

func (c *Canary) send(ctx context.Context) error {
	tenant, ok := c.opts.Registry.Snapshot().Tenant(Tenant)
	if !ok {
		return errors.New("its tenant was deleted")
	}
	now := time.Now()
	c.mu.Lock()
	c.sent++
	id := c.opts.Instance + "-" + strconv.Itoa(c.sent)
	c.mu.Unlock()
	data, err := json.Marshal(payload{Event: id, Sent: now.UnixMicro()})
	if err != nil {
		return fmt.Errorf("encoding the event: %w", err)
	}
	c.expect(id, now) // before it is sent: it may be here before Kafka's answer is
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	_, err = c.opts.Publisher.Publish(ctx, pipeline.Publication{Tenant: tenant, EventType: EventType, EventID: id, Payload: data})
	if err != nil {
		c.forget(id)
		return fmt.Errorf("publishing: %w", err)
	}
	c.metrics.events.WithLabelValues(resultSent).Inc()
	return nil
}

func (c *Canary) expect(id string, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pending[id] = at
}

func (c *Canary) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.pending, id)
}

// Bounds of [Canary.settle].
const (
	// maxLookups is how many events are looked for each interval.
	maxLookups = 8
	// patience is how many times LostAfter it is asked about an event of which nobody can say what became of it.
	patience = 5
)

// settle finds out what became of events that were not received here in time.
func (c *Canary) settle(ctx context.Context) {
	for id, at := range c.overdue(time.Now().Add(-c.opts.LostAfter)) {
		received, known := c.elsewhere(ctx, id, at)
		switch {
		case ctx.Err() != nil:
			return
		case !received && !known && time.Since(at) < patience*c.opts.LostAfter:
			continue
		case !received:
			c.metrics.events.WithLabelValues(resultLost).Inc()
			c.opts.Log.Warn("canary is lost", "event", id, "sent", at)
		}
		c.forget(id)
	}
}

// overdue returns some events that were sent before a time.
func (c *Canary) overdue(before time.Time) map[string]time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	found := map[string]time.Time{}
	for id, at := range c.pending {
		if at.Before(before) && len(found) < maxLookups {
			found[id] = at
		}
	}
	return found
}

// elsewhere reports whether an event was received, and whether that is known.
func (c *Canary) elsewhere(ctx context.Context, id string, at time.Time) (received, known bool) {
	message := delivery.MessageID(Tenant, delivery.PublishedSource, id)
	d := &delivery.Delivery{ID: delivery.ID(message, Subscription), Message: message, Subscription: Subscription, Tenant: Tenant}
	rows, complete, err := c.opts.History.Of(ctx, d, at, time.Now())
	for _, row := range rows {
		if row.Verdict == outcome.Delivered {
			return true, true
		}
	}
	return false, complete && err == nil
}
