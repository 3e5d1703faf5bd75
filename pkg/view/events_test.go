package view_test

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/view"
)

var acme, other = ident.Derive("test", "acme"), ident.Derive("test", "other")

// now starts a Redis whose clock is the machine's, as the index needs it.
func now(t testing.TB, conf view.Config) (*clock, *view.Redis) {
	t.Helper()
	c := &clock{miniredis.RunT(t), time.Now()}
	c.SetTime(c.now)
	conf.Addresses, conf.Prefix, conf.CallTimeout = []string{c.Addr()}, "postrider.", patience
	r, err := view.Open(conf)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, r.Close()) })
	return c, r
}

// entry is the n-th event, ago before now.
func entry(tenant ident.ID, n int, ago time.Duration) view.EventEntry {
	return view.EventEntry{
		Tenant: tenant, Message: ident.Derive("event", fmt.Sprint(n)), Type: "contact.updated",
		Position: delivery.Position{Topic: "postrider.events", Partition: 3, Offset: int64(n)},
		Time:     time.Now().Add(-ago).Truncate(time.Millisecond).UTC(),
	}
}

// put adds events a few at a time, each until it succeeds, as the recorder does: the embedded Redis interprets scripts
// slowly, and on a machine that is very busy a call may take longer than it may.
func put(t interface {
	require.TestingT
	Context() context.Context
}, r *view.Redis, events []view.EventEntry,
) {
	for some := range slices.Chunk(events, 100) {
		var err error
		for range 20 {
			if err = r.AddEvents(t.Context(), some); err == nil {
				break
			}
		}
		require.NoError(t, err)
	}
}

func list(t testing.TB, r *view.Redis, q view.EventQuery) view.EventPage {
	t.Helper()
	page, err := r.ListEvents(t.Context(), q)
	require.NoError(t, err)
	return page
}

func TestEventIsFoundByItsID(t *testing.T) {
	_, r := now(t, view.Config{})
	ctx := t.Context()
	e := entry(acme, 1, time.Hour)
	e.Channels, e.Tags = []string{"eu", "project:1"}, []string{"a/b#c"}
	foreign := entry(acme, 2, 50*time.Hour)
	foreign.Position = delivery.Position{Topic: "crm.contacts-ü", Partition: 1 << 20, Offset: 1 << 50}
	sent := entry(other, 3, 0)
	sent.Position.Topic = "postrider.deliveries"
	require.NoError(t, r.AddEvents(ctx, []view.EventEntry{e, foreign, sent}))
	for _, want := range []view.EventEntry{e, foreign, sent} {
		got, ok, err := r.Event(ctx, want.Tenant, want.Message)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	_, ok, err := r.Event(ctx, other, e.Message)
	require.NoError(t, err)
	require.False(t, ok, "another tenant's")

	byID := entry(acme, 4, time.Minute)
	byID.Message = delivery.MessageID(acme, delivery.PublishedSource, "order-4")
	require.NoError(t, r.AddEvents(ctx, []view.EventEntry{byID}))
	got, ok, err := r.EventByEventID(ctx, acme, "order-4")
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, byID, got)
}

func TestAddingTwiceChangesNothing(t *testing.T) {
	c, r := now(t, view.Config{})
	ctx := t.Context()
	var events []view.EventEntry
	for i := range 250 { // more than one script of a tenant
		events = append(events, entry(acme, i, time.Duration(i)*30*time.Minute))
	}
	require.NoError(t, r.AddEvents(ctx, events))
	before := c.Dump()
	again := slices.Clone(events)
	for i := range again {
		again[i].Position.Offset += 1000 // produced twice: the first one counts
		again[i].Time = again[i].Time.Add(-time.Minute)
	}
	require.NoError(t, r.AddEvents(ctx, append(again, events...)))
	require.Equal(t, before, c.Dump())
	require.Len(t, list(t, r, view.EventQuery{Tenant: acme, Limit: 250}).Events, 250)
}

// What is known is left out of a batch, whatever else is in it, also if it was of the day before or of the next.
func TestOnlyNewEventsAreAdded(t *testing.T) {
	_, r := now(t, view.Config{})
	midnight := time.Now().UTC().Truncate(24 * time.Hour).Add(-24 * time.Hour)
	events := make([]view.EventEntry, 40)
	for i := range events {
		events[i] = entry([]ident.ID{acme, other}[i%2], i, 0)
		events[i].Time = midnight.Add(time.Duration(i-20) * time.Minute)
	}
	require.NoError(t, r.AddEvents(t.Context(), events[10:30]))
	again := slices.Clone(events)
	for i := range again[10:30] {
		again[10+i].Time = midnight.Add(time.Duration(10-i)*time.Minute - 1) // on the other side
	}
	require.NoError(t, r.AddEvents(t.Context(), again))
	for i, tenant := range []ident.ID{acme, other} {
		var mine []view.EventEntry
		for _, e := range events {
			if e.Tenant == tenant {
				mine = append(mine, e)
			}
		}
		got := list(t, r, view.EventQuery{Tenant: tenant, Limit: 250}).Events
		require.Equal(t, expected(mine, view.EventQuery{}), got, i)
	}
}

// The most that a script may have: all ids in one hash, each event a chunk of its own in one hour.
func TestLargestBatches(t *testing.T) {
	_, r := now(t, view.Config{})
	hour := time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)
	events := make([]view.EventEntry, 2500)
	for i := range events {
		events[i] = entry(acme, i, 0)
		events[i].Message[15], events[i].Time = 0, hour.Add(time.Duration(i)*1200*time.Millisecond)
	}
	require.NoError(t, r.AddEvents(t.Context(), events))
	got := list(t, r, view.EventQuery{Tenant: acme, Limit: 250, OldestFirst: true}).Events
	require.Equal(t, events[:250], got)
	for _, e := range events[2400:] {
		found, ok, err := r.Event(t.Context(), acme, e.Message)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, e, found)
	}
}

func TestEventsExpire(t *testing.T) {
	c, r := now(t, view.Config{EventRetention: 2 * time.Hour})
	ctx := t.Context()
	require.NoError(t, r.AddEvents(ctx, []view.EventEntry{
		entry(acme, 1, 2*time.Hour), entry(acme, 2, 119*time.Minute), entry(acme, 3, 0), entry(acme, 4, -72*time.Hour),
	}))
	page := list(t, r, view.EventQuery{Tenant: acme, Limit: 10})
	require.Len(t, page.Events, 3, "one was older than the retention")
	require.Equal(t, entry(acme, 2, 0).Message, page.Events[2].Message)
	require.WithinDuration(t, time.Now(), page.Events[0].Time, time.Minute, "the future is now")
	require.WithinDuration(t, time.Now(), page.Events[1].Time, time.Minute)
	_, err := r.ReserveEvent(ctx, acme, ident.New())
	require.NoError(t, err)
	_, err = r.Begin(ctx, "s", "k", nil)
	require.NoError(t, err)
	for _, key := range c.Keys() {
		require.Positive(t, c.TTL(key), "%s lives for ever", key)
		require.LessOrEqual(t, c.TTL(key), 26*time.Hour+time.Minute, key)
	}
	c.pass(27 * time.Hour)
	require.Empty(t, c.Keys())
	page = list(t, r, view.EventQuery{Tenant: acme, Limit: 10})
	require.Equal(t, view.EventPage{Done: true}, page)
}

// TestLists compares pages with what a plain slice gives, whatever is asked for.
func TestLists(t *testing.T) {
	c, r := now(t, view.Config{})
	rapid.Check(t, func(t *rapid.T) {
		c.FlushAll()
		base := time.Now().Truncate(time.Millisecond).UTC()
		var all []view.EventEntry
		for i := range rapid.IntRange(0, 60).Draw(t, "events") {
			e := view.EventEntry{
				Tenant: acme, Message: ident.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
				Position: delivery.Position{Topic: "postrider.events", Offset: int64(i)},
				Time:     base.Add(-time.Duration(rapid.SampledFrom([]int{0, 1, 2, 999, 1000, 3_599_999, 3_600_000, 90_000_000, i, 100 * i}).Draw(t, "ms")) * time.Millisecond),
				Type:     rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "type"),
			}
			e.Message[0] &= 1 // many that start alike
			if rapid.Bool().Draw(t, "channel") {
				e.Channels = []string{"eu", "us"}[:rapid.IntRange(1, 2).Draw(t, "channels")]
			}
			if rapid.Bool().Draw(t, "tag") {
				e.Tags = []string{"t"}
			}
			if !slices.ContainsFunc(all, func(o view.EventEntry) bool { return o.Message == e.Message }) {
				all = append(all, e)
			}
		}
		for some := range slices.Chunk(all, rapid.IntRange(1, 60).Draw(t, "at a time")) { // recorders of several partitions take turns
			put(t, r, some)
		}
		q := view.EventQuery{
			Tenant: acme, Limit: rapid.SampledFrom([]int{1, 7, 50, 250}).Draw(t, "limit"), OldestFirst: rapid.Bool().Draw(t, "oldest first"),
			Channel: rapid.SampledFrom([]string{"", "", "eu", "us"}).Draw(t, "channel asked"),
			Tag:     rapid.SampledFrom([]string{"", "t"}).Draw(t, "tag asked"),
			Types:   rapid.SampledFrom([][]string{nil, {"a"}, {"b", "c"}}).Draw(t, "types asked"),
		}
		instants := []time.Time{{}, base, base.Add(-time.Millisecond), base.Add(-time.Hour), base.Add(-500 * time.Microsecond), base.Add(time.Hour)}
		q.After = rapid.SampledFrom(instants).Draw(t, "after")
		q.Before = rapid.SampledFrom(instants).Draw(t, "before")
		var got []view.EventEntry
		for i := 0; ; i++ {
			page, err := r.ListEvents(t.Context(), q)
			require.NoError(t, err)
			require.LessOrEqual(t, len(page.Events), q.Limit)
			got = append(got, page.Events...)
			if page.Done {
				break
			}
			require.Len(t, page.Events, q.Limit, "so few events are looked at in one go")
			require.Less(t, i, 200)
			q.Iterator = page.Iterator
		}
		require.Equal(t, expected(all, q), got)
		for _, e := range all {
			found, ok, err := r.Event(t.Context(), acme, e.Message)
			require.NoError(t, err)
			require.True(t, ok)
			require.Equal(t, e, found)
		}
	})
}

func expected(all []view.EventEntry, q view.EventQuery) (want []view.EventEntry) {
	for _, e := range all {
		switch {
		case !q.After.IsZero() && !e.Time.After(q.After), !q.Before.IsZero() && !e.Time.Before(q.Before):
		case len(q.Types) > 0 && !slices.Contains(q.Types, e.Type):
		case q.Channel != "" && !slices.Contains(e.Channels, q.Channel), q.Tag != "" && !slices.Contains(e.Tags, q.Tag):
		default:
			want = append(want, e)
		}
	}
	slices.SortFunc(want, func(a, b view.EventEntry) int {
		c := cmp.Or(a.Time.Compare(b.Time), bytes.Compare(a.Message[:], b.Message[:]))
		if q.OldestFirst {
			return c
		}
		return -c
	})
	return want
}

// A call looks at so many events and no more, and says where it ended, even if it found none.
func TestListsAreBounded(t *testing.T) {
	_, r := now(t, view.Config{EventRetention: 3 * time.Hour})
	var events []view.EventEntry
	for i := range 10_100 {
		events = append(events, entry(acme, i, time.Minute))
	}
	events[0].Type, events[0].Time = "rare", time.Now().Add(-2*time.Hour).Truncate(time.Millisecond).UTC()
	put(t, r, events)
	q := view.EventQuery{Tenant: acme, Limit: 10, Types: []string{"rare"}}
	calls := 0
	for {
		page := list(t, r, q)
		calls++
		if page.Done {
			require.Equal(t, events[:1], page.Events)
			break
		}
		require.Empty(t, page.Events)
		require.NotEqual(t, q.Iterator, page.Iterator)
		require.Len(t, strings.TrimPrefix(page.Iterator.Base62("msg_"), "msg_"), 27)
		q.Iterator = page.Iterator
	}
	require.Equal(t, 2, calls, "10,000 events each")

	_, err := r.ListEvents(t.Context(), view.EventQuery{Tenant: acme})
	require.EqualError(t, err, "limit: 0: want 1 to 250")
	_, err = r.ListEvents(t.Context(), view.EventQuery{Tenant: acme, Limit: 251})
	require.ErrorContains(t, err, "want 1 to 250")
}

// Hours that are listed and hold nothing cost a bounded number of calls.
func TestListsSkipLostHours(t *testing.T) {
	c, r := now(t, view.Config{EventRetention: 720 * time.Hour})
	var events []view.EventEntry
	for i := range 500 {
		events = append(events, entry(acme, i, time.Duration(i)*time.Hour))
	}
	put(t, r, events)
	for _, key := range c.Keys() {
		if strings.Contains(key, ":h:") && !strings.HasSuffix(key, fmt.Sprint(events[499].Time.Unix()/3600)) {
			c.Del(key)
		}
	}
	for _, oldest := range []bool{false, true} {
		var got []view.EventEntry
		q := view.EventQuery{Tenant: acme, Limit: 10, OldestFirst: oldest}
		for calls := 0; ; calls++ {
			require.Less(t, calls, 5)
			page := list(t, r, q)
			got = append(got, page.Events...)
			if page.Done {
				break
			}
			require.NotEqual(t, q.Iterator, page.Iterator, "it goes on")
			q.Iterator = page.Iterator
		}
		require.Equal(t, events[499:], got)
	}
	_, ok, err := r.Event(t.Context(), acme, events[0].Message)
	require.NoError(t, err)
	require.False(t, ok, "its list is gone")
}

func TestReservations(t *testing.T) {
	c, r := now(t, view.Config{})
	ctx := t.Context()
	e := entry(acme, 1, 0)
	reserve := func(want view.EventState) view.Reservation {
		t.Helper()
		res, err := r.ReserveEvent(ctx, acme, e.Message)
		require.NoError(t, err)
		require.Equal(t, want, res.State)
		return res
	}
	first := reserve(view.EventReserved)
	busy := reserve(view.EventBusy)
	require.NoError(t, r.ReleaseEvent(ctx, busy))
	reserve(view.EventBusy) // who has none gives none back
	require.NoError(t, r.ReleaseEvent(ctx, first))
	reserve(view.EventReserved)
	c.pass(view.ReservationLifetime)
	reserve(view.EventReserved) // the one before died
	require.NoError(t, r.ReleaseEvent(ctx, first))
	reserve(view.EventBusy)
	require.NoError(t, r.AddEvents(ctx, []view.EventEntry{e}))
	c.pass(view.ReservationLifetime)
	reserve(view.EventKnown)
}

func TestIndexWithoutRedis(t *testing.T) {
	c, r := now(t, view.Config{})
	c.SetError("LOADING Redis is loading")
	ctx := t.Context()
	e := entry(acme, 1, 0)
	require.ErrorContains(t, r.AddEvents(ctx, []view.EventEntry{e}), "adding events to the index: redis.addresses: ")
	_, _, err := r.Event(ctx, acme, e.Message)
	require.ErrorContains(t, err, "refused a call")
	_, err = r.ListEvents(ctx, view.EventQuery{Tenant: acme, Limit: 1})
	require.ErrorContains(t, err, "listing events: ")
	_, err = r.ReserveEvent(ctx, acme, e.Message)
	require.ErrorContains(t, err, "reserving an event id: ")
	require.Error(t, r.ReleaseEvent(ctx, view.Reservation{}))
	_, err = r.Begin(ctx, "s", "k", nil)
	require.ErrorContains(t, err, "claiming an idempotency key: ")
	require.Error(t, r.Finish(ctx, view.Claim{}, nil))
	require.Error(t, r.Abandon(ctx, view.Claim{}))
	c.SetError("")
	require.NoError(t, r.AddEvents(ctx, nil))

	// What stands in Redis and is no entry is an error, not a wrong event.
	require.NoError(t, r.AddEvents(ctx, []view.EventEntry{e}))
	for _, key := range c.Keys() {
		if strings.Contains(key, ":h:") {
			_, err := c.ZAdd(key, 0, "\x00")
			require.NoError(t, err)
		}
	}
	_, err = r.ListEvents(ctx, view.EventQuery{Tenant: acme, Limit: 10})
	require.ErrorContains(t, err, "cut off or has another form")
}
