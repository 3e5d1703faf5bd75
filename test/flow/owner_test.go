package flow

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/configs"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// slow answers 200 after d, unless the attempt is cut off.
func slow(d time.Duration) func(context.Context, string, int) (attempt.Response, error) {
	return func(ctx context.Context, _ string, _ int) (attempt.Response, error) {
		select {
		case <-time.After(d):
			return reply(200), nil
		case <-ctx.Done():
			return attempt.Response{}, context.Cause(ctx)
		}
	}
}

func requireOnce(t *testing.T, e *endpoints, n int) {
	t.Helper()
	counts := e.count()
	require.Len(t, counts, n)
	for key, times := range counts {
		require.Equal(t, 1, times, key)
	}
}

// Deliverers join and leave in the middle of work that takes up to two seconds a piece: with the drain nothing is cut
// off, so nothing is lost and nothing is sent twice.
func TestRebalanceInTheMiddle(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(slow(2 * time.Second))
		for i := range 6 {
			w.Subscribe(fmt.Sprintf("s%d", i))
		}
		start(w, e, "router")
		first := start(w, e, "deliverer")
		w.Send(60, "a")
		time.Sleep(1500 * time.Millisecond)
		second := start(w, e, "deliverer")
		w.Send(60, "b")
		time.Sleep(2500 * time.Millisecond)
		require.NoError(t, first.Stop())
		w.Send(60, "c")
		time.Sleep(1500 * time.Millisecond)
		start(w, e, "deliverer")
		time.Sleep(1500 * time.Millisecond)
		require.NoError(t, second.Stop())
		until(t, 2*time.Minute, func() bool { return e.total() >= 180*6 })
		time.Sleep(10 * time.Second)
		requireOnce(t, e, 180*6)
		require.Equal(t, map[string]int{"delivered/delivered": 180 * 6}, verdicts(w.Outcomes()))
	})
}

// Attempts that take longer than the drain are cut off and repeated by the next owner: none is lost.
func TestAttemptsLongerThanTheDrainAreRepeated(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(slow(30 * time.Second))
		w.Subscribe("one", func(s *subscription.Subscription) { s.Timeout = subscription.Duration(time.Minute) })
		start(w, e, "router")
		first := start(w, e, "deliverer")
		w.Send(4, "a") // as many as are sent to an endpoint before it has answered
		time.Sleep(10 * time.Second)
		before := time.Now()
		require.NoError(t, first.Stop())
		require.Less(t, time.Since(before), 10*time.Second, "the drain is bounded")
		start(w, e, "deliverer")
		until(t, 5*time.Minute, func() bool { return e.total() >= 8 })
		time.Sleep(45 * time.Second) // the second attempts end, and no third begins
		counts := e.count()
		require.Len(t, counts, 4)
		for key, n := range counts {
			require.Equal(t, 2, n, key)
		}
		require.Equal(t, map[string]int{"delivered/delivered": 4}, verdicts(w.Outcomes()))
	})
}

// The breaker opens after five failures, parks what follows without an attempt, survives its owner, lets one probe
// through, and lets the rest follow once the endpoint has recovered.
func TestBreakerParksAndIsTakenUp(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		var healthy atomic.Bool
		e := newEndpoints(func(context.Context, string, int) (attempt.Response, error) {
			if healthy.Load() {
				return reply(200), nil
			}
			return reply(503), nil
		})
		s := w.Subscribe("down", func(s *subscription.Subscription) { s.Retry = retryList(time.Minute, time.Minute) })
		start(w, e, "router", "retrier")
		first := start(w, e, "deliverer")
		w.Send(5, "a")
		time.Sleep(time.Second)
		require.Len(t, e.times(s.URL), 5)
		w.Send(200, "b") // while it is open: the first opening is 5 s
		time.Sleep(2 * time.Second)
		require.Len(t, e.times(s.URL), 5, "an open breaker lets nothing through")
		require.NoError(t, first.Stop())
		start(w, e, "deliverer")
		time.Sleep(1500 * time.Millisecond)
		w.Send(50, "c")
		require.Len(t, e.times(s.URL), 5, "the next owner takes the open breaker up")
		time.Sleep(4 * time.Second)
		probes := len(e.times(s.URL)) - 5
		require.Equal(t, 1, probes, "one probe at the expiry, which failed")
		healthy.Store(true)
		until(t, 5*time.Minute, func() bool { return len(e.times(s.URL)) >= 255+5+probes })
		time.Sleep(10 * time.Second)
		requireDelivered(t, w, 255)
		require.Less(t, len(e.times(s.URL)), 255+15, "nothing but probes was tried in vain")
		rows := verdicts(w.Outcomes())
		require.Equal(t, 250, rows["parked/breaker_open"], "one row for the first park of each delivery: %v", rows)
	})
}

// requireDelivered checks that n deliveries were accepted, each once.
func requireDelivered(t *testing.T, w *world.World, n int) {
	t.Helper()
	delivered := map[string]int{}
	for _, row := range w.Outcomes() {
		if row.Verdict == outcome.Delivered {
			delivered[row.Delivery]++
		}
	}
	require.Len(t, delivered, n)
	for id, times := range delivered {
		require.Equal(t, 1, times, id)
	}
}

// 410 disables the subscription at its owner and at the next one; what is left of the backlog is cancelled. Enabling it
// raises its generation, and the old state has no say any more.
func TestGoneDisablesUntilEnabled(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		var enabledAgain atomic.Bool
		e := newEndpoints(func(context.Context, string, int) (attempt.Response, error) {
			if enabledAgain.Load() {
				return reply(200), nil
			}
			return reply(410), nil
		})
		s := w.Subscribe("gone")
		start(w, e, "router", "retrier")
		first := start(w, e, "deliverer")
		w.Send(1, "a")
		time.Sleep(2 * time.Second)
		w.Send(3, "b")
		time.Sleep(2 * time.Second)
		require.NoError(t, first.Stop())
		start(w, e, "deliverer")
		time.Sleep(2 * time.Second)
		w.Send(3, "c")
		time.Sleep(2 * time.Second)
		require.Len(t, e.times(s.URL), 1)
		require.Equal(t, map[string]int{"dead/gone": 1, "cancelled/disabled": 6}, verdicts(w.Outcomes()))

		enabledAgain.Store(true)
		enabled := *w.Subscription(s.ID)
		enabled.Disabled = true
		w.Put(registry.PutSubscription(&enabled))
		again := *w.Subscription(s.ID)
		again.Disabled = false
		w.Put(registry.PutSubscription(&again))
		time.Sleep(2 * time.Second)
		w.Send(2, "d")
		time.Sleep(2 * time.Second)
		require.Len(t, e.times(s.URL), 3)
	})
}

// What a crashed router or retrier writes twice is sent once; the second is counted and finished.
func TestRepeatedRecordsAreDropped(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(200))
		s := w.Subscribe("one")
		start(w, e, "router", "retrier")
		first := start(w, e, "deliverer")
		w.Send(5, "a")
		time.Sleep(2 * time.Second)
		repeatDeliveries(w)
		time.Sleep(2 * time.Second)
		require.Len(t, e.times(s.URL), 5)
		require.NoError(t, first.Stop())
		start(w, e, "deliverer") // its window is refilled from the outcomes
		time.Sleep(2 * time.Second)
		repeatDeliveries(w)
		time.Sleep(2 * time.Second)
		require.Len(t, e.times(s.URL), 5)
		require.Zero(t, w.Lag("deliverer", topics.Deliveries), "what was dropped is finished")
	})
}

// repeatDeliveries writes every record of deliveries once more.
func repeatDeliveries(w *world.World) {
	w.T.Helper()
	var records []*kgo.Record
	w.Read(topics.Deliveries, func(r *kgo.Record) {
		records = append(records, &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Headers: r.Headers})
	})
	require.NoError(w.T, w.Client.ProduceSync(w.T.Context(), records...).FirstErr())
}

// A retry, a park, a dead letter, a redrive (twice) and two resends of one delivery: each arrives as often as asked.
func TestByHandEachArrivesAsOftenAsAsked(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		var healthy atomic.Bool
		e := newEndpoints(func(context.Context, string, int) (attempt.Response, error) {
			if healthy.Load() {
				return reply(200), nil
			}
			return reply(500), nil
		})
		s := w.Subscribe("one", func(s *subscription.Subscription) { s.Retry = retryList(10 * time.Second) })
		start(w, e, "router", "deliverer", "retrier")
		w.Send(1, "a")
		time.Sleep(time.Minute)
		require.Len(t, e.times(s.URL), 2, "the first try and one retry")
		require.Equal(t, map[string]int{"retry/failed": 1, "dead/exhausted": 1}, verdicts(w.Outcomes()))

		healthy.Store(true)
		out, err := kafka.NewProducer(w.Conf.Kafka, kafka.ProducerOptions{})
		require.NoError(t, err)
		defer func() { require.NoError(t, out.Close(t.Context())) }()
		by := pipeline.Sender{Topics: pipeline.Topics{Prefix: w.Conf.Kafka.Prefix}, Out: out}
		letters := w.Letters()
		p, err := letters.Dead.Redrive(t.Context(), pipeline.LetterWork{}, letter.DeadFilter{})
		require.NoError(t, err)
		require.Equal(t, 1, p.Done)
		time.Sleep(10 * time.Second)
		require.Len(t, e.times(s.URL), 3)
		redriven := w.Last(topics.Deliveries)
		first, err := delivery.Decode(redriven.Key, redriven.Value, func(yield func(string, []byte) bool) {
			for _, h := range redriven.Headers {
				if !yield(h.Key, h.Value) {
					return
				}
			}
		})
		require.NoError(t, err)
		// Whoever was killed before the mark was written does it again.
		again := &kgo.Record{Topic: redriven.Topic, Key: redriven.Key, Value: redriven.Value, Headers: redriven.Headers}
		require.NoError(t, w.Client.ProduceSync(t.Context(), again).FirstErr())
		time.Sleep(10 * time.Second)
		require.Len(t, e.times(s.URL), 3, "a dead letter that is redriven twice is delivered once")

		for range 2 {
			d, err := by.Resend(t.Context(), w.Last(topics.Deliveries))
			require.NoError(t, err)
			require.Equal(t, first.ID, d.ID, "the delivery id never changes")
		}
		time.Sleep(10 * time.Second)
		require.Len(t, e.times(s.URL), 5, "asking twice sends twice")
		attempts := map[string]bool{}
		for _, row := range w.Outcomes() {
			key := fmt.Sprintf("%s/%s/%d/%d", row.Trigger, row.TriggerID, row.Attempt, row.Pass)
			require.False(t, attempts[key], "key of an attempt repeats: %s", key)
			attempts[key] = true
		}
		require.Len(t, attempts, 5)
		ids := map[string]bool{}
		for key := range e.count() {
			ids[strings.Fields(key)[1]] = true
		}
		require.Len(t, ids, 1)
	})
}

// A record in deliveries that is no delivery is buried as it is, and its neighbours go on.
func TestUndecodableRecordIsBuried(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(200))
		w.Subscribe("one")
		start(w, e, "router", "deliverer", "retrier")
		poison := &kgo.Record{Topic: w.Conf.Kafka.Prefix + topics.Deliveries, Key: []byte("poison"), Value: []byte("\xff\x00")}
		require.NoError(t, w.Client.ProduceSync(t.Context(), poison).FirstErr())
		w.Send(3, "a")
		time.Sleep(3 * time.Second)
		requireOnce(t, e, 3)
		buried := w.Last(topics.DeadLetters)
		require.Equal(t, poison.Value, buried.Value)
		require.Equal(t, "undecodable", string(buried.Headers[0].Value))
		require.Zero(t, w.Lag("deliverer", topics.Deliveries))
	})
}

// The last try is not taken away by a breaker: a delivery whose age limit passes while it is parked is tried then.
func TestBreakerTakesNoTryAway(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		w.Conf.Deliverer.Breaker.OpenFor = 4 * time.Minute // longer than what is left of the age limit after the first try
		w.Conf.Deliverer.Breaker.MaxOpen = 4 * time.Minute
		e := newEndpoints(always(503))
		w.Subscribe("down", func(s *subscription.Subscription) {
			s.Retry = &subscription.RetryPolicy{
				Kind: subscription.RetryFixed, Interval: subscription.Duration(2 * time.Minute),
				MaxAge: subscription.Duration(3 * time.Minute), Jitter: subscription.JitterNone,
			}
		})
		start(w, e, "router", "deliverer", "retrier")
		w.Send(5, "a") // opens the breaker at the first tries
		time.Sleep(4 * time.Minute)
		tries, last := map[string]int{}, map[string]outcome.Outcome{}
		for _, row := range w.Outcomes() {
			if row.Attempted() {
				tries[row.Delivery]++
				last[row.Delivery] = row
			}
		}
		require.Len(t, tries, 5)
		for id, n := range tries {
			require.Equal(t, 2, n, "delivery %s", id)
			require.Equal(t, outcome.ReasonExpired, last[id].Reason)
			require.WithinDuration(t, last[id].First.Add(3*time.Minute), last[id].At, 100*time.Millisecond, "at the age limit")
		}
	})
}

// A process that lacks a subscription's profile puts its deliveries off; one that has it sends them.
func TestUnknownProfileIsPutOff(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(200))
		w.Subscribe("custom", func(s *subscription.Subscription) { s.Profile = "custom" })
		start(w, e, "router", "retrier")
		without := start(w, e, "deliverer")
		w.Send(1, "a")
		time.Sleep(65 * time.Second)
		require.Empty(t, e.count())
		require.Equal(t, map[string]int{"parked/no_profile": 1}, verdicts(w.Outcomes()))
		require.NoError(t, without.Stop())

		dir := t.TempDir()
		text, err := fs.ReadFile(configs.Profiles, "profiles/standard.yaml")
		require.NoError(t, err)
		text = bytes.Replace(text, []byte("name: standard"), []byte("name: custom"), 1)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "custom.yaml"), text, 0o600))
		w.Conf.ProfilesDir = dir
		start(w, e, "deliverer")
		until(t, 90*time.Second, func() bool { return e.total() > 0 })
		time.Sleep(5 * time.Second)
		requireOnce(t, e, 1)
	})
}
