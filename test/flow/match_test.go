package flow

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/operational"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

// received returns the bodies that a subscription's endpoint got.
func (e *endpoints) received(name string) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var bodies []string
	for _, h := range e.hits {
		if h.url == "https://"+name+".example.com/in" {
			bodies = append(bodies, h.body)
		}
	}
	return bodies
}

// Type, channels and filter decide together who receives an event, and the routed records account for what they kept.
func TestFiltersAndChannels(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(always(200))
		w.Subscribe("all")
		w.Subscribe("typed", func(s *subscription.Subscription) { s.EventTypes = []string{"order.*"} })
		w.Subscribe("vip", func(s *subscription.Subscription) { s.Channels = []string{"vip", "staff"} })
		w.Subscribe("large", func(s *subscription.Subscription) { s.Filter = `data.amount > 100 && data.currency in ["EUR", "SEK"]` })
		w.Subscribe("picky", func(s *subscription.Subscription) {
			s.EventTypes, s.Channels, s.Filter = []string{"order.created"}, []string{"vip"}, `has(data.amount) && data.amount >= 500`
		})
		w.Subscribe("off", func(s *subscription.Subscription) { s.Filter, s.Disabled = "true", true })
		start(w, e, "router", "deliverer", "retrier")
		w.Event("1", "order.created", "vip,eu", `{"amount":500,"currency":"EUR"}`)
		w.Event("2", "order.created", "", `{"amount":500,"currency":"USD"}`)
		w.Event("3", "order.paid", "staff", `{"amount":101,"currency":"SEK"}`)
		w.Event("4", "contact.updated", "eu", `{"name":"Ann"}`)
		w.Event("5", "order.created", "vip", `{"amount":"many","currency":"EUR"}`)
		time.Sleep(time.Minute)

		got := map[string][]string{}
		for url, times := range e.count() {
			require.Equal(t, 1, times, url)
		}
		for _, name := range []string{"all", "typed", "vip", "large", "picky", "off"} {
			for _, body := range e.received(name) {
				var b struct {
					Data struct{ Amount any }
				}
				require.NoError(t, json.Unmarshal([]byte(body), &b))
				got[name] = append(got[name], fmt.Sprint(b.Data.Amount))
			}
			slices.Sort(got[name])
		}
		require.Equal(t, map[string][]string{
			"all": {"101", "500", "500", "<nil>", "many"}, "typed": {"101", "500", "500", "many"},
			"vip": {"101", "500", "many"}, "large": {"101", "500"}, "picky": {"500"},
		}, got)
		routed := pipeline.RoutedRecord{}
		w.Read(topics.Routed, func(r *kgo.Record) {
			var one pipeline.RoutedRecord
			require.NoError(t, json.Unmarshal(r.Value, &one))
			routed.Expanded += one.Expanded
			routed.Filtered += one.Filtered
		})
		// Kept back: vip had 2 and 4; large 2, 4 and 5; picky 2 and 5, the others are of another type.
		require.Equal(t, pipeline.RoutedRecord{Expanded: 15, Filtered: 7}, routed)
	})
}

// A tenant receives events of the types that are activated for it, whatever its subscriptions ask for.
func TestOnlyActivatedEventTypesAreDelivered(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		narrow := *w.Tenant
		narrow.EventTypes = []string{"contact.*"}
		w.Put(registry.PutTenant(&narrow).Anyway())
		e := newEndpoints(always(200))
		w.Subscribe("all")
		w.Subscribe("orders", func(s *subscription.Subscription) { s.EventTypes = []string{"order.*"} })
		start(w, e, "router", "deliverer")
		w.Event("1", "order.created", "", `{"n":1}`)
		w.Event("2", "contact.updated", "", `{"n":2}`)
		time.Sleep(5 * time.Second)
		require.Empty(t, e.received("orders"))
		require.Len(t, e.received("all"), 1)
		require.Contains(t, e.received("all")[0], `{"n":2}`)
	})
}

// What happens to deliveries and subscriptions is an event for who subscribed to it, and for nobody else: an endpoint that
// asks to be left alone, one that fails too often, a delivery that fails, recovers or is given up.
func TestOperationalEventsAreDelivered(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		e := newEndpoints(func(_ context.Context, url string, n int) (attempt.Response, error) {
			switch {
			case strings.HasPrefix(url, "https://gone."):
				return reply(410), nil
			case strings.HasPrefix(url, "https://down."), strings.HasPrefix(url, "https://failing."):
				return reply(503), nil
			case strings.HasPrefix(url, "https://late.") && n <= operational.FailingAfter:
				return reply(500), nil
			}
			return reply(200), nil
		})
		only := func(kind string) func(*subscription.Subscription) {
			return func(s *subscription.Subscription) { s.EventTypes = []string{kind} }
		}
		w.Subscribe("operations", func(s *subscription.Subscription) { s.EventTypes = operational.Types() })
		w.Subscribe("everything") // subscribed to all event types, which the operational ones are not among
		w.Subscribe("gone", only("a"))
		w.Subscribe("down", only("b"), func(s *subscription.Subscription) { s.Retry = retryList(time.Second) })
		w.Subscribe("failing", only("c"), func(s *subscription.Subscription) {
			s.Retry, s.Failure = retryList(time.Second, time.Second, time.Second), &subscription.FailurePolicy{Kind: subscription.FailureConsecutive, Failures: 2}
		})
		w.Subscribe("late", only("d"), func(s *subscription.Subscription) {
			s.Retry = retryList(time.Second, time.Second, time.Second, time.Minute)
		})
		start(w, e, "router", "deliverer", "retrier")
		for _, kind := range []string{"a", "b", "c", "d"} {
			w.Event(kind, kind, "", `{}`)
		}
		time.Sleep(90 * time.Second)

		require.Len(t, e.received("everything"), 4)
		var got []string
		for _, body := range e.received("operations") {
			var b struct {
				Type string
				Data struct {
					Data struct {
						EndpointUID, Reason, MsgEventID string
						LastAttempt                     struct{ ResponseStatusCode int }
					}
				}
			}
			require.NoError(t, json.Unmarshal([]byte(body), &b))
			if d := b.Data.Data; d.EndpointUID != "" {
				got = append(got, fmt.Sprintf("%s of %s: %s", b.Type, d.EndpointUID, d.Reason))
			} else {
				got = append(got, fmt.Sprintf("%s of %s: %d", b.Type, d.MsgEventID, d.LastAttempt.ResponseStatusCode))
			}
		}
		slices.Sort(got)
		require.Equal(t, []string{
			"endpoint.disabled of failing: failing", "endpoint.disabled of gone: gone",
			"message.attempt.exhausted of a: 410", "message.attempt.exhausted of b: 503",
			"message.attempt.failing of d: 500", "message.attempt.recovered of d: 200",
		}, got)
	})
}
