package flow

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
)

func TestAnEventIsDelivered(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(200))
		w.Subscribe("one")
		w.Subscribe("two")
		start(w, e, "router", "deliverer", "retrier")
		w.Send(10, "ev")
		time.Sleep(5 * time.Second)
		require.Len(t, e.count(), 20)
		for key, n := range e.count() {
			require.Equal(t, 1, n, key)
		}
		require.Equal(t, map[string]int{"delivered/delivered": 20}, verdicts(w.Outcomes()))
	})
}

// fullLadder is the Standard Webhooks example schedule, up to its twenty-eighth hour.
var fullLadder = []time.Duration{
	5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour,
	10*time.Hour + 24*time.Minute + 55*time.Second,
}

// Every try of the ladder starts when it is due, to the milliseconds that a record takes, and then it ends. Under the
// race detector a virtual hour takes half a minute and more, so there only its first two steps are taken; "make verify"
// runs the whole of it without.
func TestLadderOf28HoursIsExact(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		ladder, after := fullLadder, time.Hour
		if raceEnabled {
			ladder, after = fullLadder[:2], time.Minute
		}
		e := newEndpoints(always(400)) // 4xx retries under this profile and does not open the breaker
		s := w.Subscribe("down", func(s *subscription.Subscription) { s.Retry = retryList(ladder...) })
		router := start(w, e, "router")
		wait := w.Conf.Kafka.FetchMaxWait
		w.Conf.Kafka.FetchMaxWait = 5 * time.Second // no tier is the deliverer's to watch
		start(w, e, "deliverer")
		w.Conf.Kafka.FetchMaxWait = wait
		start(w, e, "retrier")
		w.Send(1, "ev")
		time.Sleep(3 * time.Second)
		require.NoError(t, router.Stop())
		time.Sleep(sum(ladder) + after)
		times := e.times(s.URL)
		require.Len(t, times, len(ladder)+1)
		due := times[0]
		for i, wait := range ladder {
			due = due.Add(wait)
			late := times[i+1].Sub(due)
			require.GreaterOrEqual(t, late, time.Duration(0), "try %d is early", i+2)
			require.LessOrEqual(t, late, 50*time.Millisecond, "try %d is late", i+2)
			t.Logf("try %d after %s, %s late", i+2, times[i+1].Sub(times[0]), late)
		}
		require.Equal(t, map[string]int{"retry/failed": len(ladder), "dead/exhausted": 1}, verdicts(w.Outcomes()))
	})
}

func sum(ds []time.Duration) (total time.Duration) {
	for _, d := range ds {
		total += d
	}
	return total
}
