package registry

import (
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/subscription"
)

func because(p pause.Pause, reason string) *pause.Pause {
	p.Reason, p.By = reason, "test"
	return &p
}

func TestPausesAreFoundByWhatTheyAreOf(t *testing.T) {
	writing(t, func(t *testing.T, _ *memory, v *View, w *Writer) {
		tenant := &subscription.Tenant{ID: ident.New()}
		first := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID}
		second := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID}
		put := func(changes ...Change) *Snapshot {
			t.Helper()
			_, err := w.Apply(t.Context(), changes...)
			require.NoError(t, err)
			return v.Snapshot()
		}
		s := put(PutTenant(tenant), PutSubscription(first), PutSubscription(second))
		require.Nil(t, s.EgressStopped())
		require.Nil(t, s.RolePaused("router"))
		require.Nil(t, s.Paused(first))

		s = put(PutPause(because(pause.OfSubscription(first), "theirs")))
		require.Equal(t, "theirs", s.Paused(first).Reason)
		require.Nil(t, s.Paused(second))
		since := s.Paused(first).Since

		time.Sleep(time.Hour)
		again := because(pause.OfSubscription(first), "still theirs")
		s = put(PutPause(again).Anyway())
		require.Equal(t, "still theirs", s.Paused(first).Reason)
		require.Equal(t, since, s.Paused(first).Since, "it has been paused since then")
		require.Equal(t, s.Version(), put(PutPause(again).Anyway()).Version(), "nothing was written")

		s = put(PutPause(because(pause.OfTenant(tenant), "all of theirs")), PutPause(because(pause.OfRole("router"), "routing")),
			PutPause(because(pause.OfEgress(), "everything")))
		require.Equal(t, "all of theirs", s.Paused(first).Reason)
		require.Equal(t, "all of theirs", s.Paused(second).Reason)
		require.Equal(t, "routing", s.RolePaused("router").Reason)
		require.Nil(t, s.RolePaused("deliverer"))
		require.Equal(t, "everything", s.EgressStopped().Reason)
		require.Len(t, slices.Collect(s.Pauses()), 4)
		for _, scope := range []pause.Scope{pause.Egress, pause.Tenant, pause.Subscription} {
			require.Equal(t, 1, s.countPauses(scope, ""), "%s", scope)
		}
		require.Equal(t, 1, s.countPauses(pause.Role, "router"))
		require.Zero(t, s.countPauses(pause.Role, "deliverer"))

		s = put(Delete(PauseKey(pause.EgressID()), Any), Delete(PauseKey(tenant.ID), Any))
		require.Nil(t, s.EgressStopped())
		require.Equal(t, "still theirs", s.Paused(first).Reason)
	})
}

// A pause that outlived what it is of would come back with whatever gets the same id.
func TestAPauseGoesWithWhatItIsOf(t *testing.T) {
	writing(t, func(t *testing.T, _ *memory, v *View, w *Writer) {
		tenant := &subscription.Tenant{ID: ident.New()}
		first := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID}
		second := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID}
		_, err := w.Apply(t.Context(), PutPause(because(pause.OfTenant(tenant), "too early")))
		require.ErrorIs(t, err, ErrNoTenant)
		_, err = w.Apply(t.Context(), PutTenant(tenant), PutPause(because(pause.OfSubscription(first), "too early")))
		require.ErrorIs(t, err, ErrNoSubscription)

		_, err = w.Apply(t.Context(), PutTenant(tenant), PutSubscription(first), PutSubscription(second),
			PutPause(because(pause.OfTenant(tenant), "a")), PutPause(because(pause.OfSubscription(first), "b")),
			PutPause(because(pause.OfSubscription(second), "c")), PutPause(because(pause.OfRole("router"), "d")))
		require.NoError(t, err)
		_, err = w.Apply(t.Context(), Delete(Key{KindSubscription, first.ID}, Any))
		require.NoError(t, err)
		require.Len(t, slices.Collect(v.Snapshot().Pauses()), 3)
		_, err = w.Apply(t.Context(), Delete(Key{KindTenant, tenant.ID}, Any))
		require.NoError(t, err)
		left := slices.Collect(v.Snapshot().Pauses())
		require.Len(t, left, 1)
		require.Equal(t, "router", left[0].Role)
	})
}

// A role that needs to know what is paused alone does not keep the subscriptions of an installation in memory.
func TestAViewOfPausesAlone(t *testing.T) {
	writing(t, func(t *testing.T, m *memory, v *View, w *Writer) {
		tenant := &subscription.Tenant{ID: ident.New()}
		sub := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID}
		_, err := w.Apply(t.Context(), PutTenant(tenant), PutSubscription(sub), PutPause(because(pause.OfEgress(), "all")))
		require.NoError(t, err)
		only, err := Open(t.Context(), m, Options{Only: KindPause})
		require.NoError(t, err)
		s := only.Snapshot()
		require.Equal(t, v.Snapshot().Version(), s.Version(), "versions count what is passed over, too")
		tenants, subscriptions := s.Count()
		require.Zero(t, tenants+subscriptions)
		require.Equal(t, "all", s.EgressStopped().Reason)
	})
}
