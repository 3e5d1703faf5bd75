package tree

import (
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

type pair struct{ key, value int }

func (p pair) name() int { return p.key }

// TestTableHistories changes tables in random order, with and without edits, and checks that every table that was ever
// shared still holds what it held. There are keys enough to divide buckets.
func TestTableHistories(t *testing.T) {
	type moment struct {
		table Table[int, pair]
		want  map[int]int
	}
	const keys = 4 * most
	check := func(t *rapid.T, m moment) {
		for k := range keys {
			got, ok := m.table.Get(k)
			want, wantOK := m.want[k]
			require.Equal(t, wantOK, ok)
			require.Equal(t, want, got.value)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		now := moment{table: NewTable(pair.name), want: map[int]int{}}
		var edit *Edit
		if rapid.Bool().Draw(t, "filled") {
			edit = new(Edit)
			for k := range keys {
				now.table, now.want[k] = now.table.Set(edit, pair{k, -k}), -k
			}
		}
		past := []moment{}
		for range rapid.IntRange(1, 200).Draw(t, "changes") {
			k := rapid.IntRange(0, keys-1).Draw(t, "key")
			switch rapid.IntRange(0, 7).Draw(t, "kind") {
			case 0:
				past = append(past, moment{table: now.table, want: maps.Clone(now.want)})
				edit = nil
			case 1:
				edit = new(Edit)
			case 2, 3:
				now.table = now.table.Delete(edit, k)
				delete(now.want, k)
			default:
				v := rapid.Int().Draw(t, "value")
				now.table, now.want[k] = now.table.Set(edit, pair{k, v}), v
			}
		}
		check(t, now)
		for _, old := range past {
			check(t, old)
		}
	})
}

// TestTableEqualHashes looks among values whose keys differ and whose hashes do not.
func TestTableEqualHashes(t *testing.T) {
	table, b := NewTable(pair.name), bucket[pair]{}
	for k := range 9 {
		b.entries = append(b.entries, hashed[pair]{hash: uint64(k/3) << 62, value: pair{key: k}})
	}
	for k := range 9 {
		i, found := table.find(&b, 0, uint64(k/3)<<62, k)
		require.True(t, found)
		require.Equal(t, k, i)
	}
	i, found := table.find(&b, 0, 1<<62, 99)
	require.False(t, found)
	require.Equal(t, 6, i, "it would be the last of its hash")
}

func BenchmarkTableSet(b *testing.B) {
	t, e := NewTable(pair.name), new(Edit)
	for k := range 1_000_000 {
		t = t.Set(e, pair{k, k})
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		_ = t.Set(nil, pair{i * 7919 % 1_000_000, 1})
	}
}

func BenchmarkTableGet(b *testing.B) {
	t, e := NewTable(pair.name), new(Edit)
	for k := range 1_000_000 {
		t = t.Set(e, pair{k, k})
	}
	for i := 0; b.Loop(); i++ {
		t.Get(i * 7919 % 1_000_000)
	}
}
