package pipeline

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/kafka"
	"github.com/postrider/postrider/pkg/letter"
	"github.com/postrider/postrider/pkg/offset"
	"github.com/postrider/postrider/pkg/subscription"
)

// source is a router with one partition of a source topic.
type source struct {
	t    testing.TB
	b    *broker
	reg  *registered
	r    *Router
	p    *kafka.Partition
	lose context.CancelFunc
	next int64
	err  firstError
}

func newSource(t testing.TB, opts RouterOptions, subs ...*subscription.Subscription) *source {
	t.Helper()
	decoder, err := event.NewDecoder(event.Source{Name: "test"})
	require.NoError(t, err)
	opts.Decoder = func(topic string) *event.Decoder {
		if topic != "events" {
			return nil
		}
		return decoder
	}
	s := &source{t: t, b: newBroker(t), reg: &registered{snap: snapshotOf(t, subs...), confirmed: time.Now}}
	s.r = NewRouter(opts, s.reg, s.b, s.err.set)
	ctx, cancel := context.WithCancel(context.Background())
	s.lose = cancel
	s.p = kafka.NewPartition(ctx, "events", 3, offset.NewTracker(0, offset.Set{}))
	require.NoError(t, s.r.Assign(s.p))
	t.Cleanup(func() {
		s.r.Revoke([]*kafka.Partition{s.p})
		s.lose()
		require.Empty(t, s.r.parts)
	})
	return s
}

// sourceEvent is the n-th event, for whoever wants its type.
func sourceEvent(n int, kind string) *kafka.Record {
	return &kafka.Record{
		Value:   fmt.Appendf(nil, `{"specversion":"1.0","id":"%d","source":"test","type":"%s","tenant":"acme","data":{"n":%d}}`, n, kind, n),
		Headers: []kafka.Header{{Key: "content-type", Value: []byte("application/cloudevents+json")}}, Timestamp: time.Unix(1_750_000_000, 0),
	}
}

func (s *source) send(records ...*kafka.Record) {
	for _, r := range records {
		r.Topic, r.Partition, r.Offset = "events", 3, s.next
		s.next++
		require.True(s.t, s.p.Tracker().Begin(r.Offset))
	}
	s.r.Records(s.p, records)
}

func (s *source) routed() (out []RoutedRecord) {
	for _, r := range s.b.acknowledged("routed") {
		var v RoutedRecord
		require.NoError(s.t, json.Unmarshal(r.Value, &v))
		require.Equal(s.t, "events/3", string(r.Key))
		out = append(out, v)
	}
	return out
}

func subscribers(n int, types ...string) (subs []*subscription.Subscription) {
	for i := range n {
		s := subscriptionNamed(fmt.Sprint("s", i))
		s.EventTypes = types
		subs = append(subs, s)
	}
	return subs
}

// Routed records cover the source without a gap or an overlap, chunks end once enough deliveries were made, the counts add
// up, and every event × subscription is there once.
func TestChunksCoverTheSource(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(rt, "max expansions")
		matches := rapid.IntRange(1, 7).Draw(rt, "matches")
		kinds := rapid.SliceOfN(rapid.SampledFrom([]string{"wanted", "unwanted", "bad type"}), 1, 40).Draw(rt, "events")
		polls := rapid.IntRange(1, 5).Draw(rt, "polls")
		synctest.Test(t, func(t *testing.T) {
			s := newSource(t, RouterOptions{MaxExpansions: limit}, subscribers(matches, "wanted")...)
			var records []*kafka.Record
			want := map[string]int{}
			for n, kind := range kinds {
				records = append(records, sourceEvent(n, kind))
				want[kind]++
			}
			for i := range polls {
				s.send(records[i*len(records)/polls : (i+1)*len(records)/polls]...)
			}
			synctest.Wait()
			next, sum := int64(0), RoutedRecord{}
			for _, r := range s.routed() {
				require.Equal(t, next, r.First)
				require.EqualValues(t, r.Last-r.First+1, r.Events)
				require.Less(t, r.Expanded, limit+matches, "a chunk ends with the event that fills it")
				next = r.Last + 1
				sum.Expanded, sum.Unmatched, sum.Rejected = sum.Expanded+r.Expanded, sum.Unmatched+r.Unmatched, sum.Rejected+r.Rejected
			}
			require.EqualValues(t, len(kinds), next)
			require.Equal(t, RoutedRecord{Expanded: want["wanted"] * matches, Unmatched: want["unwanted"], Rejected: want["bad type"]}, sum)
			require.Len(t, s.b.acknowledged("rejected"), want["bad type"])
			ids := map[ident.ID]bool{}
			for _, r := range s.b.acknowledged("deliveries") {
				d, err := decode(r)
				require.NoError(t, err)
				ids[d.ID] = true
			}
			require.Len(t, ids, want["wanted"]*matches)
			require.Zero(t, s.p.Tracker().InFlight())
			require.NoError(t, s.err.get())
		})
	})
}

// A profile that promises to list the events of a disabled subscription has deliveries made for it, those it would have had.
func TestDisabledAreExpandedWhereTheyAreRecorded(t *testing.T) {
	profiles := profilesForTest(t)
	recording, _ := profiles.Get("flexengage")
	recording.RecordDisabled = true
	synctest.Test(t, func(t *testing.T) {
		subs := subscribers(5, "wanted")
		for i, s := range subs {
			s.Disabled, s.Profile = i < 4, []string{"flexengage", "flexengage", "dixa", "gone", "dixa"}[i]
		}
		subs[1].Channels = []string{"other"}
		s := newSource(t, RouterOptions{Profiles: profiles}, subs...)
		s.send(sourceEvent(0, "wanted"))
		synctest.Wait()
		var got []ident.ID
		for _, r := range s.b.acknowledged("deliveries") {
			d, err := decode(r)
			require.NoError(t, err)
			got = append(got, d.Subscription)
		}
		require.ElementsMatch(t, []ident.ID{subs[0].ID, subs[4].ID}, got)
		require.Equal(t, 1, s.routed()[0].Filtered)
	})
}

// No source offset is finished, and no routed record is written, before every expansion was acknowledged.
func TestSourceIsFinishedLast(t *testing.T) {
	for _, stuck := range []string{"deliveries", "rejected", "routed"} {
		t.Run(stuck, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(t, RouterOptions{}, subscribers(3)...)
				s.b.hold(stuck)
				s.send(sourceEvent(0, "a"), sourceEvent(1, "bad type"), sourceEvent(2, "b"))
				time.Sleep(time.Minute)
				require.Equal(t, 3, s.p.Tracker().InFlight())
				require.Empty(t, s.routed())
				require.Positive(t, s.b.sent(stuck))
				if stuck != "routed" {
					require.Zero(t, s.b.sent("routed"))
				}
				s.b.release(stuck)
				synctest.Wait()
				require.Zero(t, s.p.Tracker().InFlight())
				require.Len(t, s.routed(), 1)
			})
		})
	}
}

// An event is expanded while those before it are waited for; their source offsets are finished in their order, and what was ready
// meanwhile has one routed record.
func TestEventsDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, RouterOptions{MaxExpansions: 12}, subscribers(3)...)
		s.b.hold("routed")
		for n := range 6 {
			s.send(sourceEvent(n, "a"))
			synctest.Wait()
		}
		require.Len(t, s.b.acknowledged("deliveries"), 12, "no more may be under way")
		require.Equal(t, 6, s.p.Tracker().InFlight())
		s.b.release("routed")
		synctest.Wait()
		require.Len(t, s.b.acknowledged("deliveries"), 18)
		require.Zero(t, s.p.Tracker().InFlight())
		var ranges [][2]int64
		for _, r := range s.routed() {
			ranges = append(ranges, [2]int64{r.First, r.Last})
		}
		require.Equal(t, [2]int64{0, 0}, ranges[0])
		require.EqualValues(t, 1, ranges[1][0])
		require.GreaterOrEqual(t, ranges[1][1], int64(3), "all that were ready; the next may be so by then")
		for i := 1; i < len(ranges); i++ {
			require.Equal(t, ranges[i-1][1]+1, ranges[i][0])
		}
		require.EqualValues(t, 5, ranges[len(ranges)-1][1])
	})
}

// What was expanded with another version of the registry is told apart.
func TestRoutedRecordsAreOfOneVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, RouterOptions{}, subscribers(1)...)
		s.b.hold("routed")
		var want []int64
		for n := range 3 {
			s.send(sourceEvent(n, "a"))
			synctest.Wait()
			want = append(want, s.reg.Snapshot().Version())
			s.reg.set(snapshotOf(t, subscribers(n+2)...))
		}
		s.b.release("routed")
		synctest.Wait()
		var got []int64
		for _, r := range s.routed() {
			got = append(got, r.Registry)
		}
		require.Len(t, slices.Compact(slices.Clone(want)), 3)
		require.Equal(t, want, got)
	})
}

// One expansion that Kafka refuses keeps its whole chunk unfinished, and the process ends.
func TestRefusedExpansionFinishesNothing(t *testing.T) {
	for _, refused := range []string{"deliveries", "rejected", "routed"} {
		t.Run(refused, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(t, RouterOptions{}, subscribers(3)...)
				n, broken := 0, errors.New("refused")
				s.b.refuse = func(r *kafka.Record) error {
					if n++; r.Topic == refused && (refused != "deliveries" || n == 2) {
						return broken
					}
					return nil
				}
				s.send(sourceEvent(0, "a"), sourceEvent(1, "bad type"))
				time.Sleep(time.Minute)
				require.Equal(t, 2, s.p.Tracker().InFlight())
				require.Empty(t, s.routed())
				require.ErrorIs(t, s.err.get(), broken)
			})
		})
	}
}

// A chunk that a crash repeats gives the same records but for the registry version, whatever owner repeats it.
func TestIdentitiesAreStable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expand := func() (out []string) {
			s := newSource(t, RouterOptions{}, subscribers(3)...)
			s.send(sourceEvent(0, "a"), sourceEvent(1, "b"))
			synctest.Wait()
			for _, r := range s.b.acknowledged("deliveries") {
				d, err := decode(r)
				require.NoError(t, err)
				out = append(out, fmt.Sprintf("%s %v %s %+v", r.Key, r.Headers, r.Value, d.Key()))
			}
			require.Len(t, out, 6)
			return out
		}
		first, again := expand(), expand()
		require.Equal(t, first, again)
	})
}

func TestRejectedRecords(t *testing.T) {
	big := bytes.Repeat([]byte("x"), maxCarriedValue+5)
	for _, c := range []struct {
		name   string
		record *kafka.Record
		want   map[string]string
		size   int
		others bool // the record's own headers are there
	}{
		{
			"no CloudEvent", &kafka.Record{Value: []byte("\xff\x00"), Headers: []kafka.Header{{Key: "own", Value: []byte("1")}}},
			map[string]string{letter.HeaderRejectReason: "undecodable", letter.HeaderRejectField: "", letter.HeaderTruncated: ""},
			2, true,
		},
		{"no tenant", &kafka.Record{
			Value: []byte(`{}`), Headers: []kafka.Header{
				{Key: "ce_specversion", Value: []byte("1.0")},
				{Key: "ce_id", Value: []byte("1")},
				{Key: "ce_source", Value: []byte("s")},
				{Key: "ce_type", Value: []byte("t")},
				{Key: "own", Value: []byte("1")},
			},
		}, map[string]string{letter.HeaderRejectReason: "no_tenant", letter.HeaderRejectField: "tenant"}, 2, true},
		{"too large", &kafka.Record{Value: big}, map[string]string{letter.HeaderRejectReason: "too_large", letter.HeaderTruncated: fmt.Sprint(len(big))}, maxCarriedValue, false},
		{
			"large headers", &kafka.Record{Value: []byte("x"), Headers: []kafka.Header{{Key: "own", Value: make([]byte, maxCarriedHeaders)}}},
			map[string]string{letter.HeaderRejectReason: "undecodable"},
			1, false,
		},
		{
			"many headers", &kafka.Record{Value: []byte("x"), Headers: make([]kafka.Header, maxCarriedHeaders)},
			map[string]string{letter.HeaderRejectReason: "undecodable"},
			1, false,
		},
		{"a timestamp in microseconds", func() *kafka.Record {
			r := sourceEvent(1, "a")
			r.Timestamp = time.UnixMilli(time.Now().UnixMicro())
			return r
		}(), map[string]string{letter.HeaderRejectReason: "bad_time", letter.HeaderRejectField: "timestamp"}, len(sourceEvent(1, "a").Value), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(t, RouterOptions{}, subscribers(1)...)
				s.send(c.record, sourceEvent(1, "a"))
				synctest.Wait()
				out := s.b.acknowledged("rejected")
				require.Len(t, out, 1)
				require.Equal(t, "events/3/0", string(out[0].Key))
				require.Len(t, out[0].Value, c.size)
				got, size := map[string]string{}, len(out[0].Key)+len(out[0].Value)+headerBytes(out[0])
				for _, h := range out[0].Headers {
					got[h.Key] = string(h.Value)
				}
				for name, value := range c.want {
					require.Equal(t, value, got[name], name)
				}
				require.Equal(t, "events/3/0", got[letter.HeaderRejectSource])
				require.Equal(t, c.others, got["own"] == "1")
				require.Less(t, size, 1<<20+128<<10, "it fits the record limit of the topic")
				require.Len(t, s.b.acknowledged("deliveries"), 1, "the neighbour goes on")
				require.Zero(t, s.p.Tracker().InFlight())
			})
		})
	}
}

func TestTopicWithoutSourceIsRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSource(t, RouterOptions{})
		_, err := s.r.read(&kafka.Record{Topic: "others"})
		require.ErrorContains(t, err, "no source reads topic others")
	})
}

// Expand carries the event's data and names into the delivery, byte for byte.
func TestExpand(t *testing.T) {
	sub := subscriptionNamed("one")
	ev := &event.Event{
		Tenant: "acme", Source: "s", ID: "1", Type: "t", Time: time.Unix(1, 0).UTC(), Channels: []string{"a", "b:1"}, ContentType: "text/plain", TraceParent: "tp", Data: []byte("raw \xff"),
	}
	d := Expand(ev, acme, sub, delivery.Position{Topic: "events", Partition: 3, Offset: 9}, 42)
	again, err := decode(encode("deliveries", d))
	require.NoError(t, err)
	require.Equal(t, d, again)
	require.Equal(t, delivery.MessageID(acme.ID, "s", "1"), d.Message)
	require.Equal(t, delivery.ID(d.Message, sub.ID), d.ID)
	require.Equal(t, "raw \xff", string(d.Data))
	require.Equal(t, ev.Channels, d.Channels)
	require.EqualValues(t, 42, d.Registry)
}

// A partition with much in memory is held, in records or in bytes, and released when its worker takes them.
func TestRouterBacklogHolds(t *testing.T) {
	for name, c := range map[string]struct{ records, bytes int }{"records": {maxBacklog + 1, 1}, "bytes": {20, maxBacklogBytes / 19}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(t, RouterOptions{MaxExpansions: 1}, subscribers(1)...)
				s.b.hold("deliveries")
				s.send(sourceEvent(0, "a"))
				synctest.Wait() // no more may be under way
				junk := bytes.Repeat([]byte("x"), c.bytes)
				var records []*kafka.Record
				for range c.records {
					records = append(records, &kafka.Record{Value: junk})
				}
				s.send(records...)
				require.True(t, s.p.Held(kafka.HoldBacklog))
				s.b.release("deliveries")
				synctest.Wait()
				require.False(t, s.p.Held(kafka.HoldBacklog))
				require.Zero(t, s.p.Tracker().InFlight())
			})
		})
	}
}

// A revoke waits for the chunk that is under way, for a bounded time, and starts no other.
func TestRouterRevoke(t *testing.T) {
	for _, answered := range []bool{true, false} {
		t.Run(fmt.Sprint("answered ", answered), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSource(t, RouterOptions{MaxExpansions: 1}, subscribers(1)...)
				s.b.hold("deliveries")
				s.send(sourceEvent(0, "a"), sourceEvent(1, "a"))
				synctest.Wait()
				at := time.Now()
				if answered {
					time.AfterFunc(time.Second, func() { s.b.release("deliveries") })
				}
				s.r.Revoke([]*kafka.Partition{s.p})
				if answered {
					require.Equal(t, time.Second, time.Since(at))
					require.Equal(t, 1, s.p.Tracker().InFlight())
					require.Len(t, s.b.acknowledged("deliveries"), 1)
					return
				}
				require.Equal(t, chunkTimeout, time.Since(at))
				s.lose()
				synctest.Wait()
				require.Equal(t, 2, s.p.Tracker().InFlight())
				require.NoError(t, s.err.get())
			})
		})
	}
}

func TestSafeText(t *testing.T) {
	for _, c := range []struct {
		in    string
		limit int
		want  string
	}{
		{"short", 10, "short"},
		{"exactly", 7, "exactly"},
		{"longer", 4, "long"},
		{"aé", 2, "a"},
		{"aé", 3, "aé"},
		{"a\xffb", 10, "a�b"},
		{"\xff\xfe", 10, "�"},
		{"", 0, ""},
		{"x", 0, ""},
	} {
		require.Equal(t, c.want, safeText(c.in, c.limit), "%q", c.in)
	}
}

func FuzzSafeText(f *testing.F) {
	f.Add("aé\xff", 2)
	f.Add(strings.Repeat("a\xff", 300), maxDetail)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 0 {
			return
		}
		got := safeText(s, limit)
		require.LessOrEqual(t, len(got), limit)
		require.Equal(t, strings.ToValidUTF8(got, ""), got)
		if len(s) <= limit && strings.ToValidUTF8(s, "") == s {
			require.Equal(t, s, got)
		}
	})
}

func TestCeilMilli(t *testing.T) {
	for _, ns := range []int64{0, 1, 999_999, 1_000_000, 1_000_001} {
		at := time.Unix(5, ns)
		got := ceilMilli(at)
		require.False(t, got.Before(at))
		require.Less(t, got.Sub(at), time.Millisecond)
		require.Zero(t, got.Nanosecond()%1_000_000)
	}
}

// The records of an event's deliveries share what they have in common, and each is the one that it would be alone.
func TestRecordsOfOneEvent(t *testing.T) {
	ev := &event.Event{Tenant: "acme", Source: "s", ID: "1", Type: "t", Time: time.Unix(1, 0), Data: []byte(`{}`)}
	one, two := subscriptionNamed("one"), subscriptionNamed("two")
	expand := func(sub *subscription.Subscription) *delivery.Delivery {
		return Expand(ev, acme, sub, delivery.Position{Topic: "events"}, 7)
	}
	first := encode("deliveries", expand(one))
	next := encodeNext(first, expand(two))
	require.Equal(t, encode("deliveries", expand(two)), next)
	require.Equal(t, encode("deliveries", expand(one)), first, "it is not changed")
}
