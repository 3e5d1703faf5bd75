package pipeline

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// patient is the configuration of a breaker that opens for nothing, so that every attempt is made.
var patient = gate.Config{Failures: 100_000}

// answering is an endpoint whose answer a test changes; it counts the attempts.
type answering struct {
	status   int
	attempts int
}

func (a *answering) Do(_ context.Context, _ *attempt.Request) (attempt.Response, error) {
	a.attempts++
	r := response(a.status)
	r.Started = time.Now().UTC()
	return r, nil
}

// verdictOf hands over a new delivery and says what became of it.
func (s *stage) verdictOf(sub *subscription.Subscription, n int) string {
	s.t.Helper()
	s.sendDelivery(deliveryOf(sub, n))
	synctest.Wait()
	return s.lastVerdict()
}

func (s *stage) lastVerdict() string {
	s.t.Helper()
	rows := s.b.outcomes(s.t)
	require.NotEmpty(s.t, rows)
	last := rows[len(rows)-1]
	return fmt.Sprintf("%s/%s", last.Verdict, last.Reason)
}

// crash is the end of an owner without a commit: the next one reads everything again.
func (s *stage) crash() {
	s.t.Helper()
	s.lose()
	s.d.Revoke([]*kafka.Partition{s.p})
	s.p.Tracker().Revoke()
	synctest.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	old := s.p
	s.p, s.lose = kafka.NewPartition(ctx, "deliveries", 0, offset.NewTracker(0, offset.Set{})), cancel
	s.p.Generation = old.Generation + 1
	require.NoError(s.t, s.d.Assign(s.p))
	s.reread(0)
	synctest.Wait()
}

// dixaA and dixaB are the policies of the two profiles; those of the files are in the conformance histories.
func dixaA() *subscription.FailurePolicy {
	return &subscription.FailurePolicy{
		Kind: subscription.FailureConsecutive, Failures: 15, Effect: subscription.EffectSuspendRetries,
	}
}

func dixaB() *subscription.FailurePolicy {
	return &subscription.FailurePolicy{
		Kind: subscription.FailureConsecutive, Failures: 25, Within: subscription.Duration(3 * time.Hour),
	}
}

// From the 15th failure in a row on, failed deliveries are not tried again, and those that wait end as they come due, until
// one succeeds. First tries go on all the while.
func TestRetriesAreSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Failure = dixaA()
		sub.Retry = &subscription.RetryPolicy{
			Kind: subscription.RetryFixed, Interval: subscription.Duration(time.Minute), MaxTries: 4, Jitter: subscription.JitterNone,
		}
		endpoint := &answering{status: 500}
		s := newStage(t, DelivererOptions{Workers: 1, Breaker: patient}, endpoint, sub)
		since := time.Now().UTC()
		for n := range 14 {
			require.Equal(t, "retry/failed", s.verdictOf(sub, n))
		}
		require.Empty(t, s.b.told(t))
		require.Equal(t, "dead/retries_suspended", s.verdictOf(sub, 14), "the 15th")
		require.Equal(t, []string{operational.RetriesSuspended, operational.AttemptExhausted}, types(s.b.told(t)))
		require.Equal(t, since, *s.b.told(t)[0].Data.Data.FailSince)
		require.Equal(t, "dead/retries_suspended", s.verdictOf(sub, 15), "a first try is made, and is the last")
		require.Equal(t, 16, endpoint.attempts)

		s.handOver()
		waiting := s.b.acknowledged("retry.30s")
		require.Len(t, waiting, 14)
		for i, r := range waiting[:13] {
			d, err := decode(r)
			require.NoError(t, err)
			time.Sleep(max(0, time.Until(d.Due)))
			s.sendDelivery(d)
			synctest.Wait()
			require.Equal(t, "dead/retries_suspended", s.lastVerdict(), "waiting %d", i)
		}
		require.Equal(t, 16, endpoint.attempts, "those that waited end without an attempt")
		rows := s.b.outcomes(t)
		last := rows[len(rows)-1]
		require.Equal(t, outcome.ResultNone, last.Result)
		require.Equal(t, 1, last.Attempt)
		require.Len(t, s.b.acknowledged("deadletters"), 15)

		endpoint.status = 200
		require.Equal(t, "delivered/delivered", s.verdictOf(sub, 16))
		told := s.b.told(t)
		require.Equal(t, operational.RetriesResumed, told[len(told)-1].Type)
		require.Equal(t, since, *told[len(told)-1].Data.Data.FailSince)
		endpoint.status = 500
		d, err := decode(waiting[13])
		require.NoError(t, err)
		s.sendDelivery(d)
		synctest.Wait()
		require.Equal(t, "retry/failed", s.lastVerdict(), "the one that still waited")
		require.Equal(t, "retry/failed", s.verdictOf(sub, 17))
	})
}

// The owner is killed at each count of the policies, between an outcome and its commit and between an attempt and its outcome:
// no failure counts twice and none is forgotten.
func TestKillsAtEachCount(t *testing.T) {
	for name, c := range map[string]struct {
		policy *subscription.FailurePolicy
		full   int
		before string
		at     string
		after  string
		event  string
	}{
		"A": {dixaA(), 15, "retry/failed", "dead/retries_suspended", "dead/retries_suspended", operational.RetriesSuspended},
		"B": {dixaB(), 25, "retry/failed", "retry/failed", "cancelled/disabled", operational.EndpointDisabled},
	} {
		for k := 1; k <= c.full; k++ {
			for _, acknowledged := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s at %d, outcome acknowledged %t", name, k, acknowledged), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						sub := subscriptionNamed("one")
						sub.Failure = c.policy
						endpoint := &answering{status: 500}
						s := newStage(t, DelivererOptions{Workers: 1, Breaker: patient}, endpoint, sub)
						repeated := 0
						for n := range c.full {
							want := c.before
							if n == c.full-1 {
								want = c.at
							}
							kill := n == k-1
							if kill && !acknowledged {
								s.b.hold("outcomes")
							}
							s.sendDelivery(deliveryOf(sub, n))
							synctest.Wait()
							if kill {
								s.crash()
								s.b.release("outcomes")
								synctest.Wait()
								if !acknowledged {
									repeated = 1
								}
							}
							if kill && !acknowledged && n == c.full-1 && name == "B" {
								want, repeated = "cancelled/disabled", 0 // the disabling itself was acknowledged
							}
							require.Equal(t, want, s.lastVerdict(), "delivery %d", n)
						}
						require.Equal(t, c.full+repeated, endpoint.attempts)
						require.Equal(t, c.after, s.verdictOf(sub, c.full))
						ids := map[string]bool{}
						for _, e := range s.b.told(t) {
							if e.Type == c.event {
								ids[e.ID] = true
							}
						}
						require.Len(t, ids, 1, "one event, though it may have been written twice")
					})
				})
			}
		}
	}
}

// Twenty-five failures that take longer than three hours disable nothing.
func TestFailuresSpreadOverHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Failure = dixaB()
		s := newStage(t, DelivererOptions{Workers: 1, Breaker: patient}, &answering{status: 500}, sub)
		for n := range 60 {
			require.Equal(t, "retry/failed", s.verdictOf(sub, n))
			time.Sleep(3*time.Hour/24 + time.Second)
		}
		require.Equal(t, "retry/failed", s.verdictOf(sub, 60))
		require.Empty(t, s.b.told(t), "24 seconds too slowly")
		require.Equal(t, "retry/failed", s.verdictOf(sub, 61))
		require.Equal(t, []string{operational.EndpointDisabled}, types(s.b.told(t)), "the last 25 are within three hours")
		require.Equal(t, "cancelled/disabled", s.verdictOf(sub, 62))
	})
}

// Ninety-five of a hundred attempts of an hour fail: disabled, and locked.
func TestFailureRateLocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Failure = &subscription.FailurePolicy{
			Kind: subscription.FailureRate, Percent: 95, Attempts: 100, Within: subscription.Duration(time.Hour), Effect: subscription.EffectLock,
		}
		endpoint := &answering{}
		s := newStage(t, DelivererOptions{Workers: 1, Breaker: patient}, endpoint, sub)
		for n := range 99 {
			endpoint.status = 500
			if n%20 == 10 {
				endpoint.status = 200
			}
			s.verdictOf(sub, n)
			if n == 50 {
				s.handOver()
			}
			require.Empty(t, s.b.told(t))
		}
		require.Equal(t, "retry/failed", s.verdictOf(sub, 99))
		told := s.b.told(t)
		require.Equal(t, []string{operational.EndpointDisabled}, types(told))
		require.True(t, told[0].Data.Data.Locked)
		require.Equal(t, "failing", told[0].Data.Data.Reason)
		require.Equal(t, "cancelled/disabled", s.verdictOf(sub, 100))
	})
}

// An endpoint that fails for five days is disabled, by the profile's own policy.
func TestLastingFailuresDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 1, Breaker: patient}, &answering{status: 500}, sub)
		for n := range 22 {
			require.Equal(t, "retry/failed", s.verdictOf(sub, n))
			require.Empty(t, s.b.told(t))
			if n == 10 {
				s.handOver()
			}
			time.Sleep(6 * time.Hour)
		}
		// The clock started with the third failure, twelve hours after the first.
		require.Equal(t, "retry/failed", s.verdictOf(sub, 22), "five days after that")
		told := s.b.told(t)
		require.Equal(t, []string{operational.EndpointDisabled}, types(told))
		require.False(t, told[0].Data.Data.Locked)
		require.Equal(t, "cancelled/disabled", s.verdictOf(sub, 23))
	})
}
