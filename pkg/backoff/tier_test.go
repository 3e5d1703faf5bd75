package backoff_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/backoff"
)

func TestTiers(t *testing.T) {
	names := make([]string, 0, 8)
	for _, wait := range backoff.Tiers() {
		names = append(names, backoff.TierName(wait))
	}
	require.Equal(t, []string{"1s", "5s", "30s", "2m", "10m", "1h", "6h", "24h"}, names)
	require.Empty(t, backoff.TierName(3*time.Second))

	for remaining, want := range map[time.Duration]time.Duration{
		-time.Hour: time.Second, 0: time.Second, 999 * time.Millisecond: time.Second, time.Second: time.Second,
		4999 * time.Millisecond: time.Second, 5 * time.Second: 5 * time.Second, 29 * time.Second: 5 * time.Second,
		30 * time.Second: 30 * time.Second, 2 * time.Minute: 2 * time.Minute, 10 * time.Minute: 10 * time.Minute,
		59 * time.Minute: 10 * time.Minute, time.Hour: time.Hour, 5 * time.Hour: time.Hour, 6 * time.Hour: 6 * time.Hour,
		24*time.Hour - 1: 6 * time.Hour, 24 * time.Hour: 24 * time.Hour, 1000 * time.Hour: 24 * time.Hour,
	} {
		require.Equal(t, want, backoff.Tier(remaining), "%s", remaining)
	}
}

// TestHopsReachDue: however far away due is, hopping gets there exactly, in a bounded number of hops, without a hop
// that is ready after due, and when a hop is late, the rest makes up for it.
func TestHopsReachDue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		remaining := time.Duration(rapid.Int64Range(0, int64(28*time.Hour)).Draw(t, "remaining"))
		late := rapid.Bool().Draw(t, "late")
		due, now, hops := start.Add(remaining), start, 0
		for due.Sub(now) >= time.Second {
			wait, ready := backoff.Ready(due, now)
			require.Contains(t, backoff.Tiers(), wait)
			require.False(t, ready.After(due), "ready %s after due", ready.Sub(due))
			require.Equal(t, wait, ready.Sub(now), "a record that has to wait leaves its tier in order")
			now, hops = ready, hops+1
			if late {
				now = now.Add(time.Duration(rapid.Int64Range(0, int64(100*time.Millisecond)).Draw(t, "lateness")))
			}
		}
		require.LessOrEqual(t, hops, backoff.MaxHops)
		if !late {
			require.Less(t, due.Sub(now), time.Second)
		}
		_, ready := backoff.Ready(due, now)
		require.Equal(t, due, ready, "the last wait ends on due")
	})
}

func TestTheMostHops(t *testing.T) {
	due, now, hops := start.Add(24*time.Hour-1), start, 0
	for ; due.Sub(now) >= time.Second; hops++ {
		_, now = backoff.Ready(due, now)
	}
	require.Equal(t, backoff.MaxHops, hops, "the bound is reached")
}

// TestTiersAreInOrder: records that are written to one tier one after the other become ready one after the other, so
// a tier's partition needs only its head looked at.
func TestTiersAreInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := start
		last := make(map[time.Duration]time.Time)
		for range rapid.IntRange(2, 60).Draw(t, "records") {
			now = now.Add(time.Duration(rapid.Int64Range(0, int64(time.Minute)).Draw(t, "gap")))
			remaining := time.Duration(rapid.Int64Range(int64(time.Second), int64(28*time.Hour)).Draw(t, "remaining"))
			tier, ready := backoff.Ready(now.Add(remaining), now)
			require.False(t, ready.Before(last[tier]), "tier %s", backoff.TierName(tier))
			last[tier] = ready
		}
	})
}
