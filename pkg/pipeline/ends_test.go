package pipeline

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// Whatever an endpoint does and whenever its owner changes: every delivery ends, none is held up for good, and none is
// delivered twice without a cut-off attempt.
func TestEveryDeliveryEnds(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.SliceOfN(rapid.SampledFrom([]int{200, 200, 200, 400, 429, 500, 503, 0}), 5, 60).Draw(rt, "answers")
		limit := rapid.IntRange(1, 4).Draw(rt, "concurrency")
		owners := rapid.IntRange(1, 3).Draw(rt, "owners")
		synctest.Test(t, func(t *testing.T) {
			var n atomic.Int64
			sub := subscriptionNamed("one")
			sub.Retry = &subscription.RetryPolicy{Kind: subscription.RetryFixed, Interval: subscription.Duration(2 * time.Second), MaxTries: 6, Jitter: subscription.JitterNone}
			client := answers(func(ctx context.Context, _ *attempt.Request) (attempt.Response, error) {
				code := 200
				if i := int(n.Add(1)); i <= len(seed) {
					code = seed[i-1]
				}
				if code == 0 { // a timeout
					if !pause(ctx, 8*time.Second) {
						return attempt.Response{}, context.Cause(ctx)
					}
					return attempt.Response{Result: outcome.ResultTimeout}, nil
				}
				if !pause(ctx, 100*time.Millisecond) {
					return attempt.Response{}, context.Cause(ctx)
				}
				return response(code), nil
			})
			s := newStage(t, DelivererOptions{
				Workers: 6, LaneConcurrency: limit, LaneQueue: 8, Drain: time.Second,
				Breaker: gate.Config{Failures: 2, OpenFor: 3 * time.Second, MaxOpenFor: 20 * time.Second},
			}, client, sub)
			const deliveries = 20
			began := time.Now()
			back := s.returnRetries()
			for i := range deliveries {
				s.sendDelivery(deliveryOf(sub, i))
			}
			for range owners {
				for range 20 {
					time.Sleep(250 * time.Millisecond)
					back()
				}
				s.handOver()
			}
			for synctest.Wait(); back() || s.inFlight() > 0; synctest.Wait() {
				time.Sleep(time.Second)
				require.Less(t, time.Since(began), time.Hour, "%d in flight", s.inFlight())
			}
			require.Zero(t, s.inFlight())
			for _, why := range []kafka.Hold{kafka.HoldBacklog, kafka.HoldBytes, kafka.HoldWindow} {
				require.False(t, s.p.Held(why), "held for %d", why)
			}
			ends := map[string]int{}
			for _, row := range s.b.outcomes(t) {
				if row.Verdict == outcome.Delivered || row.Verdict == outcome.Dead {
					ends[row.Delivery]++
				}
			}
			require.Len(t, ends, deliveries)
			for id, n := range ends {
				require.Equal(t, 1, n, id)
			}
			s.requireNoFailure()
		})
	})
}

// returnRetries returns a function that brings what is due back from the retry tiers, as the retrier does, and reports
// whether anything is in them or was.
func (s *stage) returnRetries() func() bool {
	returned := map[*kafka.Record]bool{}
	return func() (waiting bool) {
		for _, tier := range (Topics{}).RetryTopics() {
			for _, r := range s.b.acknowledged(tier) {
				d, err := decode(r)
				require.NoError(s.t, err)
				if returned[r] {
					continue
				}
				waiting = true
				if !d.Due.After(time.Now()) {
					returned[r] = true
					s.sendDelivery(d)
				}
			}
		}
		return waiting
	}
}

// handOver takes the partition away and gives it to the same deliverer again, as the next owner: it reads on at the commit.
func (s *stage) handOver() {
	s.t.Helper()
	s.d.Revoke([]*kafka.Partition{s.p})
	commit := s.p.Tracker().Revoke()
	s.lose()
	synctest.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	old := s.p
	s.p, s.lose = kafka.NewPartition(ctx, "deliveries", 0, offset.NewTracker(commit.Offset, commit.Finished)), cancel
	s.p.Generation = old.Generation + 1
	require.NoError(s.t, s.d.Assign(s.p))
	s.reread(commit.Offset)
}

// reread hands over what is in the log from an offset on and is not finished.
func (s *stage) reread(from int64) {
	var records []*kafka.Record
	for _, r := range s.sent {
		if r.Offset >= from && s.p.Tracker().Begin(r.Offset) {
			records = append(records, r)
		}
	}
	s.d.Records(s.p, records)
}
