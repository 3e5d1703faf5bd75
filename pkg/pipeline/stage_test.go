package pipeline

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/subscription"
)

// stage is a deliverer with one partition, everything around it in memory.
type stage struct {
	t      testing.TB
	b      *broker
	reg    *registered
	d      *Deliverer
	p      *kafka.Partition
	lose   context.CancelFunc
	next   int64
	sent   []*kafka.Record // the log of the partition
	failed firstError
}

// lane returns the lane of a subscription in partition 0.
func (s *stage) lane(sub *subscription.Subscription) *lane {
	s.d.sched.mu.Lock()
	defer s.d.sched.mu.Unlock()
	return s.d.sched.lane(s.d.owned[0], sub.Tenant, sub.ID)
}

// newStage starts a deliverer and assigns it partition 0. It is stopped at the end, and must have given everything back.
func newStage(t testing.TB, opts DelivererOptions, client Attempter, subs ...*subscription.Subscription) *stage {
	t.Helper()
	s := &stage{t: t, b: newBroker(t), reg: &registered{snap: snapshotOf(t, subs...), confirmed: time.Now}}
	opts.Metrics = NewMetrics(nil)
	opts.Saturated = func() bool { return false } // by what else the machine does
	s.d = NewDeliverer(opts, s.reg, profilesForTest(t), client, s.b, s.b, s.failed.set)
	s.d.Start()
	s.p, s.lose = s.assign(0)
	t.Cleanup(func() {
		s.revoke(s.p)
		s.lose()
		s.d.Stop()
		require.Zero(t, s.d.sched.bytes.Load(), "bytes in memory")
		require.Zero(t, figure(t, s.d.opts.Metrics.breakers), "open breakers")
		require.Zero(t, figure(t, s.d.opts.Metrics.inFlight), "in flight")
		require.Zero(t, s.d.sched.load(), "queued")
	})
	return s
}

func (s *stage) assign(id int32) (*kafka.Partition, context.CancelFunc) {
	s.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := kafka.NewPartition(ctx, "deliveries", id, offset.NewTracker(0, offset.Set{}))
	require.NoError(s.t, s.d.Assign(p))
	return p, cancel
}

// revoke takes a partition away as a group does.
func (s *stage) revoke(p *kafka.Partition) {
	s.d.Revoke([]*kafka.Partition{p})
	p.Tracker().Revoke()
}

// send hands records over, each at the next offset.
func (s *stage) send(records ...*kafka.Record) {
	for _, r := range records {
		r.Topic, r.Offset = "deliveries", s.next
		s.next++
		s.sent = append(s.sent, r)
		require.True(s.t, s.p.Tracker().Begin(r.Offset))
	}
	s.d.Records(s.p, records)
}

// sendDelivery hands over deliveries.
func (s *stage) sendDelivery(ds ...*delivery.Delivery) {
	var records []*kafka.Record
	for _, d := range ds {
		records = append(records, encode("deliveries", d))
	}
	s.send(records...)
}

func (s *stage) inFlight() int { return s.p.Tracker().InFlight() }

func (s *stage) requireNoFailure() {
	s.t.Helper()
	require.NoError(s.t, s.failed.get())
}
