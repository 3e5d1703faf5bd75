package flow

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// pauses returns once a pause is acknowledged, and when that was.
func pauses(w *world.World, p pause.Pause) time.Time {
	w.T.Helper()
	p.Reason, p.By = "a test", "test"
	w.Put(registry.PutPause(&p))
	return time.Now()
}

func resumes(w *world.World, p pause.Pause) time.Time {
	w.T.Helper()
	w.Put(registry.Delete(registry.PauseKey(p.ID), registry.Any))
	return time.Now()
}

// requireEachOnce fails unless n messages have been received by each of the URLs, none of them twice.
func requireEachOnce(t *testing.T, e *endpoints, n int, urls ...string) {
	t.Helper()
	for of, times := range e.count() {
		require.Equal(t, 1, times, of)
	}
	for _, url := range urls {
		require.Len(t, e.times(url), n, url)
	}
}

// What is paused is kept, whatever passes meanwhile, and delivered after it, each once and about in order; nothing of it counts as
// failed, and others notice nothing.
func TestAPausedSubscriptionIsKept(t *testing.T) {
	for name, of := range map[string]func(*world.World, *subscription.Subscription) pause.Pause{
		"subscription": func(_ *world.World, s *subscription.Subscription) pause.Pause { return pause.OfSubscription(s) },
		"tenant":       func(w *world.World, _ *subscription.Subscription) pause.Pause { return pause.OfTenant(w.Tenant) },
	} {
		length := map[string]time.Duration{"subscription": 40 * time.Minute, "tenant": 30 * time.Second}[name]
		t.Run(name, func(t *testing.T) {
			world.Run(t, func(t *testing.T, w *world.World) {
				e := newEndpoints(slow(50 * time.Millisecond))
				held, others := w.Subscribe("held"), w.Subscribe("others")
				start(w, e, "router", "deliverer", "retrier")
				w.Send(20, "before")
				until(t, time.Minute, func() bool { return e.total() == 40 })

				p := of(w, held)
				at := pauses(w, p)
				w.Send(120, "during")
				time.Sleep(length)
				require.Len(t, e.times(held.URL), 20, "nothing is sent while it is paused")
				require.LessOrEqual(t, e.times(held.URL)[19].Sub(at), time.Second)
				if name == "subscription" {
					require.Len(t, e.times(others.URL), 140, "others go on")
				}

				resumed := resumes(w, p)
				until(t, 10*time.Minute, func() bool { return e.total() == 280 })
				requireEachOnce(t, e, 140, held.URL, others.URL)
				first := e.times(held.URL)[20].Sub(resumed)
				t.Logf("paused for %s, the first one came %s after the end", length, first)
				require.LessOrEqual(t, first, max(12*time.Second, min(length/4, 5*time.Minute)+5*time.Second))
				requireInOrder(t, e, held.URL, 20)
				until(t, time.Minute, func() bool { return verdicts(w.Outcomes())["delivered/delivered"] == 280 })
				require.Subset(t, []string{"delivered/delivered", "parked/paused"}, slices.Collect(maps.Keys(verdicts(w.Outcomes()))))
			})
		})
	}
}

// requireInOrder fails unless the deliveries of a URL after the first ones started about in the order of their events: more than half
// of them rise, where of a random order it is a sixth. A worker of the lane that is kept from the processor while others put off what
// follows its own takes the last place of the ramp, and that happens to as many as the lane has workers.
func requireInOrder(t *testing.T, e *endpoints, url string, after int) {
	t.Helper()
	e.mu.Lock()
	defer e.mu.Unlock()
	var order []int
	for _, h := range e.hits {
		if h.url == url {
			n, err := strconv.Atoi(number.FindStringSubmatch(h.body)[1])
			require.NoError(t, err)
			order = append(order, n)
		}
	}
	order = order[after:]
	require.Greater(t, longestRising(order), len(order)/2, order)
}

// longestRising is the length of the longest part of a sequence that rises, with others between them.
func longestRising(of []int) int {
	var last []int // the smallest end of a rising part of each length
	for _, n := range of {
		at, _ := slices.BinarySearch(last, n)
		if at == len(last) {
			last = append(last, n)
		}
		last[at] = n
	}
	return len(last)
}

var number = regexp.MustCompile(`"n":\s*(\d+)`)

// failing answers a URL with 503 for as long as down is true.
func failing(url string, down *atomic.Bool, otherwise answering) answering {
	return func(ctx context.Context, of string, n int) (attempt.Response, error) {
		if of == url && down.Load() {
			return reply(503), nil
		}
		return otherwise(ctx, of, n)
	}
}

type answering = func(context.Context, string, int) (attempt.Response, error)

// An age limit that passes while deliveries are paused does not take the tries away that they were promised: each gets one.
func TestAnAgeLimitEndsNothingThatIsPaused(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(503))
		s := w.Subscribe("held", func(s *subscription.Subscription) {
			s.Retry = retryList(time.Minute, time.Minute, time.Minute, time.Minute)
			s.Retry.MaxAge = subscription.Duration(30 * time.Minute)
		})
		start(w, e, "router", "deliverer", "retrier")
		w.Send(3, "ev")
		until(t, time.Minute, func() bool { return e.total() >= 3 })
		p := pause.OfSubscription(s)
		pauses(w, p)
		time.Sleep(2 * time.Second)
		before := e.total()
		time.Sleep(40 * time.Minute)
		require.Equal(t, before, e.total())
		require.NotContains(t, verdicts(w.Outcomes()), "dead/expired", "nobody tried, so nothing has failed")

		resumes(w, p)
		until(t, 30*time.Minute, func() bool { return verdicts(w.Outcomes())["dead/expired"] == 3 })
		require.Equal(t, before+3, e.total(), "one try each")
	})
}

// A paused role reads nothing more and stays in its group; what waits for it is done afterwards.
func TestAPausedRole(t *testing.T) {
	for role, waits := range map[string]string{"router": topics.Events, "deliverer": topics.Deliveries} {
		t.Run(role, func(t *testing.T) {
			world.Run(t, func(t *testing.T, w *world.World) {
				e := newEndpoints(always(200))
				s := w.Subscribe("one")
				start(w, e, "router", "deliverer")
				w.Send(5, "before")
				until(t, time.Minute, func() bool { return e.total() == 5 })
				p := pause.OfRole(role)
				pauses(w, p)
				time.Sleep(2 * time.Second)
				w.Send(50, "during")
				start(w, e, role) // a process that starts now, and takes some partitions
				time.Sleep(2 * time.Minute)
				require.Equal(t, 5, e.total())
				require.EqualValues(t, 50, w.Lag(role, waits), "what waits is seen as lag")
				resumes(w, p)
				until(t, time.Minute, func() bool { return e.total() == 55 })
				requireEachOnce(t, e, 55, s.URL)
			})
		})
	}
}

// With egress stopped nothing leaves a second later, from whichever process, until it is started; what was due meanwhile, retries
// and open breakers among it, then comes by itself.
func TestStoppedEgress(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		const n = 200
		var down atomic.Bool
		down.Store(true)
		e := newEndpoints(slow(100 * time.Millisecond))
		good := w.Subscribe("good")
		bad := w.Subscribe("bad", func(s *subscription.Subscription) {
			s.Retry = retryList(time.Minute, time.Minute, time.Minute, time.Minute, time.Minute)
		})
		answer := e.answer
		e.answer = failing(bad.URL, &down, answer)
		w.Conf.Deliverer.LaneConcurrency = 4
		start(w, e, "router")
		start(w, e, "deliverer")
		start(w, e, "retrier")
		w.Send(n, "ev")
		until(t, time.Minute, func() bool { return len(e.times(good.URL)) > 10 && len(e.times(bad.URL)) >= 5 })

		p := pause.OfEgress()
		stopped := pauses(w, p)
		time.Sleep(30 * time.Second)
		sent := e.total()
		late := e.times("")[sent-1].Sub(stopped)
		t.Logf("last request %s after the acknowledgement", late)
		require.LessOrEqual(t, late, time.Second)
		require.Less(t, len(e.times(good.URL)), n, "there was more to send")
		start(w, e, "deliverer") // it starts while everything is stopped
		w.Send(10, "more")
		time.Sleep(20 * time.Minute)
		require.Equal(t, sent, e.total(), "nothing leaves")

		down.Store(false)
		resumes(w, p)
		until(t, time.Hour, func() bool { return verdicts(w.Outcomes())["delivered/delivered"] == 2*(n+10) })
		for of, times := range e.count() {
			if of[:len(good.URL)] == good.URL {
				require.Equal(t, 1, times, of)
			}
		}
		for verdict := range verdicts(w.Outcomes()) {
			require.NotContains(t, verdict, "dead", "nothing is given up because it waited")
		}
	})
}
