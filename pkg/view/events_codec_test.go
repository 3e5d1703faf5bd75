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

func TestMembers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		a, b := drawEntry(t), drawEntry(t)
		hour := a.Time.UnixMilli() / hourMillis
		got, err := parseMember("p.", a.Tenant, hour, a.member("p."))
		require.NoError(t, err)
		require.Equal(t, a, got)

		// Iterators and, within an hour, members have the order of time and id.
		pa, pb := a.Iterator(), b.Iterator()
		if !a.Time.Equal(b.Time) {
			require.Equal(t, a.Time.Before(b.Time), bytes.Compare(pa[:], pb[:]) < 0)
		}
		require.Equal(t, a.Time.UnixMilli(), placeMillis(pa))
		b.Time = time.UnixMilli(hour*hourMillis + b.Time.UnixMilli()%hourMillis)
		pb = b.Iterator()
		if c := bytes.Compare(pa[:], pb[:]); c != 0 {
			require.Equal(t, c < 0, a.member("p.") < b.member("p."))
		}
		require.LessOrEqual(t, lexPrefix(pa), a.member("p."))
		require.Greater(t, lexPrefix(pa)+lexAfter, a.member("p."))
		require.Equal(t, placeOf(0, ident.ID{}), placeOf(-1, ident.ID{}))
	})
}

func TestMemberSize(t *testing.T) {
	t.Parallel()
	e := EventEntry{Type: "contact.updated", Position: delivery.Position{Topic: "postrider.events", Partition: 7, Offset: 1 << 20}}
	require.Len(t, e.member("postrider."), 40, "what its doc says")
}

func FuzzMember(f *testing.F) {
	f.Add([]byte(EventEntry{Type: "a", Channels: []string{"c"}, Tags: []string{"t"}}.member("p.")))
	f.Add([]byte(EventEntry{Type: "a", Position: delivery.Position{Topic: "p.events"}}.member("p.")))
	f.Add(bytes.Repeat([]byte{0xff}, 40))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, member []byte) {
		e, err := parseMember("p.", ident.ID{}, 0, string(member))
		if err != nil || e.Time.UnixMilli() >= hourMillis {
			return
		}
		again, err := parseMember("p.", ident.ID{}, 0, e.member("p."))
		require.NoError(t, err)
		require.Len(t, again.Channels, len(e.Channels))
		require.Equal(t, e.Position, again.Position)
		require.Equal(t, e.Type, again.Type)
	})
}
