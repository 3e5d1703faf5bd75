package offset

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"math/bits"
	"slices"
)

// MaxMetadata is the largest commit metadata, in bytes: what brokers accept unless offset.metadata.max.bytes says
// otherwise.
const MaxMetadata = 4096

// SafeSpan is the distance between a commit and the highest finished offset that always fits [MaxMetadata], whatever
// the pattern: a bitmap of that many bits, four base64 characters for three bytes, behind the prefix.
const SafeSpan = (MaxMetadata - prefixLen) / 4 * 3 * 8

const (
	// prefix names the format; a commit of another program has other metadata, which reads as nothing finished.
	prefixRuns   = "pr1r:" // alternating lengths of unfinished and finished runs, as uvarints
	prefixBitmap = "pr1b:" // one bit an offset, least significant bit first
	prefixLen    = 5
)

// ErrMetadata is wrapped by errors of [DecodeMetadata].
var ErrMetadata = errors.New("malformed commit metadata")

// Set is a set of offsets, kept as runs, so that neither a gap in the log nor hostile metadata decides how much memory
// it takes. The zero Set is empty.
type Set struct {
	runs []run // ascending, and apart from one another
}

// run is the offsets from ≤ o < to.
type run struct{ from, to int64 }

// NewSet returns the set of the given offsets.
func NewSet(offsets ...int64) Set {
	var s Set
	for _, o := range slices.Sorted(slices.Values(offsets)) {
		s.add(o, o+1)
	}
	return s
}

// add puts in the offsets from ≤ o < to; from must not be below the start of the last run.
func (s *Set) add(from, to int64) {
	if n := len(s.runs); n > 0 && from <= s.runs[n-1].to {
		s.runs[n-1].to = max(s.runs[n-1].to, to)
		return
	}
	s.runs = append(s.runs, run{from, to})
}

// Contains reports whether offset is in the set.
func (s Set) Contains(offset int64) bool {
	// The first run that ends above offset is the only one that may hold it.
	i, _ := slices.BinarySearchFunc(s.runs, offset, func(r run, o int64) int {
		if r.to <= o {
			return -1
		}
		return 1
	})
	return i < len(s.runs) && s.runs[i].from <= offset
}

// Len returns how many offsets are in the set.
func (s Set) Len() int64 {
	n := int64(0)
	for _, r := range s.runs {
		n += r.to - r.from
	}
	return n
}

// All yields the offsets of the set, ascending.
func (s Set) All() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, r := range s.runs {
			for o := r.from; o < r.to; o++ {
				if !yield(o) {
					return
				}
			}
		}
	}
}

// within returns the members from ≤ o < to.
func (s Set) within(from, to int64) Set {
	var out Set
	for _, r := range s.runs {
		if r.to > from && r.from < to {
			out.add(max(r.from, from), min(r.to, to))
		}
	}
	return out
}

// end is one more than the highest member; 0 for an empty set.
func (s Set) end() int64 {
	if len(s.runs) == 0 {
		return 0
	}
	return s.runs[len(s.runs)-1].to
}

// EncodeMetadata writes the finished offsets above a commit as text for the commit's metadata, in the shorter of two
// forms: run lengths or a bitmap. An empty set is the empty text. The text is never longer than [MaxMetadata]: if the
// set does not fit, its offsets beyond [SafeSpan] are left out, a new owner repeats them, and complete is false. A set
// that spans no more than [SafeSpan] always fits.
func (c Commit) EncodeMetadata() (text string, complete bool) {
	set := c.Finished.within(c.Offset, math.MaxInt64)
	if text := set.encode(c.Offset); len(text) <= MaxMetadata {
		return text, true
	}
	return set.within(c.Offset, c.Offset+SafeSpan).encode(c.Offset), false
}

// encode writes a set of members at or above base.
func (s Set) encode(base int64) string {
	if len(s.runs) == 0 {
		return ""
	}
	raw, prefix := s.appendRuns(nil, base), prefixRuns
	if size := (s.end()-base-1)/8 + 1; int64(len(raw)) > size {
		raw, prefix = s.bitmap(base, size), prefixBitmap
	}
	return prefix + base64.RawStdEncoding.EncodeToString(raw)
}

func (s Set) appendRuns(raw []byte, base int64) []byte {
	for _, r := range s.runs {
		raw = binary.AppendUvarint(raw, uint64(r.from-base)) //nolint:gosec // members are not below the base
		raw = binary.AppendUvarint(raw, uint64(r.to-r.from)) //nolint:gosec // runs are not empty
		base = r.to
	}
	return raw
}

func (s Set) bitmap(base, size int64) []byte {
	raw := make([]byte, size)
	for o := range s.All() {
		raw[(o-base)/8] |= 1 << ((o - base) % 8)
	}
	return raw
}

// DecodeMetadata reads what [Commit.EncodeMetadata] wrote for a commit at the given offset. Text in no format of
// Postrider's is the empty set without an error, as commits of other programs have; text in one of its formats that
// does not decode is an error that wraps [ErrMetadata].
func DecodeMetadata(offset int64, text string) (Set, error) {
	if len(text) < prefixLen {
		return Set{}, nil
	}
	decode := decodeRuns
	switch text[:prefixLen] {
	case prefixRuns:
	case prefixBitmap:
		decode = decodeBitmap
	default:
		return Set{}, nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(text[prefixLen:])
	if err != nil {
		return Set{}, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	return decode(offset, raw)
}

func decodeBitmap(base int64, raw []byte) (Set, error) {
	var s Set
	for i, b := range raw {
		for ; b != 0; b &= b - 1 {
			o := base + int64(i)*8 + int64(bits.TrailingZeros8(b))
			if o+1 <= base {
				return Set{}, fmt.Errorf("%w: bitmap ends beyond the largest offset", ErrMetadata)
			}
			s.add(o, o+1)
		}
	}
	return s, nil
}

func decodeRuns(base int64, raw []byte) (Set, error) {
	var s Set
	at, finished := base, false
	for len(raw) > 0 {
		length, n := binary.Uvarint(raw)
		if n <= 0 || length > math.MaxInt64 {
			return Set{}, fmt.Errorf("%w: run length", ErrMetadata)
		}
		end := at + int64(length)
		if end < at {
			return Set{}, fmt.Errorf("%w: run ends beyond the largest offset", ErrMetadata)
		}
		if finished && length > 0 {
			s.add(at, end)
		}
		raw, at, finished = raw[n:], end, !finished
	}
	return s, nil
}
