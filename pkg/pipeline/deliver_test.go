package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/outcome"
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
	failed failure
}

// newStage starts a deliverer and assigns it partition 0. It is stopped at the end, and must have given everything back.
func newStage(t testing.TB, opts DelivererOptions, client Attempter, subs ...*subscription.Subscription) *stage {
	t.Helper()
	s := &stage{t: t, b: newBroker(t), reg: &registered{snap: snapshotOf(t, subs...), confirmed: time.Now}}
	opts.Metrics = NewMetrics(nil)
	s.d = NewDeliverer(opts, s.reg, profilesForTest(t), client, s.b, s.b, s.failed.set)
	s.d.Start()
	s.p, s.lose = s.assign(0)
	t.Cleanup(func() {
		s.revoke(s.p)
		s.lose()
		s.d.Stop()
		require.Zero(t, s.d.bytes.Load(), "bytes in memory")
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

// endings are all the ways a delivery ends, each with the records that this takes, in order.
var endings = []struct {
	name   string
	status int
	change func(d *delivery.Delivery, s *subscription.Subscription)
	topics []string
	row    string
}{
	{"delivered", 200, nil, []string{"outcomes"}, "delivered/delivered"},
	{"failed", 500, nil, []string{"retry.5s", "outcomes"}, "retry/failed"},
	{"exhausted", 500, func(d *delivery.Delivery, _ *subscription.Subscription) { d.Attempts = 2 }, []string{"deadletters", "outcomes"}, "dead/exhausted"},
	{"redriven", 500, func(d *delivery.Delivery, _ *subscription.Subscription) { d.Attempts, d.Base = 3, 3 }, []string{"retry.5s", "outcomes"}, "retry/failed"},
	{"gone", 410, nil, []string{"endpoint-states", "deadletters", "outcomes"}, "dead/gone"},
	{"no request", 200, func(_ *delivery.Delivery, s *subscription.Subscription) { s.Secrets = []string{"nonsense"} }, []string{"deadletters", "outcomes"}, "dead/not_retryable"},
	{"disabled", 200, func(_ *delivery.Delivery, s *subscription.Subscription) { s.Disabled = true }, []string{"outcomes"}, "cancelled/disabled"},
	{"deleted", 200, func(d *delivery.Delivery, _ *subscription.Subscription) {
		d.Subscription = subscriptionNamed("nobody").ID
	}, []string{"outcomes"}, "cancelled/deleted"},
}

// The outcome is written only when what it stands for was acknowledged, and the offset is finished only when the outcome
// was: whichever record is the one that is not acknowledged, everything behind it waits.
func TestNothingIsFinishedBeforeItIsAcknowledged(t *testing.T) {
	for _, c := range endings {
		for i, stuck := range c.topics {
			t.Run(c.name+" without "+stuck, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sub := subscriptionNamed("one")
					d := deliveryOf(sub, 1)
					if c.change != nil {
						c.change(d, sub)
					}
					s := newStage(t, DelivererOptions{Workers: 4}, status(c.status), sub)
					s.b.hold(stuck)
					s.sendDelivery(d)
					time.Sleep(time.Second)
					require.Equal(t, c.topics[:i], append([]string{}, s.b.order()...))
					require.Equal(t, 1, s.b.sent(stuck))
					for _, later := range c.topics[i+1:] {
						require.Zero(t, s.b.sent(later), "%s before %s was acknowledged", later, stuck)
					}
					require.Equal(t, 1, s.inFlight(), "finished before %s was acknowledged", stuck)
					s.b.release(stuck)
					synctest.Wait()
					require.Equal(t, c.topics, s.b.order())
					require.Zero(t, s.inFlight())
					row := s.b.outcomes(t)[0]
					require.Equal(t, c.row, fmt.Sprintf("%s/%s", row.Verdict, row.Reason))
					s.requireNoFailure()
				})
			})
		}
	}
}

// A record that Kafka refuses ends the process, and its delivery is not finished: the next owner repeats it.
func TestRefusedRecordNeverFinishes(t *testing.T) {
	for _, c := range endings {
		for i, refused := range c.topics {
			t.Run(c.name+" without "+refused, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					sub := subscriptionNamed("one")
					d := deliveryOf(sub, 1)
					if c.change != nil {
						c.change(d, sub)
					}
					s := newStage(t, DelivererOptions{Workers: 4}, status(c.status), sub)
					broken := errors.New("refused")
					s.b.refuse = func(r *kafka.Record) error {
						if r.Topic == refused {
							return broken
						}
						return nil
					}
					s.sendDelivery(d)
					time.Sleep(time.Second)
					require.Equal(t, c.topics[:i], append([]string{}, s.b.order()...))
					require.Equal(t, 1, s.inFlight())
					require.ErrorIs(t, s.failed.get(), broken)
				})
			})
		}
	}
}

// hanging answers when it is let go, or ends with its context.
type hanging chan struct{}

func (h hanging) Do(ctx context.Context, _ *attempt.Request) (attempt.Response, error) {
	select {
	case <-h:
		return response(200), nil
	case <-ctx.Done():
		return attempt.Response{}, context.Cause(ctx)
	}
}

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
					s.d.lane(s.d.owned[0], sub.ID).blocked = true
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

// A window that is mostly finished hangs on a few old deliveries: those that wait are diverted, those in flight are waited
// for.
func TestMostlyFinishedWindowDivertsWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow, fast := subscriptionNamed("slow"), subscriptionNamed("fast")
		client := make(hanging)
		s := newStage(t, DelivererOptions{Workers: 8, LaneConcurrency: 1}, answers(func(ctx context.Context, r *attempt.Request) (attempt.Response, error) {
			if strings.Contains(r.URL, "slow") {
				return client.Do(ctx, r)
			}
			return response(200), nil
		}), slow, fast)
		s.sendDelivery(deliveryOf(slow, 0), deliveryOf(slow, 1), deliveryOf(slow, 2))
		synctest.Wait()
		s.next = windowSpan + 100
		s.sendDelivery(deliveryOf(slow, 3))
		time.Sleep(time.Second)
		require.True(t, s.p.Held(kafka.HoldWindow))
		rows := s.b.outcomes(t)
		require.Len(t, rows, 2, "what was queued at the old end")
		for _, row := range rows {
			require.Equal(t, outcome.ReasonWindowFull, row.Reason)
			require.Less(t, row.Record.Offset, int64(3))
		}
		require.Len(t, s.b.acknowledged("retry.5s"), 2)
		require.Equal(t, 2, s.inFlight(), "the oldest is in flight, the newest waits behind it")
		client <- struct{}{}
		synctest.Wait()
		require.False(t, s.p.Held(kafka.HoldWindow))
		client <- struct{}{}
		synctest.Wait()
		require.Zero(t, s.inFlight())
	})
}

// A window that is mostly unfinished is backlog: it is held and nothing is diverted.
func TestMostlyUnfinishedWindowHolds(t *testing.T) {
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
		require.True(t, s.p.Held(kafka.HoldWindow))
		require.Empty(t, s.b.order())
		close(client)
		synctest.Wait()
		require.False(t, s.p.Held(kafka.HoldWindow))
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
		l := s.d.lane(o, sub.ID)
		require.True(t, s.p.Tracker().Begin(0))
		it := &item{d: deliveryOf(sub, 1), lane: l}
		s.d.bytes.Add(it.size())
		s.d.sched.mu.Lock()
		s.d.sched.queued++
		s.d.sched.dispatch(it)
		s.d.sched.mu.Unlock()
		s.d.refused(&candidate{item: it, sub: sub, ep: s.d.endpoint(o, sub.ID)}, gate.Refusal{Probing: true})
		synctest.Wait()
		require.Zero(t, s.inFlight())
		require.Len(t, s.b.outcomes(t), 1)
	})
}

func TestUndecodableRecordIsBuriedAndCut(t *testing.T) {
	for _, size := range []int{3, maxCarriedValue, maxCarriedValue + 1} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t, DelivererOptions{Workers: 1}, status(200))
			s.b.hold("deadletters")
			poison := &kafka.Record{
				Key: bytes.Repeat([]byte("k"), maxCarriedKey+1), Value: bytes.Repeat([]byte("\xff"), size),
				Headers: []kafka.Header{{Key: "h", Value: []byte("v")}},
			}
			s.send(poison)
			time.Sleep(time.Second)
			require.Equal(t, 1, s.inFlight())
			s.b.release("deadletters")
			synctest.Wait()
			require.Zero(t, s.inFlight())
			dead := s.b.acknowledged("deadletters")[0]
			require.Len(t, dead.Value, min(size, maxCarriedValue))
			require.Len(t, dead.Key, maxCarriedKey)
			got := map[string]string{}
			for _, h := range dead.Headers {
				got[h.Key] = string(h.Value)
			}
			require.Equal(t, "v", got["h"])
			require.Equal(t, "undecodable", got[delivery.HeaderReason])
			require.Contains(t, got[delivery.HeaderDetail], "record key")
			if size > maxCarriedValue {
				require.Equal(t, fmt.Sprint(size), got[HeaderTruncated])
			}
		})
	}
}

// What a crash repeated is finished without a second attempt, also while the first is under way.
func TestRepeatsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub, client := subscriptionNamed("one"), make(hanging)
		s := newStage(t, DelivererOptions{Workers: 4}, client, sub)
		again := deliveryOf(sub, 1)
		again.Pass = 1
		s.sendDelivery(deliveryOf(sub, 1), deliveryOf(sub, 1))
		synctest.Wait()
		require.Equal(t, 1, s.inFlight())
		c, _ := s.p.Tracker().Commit()
		require.Zero(t, c.Offset, "the commit stays with the first")
		client <- struct{}{}
		synctest.Wait()
		s.sendDelivery(again, deliveryOf(sub, 1))
		synctest.Wait()
		require.Zero(t, s.inFlight())
		require.Len(t, s.b.outcomes(t), 1)
		require.InEpsilon(t, 3.0, figure(t, s.d.opts.Metrics.repeats), 0.01)
	})
}

// Nothing is sent while the registry's snapshot is older than the delivery, or nobody knows whether it is complete.
func TestSendsWaitForTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		newer := snapshotOf(t, subscriptionNamed("other"), sub)
		s := newStage(t, DelivererOptions{Workers: 4}, status(200)) // knows no subscription yet
		d := deliveryOf(sub, 1)
		d.Registry = newer.Version()
		s.sendDelivery(d)
		time.Sleep(time.Minute)
		require.Equal(t, 1, s.inFlight(), "not there yet is not deleted")
		s.reg.set(newer)
		time.Sleep(time.Second)
		require.Equal(t, outcome.Delivered, s.b.outcomes(t)[0].Verdict)

		stale := time.Now()
		s.reg.mu.Lock()
		s.reg.confirmed = func() time.Time { return stale }
		s.reg.mu.Unlock()
		time.Sleep(maxUnconfirmed + time.Millisecond)
		s.sendDelivery(deliveryOf(sub, 2))
		time.Sleep(time.Minute)
		require.Len(t, s.b.outcomes(t), 1)
		s.reg.mu.Lock()
		s.reg.confirmed = time.Now
		s.reg.mu.Unlock()
		time.Sleep(time.Second)
		require.Len(t, s.b.outcomes(t), 2)
	})
}

func TestRevokeDrainsThenCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub, started := subscriptionNamed("one"), atomic.Int64{}
		s := newStage(t, DelivererOptions{Workers: 8, LaneConcurrency: 2, Drain: 5 * time.Second}, answers(
			func(ctx context.Context, _ *attempt.Request) (attempt.Response, error) {
				d := 2 * time.Second
				if started.Add(1)%2 == 0 {
					d = time.Minute
				}
				if !pause(ctx, d) {
					return attempt.Response{}, context.Cause(ctx)
				}
				return response(200), nil
			}), sub)
		s.sendDelivery(deliveryOf(sub, 0), deliveryOf(sub, 1), deliveryOf(sub, 2), deliveryOf(sub, 3))
		synctest.Wait()
		at := time.Now()
		s.revoke(s.p)
		require.Equal(t, 5*time.Second, time.Since(at))
		require.EqualValues(t, 2, started.Load(), "what was queued is not started")
		require.Len(t, s.b.outcomes(t), 1)
		require.Equal(t, 3, s.inFlight(), "the next owner's")
		require.Zero(t, s.d.bytes.Load())
		s.requireNoFailure()
	})
}

// An acknowledgement that does not come keeps a revoke for a bounded time, and finishes nothing when it comes late.
func TestRevokeDoesNotWaitForAcknowledgementsForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 8, Drain: 5 * time.Second}, status(200), sub)
		s.b.hold("outcomes")
		s.sendDelivery(deliveryOf(sub, 0))
		synctest.Wait()
		at := time.Now()
		s.revoke(s.p)
		require.Equal(t, 5*time.Second+settleTimeout, time.Since(at))
		s.b.release("outcomes")
		synctest.Wait()
		require.Equal(t, 1, s.inFlight())
		s.requireNoFailure()
	})
}

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
