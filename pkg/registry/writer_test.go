package registry

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// writing gives fn a writer on a log in memory, in a bubble.
func writing(t *testing.T, fn func(t *testing.T, m *memory, v *View, w *Writer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		v := open(t, m)
		stop := run(t, v)
		defer stop()
		w, err := OpenWriter(t.Context(), v, m.open)
		require.NoError(t, err)
		defer w.Close()
		fn(t, m, v, w)
	})
}

func TestApplyIsReadBackAndCompared(t *testing.T) {
	writing(t, func(t *testing.T, _ *memory, v *View, w *Writer) {
		tenant := &subscription.Tenant{ID: ident.New(), UID: "acme"}
		sub := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID, UID: "orders", URL: "https://a.example"}
		version, err := w.Apply(t.Context(), PutTenant(tenant), PutSubscription(sub))
		require.NoError(t, err)
		require.EqualValues(t, 2, version)
		got, ok := v.Snapshot().Subscription(sub.ID)
		require.True(t, ok, "not read back")
		require.EqualValues(t, 2, got.Version)
		require.EqualValues(t, 1, got.Generation)

		// Whoever did not see it is refused, and so is the whole transaction.
		_, err = w.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: ident.New()}), PutSubscription(sub))
		var conflict *ConflictError
		require.ErrorAs(t, err, &conflict)
		require.Equal(t, &ConflictError{Key: Key{KindSubscription, sub.ID}, Expected: 0, Actual: 2}, conflict)
		tenants, _ := v.Snapshot().Count()
		require.Equal(t, 1, tenants)

		changed := *got
		changed.URL = "https://b.example"
		_, err = w.Apply(t.Context(), PutSubscription(&changed))
		require.NoError(t, err)
		_, err = w.Apply(t.Context(), PutSubscription(&changed))
		require.ErrorAs(t, err, &conflict)
		_, err = w.Apply(t.Context(), PutSubscription(&changed).Anyway())
		require.NoError(t, err)
		_, err = w.Apply(t.Context(), Delete(Key{KindSubscription, ident.New()}, 7))
		require.ErrorAs(t, err, &conflict)
		require.Zero(t, conflict.Actual)

		version, err = w.Apply(t.Context())
		require.NoError(t, err)
		require.Equal(t, v.Snapshot().Version(), version)
	})
}

func TestGenerationRisesWhenEnabled(t *testing.T) {
	writing(t, func(t *testing.T, _ *memory, v *View, w *Writer) {
		tenant := &subscription.Tenant{ID: ident.New()}
		id := ident.New()
		put := func(disabled bool) int64 {
			t.Helper()
			s := subscription.Subscription{ID: id, Tenant: tenant.ID, Generation: 99}
			s.Disabled = disabled
			_, err := w.Apply(t.Context(), PutSubscription(&s).Anyway())
			require.NoError(t, err)
			got, ok := v.Snapshot().Subscription(id)
			require.True(t, ok)
			return got.Generation
		}
		_, err := w.Apply(t.Context(), PutTenant(tenant))
		require.NoError(t, err)
		created := put(false)
		require.Positive(t, created)
		require.NotEqualValues(t, 99, created, "the caller's generation counts for nothing")
		require.Equal(t, created, put(false))
		require.Equal(t, created, put(true))
		enabled := put(false)
		require.Greater(t, enabled, created)
		_, err = w.Apply(t.Context(), Delete(Key{KindSubscription, id}, Any))
		require.NoError(t, err)
		require.Greater(t, put(false), enabled, "created again")
	})
}

func TestRefusals(t *testing.T) {
	writing(t, func(t *testing.T, _ *memory, v *View, w *Writer) {
		a, b := &subscription.Tenant{ID: ident.New(), UID: "a"}, &subscription.Tenant{ID: ident.New(), UID: "b"}
		s := &subscription.Subscription{ID: ident.New(), Tenant: a.ID, UID: "s"}
		_, err := w.Apply(t.Context(), PutTenant(a), PutTenant(b), PutSubscription(s))
		require.NoError(t, err)

		var uid *UIDError
		_, err = w.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: ident.New(), UID: "a"}))
		require.ErrorAs(t, err, &uid)
		require.Equal(t, a.ID, uid.Holder)
		_, err = w.Apply(t.Context(), PutSubscription(&subscription.Subscription{ID: ident.New(), Tenant: a.ID, UID: "s"}))
		require.ErrorAs(t, err, &uid)
		_, err = w.Apply(t.Context(), PutSubscription(&subscription.Subscription{ID: ident.New(), Tenant: b.ID, UID: "s"}))
		require.NoError(t, err, "the uid is free with another tenant")
		_, err = w.Apply(t.Context(), PutSubscription(&subscription.Subscription{ID: ident.New(), Tenant: ident.New()}))
		require.ErrorIs(t, err, ErrNoTenant)
		moved := *s
		moved.Tenant = b.ID
		_, err = w.Apply(t.Context(), PutSubscription(&moved).Anyway())
		require.ErrorIs(t, err, ErrMoved)

		current, _ := v.Snapshot().Tenant(a.ID)
		_, err = w.Apply(t.Context(), Delete(Key{KindTenant, a.ID}, current.Version),
			PutSubscription(&subscription.Subscription{ID: ident.New(), Tenant: a.ID}))
		require.ErrorIs(t, err, ErrNoTenant, "the tenant goes in the same transaction")
	})
}

func TestDeletingATenantDeletesItsSubscriptions(t *testing.T) {
	writing(t, func(t *testing.T, _ *memory, v *View, w *Writer) {
		tenant := &subscription.Tenant{ID: ident.New(), UID: "a"}
		changes := []Change{PutTenant(tenant)}
		for range 50 {
			changes = append(changes, PutSubscription(&subscription.Subscription{ID: ident.New(), Tenant: tenant.ID}))
		}
		_, err := w.Apply(t.Context(), changes...)
		require.NoError(t, err)
		_, err = w.Apply(t.Context(), Delete(Key{KindTenant, tenant.ID}, 1))
		require.NoError(t, err)
		tenants, subscriptions := v.Snapshot().Count()
		require.Zero(t, tenants)
		require.Zero(t, subscriptions)
		require.Empty(t, v.Snapshot().MatchAll(tenant.ID, "a"))
	})
}

func TestSecondWriterFencesTheFirst(t *testing.T) {
	writing(t, func(t *testing.T, m *memory, v *View, first *Writer) {
		second, err := OpenWriter(t.Context(), v, m.open)
		require.NoError(t, err)
		defer second.Close()
		_, err = first.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.ErrorIs(t, err, ErrFenced)
		_, err = first.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.ErrorIs(t, err, ErrFenced, "it stays ended")
		_, err = second.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.NoError(t, err)
		require.Len(t, slices.Collect(v.Snapshot().Tenants()), 1)
	})
}

// TestWriterSeesWhatItsPredecessorWrote opens a writer over a view that lags behind: it must not serve before the view
// has caught up.
func TestWriterSeesWhatItsPredecessorWrote(t *testing.T) {
	writing(t, func(t *testing.T, m *memory, v *View, _ *Writer) {
		m.set(func() { m.stuck = true })
		id := ident.New()
		m.add(tenantEntry(t, subscription.Tenant{ID: id}))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := OpenWriter(ctx, v, m.open)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		m.set(func() { m.stuck = false })
		w, err := OpenWriter(t.Context(), v, m.open)
		require.NoError(t, err)
		defer w.Close()
		var conflict *ConflictError
		_, err = w.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: id}))
		require.ErrorAs(t, err, &conflict)
	})
}

func TestBrokenTransactionEndsTheWriter(t *testing.T) {
	writing(t, func(t *testing.T, m *memory, v *View, _ *Writer) {
		appender := m.writer()
		w, err := OpenWriter(t.Context(), v, func(context.Context) (Appender, error) { return appender, nil })
		require.NoError(t, err)
		appender.fail = errors.New("no answer")
		_, err = w.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.ErrorIs(t, err, ErrBroken)
		require.ErrorIs(t, err, appender.fail)
		appender.fail = nil
		_, err = w.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: ident.New()}))
		require.ErrorIs(t, err, ErrBroken)
		w.Close()
	})
}

// TestUnreadCommitHoldsTheNextChange commits while the view is stuck: the next change must not be compared with a
// snapshot that misses the last.
func TestUnreadCommitHoldsTheNextChange(t *testing.T) {
	writing(t, func(t *testing.T, m *memory, _ *View, w *Writer) {
		m.set(func() { m.stuck = true })
		id := ident.New()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		version, err := w.Apply(ctx, PutTenant(&subscription.Tenant{ID: id}))
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualValues(t, 1, version, "committed all the same")
		go func() {
			time.Sleep(time.Second)
			m.set(func() { m.stuck = false })
		}()
		_, err = w.Apply(t.Context(), PutTenant(&subscription.Tenant{ID: id}))
		var conflict *ConflictError
		require.ErrorAs(t, err, &conflict)
		require.EqualValues(t, 1, conflict.Actual)
	})
}
