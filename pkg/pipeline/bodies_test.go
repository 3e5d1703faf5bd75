package pipeline

import (
	"bytes"
	"context"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
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
		for _, name := range []string{"a", "dixa1", "flex1", "coded", "b", "dixa2", "flex2"} {
			sub := subscriptionNamed(name)
			sub.Profile = "cloudevents"
			subs = append(subs, sub)
		}
		subs[1].Profile, subs[5].Profile = "dixa", "dixa"
		subs[2].Profile, subs[6].Profile = "flexengage", "flexengage"
		subs[3].Transformation = &subscription.Transformation{Code: ".payload.more = 1", Enabled: true}
		got := map[string][]byte{}
		s := newStage(t, DelivererOptions{Workers: 1}, answers(func(_ context.Context, r *attempt.Request) (attempt.Response, error) {
			got[r.URL] = r.Body
			return response(200), nil
		}), subs...)
		to := func(change func(*delivery.Delivery), subs ...*subscription.Subscription) (bodies [][]byte) {
			var all []*delivery.Delivery
			for _, sub := range subs {
				d := deliveryOf(sub, 1)
				if change != nil {
					change(d)
				}
				all = append(all, d)
			}
			s.sendDelivery(all...)
			time.Sleep(time.Second)
			synctest.Wait()
			sums := map[ident.ID]string{}
			for _, row := range s.b.outcomes(t) {
				sums[row.Subscription] = row.BodySHA256
			}
			for _, sub := range subs {
				require.Equal(t, bodyHash(got[sub.URL]), sums[sub.ID], sub.Name)
				bodies = append(bodies, got[sub.URL])
			}
			return bodies
		}
		all := to(nil, subs...)
		a, dixa1, flex1, coded, b, dixa2, flex2 := all[0], all[1], all[2], all[3], all[4], all[5], all[6]
		require.True(t, sameBytes(a, b))
		require.NotEqual(t, a, dixa1)
		require.True(t, sameBytes(dixa1, dixa2), "another body of the event came between")
		require.NotEqual(t, flex1, flex2, "they name the subscription and the try")
		require.Contains(t, string(coded), `"more":1`)

		again := to(func(d *delivery.Delivery) { d.Pass = 1; d.Trigger.Kind, d.Trigger.ID = delivery.TriggerResend, "x" }, subs[0])
		require.True(t, sameBytes(a, again[0]), "it comes soon after")
		for name, change := range map[string]func(*delivery.Delivery){
			"data":   func(d *delivery.Delivery) { d.Data = []byte(`{"other":1}`) },
			"type":   func(d *delivery.Delivery) { d.EventType = "other.type" },
			"trace":  func(d *delivery.Delivery) { d.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01" },
			"source": func(d *delivery.Delivery) { d.EventSource = "elsewhere" },
			"time":   func(d *delivery.Delivery) { d.EventTime = d.EventTime.Add(time.Second) },
		} {
			others := to(func(d *delivery.Delivery) {
				d.Trigger.Kind, d.Trigger.ID = delivery.TriggerResend, name
				change(d)
			}, subs[0], subs[4])
			require.NotEqual(t, a, others[0], "an id that was used twice, with another %s", name)
			require.True(t, sameBytes(others[0], others[1]), name)
		}
	})
}

// What deliveries share is theirs, not the record's that they came with, and it is as little as it may be.
func TestWhatDeliveriesShareIsBounded(t *testing.T) {
	const most = 64 << 10
	b := newBodies(32 * most)
	of := func(event, size int) (*delivery.Delivery, *common) {
		d := deliveryOf(subscriptionNamed("a"), event)
		read := bytes.Repeat([]byte{byte(event)}, size)
		d.Data = read
		c := b.keep(d)
		require.False(t, size > 0 && sameBytes(read, d.Data))
		require.Equal(t, read, d.Data)
		return d, c
	}
	first, alone := of(1, 1000)
	require.False(t, alone.shared.Load())
	second, shared := of(1, 1000)
	require.Same(t, alone, shared)
	require.True(t, shared.shared.Load())
	require.True(t, sameBytes(first.Data, second.Data))

	_, long := of(2, maxShared+1)
	require.Nil(t, long, "nobody keeps it")
	_, full := of(3, maxShared)
	require.NotNil(t, full)

	for event := range 1000 {
		of(10+event, 1000)
		require.LessOrEqual(t, b.read.size, int64(most))
	}
	known := 0
	for i := range b.places {
		if b.places[i].Load() != nil {
			known++
		}
	}
	require.LessOrEqual(t, known, most/1000)
	require.Greater(t, known, most/1000/2)
	_, later := of(1, 1000)
	require.NotSame(t, alone, later, "it was forgotten")

	for event := range 3 * len(b.read.ring) {
		of(10_000+event, 0)
	}
	require.LessOrEqual(t, b.read.size, int64(most))

	b = newBodies(0)
	of(1, 1000)
	_, only := of(2, 1000)
	_, again := of(2, 1000)
	require.Same(t, only, again, "the last one is kept however little there may be")
	require.Equal(t, only.size(), b.read.size)
}

// A delivery that waits does not hold its event's body for ever.
func TestBodiesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := subscriptionNamed("a"), subscriptionNamed("b")
		const most = 4 << 10
		s := newStage(t, DelivererOptions{MaxBytes: 16 * most}, answers(func(context.Context, *attempt.Request) (attempt.Response, error) {
			return response(200), nil
		}), a, b)
		kept := &s.d.bodies.rendered
		both := func(event int) {
			s.sendDelivery(deliveryOf(a, event), deliveryOf(b, event))
			time.Sleep(time.Second)
			synctest.Wait()
		}
		both(0)
		first := kept.ring[0]
		require.NotNil(t, first)
		require.NotNil(t, first.rendered.Load())
		for event := range 20 {
			both(1 + event)
			require.LessOrEqual(t, kept.size, int64(most))
		}
		require.Nil(t, first.rendered.Load())
		require.NotSame(t, first, kept.ring[kept.oldest])
		require.NotNil(t, kept.ring[kept.oldest].rendered.Load())
	})
}
