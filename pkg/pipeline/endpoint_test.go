package pipeline

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/failure"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// rowOf is an outcome of the n-th event's delivery.
func rowOf(sub *subscription.Subscription, n, pass int, v outcome.Verdict, r outcome.Result, at time.Time) outcome.Outcome {
	d := deliveryOf(sub, n)
	return outcome.Outcome{
		Version: outcome.Version, Delivery: d.ID.Base62(delivery.IDPrefix), Subscription: sub.ID, Tenant: acme.ID,
		Trigger: d.Trigger.Kind, Pass: pass, Attempt: pass + 1, Verdict: v, Result: r, At: at,
	}
}

// restoredFrom returns the endpoint of a subscription as a new owner takes it up from what write left in the log.
func restoredFrom(t *testing.T, sub *subscription.Subscription, write func(b *broker, now time.Time)) (*owned, *endpoint) {
	t.Helper()
	b := newBroker(t)
	write(b, time.Now())
	d := NewDeliverer(DelivererOptions{Breaker: gate.Config{Failures: 3}, Window: 100}, &registered{snap: snapshotOf(t, sub), confirmed: time.Now},
		profilesForTest(t), status(200), b, b, func(err error) { t.Error(err) })
	p := kafka.NewPartition(t.Context(), "deliveries", 0, nil)
	require.NoError(t, d.Assign(p))
	o := d.owned[0]
	t.Cleanup(o.cancel)
	return o, d.endpoint(o, sub.ID)
}

func TestRestore(t *testing.T) {
	sub := subscriptionNamed("one")
	id, checkpoint := sub.ID.UUID(), checkpointPrefix+"0"
	failed := func(b *broker, n int, at time.Time) {
		b.add("outcomes", id, rowOf(sub, n, 0, outcome.Retry, outcome.ResultServerError, at))
	}
	delivered := func(b *broker, n int, at time.Time) {
		b.add("outcomes", id, rowOf(sub, n, 0, outcome.Delivered, outcome.ResultSuccess, at))
	}
	state := func(generation int32, sequence, folded int64, failures int, b gate.State) stateRecord {
		return stateRecord{
			Version: stateVersion, Generation: generation, Sequence: sequence, Breaker: b,
			State: failure.State{State: outcome.State{ConsecutiveFailures: failures, Unhealthy: failures, Folded: folded}},
		}
	}
	open := gate.State{Until: time.Now().Add(time.Hour), Trips: 2}
	for _, c := range []struct {
		name     string
		write    func(b *broker, now time.Time)
		failures int
		open     bool
		disabled int64
		folded   int64
	}{
		{"nothing", func(*broker, time.Time) {}, 0, false, 0, -1},
		{"outcomes only", func(b *broker, now time.Time) { failed(b, 0, now); failed(b, 1, now) }, 2, false, 0, 1},
		{"outcomes that open the breaker", func(b *broker, now time.Time) { failed(b, 0, now); failed(b, 1, now); failed(b, 2, now) }, 3, true, 0, 2},
		{"a repeated outcome counts once", func(b *broker, now time.Time) { failed(b, 0, now); failed(b, 0, now) }, 1, false, 0, 1},
		{"snapshot and the rest", func(b *broker, now time.Time) {
			failed(b, 0, now)
			failed(b, 1, now)
			b.add("endpoint-states", id, state(1, 1, 0, 1, gate.State{}))
			b.add("endpoint-states", checkpoint, checkpointRecord{Version: stateVersion, Generation: 1, Sequence: 2, Folded: 0})
		}, 2, false, 0, 1},
		{"what is before the checkpoint is not folded twice", func(b *broker, now time.Time) {
			failed(b, 0, now)
			failed(b, 1, now)
			b.add("endpoint-states", id, state(1, 1, 1, 2, gate.State{}))
			b.add("endpoint-states", checkpoint, checkpointRecord{Version: stateVersion, Generation: 1, Sequence: 2, Folded: 1})
		}, 2, false, 0, 1},
		{"a zombie's snapshot that comes later", func(b *broker, now time.Time) {
			failed(b, 0, now)
			b.add("endpoint-states", id, state(2, 1, 0, 1, gate.State{}))
			b.add("endpoint-states", checkpoint, checkpointRecord{Version: stateVersion, Generation: 2, Sequence: 2, Folded: 0})
			b.add("endpoint-states", id, state(1, 99, 0, 7, open))
			b.add("endpoint-states", checkpoint, checkpointRecord{Version: stateVersion, Generation: 1, Sequence: 100, Folded: 50})
		}, 1, false, 0, 0},
		{"of one generation the higher sequence", func(b *broker, _ time.Time) {
			b.add("endpoint-states", id, state(1, 5, 0, 1, gate.State{}))
			b.add("endpoint-states", id, state(1, 4, 0, 7, open))
		}, 1, false, 0, -1},
		{"open breaker", func(b *broker, now time.Time) {
			failed(b, 0, now)
			b.add("endpoint-states", id, state(1, 1, 0, 1, open))
		}, 1, true, 0, 0},
		{"open breaker, recovered after the snapshot", func(b *broker, now time.Time) {
			failed(b, 0, now)
			b.add("endpoint-states", id, state(1, 1, 0, 1, open))
			delivered(b, 1, now.Add(time.Second))
		}, 0, false, 0, 1},
		{"disabled", func(b *broker, _ time.Time) {
			b.add("endpoint-states", id+disabledSuffix, disabledRecord{Version: stateVersion, Generation: 4})
			b.add("endpoint-states", id, state(1, 1, -1, 0, gate.State{})) // its own key: a state does not undo it
		}, 0, false, 4, -1},
		{"foreign records", func(b *broker, now time.Time) {
			b.add("endpoint-states", "nonsense", "nonsense")
			b.add("endpoint-states", id, "nonsense")
			b.add("outcomes", id, "nonsense")
			b.add("outcomes", id, outcome.Outcome{Delivery: "dlv_nonsense"})
			failed(b, 0, now)
		}, 1, false, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			o, ep := restoredFrom(t, sub, c.write)
			require.Equal(t, c.failures, ep.state.ConsecutiveFailures)
			require.Equal(t, c.open, ep.breaker.State().Open())
			require.Equal(t, c.disabled, ep.disabled.Load())
			require.Equal(t, c.folded, o.folded)
			require.Equal(t, c.disabled > 0, ep.disabledAt(c.disabled))
			require.False(t, ep.disabledAt(c.disabled+1), "enabled again: its generation is higher")
		})
	}
}

// The window of a new owner knows what the outcomes prove, from before the checkpoint on: those records are not tried again,
// and what they were written again as is.
func TestRestoreRefillsTheWindow(t *testing.T) {
	sub := subscriptionNamed("one")
	o, _ := restoredFrom(t, sub, func(b *broker, now time.Time) {
		b.add("outcomes", sub.ID.UUID(), rowOf(sub, 0, 0, outcome.Delivered, outcome.ResultSuccess, now))
		b.add("outcomes", sub.ID.UUID(), rowOf(sub, 1, 2, outcome.Retry, outcome.ResultServerError, now))
		b.add("outcomes", sub.ID.UUID(), rowOf(sub, 2, 1, outcome.Parked, outcome.ResultNone, now))
		b.add("endpoint-states", checkpointPrefix+"0", checkpointRecord{Version: stateVersion, Generation: 1, Folded: 2})
	})
	for _, c := range []struct {
		n, pass int
		repeats bool
	}{
		{0, 0, true},
		{0, 1, true}, // delivered, in whatever pass
		{1, 2, true},
		{1, 3, false},
		{1, 1, false},
		{2, 1, true},
		{2, 2, false},
		{3, 0, false},
	} {
		k := deliveryOf(sub, c.n).Key()
		k.Pass = c.pass
		require.Equal(t, c.repeats, o.window.repeated(k), "delivery %d, pass %d", c.n, c.pass)
	}
}

// What an owner writes, the next one reads: breaker, failures, window and checkpoint.
func TestSnapshotsAreTakenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 4, Breaker: gate.Config{Failures: 3, OpenFor: time.Hour, MaxOpenFor: time.Hour}}, status(500), sub)
		s.p.Generation = 7
		for n := range 3 {
			s.sendDelivery(deliveryOf(sub, n))
		}
		synctest.Wait()
		require.InDelta(t, 1, figure(t, s.d.opts.Metrics.breakers), 0)
		ep := s.d.endpoint(s.d.owned[0], sub.ID)
		before, failures := ep.breaker.State(), ep.state.ConsecutiveFailures
		time.Sleep(snapshotEvery + time.Second)
		states := s.b.acknowledged("endpoint-states")
		var last checkpointRecord
		require.NoError(t, json.Unmarshal(states[len(states)-1].Value, &last), "the checkpoint comes after the states")
		require.Equal(t, checkpointPrefix+"0", string(states[len(states)-1].Key))
		require.Equal(t, int64(2), last.Folded)
		require.Equal(t, int32(7), last.Generation)
		time.Sleep(time.Minute)
		require.Len(t, s.b.acknowledged("endpoint-states"), len(states), "nothing changed, nothing is written")

		s.handOver()
		require.InDelta(t, 1, figure(t, s.d.opts.Metrics.breakers), 0)
		after := s.d.endpoint(s.d.owned[0], sub.ID)
		require.Equal(t, before.Trips, after.breaker.State().Trips)
		require.True(t, before.Until.Equal(after.breaker.State().Until))
		require.Equal(t, failures, after.state.ConsecutiveFailures)
		s.sendDelivery(deliveryOf(sub, 10))
		synctest.Wait()
		rows := s.b.outcomes(t)
		require.Equal(t, outcome.ReasonBreakerOpen, rows[len(rows)-1].Reason)
	})
}

// A 410 disables the generation that got it, at once and for the next owner.
func TestGoneDisables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 4}, status(410), sub)
		s.sendDelivery(deliveryOf(sub, 0))
		synctest.Wait()
		s.sendDelivery(deliveryOf(sub, 1))
		s.handOver()
		s.sendDelivery(deliveryOf(sub, 2))
		synctest.Wait()
		var got []string
		for _, row := range s.b.outcomes(t) {
			got = append(got, fmt.Sprintf("%s/%s", row.Verdict, row.Reason))
		}
		require.Equal(t, []string{"dead/gone", "cancelled/disabled", "cancelled/disabled"}, got)
		again := *sub
		again.Generation = 2
		s.reg.set(snapshotOf(t, sub, &again))
		s.sendDelivery(deliveryOf(sub, 3))
		synctest.Wait()
		rows := s.b.outcomes(t)
		require.Equal(t, outcome.ReasonGone, rows[len(rows)-1].Reason, "it was asked again")
	})
}

type brokenReader struct{ err error }

func (r brokenReader) Range(context.Context, string, int32, int64, func(*kafka.Record) error) (kafka.Ends, error) {
	return kafka.Ends{}, r.err
}

func TestRestoreThatFailsOwnsNothing(t *testing.T) {
	broken := errors.New("broken")
	d := NewDeliverer(DelivererOptions{}, &registered{confirmed: time.Now}, profilesForTest(t), status(200), nil, brokenReader{broken}, nil)
	p := kafka.NewPartition(t.Context(), "deliveries", 0, nil)
	require.ErrorIs(t, d.Assign(p), broken)
	require.Empty(t, d.owned)
	d.Records(p, []*kafka.Record{{}})
	d.Revoke([]*kafka.Partition{p})
}
