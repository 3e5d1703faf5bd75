package pipeline

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// arrival is a request as an endpoint sees it.
type arrival struct {
	host string
	at   time.Duration // since the test began
}

// arrivals answers all hosts, and keeps those waiting whose name begins with hung until they are cut off.
func arrivals(into chan<- arrival, answer func(host string) attempt.Response) answers {
	began := time.Now()
	return func(ctx context.Context, r *attempt.Request) (attempt.Response, error) {
		host := strings.TrimPrefix(r.URL, "https://user:secret@")
		host, _, _ = strings.Cut(host, ".")
		into <- arrival{host, time.Since(began)}
		if strings.HasPrefix(host, "hung") {
			<-ctx.Done()
			return attempt.Response{}, context.Cause(ctx)
		}
		time.Sleep(10 * time.Millisecond)
		resp := answer(host)
		resp.Started, resp.Duration = time.Now().Add(-10*time.Millisecond), 10*time.Millisecond
		return resp, nil
	}
}

func ok(string) attempt.Response { return response(200) }

// A subscription that gets far more than its endpoint takes is diverted after a moment; what is behind it in the
// partition does not wait, and what was diverted comes back at the rate at which the endpoint takes it.
func TestFloodIsDivertedAndTheOthersAreNot(t *testing.T) {
	for _, flooded := range []string{"busy", "hung"} {
		t.Run(flooded, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				one, other := subscriptionNamed(flooded), subscriptionNamed("other")
				seen := make(chan arrival, 10_000)
				s := newStage(t, DelivererOptions{Workers: 64, LaneQueue: 100, LaneConcurrency: 4, Drain: time.Millisecond}, arrivals(seen, ok), one, other)
				s.sendDelivery(deliveryOf(other, 0))
				time.Sleep(time.Second)
				var flood []*delivery.Delivery
				for n := range 2000 {
					flood = append(flood, deliveryOf(one, n))
				}
				s.sendDelivery(flood[:150]...)
				require.True(t, s.p.Held(kafka.HoldBacklog))
				time.Sleep(pushBack + time.Millisecond)
				require.False(t, s.p.Held(kafka.HoldBacklog), "pushed back for as long, and then diverted")
				s.sendDelivery(append(flood[150:], deliveryOf(other, 1))...)
				time.Sleep(time.Millisecond)
				last := arrival{}
				for len(seen) > 0 {
					if a := <-seen; a.host == "other" {
						last = a
					}
				}
				require.Equal(t, time.Second+pushBack+time.Millisecond, last.at, "at once")
				checkDiverted(t, s, flooded == "busy")
			})
		})
	}
}

// checkDiverted looks at what was diverted: it is a lot, has slots as far as they reach, and they are apart.
func checkDiverted(t *testing.T, s *stage, moves bool) {
	t.Helper()
	time.Sleep(time.Second)
	none := 0
	slots := map[time.Time]bool{}
	var last time.Time
	for _, topic := range []string{"retry.1s", "retry.5s", "retry.30s", "retry.2m"} {
		for _, r := range s.b.acknowledged(topic) {
			d, err := decode(r)
			require.NoError(t, err)
			require.EqualValues(t, outcome.ReasonLaneFull, d.Reason)
			if d.Slot.IsZero() {
				none++
				continue
			}
			require.Equal(t, d.Due, d.Slot)
			slots[d.Slot] = true
			if d.Slot.After(last) {
				last = d.Slot
			}
		}
	}
	if moves {
		require.Zero(t, none, "400 a second are taken: all have a slot")
		require.Greater(t, len(slots), 1000, "apart")
		require.Less(t, time.Until(last), 10*time.Second)
		return
	}
	require.Greater(t, len(slots)+none, 1700)
	require.LessOrEqual(t, time.Until(last), maxSlot)
}

// A subscription that is alone in its partition is pushed back, and not diverted.
func TestLoneFloodIsPushedBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one := subscriptionNamed("one")
		seen := make(chan arrival, 10_000)
		s := newStage(t, DelivererOptions{Workers: 64, LaneQueue: 100}, arrivals(seen, ok), one)
		var flood []*delivery.Delivery
		for n := range 1000 {
			flood = append(flood, deliveryOf(one, n))
		}
		s.sendDelivery(flood...)
		time.Sleep(2 * pushBack)
		require.True(t, s.p.Held(kafka.HoldBacklog))
		time.Sleep(time.Minute)
		require.False(t, s.p.Held(kafka.HoldBacklog))
		require.Len(t, seen, 1000)
		require.Len(t, s.b.outcomes(t), 1000)
	})
}

// Endpoints that hang while many others are busy leave a window of many pieces; what is queued for them goes, and nobody waits.
func TestHungEndpointsDoNotHoldTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var subs []*subscription.Subscription
		for i := range 20 {
			name := "well"
			if i%4 == 0 {
				name = "hung"
			}
			subs = append(subs, subscriptionNamed(name+string(rune('a'+i))))
		}
		seen := make(chan arrival, 100_000)
		s := newStage(t, DelivererOptions{Workers: 200, LaneQueue: 10_000, Drain: time.Millisecond}, arrivals(seen, ok), subs...)
		for n := range 400 { // 40,000 deliveries in 20 s
			var ds []*delivery.Delivery
			for i := range 100 {
				ds = append(ds, deliveryOf(subs[i%len(subs)], n*100+i))
			}
			s.sendDelivery(ds...)
			require.False(t, s.p.Held(kafka.HoldWindow), "at %d", n)
			time.Sleep(50 * time.Millisecond)
		}
		require.Greater(t, s.p.Tracker().Span(), int64(windowSpan))
		require.Less(t, s.p.Tracker().Runs(), maxRuns)
	})
}

// Twenty endpoints that hang do not delay the others, whatever is sent to them.
func TestHungEndpointsDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hung, well []*subscription.Subscription
		for i := range 20 {
			hung = append(hung, subscriptionNamed("hung"+string(rune('a'+i))))
			well = append(well, subscriptionNamed("well"+string(rune('a'+i))))
		}
		seen := make(chan arrival, 10_000)
		s := newStage(t, DelivererOptions{Workers: 100, LaneQueue: 50, Drain: time.Millisecond}, arrivals(seen, ok), append(hung, well...)...)
		want := map[time.Duration]int{}
		began := time.Now()
		for n := range 100 {
			for i := range hung {
				s.sendDelivery(deliveryOf(hung[i], n), deliveryOf(well[i], n))
			}
			want[time.Since(began)] += len(well)
			time.Sleep(50 * time.Millisecond)
		}
		for len(seen) > 0 {
			if a := <-seen; strings.HasPrefix(a.host, "well") {
				want[a.at]--
			}
		}
		for at, left := range want {
			require.Zero(t, left, "not sent at once: those of %s", at)
		}
	})
}

// What waits for a probe, or behind an attempt that follows a time-out, leaves a wide window long before those may time out; what waits
// for other attempts has a second.
func TestProbeDoesNotHoldTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 2, 100)
		for _, name := range []string{"probed", "busy", "silent", "back"} {
			w.widen(name)
			w.push(name, 10, 11, 12, 13)
		}
		var refused *item
		for range 8 {
			if it := w.take(); it.lane == w.lane("probed") {
				refused = it
			}
		}
		for _, name := range []string{"silent", "back"} {
			w.limit(w.lane(name), func(limit *gate.Limit) { limit.Silent(time.Now()) })
		}
		w.widen("back")
		require.True(t, w.s.putBack(refused, time.Time{}))
		w.s.divertBelow(w.o, 0, time.Now())
		require.Empty(t, w.parted(), "it may take no longer than others do")
		time.Sleep(2 * pushBack)
		w.s.divertBelow(w.o, 0, time.Now())
		require.ElementsMatch(t, []string{"probed:11", "probed:12", "probed:13", "silent:12", "silent:13"}, w.parted())
	})
}

// A backlog is what most lanes have: of those that had records lately or, where nothing arrives as the partition is held, of all.
func TestBacklogIsOfMostLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 1, 100)
		backlogged := func() bool { return w.s.backlogged(w.o, time.Now()) }
		w.push("idle", 1)
		w.takes()
		time.Sleep(3 * activePeriod)
		w.push("left", 2, 3, 4)
		w.push("a", 5)
		require.True(t, backlogged(), "both of those that are active")
		require.Equal(t, []string{"left:2", "a:5"}, w.takes())
		require.False(t, backlogged(), "one of two")
		time.Sleep(3 * activePeriod)
		require.False(t, backlogged(), "one of three")
		w.push("a", 6)
		w.push("idle", 7)
		require.True(t, backlogged())
		time.Sleep(3 * activePeriod)
		require.True(t, backlogged(), "still all three")
	})
}

// All of a lane without an end holds a window open; one whose endpoint takes its usual time moves, be that seconds.
func TestSlowLaneDoesNotHoldTheWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 1, 100)
		for _, name := range []string{"slow", "hung"} {
			w.push(name, 10, 11, 12)
		}
		w.limit(w.lane("slow"), func(limit *gate.Limit) {
			for range 8 {
				limit.Answered(time.Second, true, time.Now())
			}
		})
		require.ElementsMatch(t, []string{"slow:10", "hung:10"}, w.takes())
		time.Sleep(2 * stuckAfter)
		w.s.divertBelow(w.o, 0, time.Now())
		require.Equal(t, []string{"hung:11", "hung:12"}, w.parted())
		time.Sleep(overdue * time.Second)
		w.s.divertBelow(w.o, 0, time.Now())
		require.Equal(t, []string{"slow:11", "slow:12"}, w.parted())
	})
}

// What is old in a lane stays where it waits for nothing but processors: it has its turn before it could be back.
func TestOldItemsOfQuickLanesStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLaneWorld(t, 4, 100)
		for _, lane := range []struct {
			name  string
			takes time.Duration
		}{{"quick", 10 * time.Millisecond}, {"slow", 3 * windowDelay}, {"probed", time.Millisecond}, {"rests", time.Millisecond}} {
			w.limit(w.lane(lane.name), func(limit *gate.Limit) {
				for range 8 {
					limit.Answered(lane.takes, true, time.Now())
				}
			})
			w.push(lane.name, 10, 11, 12, 13, 100)
		}
		w.push("unknown", 10)
		w.lane("probed").blocked, w.lane("rests").paused = true, true
		w.s.divertBelow(w.o, 12, time.Now())
		require.ElementsMatch(t, []string{"slow:10", "slow:11", "probed:10", "probed:11", "rests:10", "rests:11", "unknown:10"}, w.parted())
	})
}
