package pipeline

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
)

func key(n, pass int) delivery.Key {
	return delivery.Key{Delivery: ident.Derive("test", fmt.Sprint(n)), Trigger: delivery.Trigger{Kind: delivery.TriggerEvent}, Pass: pass}
}

func resend(k delivery.Key, id string) delivery.Key {
	k.Trigger = delivery.Trigger{Kind: delivery.TriggerResend, ID: id}
	return k
}

func TestWindowDropsRepeatsAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		name    string
		before  func(w *window)
		key     delivery.Key
		repeats bool
	}{
		{"nothing was seen", func(*window) {}, key(1, 0), false},
		{"seen", func(w *window) { w.repeated(key(1, 0)) }, key(1, 0), true},
		{"another delivery", func(w *window) { w.repeated(key(2, 0)) }, key(1, 0), false},
		{"the next pass", func(w *window) { w.repeated(key(1, 0)) }, key(1, 1), false},
		{"an earlier pass", func(w *window) { w.repeated(key(1, 1)) }, key(1, 0), false},
		{"another trigger", func(w *window) { w.repeated(key(1, 0)) }, resend(key(1, 0), "a"), false},
		{"another asking", func(w *window) { w.repeated(resend(key(1, 0), "a")) }, resend(key(1, 0), "b"), false},
		{"its outcome was a retry", func(w *window) { w.settled(key(1, 0), outcome.Retry) }, key(1, 0), true},
		{"the retry itself", func(w *window) { w.settled(key(1, 0), outcome.Retry) }, key(1, 1), false},
		{"parked", func(w *window) { w.settled(key(1, 0), outcome.Parked) }, key(1, 1), false},
		{"redriven after it was dead", func(w *window) { w.settled(key(1, 0), outcome.Dead) }, key(1, 1), false},
		{"delivered in another pass", func(w *window) { w.settled(key(1, 3), outcome.Delivered) }, key(1, 1), true},
		{"delivered, sent again by hand", func(w *window) { w.settled(key(1, 3), outcome.Delivered) }, resend(key(1, 0), "a"), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWindow(10)
			c.before(w)
			require.Equal(t, c.repeats, w.repeated(c.key))
			require.True(t, w.repeated(c.key), "it is remembered now")
		})
	}
}

// Against a model that forgets nothing: the window never drops what was neither seen nor delivered, never forgets what is
// younger than its limit, and never holds more than twice that.
func TestWindowModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 8).Draw(t, "limit")
		w := newWindow(limit)
		type place struct {
			delivery int
			resend   bool
			pass     int
		}
		const ofAnyPass = -1
		lastAdded := map[place]int{} // by number of additions
		added := 0
		add := func(p place) { lastAdded[p] = added; added++ }
		known := func(p place) (ever, young bool) {
			for _, q := range []place{p, {p.delivery, p.resend, ofAnyPass}} {
				if at, ok := lastAdded[q]; ok {
					ever = true
					young = young || added-at <= limit
				}
			}
			return ever, young
		}
		for range rapid.IntRange(1, 100).Draw(t, "steps") {
			p := place{rapid.IntRange(0, 12).Draw(t, "delivery"), rapid.Bool().Draw(t, "resend"), rapid.IntRange(0, 2).Draw(t, "pass")}
			k := key(p.delivery, p.pass)
			if p.resend {
				k = resend(k, "a")
			}
			if rapid.Bool().Draw(t, "settle") {
				v := rapid.SampledFrom([]outcome.Verdict{outcome.Delivered, outcome.Retry, outcome.Dead, outcome.Parked, outcome.Cancelled}).Draw(t, "verdict")
				w.settled(k, v)
				if v == outcome.Delivered {
					p.pass = ofAnyPass
				}
				add(p)
			} else {
				ever, young := known(p)
				got := w.repeated(k)
				if got && !ever {
					t.Fatalf("%+v was dropped and never seen", p)
				}
				if !got && young {
					t.Fatalf("%+v was forgotten", p)
				}
				if !got {
					add(p)
				}
			}
			if n := len(w.young) + len(w.old); n > 2*limit {
				t.Fatalf("holds %d keys with a limit of %d", n, limit)
			}
		}
	})
}
