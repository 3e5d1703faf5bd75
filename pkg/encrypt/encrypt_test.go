package encrypt_test

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/event"
	"github.com/postrider/postrider/pkg/ident"
)

const (
	voyadoKey = "abcdefghijklmnopqrstuvwxyzABCD09"
	jweKey    = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
	jweHeader = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0"
	data      = `{"amount":100,"description":"hællo"}`
)

var delivery = ident.ID{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}

// schemes holds a key of each, and a reader that shares no code with what it reads.
var schemes = map[string]struct {
	key     string
	decrypt func(t testing.TB, key, text string) ([]byte, error)
}{
	"voyado": {voyadoKey, readVoyado},
	"jwe":    {jweKey, readJWE},
}

func readVoyado(t testing.TB, key, text string) ([]byte, error) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	block, err := aes.NewCipher([]byte(key))
	require.NoError(t, err)
	plain := make([]byte, len(raw)-16)
	cipher.NewCBCDecrypter(block, raw[:16]).CryptBlocks(plain, raw[16:])
	n := int(plain[len(plain)-1])
	plain, pad := plain[:len(plain)-n], plain[len(plain)-n:]
	require.Equal(t, bytes.Repeat([]byte{byte(n)}, n), pad)
	return plain, nil
}

func readJWE(t testing.TB, key, text string) ([]byte, error) {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(key)
	require.NoError(t, err)
	object, err := jose.ParseEncryptedCompact(text, []jose.KeyAlgorithm{jose.DIRECT}, []jose.ContentEncryption{jose.A256GCM})
	if err != nil {
		return nil, err
	}
	return object.Decrypt(raw)
}

func newCipher(t testing.TB, scheme, key string) encrypt.Cipher {
	t.Helper()
	c, err := encrypt.New(scheme, key)
	require.NoError(t, err)
	return c
}

func TestNames(t *testing.T) {
	require.Equal(t, []string{"jwe", "voyado"}, encrypt.Names())
	require.Len(t, schemes, len(encrypt.Names()), "every scheme is tested")
	for _, name := range encrypt.Names() {
		_, ok := encrypt.Lookup(name)
		require.True(t, ok, name)
	}
	for _, name := range []string{"", "JWE", "none"} {
		_, ok := encrypt.Lookup(name)
		require.False(t, ok, "%q", name)
		_, err := encrypt.New(name, jweKey)
		require.EqualError(t, err, fmt.Sprintf("scheme: %q, want one of jwe, voyado", name))
		_, err = encrypt.GenerateKey(name)
		require.EqualError(t, err, fmt.Sprintf("scheme: %q, want one of jwe, voyado", name))
	}
}

func TestRoundTrip(t *testing.T) {
	sizes := []int{767, 768, 769, 4096, 3*768 - 16, 3 * 768, event.MaxBytes}
	for n := range 100 {
		sizes = append(sizes, n)
	}
	all := bytes.Repeat([]byte("\x00\xff{\"é\\"), event.MaxBytes/7+1)
	for name, s := range schemes {
		t.Run(name, func(t *testing.T) {
			c := newCipher(t, name, s.key)
			for _, n := range sizes {
				plain := bytes.Clone(all[:n])
				text := c.Append(nil, plain, delivery)
				require.Equal(t, all[:n], plain, "not changed")
				require.Less(t, len(text), encrypt.MaxText)
				require.Regexp(t, `^[A-Za-z0-9_.-]+$`, string(text))

				back, err := c.Decrypt(bytes.Clone(text))
				require.NoError(t, err, n)
				require.True(t, bytes.Equal(plain, back), n)
				back, err = s.decrypt(t, s.key, string(text))
				require.NoError(t, err, n)
				require.True(t, bytes.Equal(plain, back), "by another, of %d", n)
			}
		})
	}
}

// The texts of today are those of tomorrow: a delivery is tried again after an upgrade. They were computed with the
// crypto module of Node.js, from what the documentation says; see test/clients, where it reads them.
func TestVectors(t *testing.T) {
	for name, want := range map[string]string{
		"voyado": "A0GE-zKhP6QioRzqseSFo5gNG2nuZuF_4fayP351QrYse3JUer8cAOqBOC5F_fgbPSkjmuG-vutBWIJyd8lonw",
		"jwe":    jweHeader + "..oc3ySElywtYu79-G.ks2VuJ5VsA5H9jrVX-f5IDaGWRkykx4sdK9mDUoqg0HmmZwGWQ.14U2su2DBggWv45co2bBOA",
	} {
		c := newCipher(t, name, schemes[name].key)
		require.Equal(t, want, string(c.Append(nil, []byte(data), delivery)), name)

		// Appended, with room and without.
		for _, room := range []int{0, 10, 1000} {
			dst := append(make([]byte, 0, 5+room), `{"p":`...)
			require.Equal(t, `{"p":`+want, string(c.Append(dst, []byte(data), delivery)), "%s, room of %d", name, room)
			require.Equal(t, `{"p":`, string(dst))
		}
	}
}

func TestTextsDependOnAllThatTheyAreMadeOf(t *testing.T) {
	others := map[string]string{"voyado": "bbcdefghijklmnopqrstuvwxyzABCD09", "jwe": "BAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}
	for name, s := range schemes {
		c := newCipher(t, name, s.key)
		seen := map[string]string{}
		add := func(what string, c encrypt.Cipher, plain string, id ident.ID) {
			text := string(c.Append(nil, []byte(plain), id))
			require.Equal(t, text, string(c.Append(nil, []byte(plain), id)), "%s: twice", what)
			// Not only the text: the vector or the nonce.
			start := text[:16]
			if name == "jwe" {
				start = text[len(jweHeader)+2:][:16]
			}
			require.NotContains(t, seen, start, "%s: as %s", what, seen[start])
			seen[start] = what
		}
		add("first", c, data, delivery)
		add("another key", newCipher(t, name, others[name]), data, delivery)
		add("other data", c, strings.Replace(data, "100", "101", 1), delivery)
		add("no data", c, "", delivery)
		add("no delivery", c, data, ident.ID{})
		for i := range 100 {
			add(fmt.Sprint("delivery ", i), c, data, ident.Derive("test", fmt.Sprint(i)))
		}
		require.Equal(t, string(c.Append(nil, []byte(data), delivery)),
			string(newCipher(t, name, s.key).Append(nil, []byte(data), delivery)), "in another process")
	}
}

func TestConcurrentUse(t *testing.T) {
	for name, s := range schemes {
		c := newCipher(t, name, s.key)
		want := c.Append(nil, []byte(data), delivery)
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				var dst []byte
				for j := range 50 {
					other := ident.Derive("test", fmt.Sprint(i, j))
					text := c.Append(dst[:0], []byte(other.String()), other)
					back, err := c.Decrypt(text)
					assert.NoError(t, err)
					assert.Equal(t, other.String(), string(back))
					dst = c.Append(text[:0], []byte(data), delivery)
					assert.Equal(t, string(want), string(dst))
				}
			})
		}
		all.Wait()
	}
}

func TestKeys(t *testing.T) {
	for name, keys := range map[string]map[string]bool{
		"voyado": {
			voyadoKey: true, strings.Repeat("Z", 32): true, strings.Repeat("0", 32): true,
			"": false, voyadoKey[1:]: false, voyadoKey + "a": false, " " + voyadoKey[1:]: false, "-" + voyadoKey[1:]: false,
			voyadoKey[2:] + "æ": false, voyadoKey[1:] + "\n": false, voyadoKey[1:] + "{": false, voyadoKey[1:] + "@": false,
			voyadoKey[1:] + "[": false, voyadoKey[1:] + "`": false, voyadoKey[1:] + "/": false, voyadoKey[1:] + ":": false, jweKey: false,
		},
		"jwe": {
			jweKey: true, "_-" + jweKey[2:]: true,
			"": false, jweKey[1:]: false, jweKey + "A": false, jweKey + "=": false, jweKey[:42] + "9": false, "+" + jweKey[1:]: false,
			"/" + jweKey[1:]: false, "\n" + jweKey[1:]: false, jweKey + "\n": false, jweKey[:42] + "\n": false, jweKey[:42] + "=": false,
			voyadoKey: false,
		},
	} {
		want := map[string]string{
			"voyado": "want 32 characters of A-Z, a-z and 0-9",
			"jwe":    "want 43 characters: 32 bytes in base64url without padding",
		}[name]
		scheme, _ := encrypt.Lookup(name)
		for key, ok := range keys {
			_, err := encrypt.New(name, key)
			if ok {
				require.NoError(t, err, "%s %q", name, key)
				require.NoError(t, scheme.ValidateKey(key), "%s %q", name, key)
				continue
			}
			require.EqualError(t, err, "key: "+want, "%s %q", name, key)
			require.EqualError(t, scheme.ValidateKey(key), want, "%s %q", name, key)
		}
	}
}

func TestGeneratedKeys(t *testing.T) {
	for _, name := range encrypt.Names() {
		seen := map[string]bool{}
		characters := map[rune]int{}
		for range 500 {
			key, err := encrypt.GenerateKey(name)
			require.NoError(t, err)
			require.False(t, seen[key])
			seen[key] = true
			for _, c := range key {
				characters[c]++
			}
			scheme, _ := encrypt.Lookup(name)
			require.NoError(t, scheme.ValidateKey(key))
		}
		// 16,000 of 62 and 21,500 of 64: below 150 of one is beyond six standard deviations.
		want := map[string]int{"voyado": 62, "jwe": 64}[name]
		require.Len(t, characters, want, name)
		for c, n := range characters {
			require.Greater(t, n, 150, "%s: %c", name, c)
		}
	}
}

func TestCiphersDoNotShowTheirKeys(t *testing.T) {
	for name, s := range schemes {
		c := newCipher(t, name, s.key)
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
			require.Equal(t, name, fmt.Sprintf(verb, c), verb)
		}
		asJSON, err := json.Marshal(c)
		require.NoError(t, err)
		require.Equal(t, "{}", string(asJSON))
		var out bytes.Buffer
		slog.New(slog.NewTextHandler(&out, nil)).Info("test", "cipher", c)
		require.Contains(t, out.String(), "cipher="+name+"\n")
	}
}

func BenchmarkAppend(b *testing.B) {
	plain := bytes.Repeat([]byte("0123456789abcdef"), 4096/16)
	for name, s := range schemes {
		b.Run(name, func(b *testing.B) {
			c := newCipher(b, name, s.key)
			dst := c.Append(nil, plain, delivery)
			b.ReportAllocs()
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				dst = c.Append(dst[:0], plain, delivery)
			}
		})
	}
}
