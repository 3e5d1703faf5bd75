package match

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, eventType string
		want               bool
	}{
		{"CONVERSATION_CREATED", "CONVERSATION_CREATED", true},
		{"CONVERSATION_CREATED", "conversation_created", false},
		{"contact", "contact.created", false},
		{"contact.created", "contact", false},
		{"contact.*", "contact.created", true},
		{"contact.*", "contact", false},
		{"contact.*", "contact.consent.changed", false},
		{"contact.*.changed", "contact.consent.changed", true},
		{"contact.*.changed", "contact.consent.created", false},
		{"*.created", "contact.created", true},
		{"*.*", "contact.created", true},
		{"*.*", "contact", false},
		{"contact.**", "contact.created", true},
		{"contact.**", "contact.consent.changed", true},
		{"contact.**", "contact", false},
		{"contact.**", "contacts.created", false},
		{"*.consent.**", "contact.consent.a.b", true},
		{"*", "CONVERSATION_CREATED", true},
		{"*", "contact.consent.changed", true},
		{"**", "contact.consent.changed", true},
		{"a.**.c", "a.b.c", false},
		{"", "a", false},
	} {
		require.Equal(t, c.want, Pattern(c.pattern, c.eventType), "%s covers %s", c.pattern, c.eventType)
	}
}

// naive is the definition of what an index returns.
func naive(subs map[ident.ID]*subscription.Subscription, owner ident.ID, eventType string) []*subscription.Subscription {
	var found []*subscription.Subscription
	for _, s := range subs {
		if s.Tenant == owner && Covers(s.EventTypes, eventType) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, ascending)
	return found
}

// TestAgainstNaive changes an index at random, in batches and one by one, and compares every index that was ever
// shared with the definition.
func TestAgainstNaive(t *testing.T) {
	segment := rapid.SampledFrom([]string{"a", "b", "c", "AB_C"})
	name := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(segment, 1, 4).Draw(t, "segments"), ".")
	})
	pattern := rapid.Custom(func(t *rapid.T) string {
		parts := rapid.SliceOfN(rapid.OneOf(segment, rapid.Just(one)), 1, 4).Draw(t, "parts")
		if rapid.IntRange(0, 3).Draw(t, "open end") == 0 {
			parts = append(parts, rest)
		}
		return strings.Join(parts, ".")
	})
	rapid.Check(t, func(t *rapid.T) {
		type moment struct {
			ix   Index
			subs map[ident.ID]*subscription.Subscription
		}
		now := moment{ix: New(), subs: map[ident.ID]*subscription.Subscription{}}
		history := []moment{now}
		for range rapid.IntRange(1, 30).Draw(t, "moments") {
			subs, batch := map[ident.ID]*subscription.Subscription{}, now.ix.Batch()
			maps.Copy(subs, now.subs)
			for range rapid.IntRange(1, 5).Draw(t, "changes") {
				n := byte(rapid.IntRange(1, 20).Draw(t, "id"))
				id, owner := ident.ID{15: n}, ident.ID{0: n%3 + 1}
				if rapid.IntRange(0, 2).Draw(t, "kind") == 0 {
					batch.Remove(owner, id)
					delete(subs, id)
					continue
				}
				s := &subscription.Subscription{
					ID: id, Tenant: owner, EventTypes: rapid.SliceOfN(pattern, 0, 4).Draw(t, "patterns"),
				}
				batch.Put(s)
				subs[id] = s
			}
			now = moment{ix: batch.Index(), subs: subs}
			history = append(history, now)
		}
		for range 5 {
			eventType := name.Draw(t, "type")
			for _, m := range history {
				for owner := range byte(5) {
					want := naive(m.subs, ident.ID{0: owner}, eventType)
					got := m.ix.Append(nil, ident.ID{0: owner}, eventType, nil)
					require.Equal(t, want, got)
					require.Equal(t, len(slices.Collect(m.ix.Of(ident.ID{0: owner}))), m.ix.Count(ident.ID{0: owner}))
				}
			}
		}
	})
}

func TestAppendKeepsWhatIsThereAndAsksKeep(t *testing.T) {
	owner := ident.New()
	first := &subscription.Subscription{ID: ident.ID{1}, Tenant: owner, Disabled: true}
	second := &subscription.Subscription{ID: ident.ID{2}, Tenant: owner, EventTypes: []string{"a", "*"}}
	ix := New().With(second).With(first)
	dst := []*subscription.Subscription{first}
	dst = ix.Append(dst, owner, "a", func(s *subscription.Subscription) bool { return !s.Disabled })
	require.Equal(t, []*subscription.Subscription{first, second}, dst)
	require.Empty(t, ix.Without(owner, first.ID).Without(owner, second.ID).Append(nil, owner, "a", nil))
	got, ok := ix.Get(owner, second.ID)
	require.True(t, ok)
	require.Same(t, second, got)
	require.Equal(t, []*subscription.Subscription{second}, slices.Collect(ix.After(owner, ident.ID{1, 1})))
}

func TestAhead(t *testing.T) {
	owner := ident.New()
	ix := New().With(&subscription.Subscription{ID: ident.New(), Tenant: owner, EventTypes: []string{"a", "b.*"}}).
		With(&subscription.Subscription{ID: ident.New(), Tenant: owner})
	asks := slices.Repeat([]Ask{{owner, "a"}, {owner, "none"}, {ident.New(), "a"}}, aheadOf)
	require.Zero(t, ix.Ahead(nil))
	require.Zero(t, ix.Ahead(asks[2:3]), "there is nothing to read of a tenant that is not there")
	require.NotZero(t, ix.Ahead(asks[:1]))
	require.Equal(t, aheadOf*(ix.Ahead(asks[:1])+ix.Ahead(asks[1:2])), ix.Ahead(asks))
	require.Zero(t, testing.AllocsPerRun(10, func() { ix.Ahead(asks) }))
}

// fill returns an index of n subscriptions over tenants, each with three types of twenty and one in ten a wildcard.
func fill(n, tenants int) (Index, []ident.ID) {
	random := rand.New(rand.NewPCG(1, 2)) // a repeatable load
	owners := make([]ident.ID, tenants)
	for i := range owners {
		owners[i] = ident.New()
	}
	b := New().Batch()
	for i := range n {
		s := &subscription.Subscription{ID: ident.New(), Tenant: owners[i%tenants]}
		for range 3 {
			s.EventTypes = append(s.EventTypes, fmt.Sprintf("contact.kind%d", random.IntN(20)))
		}
		if i%10 == 0 {
			s.EventTypes = append(s.EventTypes, "loyalty.*")
		}
		b.Put(s)
	}
	return b.Index(), owners
}

func BenchmarkMatch(b *testing.B) {
	for _, size := range []struct{ subs, tenants int }{{1000, 10}, {100_000, 1000}, {1_000_000, 10_000}, {100_000, 1}} {
		b.Run(fmt.Sprintf("subs=%d/tenants=%d", size.subs, size.tenants), func(b *testing.B) {
			ix, owners := fill(size.subs, size.tenants)
			var dst []*subscription.Subscription
			matches := 0
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				dst = ix.Append(dst[:0], owners[i%len(owners)], "contact.kind7", nil)
				matches += len(dst)
			}
			b.ReportMetric(float64(matches)/float64(b.N), "matches/op")
		})
	}
}

func BenchmarkUpdate(b *testing.B) {
	for _, size := range []struct{ subs, tenants int }{{100_000, 1000}, {1_000_000, 10_000}, {100_000, 1}} {
		b.Run(fmt.Sprintf("subs=%d/tenants=%d", size.subs, size.tenants), func(b *testing.B) {
			ix, owners := fill(size.subs, size.tenants)
			s := &subscription.Subscription{ID: ident.New(), Tenant: owners[0], EventTypes: []string{"contact.kind3"}}
			b.ReportAllocs()
			for b.Loop() {
				ix = ix.With(s)
			}
		})
	}
}

func BenchmarkBuild(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		fill(100_000, 1000)
	}
}
