package pipeline

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/egress"
	"github.com/postrider/postrider/pkg/gate"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/subscription"
)

// told is an operational event as a reader has it.
type told struct {
	ID, Source, Type, Tenant string
	Time                     time.Time
	Data                     struct {
		Type string
		Data struct {
			AppID, AppUID, MsgID, MsgEventID, EndpointID, EndpointUID string
			Trigger, Reason                                           string
			Generation                                                int64
			Locked                                                    bool
			FailSince                                                 *time.Time
			LastAttempt                                               struct {
				ID                 string
				ResponseStatusCode int
				Timestamp          time.Time
			}
		}
	}
}

func (b *broker) told(t testing.TB) (out []told) {
	t.Helper()
	for _, r := range b.acknowledged("operational") {
		require.Equal(t, acme.ID.UUID(), string(r.Key))
		require.Equal(t, []kafka.Header{{Key: "content-type", Value: []byte(operational.ContentType)}}, r.Headers)
		var e told
		require.NoError(t, json.Unmarshal(r.Value, &e))
		require.Equal(t, e.Type, e.Data.Type)
		require.Equal(t, operational.Source, e.Source)
		require.Equal(t, acme.ID.UUID(), e.Tenant)
		out = append(out, e)
	}
	return out
}

func types(events []told) (out []string) {
	for _, e := range events {
		out = append(out, e.Type)
	}
	return out
}

// A delivery is worth an event when it fails for the fourth time and goes on, when it gets through after that, and when it
// is dead; one of an operational event never is.
func TestAttemptEvents(t *testing.T) {
	for _, c := range []struct {
		name     string
		attempts int // made before
		status   int
		source   string
		maxTries int
		want     string
		order    []string
	}{
		{"third failure", 2, 500, "test", 9, "", []string{"retry.5s", "outcomes"}},
		{"fourth failure", 3, 500, "test", 9, operational.AttemptFailing, []string{"retry.5s", "operational", "outcomes"}},
		{"fifth failure", 4, 500, "test", 9, "", []string{"retry.5s", "outcomes"}},
		{"fourth and last failure", 3, 500, "test", 4, operational.AttemptExhausted, []string{"deadletters", "operational", "outcomes"}},
		{"not retried", 0, 410, "test", 9, operational.AttemptExhausted, nil},
		{"fourth attempt succeeds", 3, 200, "test", 9, "", []string{"outcomes"}},
		{"fifth attempt succeeds", 4, 200, "test", 9, operational.AttemptRecovered, []string{"operational", "outcomes"}},
		{"operational, dead", 3, 500, operational.Source, 4, "", []string{"deadletters", "outcomes"}},
		{"operational, failing", 3, 500, operational.Source, 9, "", []string{"retry.5s", "outcomes"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sub := subscriptionNamed("one")
				sub.Retry = &subscription.RetryPolicy{
					Kind: subscription.RetryFixed, Interval: subscription.Duration(10 * time.Second), MaxTries: c.maxTries, Jitter: subscription.JitterNone,
				}
				s := newStage(t, DelivererOptions{Workers: 1}, status(c.status), sub)
				d := deliveryOf(sub, 1)
				d.Attempts, d.EventSource, d.First = c.attempts, c.source, time.Now()
				s.sendDelivery(d)
				synctest.Wait()
				require.Zero(t, s.inFlight())
				if c.order != nil {
					require.Equal(t, c.order, s.b.order())
				}
				events := s.b.told(t)
				if c.want == "" {
					require.Empty(t, events)
					return
				}
				last := events[len(events)-1]
				require.Equal(t, c.want, last.Type)
				data := last.Data.Data
				require.Equal(t, acme.ID.Base62("app_"), data.AppID)
				require.Equal(t, "acme", data.AppUID)
				require.Equal(t, d.Message.Base62("msg_"), data.MsgID)
				require.Equal(t, "1", data.MsgEventID)
				require.Equal(t, sub.ID.Base62("ep_"), data.EndpointID)
				require.Equal(t, c.status, data.LastAttempt.ResponseStatusCode)
				require.Equal(t, delivery.AttemptID(d.ID, d.Trigger, c.attempts+1).Base62("atmpt_"), data.LastAttempt.ID)
			})
		})
	}
}

// A subscription to operational events that is disabled is told of like any other: the registry learns of it no other way.
func TestDisabledSubscriptionToOperationalEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 1}, status(410), sub)
		d := deliveryOf(sub, 1)
		d.EventSource = operational.Source
		s.sendDelivery(d)
		synctest.Wait()
		require.Zero(t, s.inFlight())
		require.Equal(t, []string{operational.EndpointDisabled}, types(s.b.told(t)))
		require.Equal(t, []string{"endpoint-states", "operational", "deadletters", "outcomes"}, s.b.order())
	})
}

// The offset of a delivery is not finished before its operational event is acknowledged, and what a kill repeats is the
// same event.
func TestOperationalEventsAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 1}, status(500), sub)
		s.b.hold("operational")
		d := deliveryOf(sub, 1)
		d.Attempts = 2 // the last one
		s.sendDelivery(d)
		synctest.Wait()
		require.Equal(t, 1, s.inFlight())
		require.Equal(t, 1, s.b.sent("operational"))
		require.Empty(t, s.b.acknowledged("outcomes"))
		s.b.release("operational")
		synctest.Wait()
		require.Zero(t, s.inFlight())
		first := s.b.told(t)
		require.Len(t, first, 1)

		other := newStage(t, DelivererOptions{Workers: 1}, status(500), sub)
		other.sendDelivery(d)
		synctest.Wait()
		require.Equal(t, first[0].ID, other.b.told(t)[0].ID)
		d.Trigger = delivery.Trigger{Kind: delivery.TriggerResend, ID: "1"}
		other.sendDelivery(d)
		synctest.Wait()
		require.NotEqual(t, first[0].ID, other.b.told(t)[1].ID, "another asking is another event")
	})
}

// As many failures in a row as the policy allows disable the subscription: at once, for the next owner too, once, and until
// it is enabled, after which they are counted anew.
func TestFailuresInARowDisable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Failure = &subscription.FailurePolicy{Kind: subscription.FailureConsecutive, Failures: 3}
		answer := 500
		s := newStage(t, DelivererOptions{Workers: 1, Breaker: gate.Config{Failures: 100}},
			answers(func(context.Context, *attempt.Request) (attempt.Response, error) {
				r := response(answer)
				r.Started = time.Now().UTC()
				return r, nil
			}), sub)
		n := 0
		next := func() string {
			s.sendDelivery(deliveryOf(sub, n))
			n++
			synctest.Wait()
			rows := s.b.outcomes(t)
			return fmt.Sprintf("%s/%s", rows[len(rows)-1].Verdict, rows[len(rows)-1].Reason)
		}
		require.Equal(t, "retry/failed", next())
		require.Equal(t, "retry/failed", next())
		answer = 200
		require.Equal(t, "delivered/delivered", next(), "a success ends the row")
		answer = 500
		since := time.Now().UTC()
		require.Equal(t, "retry/failed", next())
		time.Sleep(time.Second)
		require.Equal(t, "retry/failed", next())
		require.Empty(t, s.b.told(t))
		require.Equal(t, "retry/failed", next(), "the delivery has tries left, for when it is enabled")
		events := s.b.told(t)
		require.Equal(t, []string{operational.EndpointDisabled}, types(events))
		data := events[0].Data.Data
		require.Equal(t, operational.TriggerAutomatic, data.Trigger)
		require.Equal(t, int64(1), data.Generation)
		require.Equal(t, "failing", data.Reason)
		require.Equal(t, sub.ID.Base62("ep_"), data.EndpointID)
		require.Equal(t, since, *data.FailSince)

		require.Equal(t, "cancelled/disabled", next())
		s.handOver()
		require.Equal(t, "cancelled/disabled", next())
		require.Len(t, s.b.told(t), 1)

		again := *sub
		again.Generation = 2
		s.reg.set(snapshotOf(t, sub, &again))
		require.Equal(t, "retry/failed", next(), "enabled: counted anew")
		s.handOver()
		require.Equal(t, "retry/failed", next())
		require.Len(t, s.b.told(t), 1)
		require.Equal(t, "retry/failed", next(), "the third, partly of the owner before")
		events = s.b.told(t)
		require.Len(t, events, 2)
		require.Equal(t, int64(2), events[1].Data.Data.Generation)
		require.NotEqual(t, events[0].ID, events[1].ID)
		require.Equal(t, "cancelled/disabled", next())
	})
}

// With many attempts in flight, none that starts after the one that disables is made, whenever outcomes are acknowledged.
func TestFailuresInARowDoNotWaitForAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Failure = &subscription.FailurePolicy{Kind: subscription.FailureConsecutive, Failures: 3}
		s := newStage(t, DelivererOptions{Workers: 1, Breaker: gate.Config{Failures: 100}}, status(500), sub)
		s.b.hold("outcomes")
		for n := range 5 {
			s.sendDelivery(deliveryOf(sub, n))
		}
		synctest.Wait()
		require.Len(t, s.b.acknowledged("retry.5s"), 3, "two more were not attempted")
		s.b.release("outcomes")
		synctest.Wait()
		got := verdictsOf(s.b.outcomes(t))
		require.Equal(t, map[string]int{"retry/failed": 3, "cancelled/disabled": 2}, got)
	})
}

func verdictsOf(rows []outcome.Outcome) map[string]int {
	out := map[string]int{}
	for _, r := range rows {
		out[fmt.Sprintf("%s/%s", r.Verdict, r.Reason)]++
	}
	return out
}

// A 410 tells the tenant too, before the dead letter.
func TestGoneIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		s := newStage(t, DelivererOptions{Workers: 1}, status(410), sub)
		s.sendDelivery(deliveryOf(sub, 0))
		synctest.Wait()
		events := s.b.told(t)
		require.Equal(t, []string{operational.EndpointDisabled, operational.AttemptExhausted}, types(events))
		require.Equal(t, "gone", events[0].Data.Data.Reason)
		require.Equal(t, []string{"endpoint-states", "operational", "deadletters", "operational", "outcomes"}, s.b.order())
	})
}

// A secret that was rotated out signs until it expires, though the subscription's version stays.
func TestRetiredSecretsStopWithoutANewVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sub := subscriptionNamed("one")
		sub.Retired = []subscription.RetiredSecret{{Secret: "whsec_" + "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", Expires: time.Now().Add(time.Hour)}}
		var signatures []string
		s := newStage(t, DelivererOptions{Workers: 1}, answers(func(_ context.Context, r *attempt.Request) (attempt.Response, error) {
			for _, h := range r.Header {
				if h.Name == "webhook-signature" {
					signatures = append(signatures, h.Value)
				}
			}
			return response(200), nil
		}), sub)
		for n, wait := range []time.Duration{0, time.Hour - 1, 1} {
			time.Sleep(wait)
			s.sendDelivery(deliveryOf(sub, n))
			synctest.Wait()
		}
		require.Len(t, signatures, 3)
		for i, want := range []int{2, 2, 1} {
			require.Len(t, strings.Fields(signatures[i]), want, "attempt %d", i)
		}
	})
}

// What a subscription brings of its own is in its requests, and in nobody else's.
func TestCredentialsOfRequests(t *testing.T) {
	p, ok := profilesForTest(t).Get("standard")
	require.True(t, ok)
	var s senders
	plain := s.get(subscriptionNamed("plain"), p, time.Now())
	require.NoError(t, plain.err)
	require.Nil(t, plain.tls)
	require.Nil(t, plain.authorizer)

	old := *p
	old.MinTLS = tls.VersionTLS10
	want, err := egress.NewTLS("", "", tls.VersionTLS10)
	require.NoError(t, err)
	require.Equal(t, want, s.get(subscriptionNamed("old"), &old, time.Now()).tls, "the profile's lowest version")
	require.Nil(t, s.get(subscriptionNamed("old"), p, time.Now()).tls, "and no more under another profile")

	broken := subscriptionNamed("broken")
	broken.ClientIdentity = "hush"
	e := s.get(broken, p, time.Now())
	require.ErrorContains(t, e.err, "clientIdentity: ")
	require.NotContains(t, e.err.Error(), "hush")
	require.Same(t, e, s.get(broken, p, time.Now()), "an error is kept, too")

	oauth := subscriptionNamed("oauth")
	oauth.OAuth = &subscription.OAuth{}
	require.ErrorContains(t, s.get(oauth, p, time.Now()).err, "oauth: ")
}
