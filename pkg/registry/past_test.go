package registry

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/subscription"
)

// written is the record of a subscription at its n-th version, the first of which is 0.
func written(t *testing.T, name string, n int, types ...string) entry {
	t.Helper()
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s := &subscription.Subscription{
		ID: ident.Derive("test", name), Tenant: ident.Derive("test", "tenant"), EventTypes: types,
		Created: begin, Updated: begin.Add(time.Duration(n) * time.Minute),
	}
	value, err := encodeSubscription(s, "w")
	require.NoError(t, err)
	return entry{key: Key{KindSubscription, s.ID}.String(), value: value}
}

func deleted(name string) entry {
	return entry{key: Key{KindSubscription, ident.Derive("test", name)}.String()}
}

// wanted says which types the subscription has at a version; "none" without it.
func wanted(t *testing.T, p *Past, version int64, name string) string {
	t.Helper()
	snap, err := p.At(t.Context(), version)
	require.NoError(t, err)
	require.Equal(t, version, snap.Version())
	s, ok := snap.Subscription(ident.Derive("test", name))
	if !ok {
		return "none"
	}
	return s.EventTypes[0]
}

// Every version is as it was, in whatever order they are asked for: below the version all records count, at and above none.
func TestPastAtEveryVersion(t *testing.T) {
	m := newMemory()
	m.add(written(t, "x", 0, "a"))                          // 0, marker 1
	m.add(written(t, "x", 1, "b"), written(t, "y", 0, "c")) // 2 3, marker 4
	m.add(deleted("x"))                                     // 5, marker 6
	m.add(written(t, "x", 0, "d"))                          // 7, marker 8
	want := []string{"none", "a", "a", "b", "b", "b", "none", "none", "d", "d"}
	for _, order := range [][]int64{{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 0}, {5, 2, 9, 0, 5, 3}} {
		p := NewPast(m)
		for _, v := range order {
			got := wanted(t, p, v, "x")
			require.Equal(t, want[v], got, "version %d of %v", v, order)
		}
	}
	p := NewPast(m)
	require.Equal(t, "none", wanted(t, p, 3, "y"))
	require.Equal(t, "c", wanted(t, p, 4, "y"))
	_, err := p.At(t.Context(), 10)
	require.ErrorContains(t, err, "registry ends at version 9")
	require.Equal(t, "d", wanted(t, p, 9, "x"), "after an error")
}

// Snapshots that were dropped are made again.
func TestPastKeepsFew(t *testing.T) {
	m := newMemory()
	for n := range maxKept {
		m.add(written(t, "x", n, "a"))
	}
	p := NewPast(m)
	for v := range int64(2 * maxKept) {
		require.NotEmpty(t, wanted(t, p, v, "x"))
		require.LessOrEqual(t, len(p.kept), maxKept)
	}
	require.Equal(t, "none", wanted(t, p, 0, "x"))
	require.Equal(t, "a", wanted(t, p, 1, "x"))
}

// A past that was compacted away is not taken for one that never was.
func TestPastKnownFrom(t *testing.T) {
	for name, c := range map[string]struct {
		gone []int
		want int64
	}{
		"nothing is gone":                     {nil, 0},
		"the first version of an edited one":  {[]int{0}, 3},
		"both versions of a deleted one":      {[]int{0, 2}, 6},
		"all but the deletion, which says so": {[]int{0, 2, 5}, 0}, // the deletion is gone, and says nothing: x was created at 7
	} {
		t.Run(name, func(t *testing.T) {
			m := newMemory()
			m.add(written(t, "x", 0, "a"))                          // 0, marker 1
			m.add(written(t, "x", 1, "b"), written(t, "y", 0, "c")) // 2 3, marker 4
			m.add(deleted("x"))                                     // 5, marker 6
			m.add(written(t, "x", 0, "d"))                          // 7, marker 8
			for _, i := range c.gone {
				m.entries[i].gone = true
			}
			from, err := NewPast(m).KnownFrom(t.Context())
			require.NoError(t, err)
			require.Equal(t, c.want, from)
		})
	}
}
