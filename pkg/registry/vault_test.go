package registry

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/audit"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// The URL of a tenant's chat is a secret as those of subscriptions are: sealed in the log, bound to its tenant, left as it is by
// who has not the key, and the same as before is no change.
func TestSecretOfATenantIsSealed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const canary = "https://chat.example/CANARY"
		m, k := newMemory(), keyset(t)
		v, err := Open(t.Context(), m, Options{Cipher: k})
		require.NoError(t, err)
		defer run(t, v)()
		s := OpenStore(v, m.open, StoreOptions{})
		defer s.Close()
		given := &subscription.Tenant{ID: ident.New(), Notices: &subscription.Notices{Chat: &subscription.Chat{URL: canary}}}
		apply(t, s, PutTenant(given))
		for _, e := range m.entries {
			require.NotContains(t, string(e.value), canary)
		}
		require.Equal(t, canary, given.Notices.Chat.URL, "the caller's is not touched")
		got, _ := s.Snapshot().Tenant(given.ID)
		require.Equal(t, canary, got.Notices.Chat.URL)
		size := len(m.entries)
		apply(t, s, PutTenant(got))
		require.Len(t, m.entries, size, "the same, though sealing it again gives another text")

		sealed, _ := open(t, m).Snapshot().Tenant(given.ID)
		require.True(t, sealed.IsSealed(), "without cipher it is as in the log")
		other := &subscription.Tenant{ID: ident.New(), Notices: sealed.Notices}
		_, err = s.Apply(t.Context(), audit.Actor{}, PutTenant(other))
		require.ErrorIs(t, err, errMarked)
		_, err = k.Open(sealed.Notices.Chat.URL, Associated(other.ID, ident.ID{}, "notices.chat.url"))
		require.Error(t, err, "at another tenant it does not open")

		unable, err := Open(t.Context(), m, Options{Cipher: keyset(t)})
		require.NoError(t, err)
		kept, _ := unable.Snapshot().Tenant(given.ID)
		require.Equal(t, sealed.Notices, kept.Notices, "with another key it stays sealed")
	})
}

// Encrypting anew works on the registry as it is stored, and is no change of the tenant.
func TestResealedTenantKeepsItsTime(t *testing.T) {
	storing(t, StoreOptions{}, func(t *testing.T, _ *memory, s *Store) {
		tenant := &subscription.Tenant{ID: ident.New(), Notices: &subscription.Notices{Chat: &subscription.Chat{URL: "sealed:a"}}}
		apply(t, s, PutTenant(tenant))
		was, _ := s.Snapshot().Tenant(tenant.ID)
		time.Sleep(time.Second)
		again := *was
		require.NoError(t, again.EachSecret(func(field, value string) (string, error) {
			require.Equal(t, "notices.chat.url=sealed:a", field+"="+value)
			return "sealed:b", nil
		}))
		apply(t, s, ResealTenant(&again))
		now, _ := s.Snapshot().Tenant(tenant.ID)
		require.Equal(t, "sealed:b", now.Notices.Chat.URL)
		require.Equal(t, "sealed:a", was.Notices.Chat.URL)
		require.Equal(t, was.Updated, now.Updated)
	})
}
