package pause_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/pause"
	"github.com/postrider/postrider/pkg/subscription"
)

func TestAPauseIsOfWhatItsIDSays(t *testing.T) {
	t.Parallel()
	tenant := &subscription.Tenant{ID: ident.New()}
	sub := &subscription.Subscription{ID: ident.New(), Tenant: tenant.ID}
	for name, p := range map[string]pause.Pause{
		"egress": pause.OfEgress(), "deliverer": pause.OfRole("deliverer"),
		tenant.ID.Base62("app_"): pause.OfTenant(tenant), sub.ID.Base62("ep_"): pause.OfSubscription(sub),
	} {
		require.True(t, p.Consistent(), name)
		require.Equal(t, name, p.Name())
		other := p
		other.ID = ident.New()
		require.False(t, other.Consistent(), name)
	}
	require.False(t, (&pause.Pause{ID: ident.New(), Scope: "planet"}).Consistent())
	require.False(t, (&pause.Pause{Scope: pause.Tenant}).Consistent(), "of no tenant")
}

func TestAPauseHasAReason(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]string{
		"the network is being moved": "", "": "reason", " ": "reason", strings.Repeat("x", 501): "reason", "\xff": "reason",
	} {
		p := pause.OfEgress()
		p.Reason = reason
		if err := p.Validate(); want == "" {
			require.NoError(t, err, reason)
		} else {
			require.ErrorContains(t, err, want, reason)
		}
	}
	p := pause.OfRole("api")
	p.Reason = "why not"
	require.EqualError(t, p.Validate(), `role: "api": want one of router, deliverer, retrier, recorder`)
}
