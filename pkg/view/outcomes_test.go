package view_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/outcome"
	"github.com/postrider/postrider/pkg/view"
)

// kinds are what rows may be.
var kinds = []view.Row{
	{Result: outcome.ResultSuccess, Verdict: outcome.Delivered, Reason: outcome.ReasonDelivered, Status: 200},
	{Result: outcome.ResultServerError, Verdict: outcome.Retry, Reason: outcome.ReasonFailed, Status: 503},
	{Result: outcome.ResultTimeout, Verdict: outcome.Dead, Reason: outcome.ReasonExhausted},
	{Result: outcome.ResultClientError, Verdict: outcome.Dead, Reason: outcome.ReasonNotRetryable, Status: 404},
	{Result: outcome.ResultNone, Verdict: outcome.Parked, Reason: outcome.ReasonBreakerOpen},
	{Result: outcome.ResultNone, Verdict: outcome.Cancelled, Reason: outcome.ReasonDisabled},
	{Result: outcome.ResultNone, Verdict: outcome.Delivered, Reason: outcome.ReasonNotSent},
	{Result: outcome.ResultNone, Verdict: outcome.Dead, Reason: outcome.ReasonRetriesSuspended},
}

func subscriptionOf(n int) ident.ID { return ident.Derive("subscription", fmt.Sprint(n)) }
func messageOf(n int) ident.ID      { return ident.Derive("message", fmt.Sprint(n)) }

// rowsOf are n rows of a partition from an offset on, of some subscriptions, over the last hours.
func rowsOf(r *rand.Rand, n int, from int64, subs int) []view.Row {
	start := time.Now().Add(-150 * time.Minute).Truncate(time.Millisecond).UTC()
	out := make([]view.Row, n)
	for i := range out {
		row := kinds[r.IntN(len(kinds))]
		row.Offset, row.Tenant = from+int64(i)*int64(1+r.IntN(2)), acme
		if i > 0 {
			row.Offset = out[i-1].Offset + 1 + int64(r.IntN(2))
		}
		row.Subscription, row.Message = subscriptionOf(r.IntN(subs)), messageOf(r.IntN(1+n/2))
		row.EventType = []string{"order.created", "order.paid", "contact.updated"}[r.IntN(3)]
		row.At = start.Add(time.Duration(i)*145*time.Minute/time.Duration(n) - time.Duration(r.IntN(5000))*time.Millisecond).Truncate(time.Millisecond)
		row.Duration = time.Duration(r.IntN(3_000_000)) * time.Microsecond
		out[i] = row
	}
	return out
}

// addRows adds them until it succeeds, as the recorder does.
func addRows(t testing.TB, r *view.Redis, partition int32, rows []view.Row) {
	t.Helper()
	var err error
	for range 20 {
		if err = r.AddRows(t.Context(), partition, rows); err == nil {
			return
		}
	}
	require.NoError(t, err)
}

// record does all that the recorder does with rows, and returns how many statuses it writes.
func record(t testing.TB, r *view.Redis, s *view.Seen, partition int32, rows []view.Row) int {
	t.Helper()
	addRows(t, r, partition, rows)
	changed, err := r.Changed(t.Context(), s, rows)
	require.NoError(t, err)
	require.NoError(t, r.AddStatus(t.Context(), changed))
	s.Wrote(changed)
	return len(changed)
}

// held is what the keys hold, but those of loads: an entry there is one of a batch; see [TestLoads].
func held(c *clock) string {
	for _, key := range c.Keys() {
		if strings.Contains(key, "}:l:") {
			c.Del(key)
		}
	}
	return c.Dump()
}

// Whatever the batches, and whatever comes again, the views are those of rows that come one by one.
func TestRowsInAnyBatchesMakeTheSameViews(t *testing.T) {
	c, r := now(t, view.Config{})
	rapid.Check(t, func(rt *rapid.T) {
		random := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		rows := rowsOf(random, rapid.IntRange(1, 60).Draw(rt, "rows"), rapid.Int64Range(0, 1<<40).Draw(rt, "offset"), 4)
		c.FlushAll()
		for i := range rows {
			addRows(t, r, 3, rows[i:i+1])
		}
		want := held(c)
		c.FlushAll()
		for done := 0; done < len(rows); {
			from := max(done-rapid.SampledFrom([]int{0, 0, 1, 7, 30}).Draw(rt, "again"), 0)
			to := min(from+rapid.IntRange(1, 40).Draw(rt, "batch"), len(rows))
			addRows(t, r, 3, rows[from:to])
			done = max(done, to)
		}
		require.Equal(rt, want, held(c))
	})
}

// model is what the views must say of the rows of a subscription.
func model(rows []view.Row, sub ident.ID, wanted func(view.Row) bool) (out []view.Attempt) {
	for _, row := range rows {
		if row.Subscription == sub && wanted(row) {
			out = append(out, view.Attempt{
				Position: delivery.Position{Topic: "postrider.outcomes", Partition: 3, Offset: row.Offset},
				Time:     row.At, Status: row.Status, Result: row.Result, Verdict: row.Verdict, Reason: row.Reason,
			})
		}
	}
	return out
}

func attempted(r view.Row) bool { return r.Result != outcome.ResultNone }

func TestLastAttemptsAndStatuses(t *testing.T) {
	_, r := now(t, view.Config{})
	rows := rowsOf(rand.New(rand.NewPCG(1, 2)), 900, 7, 3)
	var seen view.Seen
	for some := range slices.Chunk(rows, 100) {
		record(t, r, &seen, 3, some)
	}
	for n := range 3 {
		sub := subscriptionOf(n)
		for _, name := range []string{"", "order.created", "order.paid", "contact.updated"} {
			want := inOrder(model(rows, sub, func(r view.Row) bool { return attempted(r) && (name == "" || r.EventType == name) }), false)
			require.Greater(t, len(want), view.KeptAttempts/2)
			got, err := r.LastAttempts(t.Context(), sub, name, 100)
			require.NoError(t, err)
			require.Equal(t, want[:min(len(want), view.KeptAttempts)], got, name)
			got, err = r.LastAttempts(t.Context(), sub, name, 3)
			require.NoError(t, err)
			require.Equal(t, want[:3], got, name)
		}
		statuses, err := r.Statuses(t.Context(), sub)
		require.NoError(t, err)
		require.Len(t, statuses, 3)
		for i, name := range []string{"contact.updated", "order.created", "order.paid"} {
			all := model(rows, sub, func(r view.Row) bool { return attempted(r) && r.EventType == name })
			last := slices.MaxFunc(all, func(a, b view.Attempt) int { return a.Time.Compare(b.Time) })
			require.Equal(t, view.TypeStatus{EventType: name, Attempt: last}, statuses[i])
		}
	}
	none, err := r.LastAttempts(t.Context(), subscriptionOf(99), "", 50)
	require.NoError(t, err)
	require.Empty(t, none)
	statuses, err := r.Statuses(t.Context(), subscriptionOf(99))
	require.NoError(t, err)
	require.Empty(t, statuses)
}

// inOrder sorts as the list is: by day, then by offset.
func inOrder(list []view.Attempt, oldestFirst bool) []view.Attempt {
	slices.SortFunc(list, func(a, b view.Attempt) int {
		return cmp.Or(a.Time.Truncate(24*time.Hour).Compare(b.Time.Truncate(24*time.Hour)), cmp.Compare(a.Position.Offset, b.Position.Offset))
	})
	if !oldestFirst {
		slices.Reverse(list)
	}
	return list
}

func TestAttempts(t *testing.T) {
	_, r := now(t, view.Config{})
	rows := rowsOf(rand.New(rand.NewPCG(3, 4)), 1500, 0, 2)
	for some := range slices.Chunk(rows, 200) {
		addRows(t, r, 3, some)
	}
	sub, middle := subscriptionOf(1), rows[700].At
	for name, tc := range map[string]struct {
		q    view.AttemptQuery
		want func(view.Row) bool
	}{
		"attempts": {view.AttemptQuery{}, attempted},
		"all rows": {view.AttemptQuery{AllRows: true}, func(view.Row) bool { return true }},
		"a window": {
			view.AttemptQuery{After: middle, Before: middle.Add(20 * time.Minute)},
			func(r view.Row) bool {
				return attempted(r) && r.At.After(middle) && r.At.Before(middle.Add(20*time.Minute))
			},
		},
		"since":        {view.AttemptQuery{After: middle}, func(r view.Row) bool { return attempted(r) && r.At.After(middle) }},
		"status":       {view.AttemptQuery{Status: 503}, func(r view.Row) bool { return r.Status == 503 }},
		"status class": {view.AttemptQuery{StatusClass: 4}, func(r view.Row) bool { return r.Status == 404 }},
		"event types": {
			view.AttemptQuery{EventTypes: []string{"order.paid", "contact.updated"}},
			func(r view.Row) bool { return attempted(r) && r.EventType != "order.created" },
		},
		"results": {
			view.AttemptQuery{Results: []outcome.Result{outcome.ResultTimeout, outcome.ResultSuccess}},
			func(r view.Row) bool { return r.Result == outcome.ResultTimeout || r.Result == outcome.ResultSuccess },
		},
		"no attempts": {
			view.AttemptQuery{Results: []outcome.Result{outcome.ResultNone}}, func(r view.Row) bool { return !attempted(r) },
		},
		"verdicts": {
			view.AttemptQuery{Verdicts: []outcome.Verdict{outcome.Dead}, AllRows: true},
			func(r view.Row) bool { return r.Verdict == outcome.Dead },
		},
		"reasons": {
			view.AttemptQuery{Reasons: []outcome.Reason{outcome.ReasonDisabled}, AllRows: true},
			func(r view.Row) bool { return r.Reason == outcome.ReasonDisabled },
		},
		"nothing": {view.AttemptQuery{Status: 418}, func(view.Row) bool { return false }},
	} {
		for _, oldestFirst := range []bool{false, true} {
			for _, limit := range []int{7, 250, view.MaxAttemptLimit} {
				t.Run(fmt.Sprintf("%s/%t/%d", name, oldestFirst, limit), func(t *testing.T) {
					q := tc.q
					q.Subscription, q.OldestFirst, q.Limit = sub, oldestFirst, limit
					var got []view.Attempt
					for {
						page, err := r.Attempts(t.Context(), q)
						require.NoError(t, err)
						require.LessOrEqual(t, len(page.Attempts), limit)
						got = append(got, page.Attempts...)
						if page.Done {
							break
						}
						require.NotEqual(t, q.Iterator, page.Iterator)
						q.Iterator = page.Iterator
					}
					require.Equal(t, inOrder(model(rows, sub, tc.want), oldestFirst), got)
				})
			}
		}
	}
	_, err := r.Attempts(t.Context(), view.AttemptQuery{Limit: view.MaxAttemptLimit + 1})
	require.EqualError(t, err, "limit: 10001: want 1 to 10000")
	page, err := r.Attempts(t.Context(), view.AttemptQuery{Subscription: subscriptionOf(9), Limit: 1})
	require.NoError(t, err)
	require.Equal(t, view.AttemptPage{Done: true}, page)
}

// Of a day with many rows only those around the window are read.
func TestWindowOfABusyDay(t *testing.T) {
	c, r := now(t, view.Config{})
	hour := time.Now().Add(-time.Hour).Truncate(time.Hour).UTC()
	sub := subscriptionOf(1)
	var rows []view.Row
	for i := range 20_000 {
		row := kinds[0]
		row.Offset, row.Subscription, row.Message, row.EventType = int64(i), sub, messageOf(1), "a"
		row.At = hour.Add(time.Duration(i) * time.Hour / 20_000).Add(-time.Duration(i%90) * time.Second).Truncate(time.Millisecond)
		if row.At.Before(hour) {
			row.At = hour
		}
		rows = append(rows, row)
	}
	for some := range slices.Chunk(rows, 5000) {
		addRows(t, r, 3, some)
	}
	after, before := hour.Add(20*time.Minute), hour.Add(21*time.Minute)
	want := model(rows, sub, func(r view.Row) bool { return r.At.After(after) && r.At.Before(before) })
	require.NotEmpty(t, want)
	calls := c.CommandCount()
	for _, oldestFirst := range []bool{true, false} {
		page, err := r.Attempts(t.Context(), view.AttemptQuery{
			Subscription: sub, After: after, Before: before, Limit: 10_000, OldestFirst: oldestFirst,
		})
		require.NoError(t, err)
		require.True(t, page.Done)
		require.Equal(t, inOrder(want, oldestFirst), page.Attempts)
		slices.Reverse(want)
	}
	require.Less(t, c.CommandCount()-calls, 100)
}

// A day with many rows says the same as one with few, whether it has a digest and is in several strings or not.
func TestBusyDay(t *testing.T) {
	c, r := now(t, view.Config{})
	view.SetPiece(r, 4000)
	rows := rowsOf(rand.New(rand.NewPCG(11, 12)), 20_000, 1<<33, 1)
	rows[0].EventType, rows[0].Result, rows[0].Verdict = "rare", outcome.ResultTimeout, outcome.Dead
	var seen view.Seen
	for some := range slices.Chunk(rows, 700) {
		record(t, r, &seen, 3, some)
	}
	sub := subscriptionOf(0)
	require.Contains(t, strings.Join(c.Keys(), " "), ".3 ", "several strings")
	for _, name := range []string{"", "rare", "order.paid"} {
		want := inOrder(model(rows, sub, func(r view.Row) bool { return attempted(r) && (name == "" || r.EventType == name) }), false)
		got, err := r.LastAttempts(t.Context(), sub, name, view.KeptAttempts)
		require.NoError(t, err)
		require.Equal(t, want[:min(len(want), view.KeptAttempts)], got, name)
	}
	statuses, err := r.Statuses(t.Context(), sub)
	require.NoError(t, err)
	require.Len(t, statuses, 4)
	require.Equal(t, rows[0].At, statuses[3].Time)

	to := time.Now()
	h, err := r.Health(t.Context(), view.HealthQuery{Subscription: sub, From: to.Add(-4 * time.Hour), To: to, Step: time.Hour})
	require.NoError(t, err)
	var total view.Counts
	for _, row := range rows {
		one := counted(row)
		total.Add(&one)
	}
	sameCounts(t, total, h.Total)

	for _, oldestFirst := range []bool{false, true} {
		q := view.AttemptQuery{Subscription: sub, Limit: 3000, AllRows: true, OldestFirst: oldestFirst}
		var got []view.Attempt
		for done := false; !done; {
			page, err := r.Attempts(t.Context(), q)
			require.NoError(t, err)
			got, q.Iterator, done = append(got, page.Attempts...), page.Iterator, page.Done
		}
		require.Equal(t, inOrder(model(rows, sub, func(view.Row) bool { return true }), oldestFirst), got)
	}
	// Digests are nothing but a help.
	for _, key := range c.Keys() {
		if strings.Contains(key, "}:d:") {
			c.Del(key)
		}
	}
	again, err := r.Health(t.Context(), view.HealthQuery{Subscription: sub, From: to.Add(-4 * time.Hour), To: to, Step: time.Hour})
	require.NoError(t, err)
	require.Equal(t, h, again)
}

func TestMessageAttempts(t *testing.T) {
	_, r := now(t, view.Config{})
	random := rand.New(rand.NewPCG(5, 6))
	parts := map[int32][]view.Row{3: rowsOf(random, 200, 0, 3), 70: rowsOf(random, 200, 1<<41, 3)}
	want := map[ident.ID][]delivery.Position{}
	for _, partition := range []int32{3, 70} {
		for some := range slices.Chunk(parts[partition], 70) {
			addRows(t, r, partition, some)
		}
		for _, row := range parts[partition] {
			want[row.Message] = append(want[row.Message],
				delivery.Position{Topic: "postrider.outcomes", Partition: partition, Offset: row.Offset})
		}
	}
	require.NotEmpty(t, want)
	for message, positions := range want {
		got, err := r.MessageAttempts(t.Context(), message, time.Time{})
		require.NoError(t, err)
		require.Equal(t, positions, got)
	}
	got, err := r.MessageAttempts(t.Context(), messageOf(9999), time.Now())
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestHealth(t *testing.T) {
	_, r := now(t, view.Config{})
	rows := rowsOf(rand.New(rand.NewPCG(7, 8)), 1000, 0, 2)
	for some := range slices.Chunk(rows, 150) {
		addRows(t, r, 3, some)
	}
	sub, to := subscriptionOf(0), time.Now()
	for _, step := range []time.Duration{time.Minute, time.Hour} {
		h, err := r.Health(t.Context(), view.HealthQuery{Subscription: sub, From: to.Add(-4 * time.Hour), To: to, Step: step})
		require.NoError(t, err)
		want := map[time.Time]*view.Counts{}
		var total view.Counts
		for _, row := range rows {
			if row.Subscription != sub {
				continue
			}
			of := want[row.At.Truncate(step)]
			if of == nil {
				of = &view.Counts{Results: map[outcome.Result]int64{}}
				want[row.At.Truncate(step)] = of
			}
			one := counted(row)
			of.Add(&one)
			total.Add(&one)
		}
		require.Len(t, h.Series, len(want))
		for i, s := range h.Series {
			sameCounts(t, *want[s.Start], s.Counts)
			require.True(t, i == 0 || s.Start.After(h.Series[i-1].Start), "oldest first")
		}
		sameCounts(t, total, h.Total)
	}
	part, err := r.Health(t.Context(), view.HealthQuery{Subscription: sub, From: rows[500].At, To: rows[500].At.Add(time.Minute), Step: time.Minute})
	require.NoError(t, err)
	require.LessOrEqual(t, len(part.Series), 2, "the ends are widened to whole minutes")
	require.NotEmpty(t, part.Series)

	_, err = r.Health(t.Context(), view.HealthQuery{From: to, To: to, Step: time.Second})
	require.EqualError(t, err, "step: 1s: want 1m or 1h")
	_, err = r.Health(t.Context(), view.HealthQuery{From: to.Add(-25 * time.Hour), To: to, Step: time.Minute})
	require.ErrorContains(t, err, "from, to: 25h0m0s: want 0 to 1440 steps of 1m0s")
}

// sameCounts compares counts, of which the sum of durations is kept to a quarter of a percent.
func sameCounts(t *testing.T, want, got view.Counts) {
	t.Helper()
	require.InEpsilon(t, want.Durations.Sum+1, got.Durations.Sum+1, 0.003)
	got.Durations.Sum = want.Durations.Sum
	require.Equal(t, want, got)
}

// counted is what one row adds.
func counted(row view.Row) view.Counts {
	c := view.Counts{Results: map[outcome.Result]int64{}}
	switch {
	case row.Result != outcome.ResultNone:
		c.Results[row.Result] = 1
		c.Durations = histogramOf(row.Duration)
	case row.Verdict == outcome.Parked:
		c.Parked = 1
	case row.Verdict == outcome.Cancelled:
		c.Cancelled = 1
	case row.Verdict == outcome.Delivered:
		c.NotSent = 1
	default:
		c.Dead = 1
	}
	return c
}

func TestChangedStatuses(t *testing.T) {
	_, r := now(t, view.Config{})
	hour := time.Now().Add(-2 * time.Hour).Truncate(time.Hour)
	offset := int64(0)
	row := func(kind, minute int) []view.Row {
		row := kinds[kind]
		row.Offset, row.Subscription, row.Message, row.EventType = offset, subscriptionOf(1), messageOf(1), "a"
		row.At = hour.Add(time.Duration(minute) * time.Minute)
		offset++
		return []view.Row{row}
	}
	var seen view.Seen
	one := func(kind, minute int) bool { return record(t, r, &seen, 0, row(kind, minute)) == 1 }
	const ok, failed, refused, parked = 0, 1, 3, 4
	require.True(t, one(ok, 0), "the first")
	require.False(t, one(ok, 1))
	require.True(t, one(failed, 2), "fails")
	require.False(t, one(refused, 3))
	require.False(t, one(parked, 4))
	require.True(t, one(ok, 5), "recovers")
	require.False(t, one(failed, 4), "one that started earlier")
	require.True(t, one(ok, 65), "another hour")
	seen = view.Seen{}
	require.False(t, one(ok, 66), "the next owner knows what was written")

	rows := row(failed, 67)
	for range 2 {
		changed, err := r.Changed(t.Context(), &seen, rows)
		require.NoError(t, err)
		require.Len(t, changed, 1, "as long as it is not written")
	}
	require.Equal(t, 1, record(t, r, &seen, 0, rows))
	require.Zero(t, record(t, r, &seen, 0, rows), "comes again")
	require.Equal(t, 1, record(t, r, &seen, 0, append(row(ok, 68), row(failed, 66)...)), "one of a batch: the last")
}

func TestAddStatus(t *testing.T) {
	c, r := now(t, view.Config{})
	row := kinds[0]
	row.Offset, row.Subscription, row.EventType, row.At = 5, subscriptionOf(1), "a", time.Now().Add(-30*24*time.Hour).Truncate(time.Millisecond).UTC()
	older := row
	older.At, older.Status = row.At.Add(-time.Second), 201
	for _, rows := range [][]*view.Row{{&row}, {&older}, {&older, &row}} {
		require.NoError(t, r.AddStatus(t.Context(), rows))
		got, err := r.Statuses(t.Context(), row.Subscription)
		require.NoError(t, err)
		require.Equal(t, []view.TypeStatus{{EventType: "a", Attempt: view.Attempt{
			Time: row.At, Status: 200, Result: row.Result, Verdict: row.Verdict, Reason: row.Reason,
		}}}, got, "its record is gone")
	}
	newer := row
	newer.At, newer.Message, newer.Offset = time.Now().Truncate(time.Millisecond).UTC(), messageOf(1), 2
	record(t, r, &view.Seen{}, 4, []view.Row{newer})
	require.NoError(t, r.AddStatus(t.Context(), []*view.Row{&row}))
	got, err := r.Statuses(t.Context(), row.Subscription)
	require.NoError(t, err)
	require.Equal(t, newer.At, got[0].Time)
	require.Equal(t, delivery.Position{Topic: "postrider.outcomes", Partition: 4, Offset: 2}, got[0].Position)
	keys := slices.DeleteFunc(c.Keys(), func(key string) bool { return !strings.Contains(key, ":s:"+row.Subscription.UUID()) })
	require.Len(t, keys, 1)
	require.Positive(t, c.TTL(keys[0]))
}

func TestRowsExpire(t *testing.T) {
	c, r := now(t, view.Config{EventRetention: 2 * time.Hour})
	old := kinds[0]
	old.Offset, old.Subscription, old.Message, old.EventType, old.At = 1, subscriptionOf(1), messageOf(1), "a", time.Now().Add(-30*time.Hour)
	fresh := old
	fresh.Offset, fresh.At = 2, time.Now()
	addRows(t, r, 0, []view.Row{old, fresh})
	page, err := r.Attempts(t.Context(), view.AttemptQuery{Subscription: old.Subscription, Limit: 10})
	require.NoError(t, err)
	require.Len(t, page.Attempts, 1, "the other is older than the retention")
	c.pass(401 * 24 * time.Hour)
	for _, key := range c.Keys() {
		require.Regexp(t, `^\{postrider\.views2\.[0-9a-f]\}:o$`, key, "all but the guards, which are 16, has an end")
	}
}

func TestForgetOutcomes(t *testing.T) {
	c, r := now(t, view.Config{})
	require.NoError(t, r.AddEvents(t.Context(), []view.EventEntry{entry(acme, 1, time.Minute)}))
	events := c.Dump()
	require.NoError(t, c.Set("{postrider.events."+acme.UUID()+"}:h:1", "of layout 1"))
	addRows(t, r, 0, rowsOf(rand.New(rand.NewPCG(9, 9)), 500, 0, 100))
	require.NoError(t, r.Advance(t.Context(), "postrider.outcomes", 0, 0, 500, time.Now()))
	require.NoError(t, r.ForgetOutcomes(t.Context()))
	require.Equal(t, events, c.Dump())
}

func TestProgress(t *testing.T) {
	_, r := now(t, view.Config{})
	at := time.Now().Add(-time.Minute).Truncate(time.Millisecond).UTC()
	ctx := t.Context()
	require.NoError(t, r.Advance(ctx, "postrider.outcomes", 0, 5, 10, at))
	require.NoError(t, r.Advance(ctx, "postrider.outcomes", 0, 10, 20, at.Add(time.Second)))
	require.NoError(t, r.Advance(ctx, "postrider.outcomes", 0, 8, 12, at), "comes again")
	require.NoError(t, r.Advance(ctx, "postrider.outcomes", 11, 0, 3, at))
	require.NoError(t, r.Advance(ctx, "shop/orders", 1, 0, 3, at))
	got, err := r.Progress(ctx, "postrider.outcomes")
	require.NoError(t, err)
	require.Equal(t, []view.Progress{
		{Partition: 0, From: 5, Next: 20, Time: at.Add(time.Second)}, {Partition: 11, From: 0, Next: 3, Time: at},
	}, got)

	late := time.Now()
	for name, tc := range map[string]struct {
		log  map[int32]view.Ends
		want view.Completeness
	}{
		"all":             {map[int32]view.Ends{0: {5, 20}, 11: {0, 3}}, view.Completeness{To: late}},
		"behind":          {map[int32]view.Ends{0: {5, 20}, 11: {0, 5}}, view.Completeness{To: at, Behind: 2}},
		"never read":      {map[int32]view.Ends{0: {5, 20}, 12: {2, 5}}, view.Completeness{Behind: 3}},
		"empty":           {map[int32]view.Ends{12: {5, 5}}, view.Completeness{To: late}},
		"lost its start":  {map[int32]view.Ends{0: {4, 20}}, view.Completeness{To: late, Rebuild: true}},
		"the log was cut": {map[int32]view.Ends{0: {15, 20}, 11: {7, 9}}, view.Completeness{To: at, Behind: 2}},
	} {
		require.Equal(t, tc.want, view.Complete(got, tc.log, late), name)
	}
}

// Versions whose views are laid out in another way may have run before, or run beside this one.
func TestOtherLayouts(t *testing.T) {
	const key = "{postrider.progress}"
	ctx, at := t.Context(), time.Now().Add(-time.Minute).Truncate(time.Millisecond).UTC()
	for name, tc := range map[string]struct {
		field string
		age   time.Duration
		want  string
	}{
		"none":                  {"shop.orders/0", time.Minute, ""},
		"of a source":           {"postrider.events/0", time.Minute, ""},
		"earlier":               {"postrider.outcomes/11", time.Minute, "of layout 1; this version has layout 2"},
		"earlier, and all gone": {"postrider.outcomes/11", 8 * 24 * time.Hour, ""},
		"later":                 {"3:postrider.outcomes/0", time.Minute, "of layout 3; this version has layout 2"},
		"ours":                  {"2:postrider.outcomes/0", time.Minute, ""},
	} {
		c, r := now(t, view.Config{})
		c.HSet(key, tc.field, fmt.Sprintf("0 10 %d", time.Now().Add(-tc.age).UnixMilli()))
		text, err := r.OtherLayout(ctx)
		require.NoError(t, err)
		if tc.want == "" {
			require.Empty(t, text, name)
			continue
		}
		require.Contains(t, text, tc.want, name)
		require.Contains(t, text, `"postrider views rebuild"`, name)
	}
	c, r := now(t, view.Config{})
	c.HSet(key, "postrider.outcomes/0", "0 10 1")
	require.NoError(t, r.Advance(ctx, "postrider.outcomes", 0, 10, 20, at))
	require.NoError(t, r.Advance(ctx, "postrider.outcomes", 0, 20, 30, at))
	got, err := r.Progress(ctx, "postrider.outcomes")
	require.NoError(t, err)
	require.Equal(t, []view.Progress{{Partition: 0, From: 10, Next: 30, Time: at}}, got, "our own")
	require.NoError(t, r.Advance(ctx, "postrider.outcomes", 0, 40, 50, at), "another had the partition")
	got, err = r.Progress(ctx, "postrider.outcomes")
	require.NoError(t, err)
	require.EqualValues(t, 40, got[0].From, "what is missing")
	require.NoError(t, r.Advance(ctx, "shop.orders", 0, 0, 20, at))
	require.NoError(t, r.Advance(ctx, "shop.orders", 0, 40, 50, at))
	got, err = r.Progress(ctx, "shop.orders")
	require.NoError(t, err)
	require.Zero(t, got[0].From, "source topics may have gaps")
}

func TestAttemptID(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := time.UnixMilli(rapid.Int64Range(0, 1<<47).Draw(t, "at")).UTC()
		partition, offset := rapid.Int32Range(0, 1<<31-1).Draw(t, "partition"), rapid.Int64Range(0, 1<<48-1).Draw(t, "offset")
		gotAt, gotPartition, gotOffset := view.ParseAttemptID(view.AttemptID(at, partition, offset))
		require.Equal(t, at, gotAt)
		require.Equal(t, partition, gotPartition)
		require.Equal(t, offset, gotOffset)
	})
}
