package ident_test

import (
	"bytes"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/ident"
)

func draw(t *rapid.T, label string) (id ident.ID) {
	copy(id[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, label))
	return id
}

func max128() (id ident.ID) {
	for i := range id {
		id[i] = 0xff
	}
	return id
}

// Written identifiers are stored, sent and compared by others: these values may never change.
func TestGolden(t *testing.T) {
	for _, tc := range []struct{ uuid, base62 string }{
		{"00000000-0000-0000-0000-000000000000", "ep_000000000000000000000000000"},
		{"00000000-0000-0000-0000-000000000001", "ep_000000000000000000000000001"},
		{"00000000-0000-0000-0000-00000000003d", "ep_00000000000000000000000000z"},
		{"00000000-0000-0000-0000-00000000003e", "ep_000000000000000000000000010"},
		{"01234567-89ab-cdef-0123-456789abcdef", "ep_000000296tiiBb3U904RIpygpjj"},
		{"ffffffff-ffff-ffff-ffff-ffffffffffff", "ep_000007n42DGM5Tflk9n8mt7Fhc7"},
	} {
		id, err := ident.ParseUUID(tc.uuid)
		require.NoError(t, err)
		require.Equal(t, tc.base62, id.Base62("ep_"))
		require.Equal(t, tc.uuid, id.UUID())
		require.Equal(t, "x"+tc.uuid, string(id.AppendUUID([]byte("x"))))
	}
}

// Every message and delivery id is derived. If one of these values changes, events that are on their way get other
// identities and are sent again: they may never change.
func TestDeriveGolden(t *testing.T) {
	for _, tc := range []struct {
		domain string
		parts  []string
		want   string
	}{
		{"", nil, "df3f6198-04a9-2fdb-4057-192dc43dd748"},
		{"postrider/message", nil, "724aae3a-10a3-9ee7-c0e1-ff92d23b1434"},
		{"postrider/message", []string{""}, "5a06f57b-fc9e-146a-3aac-a226bc98ded1"},
		{"postrider/message", []string{"ab", "c"}, "7702fffe-4feb-ff2c-84f2-a38e6b20af9c"},
		{"postrider/message", []string{"a", "bc"}, "a2ac32a9-8318-7d3b-298e-950c9756eadc"},
		{"postrider/delivery", []string{"a", "bc"}, "73de615d-3d91-e26a-82a2-779a0e090ebb"},
		{"x", []string{strings.Repeat("é", 70_000)}, "b5ac9698-2ab0-4796-187d-f103716149fe"},
	} {
		require.Equal(t, tc.want, ident.Derive(tc.domain, tc.parts...).UUID(), "%s %.10q", tc.domain, tc.parts)
	}
}

func TestDeriveTellsPartsApart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOfN(rapid.StringN(0, 4, -1), 1, 4)
		a, b := parts.Draw(t, "a"), parts.Draw(t, "b")
		same := strings.Join(a, "\x00") == strings.Join(b, "\x00") && len(a) == len(b)
		require.Equal(t, same, ident.Derive("d", a...) == ident.Derive("d", b...))
		require.NotEqual(t, ident.Derive("d", a...), ident.Derive("e", a...))
	})
}

func TestBase62RoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := draw(t, "id")
		prefix := rapid.SampledFrom([]string{"", "ep_", "app_", "0", "zz"}).Draw(t, "prefix")
		text := id.Base62(prefix)
		require.Len(t, text, len(prefix)+ident.Width)
		got, err := ident.ParseBase62(prefix, text)
		require.NoError(t, err)
		require.Equal(t, id, got)
		require.Equal(t, naiveBase62(id), text[len(prefix):])
	})
}

// naiveBase62 leaves the arithmetic to math/big, whose digits are 0-9, a-z, A-Z.
func naiveBase62(id ident.ID) string {
	swap := func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z':
			return r - 'A' + 'a'
		}
		return r
	}
	digits := strings.Map(swap, new(big.Int).SetBytes(id[:]).Text(62))
	return strings.Repeat("0", ident.Width-len(digits)) + digits
}

// Identifiers sort alike in every form, so that iterators of the API can page over either.
func TestOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := draw(t, "a"), draw(t, "b")
		want := bytes.Compare(a[:], b[:])
		require.Equal(t, want, strings.Compare(a.Base62("x_"), b.Base62("x_")))
		require.Equal(t, want, strings.Compare(a.UUID(), b.UUID()))
	})
}

func TestUUID(t *testing.T) {
	const canonical = "01234567-89ab-cdef-0123-456789abcdef"
	for _, s := range []string{canonical, strings.ToUpper(canonical)} {
		id, err := ident.ParseUUID(s)
		require.NoError(t, err)
		require.Equal(t, canonical, id.UUID())
		require.Equal(t, canonical, id.String())
	}
	for _, s := range []string{
		"", "x", "{" + canonical + "}", "urn:uuid:" + canonical, strings.ReplaceAll(canonical, "-", ""),
		canonical[:35], canonical + "0", strings.Replace(canonical, "-", "0", 1), strings.Replace(canonical, "a", "g", 1),
		strings.Replace(canonical, "0", "é", 1)[:36],
	} {
		id, err := ident.ParseUUID(s)
		require.ErrorIs(t, err, ident.ErrMalformed, s)
		require.True(t, id.IsZero())
	}
}

func TestJSON(t *testing.T) {
	type doc struct {
		ID ident.ID `json:"id"`
	}
	want := doc{ident.Derive("d", "x")}
	text, err := json.Marshal(want)
	require.NoError(t, err)
	require.JSONEq(t, `{"id":"`+want.ID.UUID()+`"}`, string(text))
	var got doc
	require.NoError(t, json.Unmarshal(text, &got))
	require.Equal(t, want, got)

	before := got
	require.ErrorIs(t, json.Unmarshal([]byte(`{"id":"ep_1"}`), &got), ident.ErrMalformed)
	require.Equal(t, before, got, "a malformed text changes nothing")
}

func TestNew(t *testing.T) {
	a, b := ident.New(), ident.New()
	require.NotEqual(t, a, b)
	require.EqualValues(t, 7, uuid.UUID(a).Version())
	require.False(t, a.IsZero())
	require.True(t, ident.ID{}.IsZero())
}

func TestMalformedBase62(t *testing.T) {
	largest := max128().Base62("")
	for name, s := range map[string]string{
		"empty":           "",
		"prefix only":     "ep_",
		"no prefix":       largest,
		"other prefix":    "app_" + largest,
		"other case":      "EP_" + largest,
		"one digit short": "ep_" + largest[1:],
		"one digit more":  "ep_0" + largest,
		"space":           "ep_ " + largest[1:],
		"sign":            "ep_-" + largest[1:],
		"underscore":      "ep_" + largest[:13] + "_" + largest[14:],
		"no ASCII":        "ep_é" + largest[2:],
		"2^128":           "ep_" + increment(largest),
		"all z":           "ep_" + strings.Repeat("z", ident.Width),
	} {
		t.Run(name, func(t *testing.T) {
			id, err := ident.ParseBase62("ep_", s)
			require.ErrorIs(t, err, ident.ErrMalformed)
			require.True(t, id.IsZero())
		})
	}
	got, err := ident.ParseBase62("ep_", "ep_"+largest)
	require.NoError(t, err)
	require.Equal(t, max128(), got)
}

// increment adds one to a base62 number whose last digit is no z.
func increment(digits string) string {
	last := digits[len(digits)-1] + 1
	switch last {
	case '9' + 1:
		last = 'A'
	case 'Z' + 1:
		last = 'a'
	}
	return digits[:len(digits)-1] + string(last)
}

func FuzzParseBase62(f *testing.F) {
	for _, s := range []string{
		"", "ep_", max128().Base62("ep_"), ident.ID{}.Base62("ep_"), ident.Derive("seed").Base62("ep_"), ident.ID{}.Base62("app_"),
		"ep_" + strings.Repeat("z", ident.Width),
	} {
		f.Add("ep_", s)
		f.Add("", s)
	}
	f.Fuzz(func(t *testing.T, prefix, s string) {
		id, err := ident.ParseBase62(prefix, s)
		if err != nil {
			require.ErrorIs(t, err, ident.ErrMalformed)
			require.True(t, id.IsZero())
			return
		}
		require.Equal(t, s, id.Base62(prefix), "one identifier has one text")
	})
}

func BenchmarkBase62(b *testing.B) {
	id := ident.Derive("bench")
	b.ReportAllocs()
	for b.Loop() {
		_ = id.Base62("ep_")
	}
}

func BenchmarkParseBase62(b *testing.B) {
	text := ident.Derive("bench").Base62("ep_")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = ident.ParseBase62("ep_", text)
	}
}

func TestDeriveOf(t *testing.T) {
	a, b := ident.Derive("a"), ident.Derive("b")
	require.Equal(t, ident.Derive("domain", a.UUID(), b.UUID()), ident.DeriveOf("domain", a, b))
	require.Equal(t, ident.Derive("domain"), ident.DeriveOf("domain"))
}
