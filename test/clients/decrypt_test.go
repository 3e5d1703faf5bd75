package clients

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
)

// sealed is a line that the program decrypt.mjs reads.
type sealed struct {
	Scheme string `json:"scheme"`
	Key    string `json:"key"`
	Text   string `json:"text"`

	plain string
	// refused, for what was changed or is another key's.
	refused bool
}

// opened is what the program says of it.
type opened struct {
	Plain []byte `json:"plain"`
	Error string `json:"error"`
}

// Receivers in another language read what is encrypted here.
func TestDecryption(t *testing.T) {
	var all []sealed
	for _, scheme := range encrypt.Names() {
		key, err := encrypt.GenerateKey(scheme)
		require.NoError(t, err)
		c, err := encrypt.New(scheme, key)
		require.NoError(t, err)
		for i, plain := range []string{
			"", "{}", `{"text":"hællo \u0000 😀"}`, strings.Repeat("x", 15), strings.Repeat("x", 16), strings.Repeat("x", 17),
			strings.Repeat("\x00\xff", 400), strings.Repeat("0123456789abcdef", event.MaxBytes/16),
		} {
			text := string(c.Append(nil, []byte(plain), ident.Derive("decryption", fmt.Sprint(i))))
			all = append(all, sealed{Scheme: scheme, Key: key, Text: text, plain: plain})
			if scheme != "jwe" {
				continue
			}
			// Another key, the last byte of the tag and the first of what the header says: only JWE notices for sure.
			other, err := encrypt.GenerateKey(scheme)
			require.NoError(t, err)
			tag := len(text) - 10
			for _, s := range []sealed{
				{Key: other, Text: text}, {Key: key, Text: text[:tag] + otherThan(text[tag:tag+1]) + text[tag+1:]}, {Key: key, Text: "f" + text[1:]},
			} {
				s.Scheme, s.refused = scheme, true
				all = append(all, s)
			}
		}
	}
	for i, got := range decrypted(t, all) {
		want := all[i]
		if want.refused {
			require.NotEmpty(t, got.Error, "%d: %.80s", i, want.Text)
			continue
		}
		require.Empty(t, got.Error, "%d: %s, %.80s", i, want.Scheme, want.Text)
		if want.plain != string(got.Plain) { // no difference of 1 MiB
			require.Failf(t, "another plaintext", "%d: %s, %.80s", i, want.Scheme, want.Text)
		}
	}
}

// otherThan returns another character of base64url.
func otherThan(character string) string {
	if character == "A" {
		return "B"
	}
	return "A"
}

// decrypted runs the program once for all.
func decrypted(t *testing.T, all []sealed) []opened {
	t.Helper()
	c, err := installNPM(t.Context(), josePackages)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), programLimit)
	defer cancel()
	var in, out, problems bytes.Buffer
	for _, s := range all {
		require.NoError(t, json.NewEncoder(&in).Encode(s))
	}
	cmd := exec.CommandContext(ctx, c.program, filepath.Join("javascript", "decrypt.mjs"))
	cmd.Env = append(os.Environ(), "POSTRIDER_CLIENT="+c.directory)
	cmd.WaitDelay = 5 * time.Second
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &problems
	err = cmd.Run()
	require.NoError(t, errors.Join(err, ctx.Err()), "%s", &problems)
	var got []opened
	for lines := json.NewDecoder(&out); lines.More(); {
		var o opened
		require.NoError(t, lines.Decode(&o))
		got = append(got, o)
	}
	require.Len(t, got, len(all))
	return got
}
