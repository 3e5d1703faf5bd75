package registry

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

func tenantEntry(t *testing.T, v subscription.Tenant) entry {
	t.Helper()
	value, err := encodeTenant(&v, "")
	require.NoError(t, err)
	return entry{key: Key{KindTenant, v.ID}.String(), value: value}
}

func subscriptionEntry(t *testing.T, v subscription.Subscription) entry {
	t.Helper()
	value, err := encodeSubscription(&v, "")
	require.NoError(t, err)
	return entry{key: Key{KindSubscription, v.ID}.String(), value: value}
}

// run starts v and returns a function that stops it and waits.
func run(t *testing.T, v *View) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- v.Run(ctx) }()
	return func() {
		cancel()
		require.NoError(t, <-done)
	}
}

func open(t *testing.T, m *memory) *View {
	t.Helper()
	v, err := Open(t.Context(), m, Options{})
	require.NoError(t, err)
	return v
}

func TestOpenReplaysToTheEnd(t *testing.T) {
	m := newMemory()
	tenant := subscription.Tenant{ID: ident.New(), UID: "acme", Name: "Acme"}
	m.add(tenantEntry(t, tenant))
	var want []ident.ID
	for i := range 20 {
		s := subscription.Subscription{
			ID: ident.New(), Tenant: tenant.ID, UID: fmt.Sprint(i), URL: "https://example.com", EventTypes: []string{"a.*"},
			Disabled: i == 0, Generation: 1,
		}
		m.add(subscriptionEntry(t, s))
		if i > 0 {
			want = append(want, s.ID)
		}
	}
	s := open(t, m).Snapshot()
	require.EqualValues(t, 42, s.Version())
	for _, name := range []string{"acme", tenant.ID.UUID(), tenant.ID.Base62("app_")} {
		got, ok := s.ResolveTenant(name)
		require.True(t, ok, name)
		require.EqualValues(t, 1, got.Version)
		require.Equal(t, "Acme", got.Name)
	}
	_, ok := s.ResolveTenant("nobody")
	require.False(t, ok)
	slices.SortFunc(want, func(a, b ident.ID) int { return slices.Compare(a[:], b[:]) })
	var got []ident.ID
	for _, sub := range s.Match(tenant.ID, "a.b") {
		got = append(got, sub.ID)
	}
	require.Equal(t, want, got)
	require.Len(t, s.MatchAll(tenant.ID, "a.b"), 20)
	require.Empty(t, s.MatchAll(tenant.ID, "b"))
	seventh, ok := s.ResolveSubscription(tenant.ID, "7")
	require.True(t, ok)
	same, ok := s.ResolveSubscription(tenant.ID, seventh.ID.Base62("ep_"))
	require.True(t, ok)
	require.Same(t, seventh, same)
	_, ok = s.ResolveSubscription(ident.New(), seventh.ID.UUID())
	require.False(t, ok, "another tenant's subscription")
	require.Len(t, slices.Collect(s.Tenants()), 1)
	require.Len(t, slices.Collect(s.Subscriptions()), 20)
	require.Len(t, slices.Collect(s.SubscriptionsOf(tenant.ID, want[9])), 20-slices.Index(ids(s, tenant.ID), want[9]))
}

func ids(s *Snapshot, tenant ident.ID) []ident.ID {
	var all []ident.ID
	for sub := range s.SubscriptionsOf(tenant, ident.ID{}) {
		all = append(all, sub.ID)
	}
	return all
}

func TestRecordsThatCannotBeReadArePassedOver(t *testing.T) {
	m, registered := newMemory(), prometheus.NewRegistry()
	good := subscription.Tenant{ID: ident.New(), Name: "good"}
	m.add(tenantEntry(t, good),
		entry{key: "tenant/nonsense", value: []byte(`{}`)},
		entry{key: Key{KindTenant, ident.New()}.String(), value: []byte(`{`)},
		entry{key: Key{KindTenant, ident.New()}.String(), value: []byte(`{"id":"` + good.ID.UUID() + `"}`)},
		entry{key: Key{KindTenant, good.ID}.String(), value: []byte(`[]`)},
		entry{key: Key{KindSubscription, ident.New()}.String(), value: []byte(`{"timeout":"soon"}`)},
		entry{key: "colour/whatever", value: []byte("not ours")},
		entry{key: "", value: nil},
		entry{key: Key{KindTenant, ident.New()}.String(), value: nil})
	v, err := Open(t.Context(), m, Options{Metrics: registered})
	require.NoError(t, err)
	got, ok := v.Snapshot().Tenant(good.ID)
	require.True(t, ok)
	require.Equal(t, "good", got.Name)
	families, err := registered.Gather()
	require.NoError(t, err)
	require.Len(t, families, 7, "as many as the package doc lists")
	for _, f := range families {
		if f.GetName() == "postrider_registry_undecodable_total" {
			require.InDelta(t, 5, f.GetMetric()[0].GetCounter().GetValue(), 0)
		}
	}
}

func TestRunFollowsAndConfirms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		v := open(t, m)
		require.Equal(t, time.Now(), v.ConfirmedAt())
		stop := run(t, v)
		defer stop()

		tenant := subscription.Tenant{ID: ident.New(), UID: "a"}
		m.add(tenantEntry(t, tenant))
		require.NoError(t, v.Wait(t.Context(), 2))
		_, ok := v.Snapshot().Tenant(tenant.ID)
		require.True(t, ok)

		m.add(entry{key: Key{KindTenant, tenant.ID}.String()})
		synctest.Wait()
		require.EqualValues(t, 4, v.Snapshot().Version())
		_, ok = v.Snapshot().ResolveTenant("a")
		require.False(t, ok)

		time.Sleep(time.Minute)
		require.LessOrEqual(t, time.Since(v.ConfirmedAt()), askEvery)

		m.set(func() { m.away = true })
		time.Sleep(time.Minute)
		require.GreaterOrEqual(t, time.Since(v.ConfirmedAt()), time.Minute-askEvery)
		m.set(func() { m.away = false })
		time.Sleep(askEvery)
		synctest.Wait()
		require.LessOrEqual(t, time.Since(v.ConfirmedAt()), askEvery)
	})
}

func TestUnreadChangesAreNotConfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		v := open(t, m)
		stop := run(t, v)
		defer stop()
		time.Sleep(10 * time.Second)
		m.set(func() { m.stuck = true })
		written := time.Now()
		m.add(tenantEntry(t, subscription.Tenant{ID: ident.New()}))
		time.Sleep(10 * time.Second)
		require.False(t, v.ConfirmedAt().After(written), "confirmed without having read")
		m.set(func() { m.stuck = false })
		time.Sleep(askEvery)
		synctest.Wait()
		require.LessOrEqual(t, time.Since(v.ConfirmedAt()), askEvery)
		require.EqualValues(t, 2, v.Snapshot().Version())
	})
}

// A subscription that cannot be understood is not one that was deleted: who follows the log stands still before it, unconfirmed,
// and who begins does not begin.
func TestAViewStandsStillBeforeWhatIsNewer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		v := open(t, m)
		defer run(t, v)()
		before, after := subscription.Tenant{ID: ident.New()}, subscription.Tenant{ID: ident.New()}
		m.add(tenantEntry(t, before))
		require.NoError(t, v.Wait(t.Context(), 1))
		written := time.Now()
		m.add(entry{key: Key{KindSubscription, ident.New()}.String(), value: []byte(`{"version":2}`)}, tenantEntry(t, after))
		time.Sleep(time.Hour)
		_, ok := v.Snapshot().Tenant(before.ID)
		require.True(t, ok)
		_, ok = v.Snapshot().Tenant(after.ID)
		require.False(t, ok, "it read on")
		require.False(t, v.ConfirmedAt().After(written), "confirmed")
		_, err := Open(t.Context(), m, Options{})
		require.ErrorIs(t, err, form.ErrNewer)
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := open(t, newMemory())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, v.Wait(ctx, 1), context.DeadlineExceeded)
	})
}

// TestLongGapReplays cuts a view off for longer than tombstones live: a deletion it never saw must not be missed.
func TestLongGapReplays(t *testing.T) {
	for _, c := range []struct {
		gap  time.Duration
		want bool // the deleted tenant is (wrongly) still there
	}{{time.Minute, true}, {11 * time.Minute, false}} {
		t.Run(c.gap.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemory()
				gone := subscription.Tenant{ID: ident.New(), UID: "gone"}
				m.add(tenantEntry(t, gone))
				v, err := Open(t.Context(), m, Options{MaxGap: 10 * time.Minute})
				require.NoError(t, err)
				stop := run(t, v)
				defer stop()
				time.Sleep(time.Second)
				m.set(func() { m.away = true })
				time.Sleep(c.gap)
				m.set(func() {
					m.entries[0].gone = true // compacted, and so is its tombstone
					m.entries = append(m.entries, entry{gone: true}, entry{marker: true})
					m.away = false
				})
				time.Sleep(2 * time.Second)
				synctest.Wait()
				_, ok := v.Snapshot().Tenant(gone.ID)
				require.Equal(t, c.want, ok)
				require.EqualValues(t, 4, v.Snapshot().Version())
				require.LessOrEqual(t, time.Since(v.ConfirmedAt()), askEvery)
			})
		})
	}
}

// TestTruncatedLogReplays takes away what the view is about to read.
func TestTruncatedLogReplays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		m.add(tenantEntry(t, subscription.Tenant{ID: ident.New()}))
		v := open(t, m)
		stop := run(t, v)
		defer stop()
		time.Sleep(time.Second)
		kept := subscription.Tenant{ID: ident.New()}
		m.set(func() {
			m.entries = append(m.entries, make([]entry, 10)...)
			m.entries = append(m.entries, tenantEntry(t, kept), entry{marker: true})
			m.start = 12
		})
		time.Sleep(2 * time.Second)
		require.EqualValues(t, 14, v.Snapshot().Version())
		require.Len(t, slices.Collect(v.Snapshot().Tenants()), 1)
		_, ok := v.Snapshot().Tenant(kept.ID)
		require.True(t, ok)
	})
}

func TestOpenFailsWhenTheLogIsAway(t *testing.T) {
	m := newMemory()
	m.away = true
	_, err := Open(t.Context(), m, Options{})
	require.ErrorIs(t, err, errAway)
}
