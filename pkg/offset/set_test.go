package offset_test

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/postrider/postrider/pkg/offset"
)

func TestSet(t *testing.T) {
	s := offset.NewSet(9, 3, 4, 4, 1<<40)
	require.Equal(t, []int64{3, 4, 9, 1 << 40}, slices.Collect(s.All()))
	require.EqualValues(t, 4, s.Len())
	for _, in := range []int64{3, 4, 9, 1 << 40} {
		require.True(t, s.Contains(in), in)
	}
	for _, out := range []int64{-1, 0, 2, 5, 8, 10, 1<<40 - 1, 1<<40 + 1, math.MaxInt64} {
		require.False(t, s.Contains(out), out)
	}
	require.Zero(t, offset.Set{}.Len())
	require.False(t, offset.Set{}.Contains(0))
	for o := range s.All() { // the iterator stops when it is told to
		require.EqualValues(t, 3, o)
		break
	}
}

// commitOf draws a commit whose finished offsets lie in a window of the given span above it.
func commitOf(t *rapid.T, span int) offset.Commit {
	base := rapid.Int64Range(0, 1<<50).Draw(t, "commit")
	var finished []int64
	for at := 0; at < span; {
		at += rapid.IntRange(0, max(1, span/8)).Draw(t, "gap")
		run := rapid.IntRange(1, max(1, span/8)).Draw(t, "run")
		step := rapid.IntRange(1, 3).Draw(t, "step")
		for ; run > 0 && at < span; run, at = run-1, at+step {
			finished = append(finished, base+int64(at))
		}
	}
	return offset.Commit{Offset: base, Finished: offset.NewSet(finished...)}
}

func members(s offset.Set) []int64 { return slices.Collect(s.All()) }

func TestMetadataRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := commitOf(t, rapid.IntRange(0, 3000).Draw(t, "span"))
		text, complete := c.EncodeMetadata()
		require.True(t, complete)
		require.LessOrEqual(t, len(text), offset.MaxMetadata)
		require.Equal(t, c.Finished.Len() == 0, text == "", "an empty set is the empty text")
		got, err := offset.DecodeMetadata(c.Offset, text)
		require.NoError(t, err)
		require.Equal(t, members(c.Finished), members(got))
	})
}

// The text is read by other versions of this program: a golden value may never change.
func TestMetadataGolden(t *testing.T) {
	for name, tc := range map[string]struct {
		finished []int64
		text     string
	}{
		"none":        {nil, ""},
		"below":       {[]int64{98, 99}, ""},
		"at once":     {[]int64{100, 101}, "pr1b:Aw"},
		"one run":     {[]int64{105, 106, 107, 108}, "pr1r:BQQ"},
		"far away":    {[]int64{100 + 1<<40}, "pr1r:gICAgIAgAQ"},
		"alternating": {[]int64{101, 103, 105, 107, 109}, "pr1b:qgI"},
	} {
		t.Run(name, func(t *testing.T) {
			c := offset.Commit{Offset: 100, Finished: offset.NewSet(tc.finished...)}
			text, complete := c.EncodeMetadata()
			require.True(t, complete)
			require.Equal(t, tc.text, text)
		})
	}
}

// The arithmetic behind SafeSpan: so many bits fit, and three bytes more, the step of base64, would not.
func TestSafeSpanIsTheLargest(t *testing.T) {
	const prefix = len("pr1b:")
	require.Zero(t, offset.SafeSpan%24)
	require.LessOrEqual(t, prefix+base64.RawStdEncoding.EncodedLen(offset.SafeSpan/8), offset.MaxMetadata)
	require.Greater(t, prefix+base64.RawStdEncoding.EncodedLen(offset.SafeSpan/8+3), offset.MaxMetadata)
}

func TestMetadataWithinSafeSpanIsComplete(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	patterns := map[string]func(i int64) bool{
		"all":               func(int64) bool { return true },
		"even":              func(i int64) bool { return i%2 == 0 },
		"odd":               func(i int64) bool { return i%2 == 1 },
		"pairs":             func(i int64) bool { return i%4 < 2 },
		"runs of 128":       func(i int64) bool { return i%256 < 128 }, // two bytes a run length
		"every ninth":       func(i int64) bool { return i%9 == 0 },
		"random 1 %":        func(int64) bool { return random.IntN(100) == 0 },
		"random half":       func(int64) bool { return random.IntN(2) == 0 },
		"random 99 %":       func(int64) bool { return random.IntN(100) > 0 },
		"first and the end": func(i int64) bool { return i == 0 },
	}
	for name, finished := range patterns {
		t.Run(name, func(t *testing.T) {
			for _, span := range []int64{offset.SafeSpan, offset.SafeSpan - 1, offset.SafeSpan - 7} {
				const base = 1 << 45
				var in []int64
				for i := range span {
					if i == span-1 || finished(i) {
						in = append(in, base+i)
					}
				}
				c := offset.Commit{Offset: base, Finished: offset.NewSet(in...)}
				text, complete := c.EncodeMetadata()
				require.True(t, complete)
				require.LessOrEqual(t, len(text), offset.MaxMetadata)
				got, err := offset.DecodeMetadata(base, text)
				require.NoError(t, err)
				require.Equal(t, in, members(got))
			}
		})
	}
}

// What does not fit is left out, never made up: the new owner repeats it.
func TestMetadataTruncates(t *testing.T) {
	const base = 77
	var in, kept []int64
	for i := int64(1); i < 3*offset.SafeSpan; i += 2 {
		in = append(in, base+i)
		if i < offset.SafeSpan {
			kept = append(kept, base+i)
		}
	}
	text, complete := offset.Commit{Offset: base, Finished: offset.NewSet(in...)}.EncodeMetadata()
	require.False(t, complete)
	require.LessOrEqual(t, len(text), offset.MaxMetadata)
	got, err := offset.DecodeMetadata(base, text)
	require.NoError(t, err)
	require.Equal(t, kept, members(got))
}

func TestForeignMetadata(t *testing.T) {
	for _, text := range []string{"", "p", "pr1", "pr1r", "pr2r:BQQ", "PR1R:BQQ", "consumer-7 at 12:00", strings.Repeat("x", 1<<16)} {
		s, err := offset.DecodeMetadata(5, text)
		require.NoError(t, err, text)
		require.Zero(t, s.Len())
	}
}

// runsText writes run lengths as a hostile writer would.
func runsText(lengths ...uint64) string {
	var raw []byte
	for _, n := range lengths {
		raw = binary.AppendUvarint(raw, n)
	}
	return "pr1r:" + base64.RawStdEncoding.EncodeToString(raw)
}

func TestMalformedMetadata(t *testing.T) {
	for name, tc := range map[string]struct {
		commit int64
		text   string
	}{
		"no base64":             {0, "pr1r:*"},
		"padded base64":         {0, "pr1b:Aw=="},
		"open varint":           {0, "pr1r:gA"},
		"varint of 11 bytes":    {0, "pr1r:gICAgICAgICAgIAB"},
		"length beyond int64":   {0, runsText(0, math.MaxUint64)},
		"sum beyond int64":      {0, runsText(math.MaxInt64, math.MaxInt64)},
		"sum wraps to positive": {0, runsText(math.MaxInt64, math.MaxInt64, 5, 5)},
		"commit plus length":    {math.MaxInt64 - 3, runsText(2, 2)},
		"commit plus bitmap":    {math.MaxInt64 - 3, "pr1b:" + base64.RawStdEncoding.EncodeToString([]byte{0x18})},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := offset.DecodeMetadata(tc.commit, tc.text)
			require.ErrorIs(t, err, offset.ErrMetadata)
			require.Zero(t, s.Len())
		})
	}
}

// One hostile run of nearly all offsets costs no more than a short one.
func TestHostileRunIsCheap(t *testing.T) {
	s, err := offset.DecodeMetadata(0, runsText(1, math.MaxInt64-1))
	require.NoError(t, err)
	require.Equal(t, 1, s.Runs())
	require.EqualValues(t, math.MaxInt64-1, s.Len())
	tracker := offset.NewTracker(0, s)
	require.True(t, tracker.Begin(0))
	require.NoError(t, tracker.Finish(0))
	c, changed := tracker.Commit()
	require.True(t, changed)
	text, complete := c.EncodeMetadata()
	require.True(t, complete)
	require.NotEmpty(t, text)
}

func FuzzDecodeMetadata(f *testing.F) {
	for _, text := range []string{
		"", "other", "pr1r:", "pr1b:", "pr1r:BQQ", "pr1b:qgI", "pr1b:AAAA", "pr1r:AAAA", runsText(1, 1<<40, 1, 1),
		runsText(0, math.MaxInt64), runsText(math.MaxInt64, 1),
	} {
		f.Add(int64(0), text)
		f.Add(int64(math.MaxInt64-10), text)
	}
	f.Add(int64(math.MaxInt64-7), "pr1r:AAX") // found: its run would end behind the last offset
	f.Fuzz(func(t *testing.T, at int64, text string) {
		at &= math.MaxInt64 // Kafka's offsets
		s, err := offset.DecodeMetadata(at, text)
		if err != nil {
			require.ErrorIs(t, err, offset.ErrMetadata)
			return
		}
		require.LessOrEqual(t, s.Runs(), 4*len(text), "memory is bounded by the text, not by what it says")
		n := 0
		for o := range s.All() {
			require.GreaterOrEqual(t, o, at)
			require.True(t, s.Contains(o))
			if n++; n == 1000 {
				break
			}
		}
		again, complete := offset.Commit{Offset: at, Finished: s}.EncodeMetadata()
		require.LessOrEqual(t, len(again), offset.MaxMetadata)
		back, err := offset.DecodeMetadata(at, again)
		require.NoError(t, err)
		if complete {
			require.Equal(t, s, back)
		}
	})
}
