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

// All of them are found, with the time since when each is open, however often it is said.
func TestAllBreakers(t *testing.T) {
	t.Parallel()
	_, r := start(t)
	a, b, old := ident.New(), ident.New(), ident.New()
	soon := time.Now().Add(time.Minute).Truncate(time.Millisecond).UTC()
	all := func(most int) []view.Breaker {
		t.Helper()
		found, err := r.AllBreakers(t.Context(), most)
		require.NoError(t, err)
		return found
	}
	require.Empty(t, all(10))
	before := time.Now().Truncate(time.Millisecond)
	require.NoError(t, r.SetBreakers(t.Context(), []view.Breaker{
		{Subscription: a, Until: soon}, {Subscription: b, Until: soon.Add(time.Hour)}, {Subscription: old, Until: time.Now().Add(-8 * 24 * time.Hour)},
	}))
	first := all(10)
	require.Len(t, first, 2, "the third was open too long ago")
	require.Equal(t, []ident.ID{b, a}, []ident.ID{first[0].Subscription, first[1].Subscription})
	require.WithinRange(t, first[0].Since, before, time.Now())
	require.Equal(t, first[:1], all(1))
	later := time.Now().Truncate(time.Millisecond).Add(time.Millisecond)
	require.Eventually(t, func() bool { return time.Now().After(later) }, time.Minute, time.Millisecond)
	require.NoError(t, r.SetBreakers(t.Context(), []view.Breaker{{Subscription: b}, {Subscription: a, Until: soon.Add(time.Second)}}))
	again := all(10)
	require.Equal(t, []view.Breaker{{Subscription: a, Until: soon.Add(time.Second), Since: first[1].Since}}, again, "its probe failed")
	require.NoError(t, r.SetBreakers(t.Context(), []view.Breaker{{Subscription: b, Until: soon}}))
	require.True(t, all(10)[1].Since.After(first[0].Since), "it was closed in between")
}

// Where Redis is away, that is said.
func TestBreakersAreAway(t *testing.T) {
	t.Parallel()
	c, r := start(t)
	c.SetError("LOADING")
	_, err := r.OpenBreakers(t.Context(), ident.New())
	require.ErrorContains(t, err, "reading breakers: ")
	_, err = r.AllBreakers(t.Context(), 1)
	require.ErrorContains(t, err, "reading breakers: ")
	require.ErrorContains(t, r.SetBreakers(t.Context(), []view.Breaker{{Subscription: ident.New()}}), "noting breakers: ")
}
