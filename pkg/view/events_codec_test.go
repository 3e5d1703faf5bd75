package view

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/ident"
)

func drawEntry(t *rapid.T) EventEntry {
	texts := rapid.SliceOfN(rapid.StringN(0, 20, 200), 1, 10)
	e := EventEntry{
		Message: ident.ID(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "id")),
		Position: delivery.Position{
			Topic:     rapid.SampledFrom([]string{"p.events", "p.deliveries", "events", ""}).Draw(t, "topic"),
			Partition: rapid.Int32().Draw(t, "partition"), Offset: rapid.Int64().Draw(t, "offset"),
		},
		Time: time.UnixMilli(rapid.Int64Range(0, 1<<41).Draw(t, "ms")).UTC(), Type: rapid.String().Draw(t, "type"),
	}
	if rapid.Bool().Draw(t, "has channels") {
		e.Channels = texts.Draw(t, "channels")
	}
	if rapid.Bool().Draw(t, "has tags") {
		e.Tags = texts.Draw(t, "tags")
	}
	return e
}

func member(e EventEntry) string { return string(e.appendTo(nil, "p.", e.Time.UnixMilli())) }

func TestMembers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawEntry(t), drawEntry(t)
		hour := a.Time.UnixMilli() / hourMillis
		b.Tenant = a.Tenant

		// Iterators and, within an hour, members have the order of time and id.
		pa, pb := a.Iterator(), b.Iterator()
		if !a.Time.Equal(b.Time) {
			require.Equal(t, a.Time.Before(b.Time), bytes.Compare(pa[:], pb[:]) < 0)
		}
		require.Equal(t, a.Time.UnixMilli(), placeMillis(pa))
		b.Time = time.UnixMilli(hour*hourMillis + b.Time.UnixMilli()%hourMillis).UTC()
		pb = b.Iterator()
		if c := bytes.Compare(pa[:], pb[:]); c != 0 {
			require.Equal(t, c < 0, member(a) < member(b))
		}
		got, err := parseChunk("p.", a.Tenant, hour, member(a)+member(b))
		require.NoError(t, err)
		require.Equal(t, []EventEntry{a, b}, got)

		require.LessOrEqual(t, lexPlace(pa), member(a))
		require.Greater(t, lexPlace(pa)+lexAfter, member(a))
		require.LessOrEqual(t, string(lexTime(a.Time.UnixMilli())), lexPlace(pa))
		require.Greater(t, string(lexTime(a.Time.UnixMilli()))+lexAfter, member(a))
		require.Equal(t, placeOf(0, ident.ID{}), placeOf(-1, ident.ID{}))
	})
}

func TestEntrySize(t *testing.T) {
	t.Parallel()
	e := EventEntry{Type: "contact.updated", Position: delivery.Position{Topic: "p.events", Partition: 7, Offset: 1 << 20}}
	require.Len(t, member(e), 40, "what its doc says")
}

func FuzzChunk(f *testing.F) {
	one := member(EventEntry{Type: "a", Channels: []string{"c"}, Tags: []string{"t"}})
	f.Add([]byte(one))
	f.Add([]byte(one + member(EventEntry{Type: "a", Position: delivery.Position{Topic: "p.events"}})))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, chunk []byte) {
		entries, err := parseChunk("p.", ident.ID{}, 0, string(chunk))
		if err != nil {
			return
		}
		require.NotEmpty(t, entries)
		for _, e := range entries {
			if e.Time.UnixMilli() >= hourMillis {
				continue
			}
			again, err := parseChunk("p.", ident.ID{}, 0, member(e))
			require.NoError(t, err)
			require.Len(t, again, 1)
			require.Len(t, again[0].Channels, len(e.Channels))
			require.Equal(t, e.Position, again[0].Position)
			require.Equal(t, e.Type, again[0].Type)
		}
	})
}
