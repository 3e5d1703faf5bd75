package flow

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/app"
	"github.com/postrider/postrider/pkg/attempt"
	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/history"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/pipeline"
	"github.com/postrider/postrider/pkg/registry"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/view"
	"github.com/postrider/postrider/test/internal/world"
	"github.com/postrider/postrider/topics"
)

func explain(w *world.World, q history.Question) ([]*history.Life, error) {
	w.T.Helper()
	opts, err := app.HistoryOptions(&w.Conf)
	require.NoError(w.T, err)
	if q.Since.IsZero() {
		q.Since = time.Now().Add(-24 * time.Hour)
	}
	return history.Explain(w.T.Context(), opts, q)
}

// story is the moments of a subscription, or of the event itself, in words.
func story(l *history.Life, sub ident.ID) (out []string) {
	who := ""
	if !sub.IsZero() {
		who = sub.UUID()
	}
	for _, m := range l.Moments {
		if m.Subscription != who {
			continue
		}
		text := string(m.Kind)
		for _, more := range []string{m.Verdict, m.Reason} {
			if more != "" {
				text += " " + more
			}
		}
		out = append(out, text)
	}
	return out
}

// The life of an event is told whole and in order: whom it matched and why not, with the registry as it was then; tries, waits,
// parks, the dead letter and its redrive. It is found by each of its names.
func TestExplainTellsTheWholeLife(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		mended := false
		e := newEndpoints(func(_ context.Context, url string, n int) (attempt.Response, error) {
			switch {
			case strings.HasPrefix(url, "https://refuses.") && !mended:
				return reply(404), nil
			case strings.HasPrefix(url, "https://late.") && n <= 2:
				return reply(503), nil
			}
			return reply(200), nil
		})
		good := w.Subscribe("good")
		late := w.Subscribe("late", func(s *subscription.Subscription) { s.Retry = retryList(7*time.Second, 7*time.Second) })
		refuses := w.Subscribe("refuses", func(s *subscription.Subscription) { s.Retry = retryList() })
		w.Subscribe("typed", func(s *subscription.Subscription) { s.EventTypes = []string{"order.*"} })
		w.Subscribe("picky", func(s *subscription.Subscription) { s.Filter = `data.n > 3` })
		w.Subscribe("vip", func(s *subscription.Subscription) { s.Channels = []string{"vip"} })
		w.Subscribe("off", func(s *subscription.Subscription) { s.Disabled = true })
		start(w, e, "router", "deliverer", "retrier")
		w.Event("4711", "contact.updated", "eu", `{"n":1}`)
		time.Sleep(time.Minute)
		for _, sub := range []*subscription.Subscription{good, late} { // what is so now was not so then
			w.Put(registry.Delete(registry.Key{Kind: registry.KindSubscription, ID: sub.ID}, registry.Any))
		}
		mended = true
		put, err := w.Letters().Dead.Redrive(t.Context(), pipeline.LetterWork{By: "key:k"}, letter.DeadFilter{})
		require.NoError(t, err)
		require.Equal(t, 1, put.Done)
		time.Sleep(10 * time.Second)

		lives, err := explain(w, history.Question{ID: "4711", Tenant: "acme"})
		require.NoError(t, err)
		require.Len(t, lives, 1)
		l := lives[0]
		require.Equal(t, []string{"received", "routed"}, story(l, ident.ID{}))
		require.Equal(t, []string{"made", "outcome delivered delivered"}, story(l, good.ID))
		require.Equal(t, []string{
			"made", "outcome retry failed", "waits failed", "due failed", "outcome retry failed", "waits failed", "due failed",
			"outcome delivered delivered",
		}, story(l, late.ID), "hops between tiers are one wait")
		refused := story(l, refuses.ID)
		require.Equal(t, []string{
			"made", "outcome dead exhausted", "dead_letter exhausted", "redriven redrive", "outcome delivered delivered",
		}, refused[:5])
		require.ElementsMatch(t, []string{"closed redriven", "closed delivered"}, refused[5:], "by hand, and by what came of it")
		why := map[string]string{}
		for _, c := range l.Choices {
			require.Equal(t, c.Matched, c.Why == "")
			why[c.UID] = c.Why
		}
		require.Equal(t, map[string]string{
			"good": "", "late": "", "refuses": "", "typed": "wants order.*", "picky": "its filter is false: data.n > 3",
			"vip": "wants channel vip", "off": "is disabled",
		}, why)
		require.Len(t, l.Ends, 3)
		for _, end := range l.Ends {
			require.Equal(t, "delivered", end.State)
		}
		require.Empty(t, l.Notes)
		for i := range l.Moments[1:] {
			require.False(t, l.Moments[i+1].At.Before(l.Moments[i].At), "in the order of time")
		}

		message := delivery.MessageID(w.Tenant.ID, "test", "4711")
		index := &oneEvent{view.EventEntry{Message: message, Position: l.Places[0]}, 0}
		for _, q := range []history.Question{
			{ID: "4711"},
			{ID: l.Message},
			{ID: l.Ends[0].Delivery},
			{ID: l.Places[0].String()},
			{ID: l.Message, Tenant: "acme", Index: index, Since: time.Now()},
		} {
			again, err := explain(w, q)
			require.NoError(t, err, q.ID)
			require.Equal(t, lives, again, q.ID)
		}
		require.Equal(t, 1, index.asked)
		_, err = explain(w, history.Question{ID: "4712"})
		require.ErrorIs(t, err, history.ErrNotFound)
		_, err = explain(w, history.Question{ID: "elsewhere/0/0"})
		require.ErrorContains(t, err, `no source of the configuration reads topic "elsewhere"`)
		_, err = explain(w, history.Question{ID: "4711", Tenant: "nobody"})
		require.ErrorContains(t, err, `no tenant "nobody"`)
	})
}

// oneEvent is an index of one event.
type oneEvent struct {
	entry view.EventEntry
	asked int
}

func (o *oneEvent) Event(_ context.Context, _, message ident.ID) (view.EventEntry, bool, error) {
	o.asked++
	return o.entry, message == o.entry.Message, nil
}

func (o *oneEvent) EventByEventID(context.Context, ident.ID, string) (view.EventEntry, bool, error) {
	return o.entry, false, nil
}

// What cannot be read, what nobody wanted, what was not routed and what belongs to another tenant is told, too.
func TestExplainOddEvents(t *testing.T) {
	world.Run(t, func(t *testing.T, w *world.World) {
		other := *w.Tenant
		other.ID, other.UID, other.EventTypes = ident.Derive("test", "other"), "other", []string{"order.*"}
		w.Put(registry.PutTenant(&other).Anyway())
		w.Subscribe("all")
		router := start(w, newEndpoints(always(200)), "router")
		w.Produce("k", []byte(`{"specversion":"1.0","id":"bad"}`))
		w.Produce("k", []byte(`{"specversion":"1.0","id":"same","source":"test","type":"contact.updated","tenant":"other","data":{}}`))
		w.Event("same", "contact.updated", "", `{}`)
		w.Produce("k", []byte(`{"specversion":"1.0","id":"lost","source":"test","type":"contact.updated","tenant":"nobody","data":{}}`))
		time.Sleep(5 * time.Second)
		require.NoError(t, router.Stop())
		w.Event("waiting", "contact.updated", "", `{}`)

		lives, err := explain(w, history.Question{ID: "same"})
		require.NoError(t, err)
		require.Len(t, lives, 2, "one of each tenant")
		lives, err = explain(w, history.Question{ID: "same", Tenant: "other"})
		require.NoError(t, err)
		require.Len(t, lives, 1)
		require.Contains(t, fmt.Sprint(lives[0].Notes), `not activated the event type "contact.updated"`)
		require.Empty(t, lives[0].Ends)
		message := lives[0].Message
		_, err = explain(w, history.Question{ID: message, Tenant: "acme"})
		require.ErrorIs(t, err, history.ErrNotFound, "of another tenant")

		lives, err = explain(w, history.Question{ID: "lost"})
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(lives[0].Notes), `had no tenant "nobody"`)

		lives, err = explain(w, history.Question{ID: "waiting"})
		require.NoError(t, err)
		require.Contains(t, fmt.Sprint(lives[0].Notes), "no routed record accounts for it")
		require.Len(t, lives[0].Choices, 1)
		require.Empty(t, lives[0].Ends)

		var bad delivery.Position
		for _, rec := range (tampered{w}).records(topics.Rejected) {
			for _, h := range rec.Headers {
				if h.Key == letter.HeaderRejectSource {
					bad, err = delivery.ParsePosition(string(h.Value))
					require.NoError(t, err)
				}
			}
		}
		lives, err = explain(w, history.Question{ID: bad.String()})
		require.NoError(t, err)
		require.Len(t, lives, 1)
		require.NotEmpty(t, lives[0].Rejected)
		require.Equal(t, "rejected undecodable", strings.Join(story(lives[0], ident.ID{})[1:2], ""))
	})
}
