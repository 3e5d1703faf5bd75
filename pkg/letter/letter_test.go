package letter_test

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/outcome"
)

var (
	start  = time.Date(2026, 2, 1, 8, 0, 0, 0, time.UTC)
	tenant = ident.Derive("test", "acme")
	other  = ident.Derive("test", "globex")
)

// deadAt is the record of the n-th delivery's dead letter at an offset of partition 0, written as many seconds after the start.
func deadAt(n int, offset int64, headers map[string]string) letter.Record {
	sub, msg := ident.Derive("test", "sub", fmt.Sprint(n%3)), ident.Derive("test", "msg", fmt.Sprint(n))
	own := map[string]string{
		"pr-delivery": delivery.ID(msg, sub).Base62("dlv_"), "pr-message": msg.Base62("msg_"), "pr-tenant": tenant.UUID(), "pr-type": "a.b",
		"pr-reason": "exhausted", "pr-result": "server_error", "pr-status": "503", "pr-attempts": "4",
	}
	maps.Copy(own, headers)
	maps.DeleteFunc(own, func(_, v string) bool { return v == "" })
	return letter.Record{
		Key: []byte(sub.UUID()), Value: []byte(`{}`), Timestamp: start.Add(time.Duration(offset) * time.Second),
		Position: delivery.Position{Topic: "deadletters", Offset: offset}, Headers: pairs(own),
	}
}

func pairs(m map[string]string) iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, []byte(m[k])) {
				return
			}
		}
	}
}

// markAt is the record of a mark of the n-th delivery; of is the offset of the letter, negative for none.
func markAt(n int, offset, of int64) letter.Record {
	headers := map[string]string{"pr-mark": "redriven", "pr-reason": "", "pr-mark-by": "key:key_1"}
	if of >= 0 {
		headers["pr-mark-of"] = delivery.Position{Topic: "deadletters", Offset: of}.String()
	}
	r := deadAt(n, offset, headers)
	r.Value = nil
	return r
}

// fold adds records, and returns the offsets of the letters that are open, oldest first.
func fold(o *letter.Open[*letter.Dead], records ...letter.Record) (open []int64) {
	for _, r := range records {
		l, m := letter.ReadDead(r)
		if m != nil {
			o.Close(m)
		} else {
			o.Put(l)
		}
	}
	for l := range o.List(ident.ID{}, letter.Cursor{}, false) {
		open = append(open, l.Offset)
	}
	return open
}

func TestWhichDeadLettersAreOpen(t *testing.T) {
	garbage := letter.Record{
		Value: []byte("x"), Position: delivery.Position{Topic: "deadletters", Offset: 1}, Timestamp: start,
		Headers: pairs(map[string]string{"pr-reason": "undecodable", "pr-mark": "redriven", "pr-tenant": tenant.UUID()}),
	}
	discarded := letter.Record{Position: delivery.Position{Topic: "deadletters", Offset: 2}, Headers: pairs(map[string]string{
		"pr-delivery": letter.UndecodableID(garbage.Position).Base62("dlv_"), "pr-mark": "discarded", "pr-mark-of": "deadletters/0/1",
	})}
	for name, c := range map[string]struct {
		records []letter.Record
		want    []int64
	}{
		"two":                                {[]letter.Record{deadAt(1, 0, nil), deadAt(2, 1, nil)}, []int64{0, 1}},
		"redriven":                           {[]letter.Record{deadAt(1, 0, nil), deadAt(2, 1, nil), markAt(1, 2, 0)}, []int64{1}},
		"marked twice":                       {[]letter.Record{deadAt(1, 0, nil), markAt(1, 1, 0), markAt(1, 2, 0)}, nil},
		"died again":                         {[]letter.Record{deadAt(1, 0, nil), markAt(1, 1, 0), deadAt(1, 2, nil)}, []int64{2}},
		"died again without a mark":          {[]letter.Record{deadAt(1, 0, nil), deadAt(1, 2, nil)}, []int64{2}},
		"a late mark of the letter before":   {[]letter.Record{deadAt(1, 0, nil), deadAt(1, 1, nil), markAt(1, 2, 0)}, []int64{1}},
		"delivered in another way":           {[]letter.Record{deadAt(1, 0, nil), deadAt(1, 1, nil), markAt(1, 2, -1)}, nil},
		"delivered, and dead later":          {[]letter.Record{deadAt(1, 0, nil), markAt(1, 1, -1), deadAt(1, 2, nil)}, []int64{2}},
		"a mark that is read first":          {[]letter.Record{markAt(1, 1, 0), deadAt(1, 0, nil)}, nil},
		"a mark of nothing":                  {[]letter.Record{markAt(1, 0, -1), deadAt(1, 1, nil)}, []int64{1}},
		"no delivery, with a header of ours": {[]letter.Record{garbage}, []int64{1}},
		"no delivery, discarded":             {[]letter.Record{garbage, discarded}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := letter.NewOpen[*letter.Dead](0)
			require.Equal(t, c.want, fold(o, c.records...))
			require.Equal(t, c.want, fold(o, c.records...), "read a second time")
			held, _ := o.Len()
			require.Len(t, c.want, held)
		})
	}
}

func TestReadDead(t *testing.T) {
	l, m := letter.ReadDead(deadAt(1, 7, nil))
	require.Nil(t, m)
	require.Equal(t, tenant, l.Tenant)
	require.Equal(t, start.Add(7*time.Second), l.Time())
	require.Equal(t, letter.DeadCause{
		Tenant: tenant, Subscription: l.Subscription, Reason: outcome.ReasonExhausted, Result: outcome.ResultServerError, Status: 503,
	}, l.Cause())
	require.Equal(t, "a.b", l.Type())
	require.EqualValues(t, 4, l.Attempts)
	require.False(t, l.Undecodable())

	_, m = letter.ReadDead(markAt(1, 8, 7))
	require.Equal(t, &letter.Mark{
		Kind: letter.Redriven, ID: l.ID, Of: delivery.Position{Topic: "deadletters", Offset: 7}, By: "key:key_1",
		Place: delivery.Position{Topic: "deadletters", Offset: 8},
	}, m)
	require.Equal(t, map[string]string{"pr-mark": "redriven", "pr-mark-of": "deadletters/0/7", "pr-mark-by": "key:key_1"}, maps.Collect(m.Headers()))

	for _, spoil := range []map[string]string{{"pr-reason": "undecodable"}, {"pr-delivery": ""}, {"pr-delivery": "dlv_1"}} {
		l, m := letter.ReadDead(deadAt(1, 7, spoil))
		require.Nil(t, m)
		require.True(t, l.Undecodable())
		require.Zero(t, l.Tenant, "it belongs to nobody")
		require.Equal(t, letter.UndecodableID(delivery.Position{Topic: "deadletters", Offset: 7}), l.ID)
	}
}

func TestFilter(t *testing.T) {
	l, _ := letter.ReadDead(deadAt(1, 10, nil))
	for name, c := range map[string]struct {
		f    letter.DeadFilter
		want bool
	}{
		"all":                 {letter.DeadFilter{}, true},
		"all that is its":     {letter.DeadFilter{IDs: []ident.ID{l.ID}, Subscriptions: []ident.ID{other, l.Subscription}, Types: []string{"a.b"}, Reasons: []outcome.Reason{"exhausted"}, Results: []outcome.Result{"server_error"}, Statuses: []int{503}}, true},
		"another id":          {letter.DeadFilter{IDs: []ident.ID{other}}, false},
		"another endpoint":    {letter.DeadFilter{Subscriptions: []ident.ID{other}}, false},
		"another type":        {letter.DeadFilter{Types: []string{"a"}}, false},
		"another reason":      {letter.DeadFilter{Reasons: []outcome.Reason{"expired"}}, false},
		"another result":      {letter.DeadFilter{Results: []outcome.Result{"timeout"}}, false},
		"another status":      {letter.DeadFilter{Statuses: []int{500}}, false},
		"from then on":        {letter.DeadFilter{After: l.Time()}, true},
		"until just before":   {letter.DeadFilter{Before: l.Time()}, false},
		"until a bit later":   {letter.DeadFilter{Before: l.Time().Add(time.Millisecond)}, true},
		"from a bit later on": {letter.DeadFilter{After: l.Time().Add(time.Millisecond)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, c.f.Matches(l))
			require.Equal(t, name == "all", c.f.IsZero())
		})
	}
}

// Lists come by age from both ends, go on at a cursor whose letter is gone, and show a tenant its own alone.
func TestList(t *testing.T) {
	o := letter.NewOpen[*letter.Dead](0)
	for n := range 100 {
		of := tenant
		if n%4 == 0 {
			of = other
		}
		fold(o, deadAt(n, int64(n), map[string]string{"pr-tenant": of.UUID()}))
	}
	for _, newest := range []bool{false, true} {
		var all []int64
		for cursor := (letter.Cursor{}); ; {
			n := 0
			for l := range o.List(tenant, cursor, newest) {
				require.Equal(t, tenant, l.Tenant)
				all = append(all, l.Offset)
				if cursor = letter.CursorOf(l); n == 6 {
					break
				}
				n++
			}
			if n < 6 {
				break
			}
			again, err := letter.ParseCursor(cursor.String())
			require.NoError(t, err)
			require.Equal(t, cursor, again)
		}
		require.Len(t, all, 75)
		require.True(t, slices.IsSortedFunc(all, func(a, b int64) int {
			if newest {
				a, b = b, a
			}
			return int(a - b)
		}))
	}
	first, _ := letter.ReadDead(deadAt(1, 1, nil))
	cursor := letter.CursorOf(first)
	o.Close(&letter.Mark{ID: first.ID, Of: delivery.Position{Topic: "t", Offset: 1}})
	for l := range o.List(tenant, cursor, false) {
		require.EqualValues(t, 2, l.Offset)
		break
	}
	third, _ := letter.ReadDead(deadAt(3, 3, nil))
	var named []int64
	for l := range o.Select(tenant, []ident.ID{third.ID, other, third.ID, first.ID}, letter.Cursor{}) {
		named = append(named, l.Offset)
	}
	require.Equal(t, []int64{3}, named)
	for range o.Select(other, []ident.ID{third.ID}, letter.Cursor{}) {
		t.Fatal("another tenant's")
	}
	for _, bad := range []string{"x", "1.x", ".", "1", "-." + strings.Repeat("0", 27)} {
		_, err := letter.ParseCursor(bad)
		require.ErrorIs(t, err, letter.ErrCursor, bad)
	}
}

func TestCauses(t *testing.T) {
	o := letter.NewOpen[*letter.Dead](0)
	for n := range 10 {
		status := "503"
		if n%5 == 0 {
			status = "404"
		}
		r := deadAt(0, int64(n), map[string]string{"pr-status": status, "pr-delivery": ident.Derive("t", fmt.Sprint(n)).Base62("dlv_")})
		fold(o, r)
	}
	causes := letter.Causes(o.List(tenant, letter.Cursor{}, false), (*letter.Dead).Cause)
	require.Len(t, causes, 2)
	require.Equal(t, 8, causes[0].Count)
	require.Equal(t, 503, causes[0].Key.Status)
	require.Equal(t, start.Add(time.Second), causes[0].First)
	require.Equal(t, start.Add(9*time.Second), causes[0].Last)
	require.EqualValues(t, 9, causes[0].Example.Offset)
	require.Equal(t, 2, causes[1].Count)
}

// Beyond the bound the oldest are left out, and what the log has lost goes.
func TestOpenIsBounded(t *testing.T) {
	o := letter.NewOpen[*letter.Dead](5)
	for n := range 8 {
		fold(o, deadAt(n, int64(n), nil))
	}
	require.Equal(t, []int64{3, 4, 5, 6, 7}, fold(o))
	held, leftOut := o.Len()
	require.Equal(t, 5, held)
	require.Equal(t, 3, leftOut)
	for n := range 8 {
		if n > 2 {
			fold(o, markAt(n, int64(10+n), int64(n)))
		}
	}
	again := o.Again()
	for n := range 8 {
		fold(again, deadAt(n, int64(n), nil))
	}
	require.Equal(t, []int64{0, 1, 2}, fold(again), "those that were left out, and none that is closed")
	again.Expire(map[int32]int64{0: 1, 1: 100})
	require.Equal(t, []int64{1, 2}, fold(again))
}

// A letter that was taken from one fold is looked for in the next, which has read it anew.
func TestHas(t *testing.T) {
	read := func() *letter.Open[*letter.Dead] {
		o := letter.NewOpen[*letter.Dead](0)
		for n := range 3 {
			fold(o, deadAt(n, int64(n), nil))
		}
		return o
	}
	first, second := read(), read()
	var all []*letter.Dead
	for l := range first.List(tenant, letter.Cursor{}, false) {
		all = append(all, l)
	}
	require.Len(t, all, 3)
	fold(second, markAt(0, 10, 0), deadAt(1, 11, nil))
	require.False(t, second.Has(all[0]), "closed")
	require.False(t, second.Has(all[1]), "overtaken")
	require.True(t, second.Has(all[2]))
}

func rejectedAt(source string, partition int32, offset int64, headers map[string]string) letter.Record {
	own := map[string]string{"pr-reject-reason": "no_tenant", "pr-reject-source": source, "pr-reject-field": "org.id"}
	maps.Copy(own, headers)
	maps.DeleteFunc(own, func(_, v string) bool { return v == "" })
	return letter.Record{
		Key: []byte(source), Value: []byte("{}"), Timestamp: start, Headers: pairs(own),
		Position: delivery.Position{Topic: "rejected", Partition: partition, Offset: offset},
	}
}

// A record that was put back and rejected again is the same one, whatever partition it is in and in whatever order the
// partitions are read.
func TestWhichRejectedRecordsAreOpen(t *testing.T) {
	first := rejectedAt("orders/0/10", 0, 0, nil)
	put := rejectedAt("orders/0/10", 0, 1, map[string]string{"pr-reject-reason": "", "pr-mark": "reingested", "pr-mark-of": "rejected/0/0"})
	again := rejectedAt("orders/3/99", 1, 0, map[string]string{"pr-reingested": "orders/0/10", "pr-reingest-count": "1"})
	forged := rejectedAt("orders/3/99", 1, 0, map[string]string{"pr-reingested": "payments/0/10", "pr-mark": "reingested"})
	for name, c := range map[string]struct {
		records []letter.Record
		want    string
	}{
		"rejected":                   {[]letter.Record{first, first}, "[0/0 orders/0/10 0]"},
		"put back":                   {[]letter.Record{first, put}, "[]"},
		"rejected again":             {[]letter.Record{first, put, again}, "[1/0 orders/0/10 1]"},
		"rejected again, seen first": {[]letter.Record{again, first, put}, "[1/0 orders/0/10 1]"},
		"another topic's place":      {[]letter.Record{forged}, "[1/0 orders/3/99 0]"},
	} {
		t.Run(name, func(t *testing.T) {
			o := letter.NewOpen[*letter.Rejected](0)
			for _, r := range c.records {
				if l, m := letter.ReadRejected(r); m != nil {
					o.Close(m)
				} else {
					o.Put(l)
				}
			}
			got := []string{}
			for l := range o.List(ident.ID{}, letter.Cursor{}, true) {
				got = append(got, fmt.Sprintf("%d/%d %s %d", l.Partition, l.Offset, l.Source, l.Round))
				require.Equal(t, letter.RejectedCause{Topic: "orders", Reason: "no_tenant", Field: "org.id"}, l.Cause())
				require.True(t, (&letter.RejectedFilter{Topics: []string{"orders"}, Reasons: []string{"no_tenant"}}).Matches(l))
				require.False(t, (&letter.RejectedFilter{Fields: []string{"id"}}).Matches(l))
			}
			require.Equal(t, c.want, fmt.Sprint(got))
		})
	}
}

// BenchmarkOpen prints what an open letter takes in memory, and the time to fold one.
func BenchmarkOpen(b *testing.B) {
	const letters = 200_000
	records := make([]letter.Record, letters)
	for n := range records {
		records[n] = deadAt(n, int64(n), map[string]string{"pr-type": fmt.Sprint("type.", rand.IntN(50))})
	}
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		o := letter.NewOpen[*letter.Dead](0)
		began := time.Now()
		for _, r := range records {
			l, _ := letter.ReadDead(r)
			o.Put(l)
		}
		took := time.Since(began)
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/letters, "B/letter")
		b.ReportMetric(float64(took.Nanoseconds())/letters, "ns/letter")
		began = time.Now()
		require.Len(b, letter.Causes(o.List(ident.ID{}, letter.Cursor{}, false), (*letter.Dead).Cause), 3)
		b.ReportMetric(float64(time.Since(began).Nanoseconds())/letters, "ns/grouped")
	}
}
