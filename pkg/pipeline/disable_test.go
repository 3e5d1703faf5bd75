package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/subscription"
)

// disabling keeps what was disabled; it fails the first times.
type disabling struct {
	mu    sync.Mutex
	fails int
	done  []string
}

func (d *disabling) Disable(_ context.Context, sub ident.ID, why Disabling) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails > 0 {
		d.fails--
		return errors.New("the writer was fenced")
	}
	d.done = append(d.done, fmt.Sprint(sub, " ", why))
	return nil
}

func TestDisabler(t *testing.T) {
	sub := subscriptionNamed("one").ID
	disabled := operational.Endpoint{
		Endpoint: sub.Base62(subscription.SubscriptionPrefix), Trigger: operational.TriggerAutomatic, Generation: 7, Reason: "gone", Locked: true,
	}
	manual, bad, old := disabled, disabled, disabled
	manual.Trigger, bad.Endpoint, old.Generation = operational.TriggerManual, "ep_1", 0
	var records []*kafka.Record
	add := func(value []byte) {
		records = append(records, &kafka.Record{Topic: "operational", Offset: int64(len(records)), Value: value})
	}
	event := func(typ string, data any) {
		value, err := operational.New(typ, acme.ID, time.Unix(1, 0), data).Value()
		require.NoError(t, err)
		add(value)
	}
	event(operational.EndpointDisabled, manual)
	event(operational.EndpointDisabled, bad)
	event(operational.EndpointDisabled, old)
	event(operational.EndpointEnabled, disabled)
	event(operational.AttemptFailing, operational.Attempt{})
	event("something.new", nil)
	add([]byte(`{`))
	event(operational.EndpointDisabled, disabled)

	to := &disabling{fails: 2}
	d := NewDisabler(DisablerOptions{}, to)
	p := kafka.NewPartition(t.Context(), "operational", 0, offset.NewTracker(0, offset.Set{}))
	require.NoError(t, d.Assign(p))
	defer d.Revoke([]*kafka.Partition{p})
	hand(t, d, p, records)
	require.Eventually(t, func() bool { return finished(p) == int64(len(records)) }, time.Minute, time.Millisecond)
	require.Equal(t, []string{sub.UUID() + " {7 gone true}"}, to.done)
	require.InDelta(t, 2, figure(t, d.opts.Metrics.disableRetries), 0)
	require.InDelta(t, 2, figure(t, d.opts.Metrics.disabled.WithLabelValues(resultUnreadable)), 0)
	require.InDelta(t, 5, figure(t, d.opts.Metrics.disabled.WithLabelValues(resultIgnored)), 0)
}
