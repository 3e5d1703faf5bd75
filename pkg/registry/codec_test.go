package registry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/form"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

func TestRecordForm(t *testing.T) {
	id, _ := ident.ParseUUID("00010203-0405-4607-8809-0a0b0c0d0e0f")
	require.Equal(t, "subscription/00010203-0405-4607-8809-0a0b0c0d0e0f", Key{KindSubscription, id}.String())
	tenant := &subscription.Tenant{ID: id, UID: "acme", Name: "Acme", Profile: "dixa", Version: 7}
	value, err := encodeTenant(tenant, "")
	require.NoError(t, err)
	require.JSONEq(t, `{"version":1,"id":"00010203-0405-4607-8809-0a0b0c0d0e0f","uid":"acme","name":"Acme","profile":"dixa"}`,
		string(value))
	back, _, err := decodeTenant(id, value, 9)
	require.NoError(t, err)
	tenant.Version = 9
	require.Equal(t, tenant, back)
}

func TestSubscriptionRoundTrip(t *testing.T) {
	s := &subscription.Subscription{
		ID: ident.New(), Tenant: ident.New(), UID: "u", Name: "n", URL: "https://a", EventTypes: []string{"a.*"},
		Disabled: true, Generation: 3, Profile: "svix", Secrets: []string{"whsec_x"}, Headers: map[string]string{"a": "b"},
		Timeout: subscription.Duration(time.Second), Version: 5,
		Retry: &subscription.RetryPolicy{Kind: subscription.RetryList, List: []subscription.Duration{1, 2}},
	}
	value, err := encodeSubscription(s, "")
	require.NoError(t, err)
	back, _, err := decodeSubscription(s.ID, value, 5)
	require.NoError(t, err)
	require.Equal(t, s, back)
}

func TestFieldsOfLaterVersionsAreIgnored(t *testing.T) {
	id := ident.New()
	back, _, err := decodeTenant(id, []byte(`{"version":1,"id":"`+id.UUID()+`","name":"x","colour":"blue"}`), 1)
	require.NoError(t, err)
	require.Equal(t, "x", back.Name)
}

func TestRecordsOfNewerReleasesAreRefused(t *testing.T) {
	for _, kind := range []Kind{KindTenant, KindSubscription, KindEventType, KindKey, KindPause, kindWrite} {
		b := Empty().builder()
		_, err := b.apply(1, []byte(Key{kind, ident.New()}.String()), []byte(`{"version":2,"id":7}`))
		require.ErrorIs(t, err, form.ErrNewer, "%s", kind)
	}
}

func FuzzRecord(f *testing.F) {
	id := ident.ID{1}
	f.Add(Key{KindTenant, id}.String(), []byte(`{"version":1,"id":"`+id.UUID()+`","uid":"a"}`))
	f.Add(Key{KindSubscription, id}.String(), []byte(`{"id":"`+id.UUID()+`","tenant":"`+id.UUID()+`","eventTypes":["a..**","","*"]}`))
	f.Add("tenant/", []byte(nil))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		b := Empty().builder()
		if _, err := b.apply(1, []byte(key), value); err != nil {
			tenants, subscriptions := b.snapshot(2).Count()
			require.Zero(t, tenants+subscriptions, "an error changed something")
			return
		}
		s := b.snapshot(2)
		for sub := range s.Subscriptions() {
			s.MatchAll(sub.Tenant, "a.b")
		}
		b = s.builder()
		_, err := b.apply(2, []byte(key), nil)
		require.NoError(t, err)
		tenants, subscriptions := b.snapshot(3).Count()
		require.Zero(t, tenants+subscriptions)
	})
}
