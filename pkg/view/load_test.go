package view_test

import (
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// loadsIn are the loads that Redis has, by subscription.
func loadsIn(t *testing.T, r *view.Redis) map[ident.ID]view.Load {
	t.Helper()
	all, err := r.Loads(t.Context())
	require.NoError(t, err)
	out := map[ident.ID]view.Load{}
	for _, l := range all {
		require.NotContains(t, out, l.Subscription)
		out[l.Subscription] = l
	}
	return out
}

// loadsOf are those that rows come to.
func loadsOf(rows []view.Row) map[ident.ID]view.Load {
	out := map[ident.ID]view.Load{}
	for _, row := range rows {
		if !attempted(row) {
			continue
		}
		l := out[row.Subscription]
		l.Subscription, l.Attempts = row.Subscription, l.Attempts+1
		if row.Result != outcome.ResultSuccess {
			l.Failures++
		}
		out[row.Subscription] = l
	}
	return out
}

// late moves rows of the last hours into the last 50 minutes.
func late(rows []view.Row) []view.Row {
	for i := range rows {
		rows[i].At = time.Now().Add(time.Until(rows[i].At) / 4).Truncate(time.Millisecond)
	}
	return rows
}

// Each attempt of the last hour counts once, whatever the batches, and whatever comes again; older ones do not.
func TestLoads(t *testing.T) {
	c, r := now(t, view.Config{})
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		old := rowsOf(random, 5, 0, 4)
		for i := range old {
			old[i].At = time.Now().Add(-80*time.Minute - time.Duration(i)*time.Hour)
		}
		rows := late(rowsOf(random, rapid.IntRange(1, 60).Draw(rt, "rows"), 100, 4))
		c.FlushAll()
		addRows(t, r, 3, old)
		require.Empty(rt, loadsIn(t, r))
		for done := 0; done < len(rows); {
			from := max(done-rapid.SampledFrom([]int{0, 0, 1, 7, 30}).Draw(rt, "again"), 0)
			to := min(from+rapid.IntRange(1, 40).Draw(rt, "batch"), len(rows))
			addRows(t, r, 3, rows[from:to])
			done = max(done, to)
		}
		require.Equal(rt, loadsOf(rows), loadsIn(t, r))
	})
}

// Of a step that is over, the busiest and the sickest of each shard are left, and what comes late counts.
func TestLoadsOfAStepThatIsOver(t *testing.T) {
	c, r := now(t, view.Config{})
	const subs = 6000
	before := time.Now().Add(-20 * time.Minute).Truncate(5 * time.Minute)
	offset := int64(0)
	row := func(sub, kind int, at time.Time) view.Row {
		one := kinds[kind]
		one.Offset, one.Subscription, one.Message, one.EventType, one.At = offset, subscriptionOf(sub), messageOf(sub), "a", at
		offset++
		return one
	}
	var rows []view.Row
	for sub := range subs {
		for n := range 2 + sub/1000 { // the first thousand are the least busy
			kind := 0
			if sub < 100 && n < 2 {
				kind = 1 // and some of them are sick
			}
			rows = append(rows, row(sub, kind, before.Add(time.Duration(sub%290)*time.Second)))
		}
	}
	size := func() (n int) {
		for _, key := range c.Keys() {
			if strings.Contains(key, "}:l:") {
				text, err := c.Get(key)
				require.NoError(t, err)
				n += len(text)
			}
		}
		return n
	}
	addRows(t, r, 3, rows)
	raw := size()
	want, got := loadsOf(rows), loadsIn(t, r)
	require.Equal(t, want, got, "it goes on, for all that Redis knows")

	var next []view.Row
	for sub := range 200 { // something of each shard
		next = append(next, row(sub, 0, before.Add(5*time.Minute)))
	}
	next = append(next, row(subs-1, 0, before), row(0, 1, before))
	addRows(t, r, 3, next)
	require.Less(t, size(), raw/2)
	got = loadsIn(t, r)
	want = loadsOf(append(rows, next...))
	for sub := range 100 {
		require.Equal(t, want[subscriptionOf(sub)], got[subscriptionOf(sub)], "sick")
	}
	require.Equal(t, want[subscriptionOf(subs-1)], got[subscriptionOf(subs-1)], "busy")
	require.Less(t, len(got), 16*256+200)
	c.pass(90 * time.Minute)
	require.Zero(t, size(), "they have an end")
}

func TestBusiestAndSickest(t *testing.T) {
	t.Parallel()
	var all []view.Load
	for i, of := range [][2]int64{{1_000_000, 1000}, {500, 500}, {500, 0}, {3, 3}, {1000, 500}, {0, 0}} {
		all = append(all, view.Load{Subscription: ident.Derive("s", strconv.Itoa(i)), Attempts: of[0], Failures: of[1]})
	}
	of := func(list []view.Load) (out [][2]int64) {
		for _, l := range list {
			out = append(out, [2]int64{l.Attempts, l.Failures})
		}
		return out
	}
	require.Equal(t, [][2]int64{{1_000_000, 1000}, {1000, 500}}, of(view.Busiest(all, 2)))
	require.Equal(t, [][2]int64{{500, 500}, {1000, 500}, {3, 3}, {1_000_000, 1000}}, of(view.Sickest(all, 10)))
	require.Empty(t, view.Sickest(nil, 10))
}

// Where Redis is away, that is said.
func TestLoadsAreAway(t *testing.T) {
	t.Parallel()
	c, r := start(t)
	c.SetError("LOADING")
	_, err := r.Loads(t.Context())
	require.ErrorContains(t, err, "reading loads: ")
}
