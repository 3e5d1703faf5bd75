package encrypt

import (
	"bytes"
	"encoding/base64"
	"slices"
)

// textLen is the length of the text of n bytes.
func textLen(n int) int { return base64.RawURLEncoding.EncodedLen(n) }

// extend makes dst longer by n bytes, whose content does not matter.
func extend(dst []byte, n int) []byte { return slices.Grow(dst, n)[:len(dst)+n] }

// encodeInto writes the text of raw to out. Raw may lie in out, as far behind its beginning as the text is longer than
// raw: a text grows by a third of what has been read, so that it never reaches what has not. That way a ciphertext is made
// where its text will stand, and needs no room of its own.
func encodeInto(out, raw []byte) {
	var chunk [768]byte // a multiple of 3: only the last one ends within a group
	for len(raw) > 0 {
		n := copy(chunk[:], raw)
		base64.RawURLEncoding.Encode(out, chunk[:n])
		out, raw = out[textLen(n):], raw[n:]
	}
}

// decode returns what the text stands for. A text has one form only: no padding, no stray bits in the last character,
// and no line breaks, which the decoder would skip.
func decode(text []byte) ([]byte, bool) {
	if bytes.ContainsAny(text, "\r\n") {
		return nil, false
	}
	raw := make([]byte, base64.RawURLEncoding.DecodedLen(len(text)))
	n, err := base64.RawURLEncoding.Strict().Decode(raw, text)
	return raw[:n], err == nil
}
