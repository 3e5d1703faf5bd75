package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What an endpoint answers cannot move the cursor, colour the terminal or break the table.
func TestResponsesInLine(t *testing.T) {
	for text, want := range map[string]string{
		"ok\n": "ok", "a\tb\nc": "a b c", "\x1b[2Jgone\x07": "[2Jgone", "Grüße\u202e": "Grüße", "": "",
		strings.Repeat("é", 61): strings.Repeat("é", 59) + "…", strings.Repeat("é", 60): strings.Repeat("é", 60),
	} {
		require.Equal(t, want, inLine(text))
	}
}
