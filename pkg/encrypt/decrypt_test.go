package encrypt_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/ident"
)

func TestDecryptRefuses(t *testing.T) {
	encode := base64.RawURLEncoding.EncodeToString
	jwe := strings.Split(string(newCipher(t, "jwe", jweKey).Append(nil, []byte(data), delivery)), ".")
	join := func(parts ...string) string { return strings.Join(parts, ".") }
	voyado := string(newCipher(t, "voyado", voyadoKey).Append(nil, []byte(data), delivery))
	for scheme, texts := range map[string]map[string]string{
		"voyado": {
			"nothing": "", "no base64": "!", "standard base64": strings.NewReplacer("-", "+", "_", "/").Replace(voyado),
			"padded": voyado + "==", "line break": voyado[:10] + "\n" + voyado[10:], "line break after it": voyado + "\r\n",
			"stray bits": voyado[:len(voyado)-1] + "x", "a vector alone": encode(make([]byte, 16)),
			"no whole block": encode(make([]byte, 40)), "cut": voyado[:len(voyado)-22], "a JWE": join(jwe...),
			"too long": strings.Repeat("A", encrypt.MaxText+1),
			// Under this key and a vector of zeros, blocks of zeros have no padding.
			"no padding": encode(make([]byte, 48)),
		},
		"jwe": {
			"nothing": "", "header alone": jweHeader, "four parts": join(jwe[0], "", jwe[2], jwe[3]), "six parts": join(jwe...) + ".",
			"no nonce": join(jwe[0], "", "", jwe[3], jwe[4]), "no tag": join(jwe[0], "", jwe[2], jwe[3], ""),
			"a nonce of 16 bytes": join(jwe[0], "", encode(make([]byte, 16)), jwe[3], jwe[4]),
			"half a tag":          join(jwe[0], "", jwe[2], jwe[3], encode(make([]byte, 8))),
			"an encrypted key":    join(jwe[0], "AAAA", jwe[2], jwe[3], jwe[4]),
			"another header":      join(encode([]byte(`{"enc":"A256GCM","alg":"dir"}`)), "", jwe[2], jwe[3], jwe[4]),
			"another algorithm":   join(encode([]byte(`{"alg":"dir","enc":"A128GCM"}`)), "", jwe[2], jwe[3], jwe[4]),
			"padded":              join(jwe[0], "", jwe[2], jwe[3]+"=", jwe[4]), "line break": join(jwe[0], "", jwe[2], jwe[3]+"\n", jwe[4]),
			"no data": join(jwe[0], "", jwe[2], "", jwe[4]), "a Voyado text": voyado,
			"too long": join(jwe[0], "", jwe[2], strings.Repeat("A", encrypt.MaxText), jwe[4]),
		},
	} {
		c := newCipher(t, scheme, schemes[scheme].key)
		for what, text := range texts {
			got, err := c.Decrypt([]byte(text))
			require.ErrorIs(t, err, encrypt.ErrDecrypt, "%s: %s", scheme, what)
			require.Equal(t, "text does not decrypt with this key", err.Error(), "nothing added")
			require.Nil(t, got, "%s: %s", scheme, what)
		}
	}
}

// Padding is checked as a whole: of every value that its last byte can have, the texts are made by hand with the vector,
// which changes the same bits of the only block.
func TestVoyadoPadding(t *testing.T) {
	c := newCipher(t, "voyado", voyadoKey)
	raw, err := base64.RawURLEncoding.DecodeString(string(c.Append(nil, []byte("0123456789ab"), delivery)))
	require.NoError(t, err)
	const was = "0123456789ab\x04\x04\x04\x04"
	for block, want := range map[string]string{
		was: "0123456789ab", "0123456789abcde\x01": "0123456789abcde", strings.Repeat("\x10", 16): "", "\x01" + strings.Repeat("\x0f", 15): "\x01",
		"0123456789abcde\x00": "-", "0123456789abcde\x11": "-", "0123456789abcde\xff": "-", "0123456789abc\x02\x03\x03": "-",
		strings.Repeat("\x10", 7) + "\x0f" + strings.Repeat("\x10", 8): "-", "0123456789abcde\x02": "-",
	} {
		forged := bytes.Clone(raw)
		for i := range 16 {
			forged[i] ^= was[i] ^ block[i]
		}
		got, err := c.Decrypt([]byte(base64.RawURLEncoding.EncodeToString(forged)))
		if want == "-" {
			require.ErrorIs(t, err, encrypt.ErrDecrypt, "%q", block)
			continue
		}
		require.NoError(t, err, "%q", block)
		require.Equal(t, want, string(got), "%q", block)
	}
}

// What whoever changes a text of Voyado's form does to its data, which is why the attempt is signed: every bit of the
// vector is a bit of the first block, and a block that is changed is lost but changes the next one's bits as well. Nothing
// of this is noticed unless the padding breaks.
func TestVoyadoIsNotAuthenticated(t *testing.T) {
	c := newCipher(t, "voyado", voyadoKey)
	plain := []byte("block number one block number 2, block number 3.")
	raw, err := base64.RawURLEncoding.DecodeString(string(c.Append(nil, plain, delivery)))
	require.NoError(t, err)
	changed := func(at int, by byte) ([]byte, error) {
		forged := bytes.Clone(raw)
		forged[at] ^= by
		return c.Decrypt([]byte(base64.RawURLEncoding.EncodeToString(forged)))
	}
	for i := range 16 {
		for bit := range 8 {
			got, err := changed(i, 1<<bit)
			require.NoError(t, err)
			want := bytes.Clone(plain)
			want[i] ^= 1 << bit
			require.Equal(t, want, got, "byte %d of the vector", i)
		}
	}
	for i := 16; i < 48; i++ { // the first two blocks of the three with data
		got, err := changed(i, 1)
		require.NoError(t, err)
		block := i / 16 * 16 // of plain, the one after it
		require.Equal(t, plain[:block-16], got[:block-16])
		require.NotEqual(t, plain[block-16:block], got[block-16:block])
		want := bytes.Clone(plain[block:])
		want[i-block] ^= 1
		require.Equal(t, want, got[block:])
	}
	_, err = changed(len(raw)-17, 1) // the last byte but one block: the last byte of the padding
	require.ErrorIs(t, err, encrypt.ErrDecrypt)
}

// Every other value of every byte is refused.
func TestJWEIsAuthenticated(t *testing.T) {
	c := newCipher(t, "jwe", jweKey)
	for _, plain := range []string{"", "{}"} { // one has no ciphertext, in the other its last character has unused bits
		text := c.Append(nil, []byte(plain), delivery)
		for i := range text {
			for by := 1; by < 256; by++ {
				forged := bytes.Clone(text)
				forged[i] ^= byte(by)
				if _, err := c.Decrypt(forged); !errors.Is(err, encrypt.ErrDecrypt) { // assertions are slow by the 10,000
					require.Failf(t, "not refused", "%v: byte %d of %s", err, i, text)
				}
			}
			_, err := c.Decrypt(append(bytes.Clone(text[:i]), text[i+1:]...))
			require.ErrorIs(t, err, encrypt.ErrDecrypt, "without byte %d of %s", i, text)
			if i > 0 {
				_, err = c.Decrypt(text[:i])
				require.ErrorIs(t, err, encrypt.ErrDecrypt, "the first %d of %s", i, text)
			}
		}
	}
}

func TestWrongKey(t *testing.T) {
	text := newCipher(t, "jwe", jweKey).Append(nil, []byte(data), delivery)
	for range 100 {
		key, err := encrypt.GenerateKey("jwe")
		require.NoError(t, err)
		_, err = newCipher(t, "jwe", key).Decrypt(text)
		require.ErrorIs(t, err, encrypt.ErrDecrypt)
		_, err = readJWE(t, key, string(text))
		require.ErrorIs(t, err, jose.ErrCryptoFailure)
	}
	// Nothing but the padding tells, and one key of 255 leaves one that looks right by chance.
	text = newCipher(t, "voyado", voyadoKey).Append(nil, []byte(data), delivery)
	refused := 0
	for i := range 1000 {
		got, err := newCipher(t, "voyado", fmt.Sprintf("%032d", i)).Decrypt(text)
		require.NotEqual(t, data, string(got))
		if err != nil {
			refused++
		}
	}
	require.Greater(t, refused, 950)
	require.Less(t, refused, 1000, "of fixed keys")
}

// The library writes what is read here, too: its header has the same bytes.
func TestDecryptReadsTheLibrarysTexts(t *testing.T) {
	key, err := base64.RawURLEncoding.DecodeString(jweKey)
	require.NoError(t, err)
	encrypter, err := jose.NewEncrypter(jose.A256GCM, jose.Recipient{Algorithm: jose.DIRECT, Key: key}, nil)
	require.NoError(t, err)
	object, err := encrypter.Encrypt([]byte(data))
	require.NoError(t, err)
	text, err := object.CompactSerialize()
	require.NoError(t, err)
	got, err := newCipher(t, "jwe", jweKey).Decrypt([]byte(text))
	require.NoError(t, err)
	require.Equal(t, data, string(got))
}

func FuzzRoundTrip(f *testing.F) {
	f.Add([]byte(data), []byte("id"), uint(0), byte(1))
	f.Add([]byte{}, []byte{}, uint(40), byte('='))
	f.Add(bytes.Repeat([]byte{16}, 16), bytes.Repeat([]byte{255}, 16), uint(60), byte('\n'))
	f.Add(bytes.Repeat([]byte("ab"), 800), []byte{0}, uint(1000), byte('.'))
	f.Fuzz(func(t *testing.T, plain, id []byte, at uint, by byte) {
		d := ident.Derive("fuzz", string(id))
		for name, s := range schemes {
			c := newCipher(t, name, s.key)
			text := c.Append(nil, plain, d)
			require.Equal(t, text, c.Append(make([]byte, 0, 10), plain, d))
			got, err := c.Decrypt(text)
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain, got))
			got, err = s.decrypt(t, s.key, string(text))
			require.NoError(t, err)
			require.True(t, bytes.Equal(plain, got))

			text[at%uint(len(text))] ^= by
			got, err = c.Decrypt(text)
			if name == "jwe" && by != 0 {
				require.ErrorIs(t, err, encrypt.ErrDecrypt)
			} else if err == nil { // of CBC only that it is another text
				require.Equal(t, by == 0, bytes.Equal(plain, got))
			}
		}
	})
}

func FuzzDecrypt(f *testing.F) {
	for name, s := range schemes {
		f.Add(newCipher(f, name, s.key).Append(nil, []byte(data), delivery))
	}
	f.Add([]byte(jweHeader + "...."))
	f.Add([]byte(jweHeader + "..AAAAAAAAAAAAAAAA..AAAAAAAAAAAAAAAAAAAAAA"))
	f.Add([]byte(strings.Repeat("A", 43)))
	f.Add([]byte("\n\r="))
	f.Fuzz(func(t *testing.T, text []byte) {
		was := string(text)
		for name, s := range schemes {
			got, err := newCipher(t, name, s.key).Decrypt(text)
			require.Equal(t, was, string(text), "not changed")
			if err != nil {
				require.ErrorIs(t, err, encrypt.ErrDecrypt)
				require.Nil(t, got)
				continue
			}
			other, err := s.decrypt(t, s.key, was)
			require.NoError(t, err)
			require.True(t, bytes.Equal(other, got), "one reads as the other")
		}
	})
}
