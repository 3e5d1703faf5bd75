package view_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/view"
)

// What is open is known until it closes, or was long enough ago that nobody asks.
func TestOpenBreakers(t *testing.T) {
	t.Parallel()
	_, r := start(t)
	a, b, old, none := ident.New(), ident.New(), ident.New(), ident.New()
	soon := time.Now().Add(time.Minute).Truncate(time.Millisecond).UTC()
	open := func() map[ident.ID]time.Time {
		t.Helper()
		found, err := r.OpenBreakers(t.Context(), a, none, b, old)
		require.NoError(t, err)
		return found
	}
	require.Empty(t, open())
	require.NoError(t, r.SetBreakers(t.Context(), nil))
	require.NoError(t, r.SetBreakers(t.Context(), []view.Breaker{
		{Subscription: a, Until: soon}, {Subscription: b, Until: soon}, {Subscription: old, Until: time.Now().Add(-8 * 24 * time.Hour)},
	}))
	require.Equal(t, map[ident.ID]time.Time{a: soon, b: soon}, open())
	later := soon.Add(time.Hour)
	require.NoError(t, r.SetBreakers(t.Context(), []view.Breaker{{Subscription: a}, {Subscription: b, Until: later}, {Subscription: none}}))
	require.Equal(t, map[ident.ID]time.Time{b: later}, open())
	found, err := r.OpenBreakers(t.Context())
	require.NoError(t, err)
	require.Empty(t, found)
}

// Where Redis is away, that is said.
func TestBreakersAreAway(t *testing.T) {
	t.Parallel()
	c, r := start(t)
	c.SetError("LOADING")
	_, err := r.OpenBreakers(t.Context(), ident.New())
	require.ErrorContains(t, err, "reading breakers: ")
	require.ErrorContains(t, r.SetBreakers(t.Context(), []view.Breaker{{Subscription: ident.New()}}), "noting breakers: ")
}
