package event

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// jsonSeeds are JSON and what is nearly JSON.
func jsonSeeds() []string {
	seeds := []string{
		"", " ", "null", "nul", "nulll", "true", "false", "falsy", "t", "x", `""`, `"`, `"a`, `"\"`, `"\""`, `"\u00e4"`, `"\u00e"`, `"\u00eg"`,
		`"\x"`, "\"\t\"", "\"\x1f\"", "\"\x7f\"", "\"ä€😀\"", "\"\xff\"", "\"\xed\xa0\x80\"", `"01234567"`, `"0123456"`, `"012345678\n`, `"0123456\"`,
		"0", "-", "-0", "01", "1.", "1.5", ".5", "1e", "1e5", "1E+5", "1e-", "-1.25e-7 ", "1 2", "+1", "1a", "0x1",
		"[]", "[ ]", "[", "]", "[1,2]", "[1,]", "[,1]", "[1 2]", "[1,2", "[[],[{}]]", "[}", "{]", "{}", "{ }", "{", `{"a":1}`, `{"a" : 1 , "b":[{"c":null}]}`,
		`{"a":1,}`, `{"a"}`, `{"a":}`, `{"a":1 "b":2}`, `{a:1}`, `{1:1}`, `{"a":1}}`, `{"a`, `{"a"`, `{"a":`, `{"a":1`, "\ufeff{}", "{}\x00", "\v{}", "\n\t\r {}\n\t\r ",
	}
	for n := range 20 { // every place within eight bytes
		seeds = append(seeds, `"`+strings.Repeat("a", n)+`"`, `"`+strings.Repeat("a", n)+"\x01\"", `"`+strings.Repeat("é", n)+`\"\\"`, `"`+strings.Repeat(" ", n))
	}
	for _, depth := range []int{maxDepth, maxDepth + 1} {
		seeds = append(seeds, strings.Repeat("[", depth)+strings.Repeat("]", depth), strings.Repeat(`{"a":`, depth)+"1"+strings.Repeat("}", depth))
	}
	return seeds
}

func valid(b []byte) bool { return utf8.Valid(b) && json.Valid(b) }

func TestValidJSON(t *testing.T) {
	t.Parallel()
	good := 0
	for _, text := range jsonSeeds() {
		require.Equal(t, valid([]byte(text)), validJSON([]byte(text)), "%.100q", text)
		if validJSON([]byte(text)) {
			good++
		}
	}
	require.Greater(t, good, 40)
}

func FuzzValidJSON(f *testing.F) {
	for _, text := range jsonSeeds() {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		require.Equal(t, valid(b), validJSON(b))
		// Every byte of something that is valid, changed.
		if len(b) > 0 && len(b) < 64 {
			for i := range b {
				for _, c := range []byte("\"\\{}[],:0e \x1f\x80") {
					other := bytes.Clone(b)
					other[i] = c
					require.Equal(t, valid(other), validJSON(other), "%q", other)
				}
			}
		}
	})
}
