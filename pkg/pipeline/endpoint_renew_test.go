package pipeline

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/outcome"
)

// Who enables a subscription does not wait for a breaker that opened before, neither here nor at another owner.
func TestEnablingClosesTheBreaker(t *testing.T) {
	for _, how := range []string{"same owner", "next owner"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sub := subscriptionNamed("one")
				var code atomic.Int64
				code.Store(500)
				seen := make(chan arrival, 100)
				answer := arrivals(seen, func(string) attempt.Response { return response(int(code.Load())) })
				s := newStage(t, DelivererOptions{Workers: 4, Breaker: gate.Config{OpenFor: time.Hour, MaxOpenFor: time.Hour}}, answer, sub)
				var ds []*delivery.Delivery
				for n := range 5 {
					ds = append(ds, deliveryOf(sub, n))
				}
				s.sendDelivery(ds...)
				time.Sleep(time.Second)
				require.Len(t, seen, 5)
				require.InDelta(t, 1, figure(t, s.d.opts.Metrics.breakers), 0)
				s.sendDelivery(deliveryOf(sub, 5))
				time.Sleep(time.Second)
				require.Len(t, seen, 5, "parked")

				if how == "next owner" {
					s.revoke(s.p)
					s.p, s.lose = s.assign(0)
				}
				enabled := *sub
				enabled.Generation++
				s.reg.set(snapshotOf(t, sub, &enabled))
				code.Store(200)
				s.sendDelivery(deliveryOf(sub, 6))
				time.Sleep(time.Second)
				require.Len(t, seen, 6)
				rows := s.b.outcomes(t)
				require.Equal(t, outcome.Delivered, rows[len(rows)-1].Verdict)
				require.Zero(t, figure(t, s.d.opts.Metrics.breakers))
			})
		})
	}
}
