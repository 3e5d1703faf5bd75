package pipeline

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/filter"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/subscription"
)

func TestSelect(t *testing.T) {
	t.Parallel()
	ev := &event.Event{Type: "t", ContentType: "application/json", Channels: []string{"a", "b"}, Data: []byte(`{"n":1,"l":[` + strings.Repeat("1,", 20_000) + `1]}`)}
	text := &event.Event{Type: "t", ContentType: "text/plain", Data: []byte(`{"n":1}`)}
	for _, c := range []struct {
		sub  subscription.Subscription
		ev   *event.Event
		want Selection
	}{
		{subscription.Subscription{}, ev, Selected},
		{subscription.Subscription{}, text, Selected},
		{subscription.Subscription{Disabled: true, Channels: []string{"x"}}, ev, SelectDisabled},
		{subscription.Subscription{Channels: []string{"x", "b"}}, ev, Selected},
		{subscription.Subscription{Channels: []string{"x"}}, ev, SelectChannel},
		{subscription.Subscription{Channels: []string{"a"}}, text, SelectChannel},
		{subscription.Subscription{Channels: []string{"x"}, Filter: "data.n == 1"}, ev, SelectChannel},
		{subscription.Subscription{Channels: []string{"a"}, Filter: "data.n == 1"}, ev, Selected},
		{subscription.Subscription{Filter: "data.n == 2"}, ev, SelectFilter},
		{subscription.Subscription{Filter: "data.m == 2"}, ev, SelectError},
		{subscription.Subscription{Filter: "data.l.all(x, x == 1)"}, ev, SelectCost},
		{subscription.Subscription{Filter: "data.n == 1"}, text, SelectNotJSON},
		{subscription.Subscription{Filter: "data.n =="}, ev, SelectInvalid},
	} {
		got, why := Select(&c.sub, c.ev, filter.NewInput(c.ev), &filter.Cache{})
		require.Equal(t, c.want, got, "%+v: %s", c.sub, why)
		require.Equal(t, strings.HasPrefix(string(got), "filter_"), why != "", "%+v", c.sub)
	}
	for _, p := range filter.Problems() {
		require.Contains(t, filteredSelections(), Selection("filter_"+p))
	}
}

// The router makes deliveries for those alone that channels and filters let through, and accounts for the others.
func TestRouterFilters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		named := func(name, expression string, channels ...string) *subscription.Subscription {
			s := subscriptionNamed(name)
			s.Filter, s.Channels = expression, channels
			return s
		}
		small, vip := named("small", "data.n < 2"), named("vip", "", "vip")
		s := newSource(t, RouterOptions{}, small, vip, named("broken", "data.missing == 1", "vip"))
		s.send(sourceEvent(0, "a"), withChannels(sourceEvent(1, "a"), "vip,x"), sourceEvent(5, "a"))
		synctest.Wait()
		// 0: small; 1: small and vip, whose neighbour cannot be evaluated; 5: nobody.
		require.Equal(t, []RoutedRecord{{
			Version: 1, Topic: "events", Partition: 3, First: 0, Last: 2, Registry: s.routed()[0].Registry,
			Events: 3, Expanded: 3, Filtered: 6, Unmatched: 1,
		}}, s.routed())
		got := map[string]int{}
		for _, r := range s.b.acknowledged("deliveries") {
			d, err := decode(r)
			require.NoError(t, err)
			got[fmt.Sprint(d.Subscription == small.ID, d.Subscription == vip.ID, " ", d.EventID)]++
		}
		require.Equal(t, map[string]int{"true false 0": 1, "true false 1": 1, "false true 1": 1}, got)
	})
}

func withChannels(r *kafka.Record, channels string) *kafka.Record {
	r.Value = []byte(strings.Replace(string(r.Value), `{`, `{"channels":"`+channels+`",`, 1))
	r.Timestamp = time.Unix(1_750_000_000, 0)
	return r
}
