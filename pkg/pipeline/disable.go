package pipeline

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/subscription"
)

// SubscriptionDisabler writes to the registry that a subscription is disabled. It is called from one goroutine for each
// partition of the operational topic.
type SubscriptionDisabler interface {
	// Disable disables a subscription, if its generation is still this one and it exists; otherwise it was enabled again,
	// or deleted, and there is nothing to do, which is no error. It is repeated after an error and after a crash.
	Disable(ctx context.Context, subscription ident.ID, why Disabling) error
}

// Disabling is what a deliverer decided about a subscription.
type Disabling struct {
	// Generation is the subscription's that is to be disabled.
	Generation int64
	// Reason is the outcome reason.
	Reason string
	// Lock leaves it to operators to enable it again.
	Lock bool
}

// DisablerOptions are what a disabler may have.
type DisablerOptions struct {
	Log     *slog.Logger
	Metrics *Metrics
}

// Disabler is the stage that brings what the deliverers decided, that an endpoint is disabled, to the registry. It reads
// the operational topic and implements [kafka.Handler]. An offset is finished when the registry has the change.
type Disabler struct {
	batches
	opts DisablerOptions
	to   SubscriptionDisabler
}

// disableTimeout bounds a change of the registry.
const disableTimeout = 15 * time.Second

// NewDisabler returns a disabler.
func NewDisabler(opts DisablerOptions, to SubscriptionDisabler) *Disabler {
	if opts.Log == nil {
		opts.Log = slog.New(slog.DiscardHandler)
	}
	if opts.Metrics == nil {
		opts.Metrics = NewMetrics(nil)
	}
	d := &Disabler{opts: opts, to: to}
	d.batches = batches{
		do: d.disable, most: 1, log: opts.Log, retries: opts.Metrics.disableRetries,
		away: "the registry cannot be written; endpoints are disabled when it can", back: "the registry can be written again",
	}
	return d
}

// What becomes of an operational record.
const (
	resultDisabled   = "disabled"
	resultIgnored    = "ignored"
	resultUnreadable = "unreadable"
)

func (d *Disabler) disable(ctx context.Context, _ *kafka.Partition, records []*kafka.Record) error {
	for _, rec := range records {
		result, err := d.one(ctx, rec)
		if err != nil {
			return err
		}
		d.opts.Metrics.disabled.WithLabelValues(result).Inc()
	}
	return nil
}

func (d *Disabler) one(ctx context.Context, rec *kafka.Record) (result string, err error) {
	ev, err := operational.Read(rec.Value)
	if err != nil {
		d.unreadable(rec, err)
		return resultUnreadable, nil
	}
	endpoint, ok := ev.Data.(operational.Endpoint)
	if !ok || ev.Type != operational.EndpointDisabled || endpoint.Trigger != operational.TriggerAutomatic || endpoint.Generation == 0 {
		return resultIgnored, nil
	}
	sub, err := ident.ParseBase62(subscription.SubscriptionPrefix, endpoint.Endpoint)
	if err != nil {
		d.unreadable(rec, fmt.Errorf("endpointId: %w", err))
		return resultUnreadable, nil
	}
	why := Disabling{Generation: endpoint.Generation, Reason: endpoint.Reason, Lock: endpoint.Locked}
	ctx, cancel := context.WithTimeout(ctx, disableTimeout)
	defer cancel()
	if err := d.to.Disable(ctx, sub, why); err != nil {
		return "", fmt.Errorf("disabling %s: %w", endpoint.Endpoint, err)
	}
	return resultDisabled, nil
}

func (d *Disabler) unreadable(rec *kafka.Record, err error) {
	d.opts.Log.Warn("operational event cannot be read", "source", position(rec).String(), "error", err)
}
