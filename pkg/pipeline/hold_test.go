package pipeline

import (
	"bytes"
	"context"
	"fmt"
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

func TestBacklogHoldsItsPartition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub, client := subscriptionNamed("one"), make(hanging)
		s := newStage(t, DelivererOptions{Workers: 4, LaneConcurrency: 1, LaneQueue: 6}, client, sub)
		for n := range 5 {
			s.sendDelivery(deliveryOf(sub, n))
		}
		synctest.Wait()
		require.False(t, s.p.Held(kafka.HoldBacklog))
		s.sendDelivery(deliveryOf(sub, 5), deliveryOf(sub, 6), deliveryOf(sub, 7))
		require.True(t, s.p.Held(kafka.HoldBacklog))
		for left := 8; left > 0; left-- {
			client <- struct{}{}
			synctest.Wait()
			require.Equal(t, left-1, s.inFlight())
			require.Equal(t, left > 4, s.p.Held(kafka.HoldBacklog), "%d left, of which one is in flight", left-1)
		}
	})
}

// A partition that is held for the bytes of another one is released when those are given back, by an end or by a revoke.
func TestBytesHoldEveryPartitionUntilThereIsRoom(t *testing.T) {
	for _, how := range []string{"finished", "revoked", "lost", "revoked while it waited"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sub, client := subscriptionNamed("one"), make(hanging)
				s := newStage(t, DelivererOptions{Workers: 4, MaxBytes: 64 << 10}, client, sub)
				idle, cancel := s.assign(1)
				defer cancel()
				if how == "revoked while it waited" {
					s.lane(sub).blocked = true
				}
				d := deliveryOf(sub, 1)
				d.Data = bytes.Repeat([]byte("1"), 65<<10)
				s.sendDelivery(d)
				synctest.Wait()
				require.True(t, s.p.Held(kafka.HoldBytes))
				require.True(t, idle.Held(kafka.HoldBytes))
				late, cancel := s.assign(2) // assigned while it was full
				defer cancel()
				switch how {
				case "finished":
					client <- struct{}{}
				case "revoked", "revoked while it waited":
					s.revoke(s.p)
				case "lost":
					s.lose()
					s.d.Lost([]*kafka.Partition{s.p})
				}
				synctest.Wait()
				require.False(t, idle.Held(kafka.HoldBytes))
				require.False(t, late.Held(kafka.HoldBytes))
				s.revoke(idle)
				s.revoke(late)
			})
		})
	}
}

// fastAndSlow are a subscription whose endpoint answers at once, and some whose endpoints do as [slowly] is told.
func fastAndSlow(slow int) []*subscription.Subscription {
	subs := []*subscription.Subscription{subscriptionNamed("fast")}
	for i := range slow {
		subs = append(subs, subscriptionNamed(fmt.Sprint("slow", i)))
	}
	return subs
}

// active are others, whose endpoints answer at once too.
func active(n int) (subs []*subscription.Subscription) {
	for i := range n {
		subs = append(subs, subscriptionNamed(fmt.Sprint("fast", i)))
	}
	return subs
}

func oneEach(subs []*subscription.Subscription) (ds []*delivery.Delivery) {
	for n, sub := range subs {
		ds = append(ds, deliveryOf(sub, n))
	}
	return ds
}

func slowly(client Attempter) Attempter {
	return answers(func(ctx context.Context, r *attempt.Request) (attempt.Response, error) {
		if strings.Contains(r.URL, "slow") {
			return client.Do(ctx, r)
		}
		return response(200), nil
	})
}

// inPieces are deliveries to the slow ones in turn, with one to the fast one behind each: as many pieces.
func inPieces(subs []*subscription.Subscription, pieces int) (ds []*delivery.Delivery) {
	for n := range pieces {
		ds = append(ds, deliveryOf(subs[1+n%(len(subs)-1)], n), deliveryOf(subs[0], n))
	}
	return ds
}

// Where most of a wide window waits behind attempts that hang, it does not shrink by itself: others of the partition do not wait
// until those time out, although nothing arrives or ends meanwhile.
func TestWindowBehindHungAttemptsIsDiverted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := make(hanging)
		subs := fastAndSlow(8)
		opts := DelivererOptions{Workers: 16, LaneConcurrency: 1, LaneQueue: windowSpan, Window: 2 * windowSpan}
		s := newStage(t, opts, slowly(client), subs...)
		var ds []*delivery.Delivery
		for n := range windowSpan + 100 {
			sub := subs[0]
			if n%16 < 10 {
				sub = subs[1+n%8]
			}
			ds = append(ds, deliveryOf(sub, n))
		}
		s.sendDelivery(ds...)
		time.Sleep(stuckAfter / 2)
		s.sendDelivery(deliveryOf(subs[0], len(ds)))
		require.Greater(t, 2*s.p.Tracker().InFlight(), len(ds))
		require.True(t, s.p.Held(kafka.HoldWindow))
		time.Sleep(2 * stuckAfter)
		require.False(t, s.p.Held(kafka.HoldWindow))
		require.Equal(t, 8, s.inFlight(), "one of each lane that hangs")
		close(client)
		synctest.Wait()
	})
}

// A wide window in many pieces hangs on a few old deliveries: those that wait are diverted, and those in flight, which are few,
// keep nobody.
func TestWindowInPiecesDivertsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := make(hanging)
		subs := fastAndSlow(8)
		others := active(16)
		s := newStage(t, DelivererOptions{Workers: 16, LaneConcurrency: 1}, slowly(client), append(others, subs...)...)
		s.sendDelivery(oneEach(others)...)
		s.sendDelivery(inPieces(subs, maxRuns+200)...)
		time.Sleep(time.Second)
		require.Greater(t, s.p.Tracker().Runs(), maxRuns)
		require.False(t, s.p.Held(kafka.HoldWindow), "a bitmap holds it")
		s.next = windowSpan + 100
		s.sendDelivery(deliveryOf(subs[1], 10_000))
		require.True(t, s.p.Held(kafka.HoldWindow))
		time.Sleep(time.Second)
		require.False(t, s.p.Held(kafka.HoldWindow))
		parked := 0
		for _, row := range s.b.outcomes(t) {
			if row.Verdict == outcome.Parked {
				parked++
				require.Equal(t, outcome.ReasonWindowFull, row.Reason)
				require.Less(t, row.Record.Offset, int64(windowSpan))
				require.GreaterOrEqual(t, time.Until(*row.Due), 4*time.Second)
			}
		}
		require.Equal(t, maxRuns+200-8, parked, "one of each lane is in flight")
		require.Equal(t, 9, s.inFlight(), "and the newest waits behind one")
		close(client)
		synctest.Wait()
		require.Zero(t, s.inFlight())
	})
}

// What is old in lanes that move is diverted only when the window is nearly as wide and in nearly as many pieces as it may be, and only
// where few of the lanes wait: most of them are a backlog, of which nobody's part is late because of another's.
func TestWindowInPiecesWaitsForLanesThatMove(t *testing.T) {
	for _, c := range []struct{ pieces, span, others, diverted int }{
		{easedRuns - 20, windowSpan, 16, 0},
		{easedRuns + 20, windowSpan, 16, easedRuns + 20 - 8},
		{easedRuns + 20, easedSpan - 20, 16, 0},
		{easedRuns + 20, windowSpan, 0, 0},
	} {
		synctest.Test(t, func(t *testing.T) {
			subs := fastAndSlow(8)
			others := active(c.others)
			s := newStage(t, DelivererOptions{Workers: 16, LaneConcurrency: 1, Drain: time.Millisecond}, slowly(answers(
				func(ctx context.Context, _ *attempt.Request) (attempt.Response, error) {
					if !pause(ctx, stuckAfter/2) {
						return attempt.Response{}, context.Cause(ctx)
					}
					return response(200), nil
				})), append(others, subs...)...)
			s.sendDelivery(oneEach(others)...)
			s.sendDelivery(inPieces(subs, c.pieces)...)
			synctest.Wait()
			require.InDelta(t, c.pieces, s.p.Tracker().Runs(), 1)
			s.next = int64(c.span)
			s.sendDelivery(deliveryOf(subs[0], 10_000))
			time.Sleep(stuckAfter / 4)
			parked := 0
			for _, row := range s.b.outcomes(t) {
				if row.Verdict == outcome.Parked {
					parked++
				}
			}
			require.Equal(t, c.diverted, parked)
		})
	}
}

// Hundreds of attempts that hang are no reason to hold a partition: a window in as many pieces can be told.
func TestWindowOfAttemptsThatHangIsNotHeld(t *testing.T) {
	const inFlight = easedRuns - 20
	synctest.Test(t, func(t *testing.T) {
		client := make(hanging)
		subs := fastAndSlow(inFlight)
		s := newStage(t, DelivererOptions{Workers: 2 * inFlight, LaneConcurrency: 1}, slowly(client), subs...)
		s.sendDelivery(inPieces(subs, maxRuns+100)...)
		synctest.Wait()
		s.next = windowSpan + 100
		s.sendDelivery(deliveryOf(subs[0], 10_000))
		require.True(t, s.p.Held(kafka.HoldWindow))
		time.Sleep(3 * stuckAfter)
		require.InDelta(t, inFlight, s.p.Tracker().Runs(), 1)
		require.False(t, s.p.Held(kafka.HoldWindow))
		close(client)
		synctest.Wait()
	})
}

// A window that is mostly unfinished is backlog: it is read on, as far as there is room.
func TestMostlyUnfinishedWindowIsReadOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := make(hanging)
		var subs []*subscription.Subscription
		for i := range 20 {
			subs = append(subs, subscriptionNamed(fmt.Sprint("s", i)))
		}
		s := newStage(t, DelivererOptions{Workers: 8, LaneConcurrency: 1, LaneQueue: 1 << 20, MaxBytes: 1 << 30}, client, subs...)
		var ds []*delivery.Delivery
		for n := range windowSpan + 100 {
			ds = append(ds, deliveryOf(subs[n%len(subs)], n))
		}
		s.sendDelivery(ds...)
		synctest.Wait()
		require.False(t, s.p.Held(kafka.HoldWindow))
		require.Empty(t, s.b.order())
		close(client)
		synctest.Wait()
		require.Zero(t, s.inFlight())
	})
}

// A hold that is set just after the last delivery ended has nobody else to release it.
func TestHoldThatComesLateIsReleased(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t, DelivererOptions{Workers: 1}, status(200))
		s.p.Hold(kafka.HoldBacklog)
		s.p.Hold(kafka.HoldWindow)
		s.d.holdAll()
		s.d.Records(s.p, nil)
		for _, why := range []kafka.Hold{kafka.HoldBacklog, kafka.HoldWindow, kafka.HoldBytes} {
			require.False(t, s.p.Held(why), "%d", why)
		}
	})
}

// A probe may end between its refusal of others and their return to the lane; they go on all the same.
func TestProbeThatEndsBeforeTheOthersAreBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 1}, status(200), sub)
		o := s.d.owned[0]
		l := s.lane(sub)
		require.True(t, s.p.Tracker().Begin(0))
		it := &item{d: deliveryOf(sub, 1), lane: l}
		s.d.sched.hold(it)
		s.d.sched.mu.Lock()
		s.d.sched.queued++
		s.d.sched.dispatch(it)
		s.d.sched.mu.Unlock()
		s.d.refused(&candidate{item: it, decision: &decision{sub: sub, ep: s.d.endpoint(o, sub.ID)}}, gate.Refusal{Probing: true})
		synctest.Wait()
		require.Zero(t, s.inFlight())
		require.Len(t, s.b.outcomes(t), 1)
	})
}
