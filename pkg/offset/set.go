package offset

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math/bits"
)

// MaxMetadata is the largest commit metadata, in bytes: what brokers accept unless offset.metadata.max.bytes says
// otherwise.
const MaxMetadata = 4096

// SafeSpan is the distance between a commit and the highest finished offset that always fits [MaxMetadata], whatever
// the pattern: a bitmap of that many bits in base64, behind the prefix.
const SafeSpan = (MaxMetadata-prefixLen)/4*3*8 - 8*binary.MaxVarintLen64

const (
	// prefix names the format; a commit of another program has other metadata, which reads as nothing finished.
	prefixRuns   = "pr1r:" // alternating lengths of unfinished and finished runs, as uvarints
	prefixBitmap = "pr1b:" // one bit an offset, least significant bit first
	prefixLen    = 5
)

// maxDecodedSpan bounds what metadata may make a reader allocate: no writer produces more than 4,096 bytes of runs.
const maxDecodedSpan = 1 << 26

// ErrMetadata is wrapped by errors of [DecodeMetadata].
var ErrMetadata = errors.New("malformed commit metadata")

// Set is a set of offsets at or above a base. The zero Set is empty.
type Set struct {
	base  int64
	words []uint64
}

// NewSet returns the set of the given offsets, none of which may be below base.
func NewSet(base int64, offsets ...int64) Set {
	s := Set{base: base}
	for _, o := range offsets {
		s.add(o)
	}
	return s
}

func (s *Set) add(offset int64) {
	i := offset - s.base
	if i < 0 {
		return
	}
	for int64(len(s.words)) <= i/64 {
		s.words = append(s.words, 0)
	}
	s.words[i/64] |= 1 << (i % 64)
}

// Contains reports whether offset is in the set.
func (s Set) Contains(offset int64) bool {
	i := offset - s.base
	return i >= 0 && i/64 < int64(len(s.words)) && s.words[i/64]&(1<<(i%64)) != 0
}

// Len returns how many offsets are in the set.
func (s Set) Len() int {
	n := 0
	for _, w := range s.words {
		n += bits.OnesCount64(w)
	}
	return n
}

// All yields the offsets of the set, ascending.
func (s Set) All() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for i, w := range s.words {
			for w != 0 {
				bit := bits.TrailingZeros64(w)
				if !yield(s.base + int64(i)*64 + int64(bit)) {
					return
				}
				w &= w - 1
			}
		}
	}
}

// above returns the members at or above offset.
func (s Set) above(offset int64) Set {
	out := Set{base: offset}
	for o := range s.All() {
		if o >= offset {
			out.add(o)
		}
	}
	return out
}

// below returns the members below offset.
func (s Set) below(offset int64) Set {
	out := Set{base: s.base}
	for o := range s.All() {
		if o < offset {
			out.add(o)
		}
	}
	return out
}

// span is one more than the distance from the base to the highest member; 0 for an empty set.
func (s Set) span() int64 {
	for i := len(s.words) - 1; i >= 0; i-- {
		if s.words[i] != 0 {
			return int64(i)*64 + int64(64-bits.LeadingZeros64(s.words[i]))
		}
	}
	return 0
}

// EncodeMetadata writes the finished offsets above a commit as text for the commit's metadata, in the shorter of two
// forms: run lengths or a bitmap. An empty set is the empty text. The text is never longer than [MaxMetadata]: if the
// set does not fit, its offsets beyond [SafeSpan] are left out, a new owner repeats them, and complete is false. A set
// that spans no more than [SafeSpan] always fits.
func (c Commit) EncodeMetadata() (text string, complete bool) {
	set := c.Finished
	if set.base != c.Offset {
		set = set.above(c.Offset)
	}
	if set.span() == 0 {
		return "", true
	}
	if text := set.encode(); len(text) <= MaxMetadata {
		return text, true
	}
	return set.below(c.Offset + SafeSpan).encode(), false
}

func (s Set) encode() string {
	raw, prefix := encodeRuns(s), prefixRuns
	if n := s.span()/8 + 1; int64(len(raw)) > n {
		raw, prefix = encodeBitmap(s), prefixBitmap
	}
	return prefix + base64.RawStdEncoding.EncodeToString(raw)
}

func encodeBitmap(s Set) []byte {
	raw := make([]byte, 0, len(s.words)*8)
	for _, w := range s.words {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return raw[:(s.span()+7)/8]
}

func encodeRuns(s Set) []byte {
	var raw []byte
	at, run := s.base, int64(0) // at: end of what is written; run: length of the finished run open there
	for o := range s.All() {
		if o == at+run {
			if run == 0 {
				raw = binary.AppendUvarint(raw, 0)
			}
			run++
			continue
		}
		if run > 0 {
			raw = binary.AppendUvarint(raw, uint64(run))
			at += run
		}
		raw = binary.AppendUvarint(raw, uint64(o-at))
		at, run = o, 1
	}
	return binary.AppendUvarint(raw, uint64(run))
}

// DecodeMetadata reads what [Commit.EncodeMetadata] wrote for a commit at the given offset. Text in no format of
// Postrider's is the empty set without an error, as commits of other programs have; text in one of its formats that
// does not decode is an error that wraps [ErrMetadata].
func DecodeMetadata(offset int64, text string) (Set, error) {
	if len(text) < prefixLen {
		return Set{base: offset}, nil
	}
	decode := decodeRuns
	switch text[:prefixLen] {
	case prefixRuns:
	case prefixBitmap:
		decode = decodeBitmap
	default:
		return Set{base: offset}, nil
	}
	raw, err := base64.RawStdEncoding.DecodeString(text[prefixLen:])
	if err != nil {
		return Set{}, fmt.Errorf("%w: %w", ErrMetadata, err)
	}
	return decode(offset, raw)
}

func decodeBitmap(base int64, raw []byte) (Set, error) {
	s := Set{base: base, words: make([]uint64, (len(raw)+7)/8)}
	for i, b := range raw {
		s.words[i/8] |= uint64(b) << (i % 8 * 8)
	}
	return s, nil
}

func decodeRuns(base int64, raw []byte) (Set, error) {
	s := Set{base: base}
	at, finished := base, false
	for len(raw) > 0 {
		run, n := binary.Uvarint(raw)
		if n <= 0 || run > maxDecodedSpan || at-base+int64(run) > maxDecodedSpan {
			return Set{}, fmt.Errorf("%w: run length", ErrMetadata)
		}
		raw = raw[n:]
		if finished {
			for o := at; o < at+int64(run); o++ {
				s.add(o)
			}
		}
		at += int64(run)
		finished = !finished
	}
	return s, nil
}
