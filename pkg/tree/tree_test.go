package tree

import (
	"cmp"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is a map and what it must hold.
type model struct {
	m    Map[int, int]
	want map[int]int
}

func (o model) check(t require.TestingT) {
	keys := slices.Sorted(maps.Keys(o.want))
	require.Equal(t, len(keys), o.m.Len())
	i := 0
	for k, v := range o.m.All() {
		require.Equal(t, keys[i], k)
		require.Equal(t, o.want[k], v)
		i++
	}
	require.Equal(t, len(keys), i)
}

// TestHistories changes maps in random order, with and without edits, and checks that every map that was ever shared
// still holds what it held.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := model{m: New[int, int](cmp.Compare), want: map[int]int{}}
		var past []model
		var edit *Edit
		for range rapid.IntRange(1, 400).Draw(t, "changes") {
			k := rapid.IntRange(0, 300).Draw(t, "key")
			switch rapid.IntRange(0, 7).Draw(t, "kind") {
			case 0:
				past = append(past, model{m: now.m, want: maps.Clone(now.want)})
				edit = nil
			case 1:
				edit = new(Edit)
			case 2, 3:
				now.m = now.m.Delete(edit, k)
				delete(now.want, k)
			default:
				v := rapid.Int().Draw(t, "value")
				now.m = now.m.Set(edit, k, v)
				now.want[k] = v
			}
			got, ok := now.m.Get(k)
			want, wantOK := now.want[k]
			require.Equal(t, wantOK, ok)
			require.Equal(t, want, got)
		}
		now.check(t)
		for _, old := range past {
			old.check(t)
		}
	})
}

func TestFrom(t *testing.T) {
	m, e := New[int, int](cmp.Compare), new(Edit)
	for _, k := range rand.Perm(1000) {
		m = m.Set(e, 2*k, k)
	}
	for _, low := range []int{-1, 0, 1, 500, 999, 1998, 1999} {
		var got []int
		for k := range m.From(low) {
			got = append(got, k)
		}
		first := max(0, (low+1)/2)
		require.Len(t, got, 1000-first)
		for i, k := range got {
			require.Equal(t, 2*(first+i), k)
		}
	}
	n := 0
	for range m.From(10) {
		if n++; n == 40 {
			break
		}
	}
	require.Equal(t, 40, n)
}

func TestEmptied(t *testing.T) {
	m := New[int, int](cmp.Compare)
	for k := range 5000 {
		m = m.Set(nil, k, k)
	}
	for k := range 5000 {
		m = m.Delete(nil, k)
	}
	require.Zero(t, m.Len())
	require.Nil(t, m.root)
	_, ok := m.Get(1)
	require.False(t, ok)
	require.Equal(t, 1, m.Delete(nil, 7).Set(nil, 7, 7).Len())
}

func BenchmarkSet(b *testing.B) {
	m, e := New[int, int](cmp.Compare), new(Edit)
	for k := range 1_000_000 {
		m = m.Set(e, k, k)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = m.Set(nil, rand.IntN(1_000_000), 1)
	}
}

func BenchmarkGet(b *testing.B) {
	m, e := New[int, int](cmp.Compare), new(Edit)
	for k := range 1_000_000 {
		m = m.Set(e, k, k)
	}
	for b.Loop() {
		m.Get(rand.IntN(1_000_000))
	}
}

// TestBackward walks maps that were changed in random order back to front, and compares with the way there.
func TestBackward(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, e := New[int, int](cmp.Compare), new(Edit)
		for range rapid.IntRange(0, 600).Draw(t, "changes") {
			k := rapid.IntRange(0, 500).Draw(t, "key")
			if rapid.IntRange(0, 3).Draw(t, "kind") == 0 {
				m = m.Delete(e, k)
			} else {
				m = m.Set(e, k, k)
			}
		}
		keys := append([]int{}, slices.Collect(first(m.All()))...)
		slices.Reverse(keys)
		require.Equal(t, keys, append([]int{}, slices.Collect(first(m.Backward()))...))
		limit := rapid.IntRange(-1, 502).Draw(t, "limit")
		below := slices.DeleteFunc(slices.Clone(keys), func(k int) bool { return k >= limit })
		got := slices.Collect(first(m.Before(limit)))
		require.Len(t, got, len(below))
		require.Equal(t, below, append([]int{}, got...))
		most := rapid.IntRange(1, 5).Draw(t, "most")
		n := 0
		for range m.Before(limit) {
			if n++; n == most {
				break
			}
		}
		require.Equal(t, min(most, len(below)), n)
	})
}

func first[K, V any](entries iter.Seq2[K, V]) iter.Seq[K] {
	return func(yield func(K) bool) {
		for k := range entries {
			if !yield(k) {
				return
			}
		}
	}
}
