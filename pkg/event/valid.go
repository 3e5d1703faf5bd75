package event

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// maxDepth is how deep JSON may be nested: what encoding/json allows. The check recurses, so it needs a limit.
const maxDepth = 10_000

// validJSON reports whether b is one JSON value (RFC 8259) in UTF-8, nested at most maxDepth deep: what encoding/json says too. Every
// event is looked at twice, by router and recorder, and most of it is texts; these it takes eight bytes at a time.
func validJSON(b []byte) bool {
	if !utf8.Valid(b) {
		return false
	}
	end := validValue(b, afterSpace(b, 0), 0)
	return end >= 0 && afterSpace(b, end) == len(b)
}

// All of these take where something begins in b, and return where it ends, or -1 if it is not what it ought to be.

// validValue is of a value within so many arrays and objects.
func validValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return validText(b, i+1)
	case '{', '[':
		if depth == maxDepth {
			return -1
		}
		return validMembers(b, i, depth+1)
	case 't':
		return validWord(b, i, "true")
	case 'f':
		return validWord(b, i, "false")
	case 'n':
		return validWord(b, i, "null")
	}
	return validNumber(b, i)
}

// validMembers is of an array or an object.
func validMembers(b []byte, i, depth int) int {
	object, end := b[i] == '{', b[i]+2 // as ASCII has it
	if i = afterSpace(b, i+1); i < len(b) && b[i] == end {
		return i + 1
	}
	for i < len(b) {
		if object {
			if i = validName(b, i); i < 0 {
				return -1
			}
		}
		if i = validValue(b, i, depth); i < 0 {
			return -1
		}
		if i = afterSpace(b, i); i == len(b) {
			return -1
		}
		switch b[i] {
		case end:
			return i + 1
		case ',':
			i = afterSpace(b, i+1)
		default:
			return -1
		}
	}
	return -1
}

// validName is of the name of a member, the colon, and white space behind it.
func validName(b []byte, i int) int {
	if b[i] != '"' {
		return -1
	}
	if i = validText(b, i+1); i < 0 {
		return -1
	}
	if i = afterSpace(b, i); i == len(b) || b[i] != ':' {
		return -1
	}
	return afterSpace(b, i+1)
}

// validText is of what comes behind the quote.
func validText(b []byte, i int) int {
	for i < len(b) {
		if i+8 <= len(b) {
			found := special(binary.LittleEndian.Uint64(b[i:]))
			if found == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(found) / 8
		}
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c != '\\':
			i++
		default:
			if i = validEscape(b, i+1); i < 0 {
				return -1
			}
		}
	}
	return -1
}

// special has the highest bit of the first byte, in the order of memory, that is a quote, a backslash or a control character; 0 if none
// is. Bits of bytes behind it mean nothing.
func special(eight uint64) uint64 {
	const ones = 0x0101_0101_0101_0101
	quote, backslash := eight^ones*'"', eight^ones*'\\'
	return ((quote-ones)&^quote | (backslash-ones)&^backslash | (eight-ones*' ')&^eight) & (ones << 7)
}

// validEscape is of what comes behind the backslash.
func validEscape(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		for end := i + 4; i < end; {
			if i++; i >= len(b) || !isHex(b[i]) {
				return -1
			}
		}
		return i + 1
	}
	return -1
}

func isHex(c byte) bool { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func validNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else if i = validDigits(b, i); i < 0 {
		return -1
	}
	if i < len(b) && b[i] == '.' {
		if i = validDigits(b, i+1); i < 0 {
			return -1
		}
	}
	if i < len(b) && b[i]|0x20 == 'e' {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		return validDigits(b, i)
	}
	return i
}

// validDigits is of one or more digits.
func validDigits(b []byte, i int) int {
	from := i
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	if i == from {
		return -1
	}
	return i
}

func validWord(b []byte, i int, word string) int {
	if end := i + len(word); end <= len(b) && string(b[i:end]) == word {
		return end
	}
	return -1
}

func afterSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}
