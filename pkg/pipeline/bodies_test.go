package pipeline

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/subscription"
)

// sameBytes reports whether two bodies are one in memory.
func sameBytes(a, b []byte) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// One event to many subscriptions of a profile whose body names none of them is rendered once; whatever else is in a body
// has it rendered again.
func TestBodyOfAnEventIsRenderedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var subs []*subscription.Subscription
		for _, name := range []string{"a", "b", "dixa1", "dixa2", "flex1", "flex2", "coded"} {
			sub := subscriptionNamed(name)
			sub.Profile = "cloudevents"
			subs = append(subs, sub)
		}
		subs[2].Profile, subs[3].Profile = "dixa", "dixa"
		subs[4].Profile, subs[5].Profile = "flexengage", "flexengage"
		subs[6].Transformation = &subscription.Transformation{Code: ".payload.more = 1", Enabled: true}
		got := map[string][]byte{}
		s := newStage(t, DelivererOptions{Workers: 1}, answers(func(_ context.Context, r *attempt.Request) (attempt.Response, error) {
			got[r.URL] = r.Body
			return response(200), nil
		}), subs...)
		event := func(sub *subscription.Subscription, change func(*delivery.Delivery)) []byte {
			d := deliveryOf(sub, 1)
			if change != nil {
				change(d)
			}
			s.sendDelivery(d)
			time.Sleep(time.Second)
			synctest.Wait()
			row := s.b.outcomes(t)[len(s.b.outcomes(t))-1]
			require.Equal(t, bodyHash(got[sub.URL]), row.BodySHA256, "%s: %s", sub.Name, row.Detail)
			return got[sub.URL]
		}
		first := event(subs[0], nil)
		require.True(t, sameBytes(first, event(subs[1], nil)))
		dixa := event(subs[2], nil)
		require.NotEqual(t, first, dixa)
		require.True(t, sameBytes(dixa, event(subs[3], nil)))
		require.NotEqual(t, event(subs[4], nil), event(subs[5], nil), "they name the subscription and the try")
		require.Contains(t, string(event(subs[6], nil)), `"more":1`)

		again := event(subs[0], func(d *delivery.Delivery) { d.Pass = 1; d.Trigger.Kind, d.Trigger.ID = delivery.TriggerResend, "x" })
		require.Equal(t, first, again)
		for name, change := range map[string]func(*delivery.Delivery){
			"data":   func(d *delivery.Delivery) { d.Data = []byte(`{"other":1}`) },
			"type":   func(d *delivery.Delivery) { d.EventType = "other.type" },
			"trace":  func(d *delivery.Delivery) { d.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
			"source": func(d *delivery.Delivery) { d.EventSource = "elsewhere" },
			"time":   func(d *delivery.Delivery) { d.EventTime = d.EventTime.Add(time.Second) },
		} {
			other := event(subs[1], func(d *delivery.Delivery) {
				d.Trigger.Kind, d.Trigger.ID = delivery.TriggerResend, name
				change(d)
			})
			require.NotEqual(t, first, other, "an id that was used twice, with another %s", name)
		}
	})
}
