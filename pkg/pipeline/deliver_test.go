package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

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
	{"exhausted", 500, func(d *delivery.Delivery, _ *subscription.Subscription) { d.Attempts = 2 }, []string{"deadletters", "operational", "outcomes"}, "dead/exhausted"},
	{"redriven", 500, func(d *delivery.Delivery, _ *subscription.Subscription) { d.Attempts, d.Base = 3, 3 }, []string{"retry.5s", "operational", "outcomes"}, "retry/failed"},
	{"gone", 410, nil, []string{"endpoint-states", "operational", "deadletters", "operational", "outcomes"}, "dead/gone"},
	{"no request", 200, func(_ *delivery.Delivery, s *subscription.Subscription) { s.Secrets = []string{"nonsense"} }, []string{"deadletters", "operational", "outcomes"}, "dead/not_retryable"},
	{"not sent", 200, func(_ *delivery.Delivery, s *subscription.Subscription) { s.Transformation = program(`.cancel = true`) }, []string{"outcomes"}, "delivered/not_sent"},
	{"no message", 200, func(_ *delivery.Delivery, s *subscription.Subscription) { s.Transformation = program(`error("no")`) }, []string{"deadletters", "operational", "outcomes"}, "dead/not_retryable"},
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
			if slices.Index(c.topics, stuck) != i {
				continue // it is stuck at the first one
			}
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
						if later == stuck {
							continue
						}
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
			if slices.Index(c.topics, refused) != i {
				continue // it is refused at the first one
			}
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
				require.Equal(t, fmt.Sprint(size), got[letter.HeaderTruncated])
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

// The next owner starts with the states as they are at the end of a revoke.
func TestRevokeWritesTheStates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 8, Drain: 5 * time.Second}, status(503), sub)
		s.sendDelivery(deliveryOf(sub, 0))
		time.Sleep(time.Second) // less than until the next snapshot
		require.Empty(t, s.b.acknowledged("endpoint-states"))
		s.b.hold("endpoint-states")
		time.AfterFunc(time.Second, func() { s.b.release("endpoint-states") })
		at := time.Now()
		s.revoke(s.p)
		require.Equal(t, time.Second, time.Since(at), "it waits for them")
		states := s.b.acknowledged("endpoint-states")
		require.Len(t, states, 2)
		require.Equal(t, sub.ID.UUID(), string(states[0].Key))
		require.Equal(t, checkpointPrefix+"0", string(states[1].Key))
		s.requireNoFailure()
	})
}

// A producer that takes nothing more keeps neither a revoke nor the end of the process, whoever waits for it.
func TestRevokeDoesNotWaitForAFullProducer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 8, Drain: 5 * time.Second}, status(503), sub)
		s.sendDelivery(deliveryOf(sub, 0))
		synctest.Wait()
		s.b.change(func() { s.b.full = true })
		time.Sleep(2 * snapshotEvery) // the states that changed wait for room
		s.sendDelivery(deliveryOf(sub, 1))
		synctest.Wait()
		at := time.Now()
		s.revoke(s.p)
		require.LessOrEqual(t, time.Since(at), 5*time.Second+settleTimeout)
		s.requireNoFailure()
	})
}

// What is parted with may be on its way to a broker that does not answer. The stage stops without the answer.
func TestStopDoesNotWaitForAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 8, Drain: 5 * time.Second}, status(200), sub)
		s.d.endpoint(s.d.owned[0], sub.ID).rest.Begin(time.Now().Add(20 * time.Second))
		s.b.hold("retry.5s")
		s.sendDelivery(deliveryOf(sub, 0))
		synctest.Wait()
		require.Equal(t, 1, s.b.sent("retry.5s"))
		s.requireNoFailure()
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
