package pipeline

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// A rate limit delays and fails nothing, and nothing that waits for it goes through Kafka.
func TestRateLimitSpacesAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limited, free := subscriptionNamed("limited"), subscriptionNamed("free")
		limited.ThrottleRate = 20
		seen := make(chan arrival, 1000)
		s := newStage(t, DelivererOptions{Workers: 16}, arrivals(seen, ok), limited, free)
		for n := range 200 {
			s.sendDelivery(deliveryOf(limited, n), deliveryOf(free, n))
		}
		time.Sleep(time.Minute)
		require.Zero(t, s.inFlight())
		var of []time.Duration
		for len(seen) > 0 {
			if a := <-seen; a.host == "limited" {
				of = append(of, a.at)
			}
		}
		require.Len(t, of, 200)
		for i := range of[:len(of)-22] {
			require.Greater(t, of[i+22]-of[i], time.Second, "20 and two of slack")
		}
		require.InDelta(t, 10, of[199].Seconds(), 0.2)
		for _, row := range s.b.outcomes(t) {
			require.Equal(t, outcome.Delivered, row.Verdict)
		}
	})
}

// An endpoint that asks for a pause has it: what comes meanwhile is put off until it is over, and spread from there.
func TestRetryAfterRestsTheEndpoint(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := subscriptionNamed("one"), subscriptionNamed("other")
		seen := make(chan arrival, 1000)
		var busy atomic.Bool
		busy.Store(true)
		s := newStage(t, DelivererOptions{Workers: 16}, arrivals(seen, func(host string) attempt.Response {
			if host == "one" && busy.Load() {
				resp := response(503)
				resp.RetryAfter = 20 * time.Second
				return resp
			}
			return response(200)
		}), one, other)
		s.sendDelivery(deliveryOf(one, 0))
		time.Sleep(time.Second)
		busy.Store(false)
		var ds []*delivery.Delivery
		for n := range 100 {
			ds = append(ds, deliveryOf(one, n+1), deliveryOf(other, n))
		}
		s.sendDelivery(ds...)
		time.Sleep(10 * time.Second)
		require.Len(t, seen, 101, "one to it, all to the other")
		end := time.Now().Add(-11 * time.Second).Add(10*time.Millisecond + 20*time.Second)
		parked := 0
		for _, row := range s.b.outcomes(t) {
			if row.Verdict != outcome.Parked {
				continue
			}
			require.Equal(t, outcome.ReasonRateLimited, row.Reason)
			require.WithinRange(t, *row.Due, end, end.Add(2*time.Second+time.Millisecond))
			parked++
		}
		require.Equal(t, 100, parked)
		time.Sleep(20 * time.Second)
		s.d.endpoint(s.d.owned[0], one.ID).rest.Begin(time.Now().Add(500 * time.Millisecond))
		s.sendDelivery(deliveryOf(one, 1000))
		time.Sleep(499 * time.Millisecond)
		require.Len(t, seen, 101)
		time.Sleep(2 * time.Millisecond)
		require.Len(t, seen, 102, "what is little waits in the lane")
	})
}

// The last try of a delivery is made while its endpoint rests: nothing takes it away.
func TestLastTryDoesNotWaitForARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := subscriptionNamed("one")
		one.Retry = &subscription.RetryPolicy{
			Kind: subscription.RetryFixed, Interval: subscription.Duration(time.Minute), MaxAge: subscription.Duration(time.Minute),
		}
		seen := make(chan arrival, 10)
		s := newStage(t, DelivererOptions{Workers: 4}, arrivals(seen, ok), one)
		s.d.endpoint(s.d.owned[0], one.ID).rest.Begin(time.Now().Add(time.Hour))
		d := deliveryOf(one, 1)
		d.Attempts, d.First = 1, time.Now().Add(-time.Minute)
		s.sendDelivery(d)
		synctest.Wait()
		time.Sleep(time.Second)
		require.Len(t, seen, 1)
	})
}
