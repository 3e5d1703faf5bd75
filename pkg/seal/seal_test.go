package seal_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/seal"
)

const where = "tenant|subscription|secret"

func generated(t testing.TB) *seal.Keyset {
	t.Helper()
	k, err := seal.Generate()
	require.NoError(t, err)
	return k
}

func sealed(t testing.TB, k *seal.Keyset, plain string) string {
	t.Helper()
	text, err := k.Seal(plain, where)
	require.NoError(t, err)
	return text
}

func TestSealedValueOpens(t *testing.T) {
	k := generated(t)
	for _, plain := range []string{"", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "sealed:x", strings.Repeat("ä", 100_000), "\x00\xff"} {
		text := sealed(t, k, plain)
		require.True(t, seal.IsSealed(text))
		require.True(t, k.Current(text))
		got, err := k.Open(text, where)
		require.NoError(t, err)
		require.Equal(t, plain, got)
		require.NotEqual(t, text, sealed(t, k, plain), "the same twice gives two texts")
		if len(plain) > 3 {
			require.NotContains(t, text, plain)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	k := generated(t)
	text := sealed(t, k, "secret-in-clear")
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(text, seal.Prefix))
	require.NoError(t, err)
	changed := func(at int) string {
		other := append([]byte(nil), raw...)
		other[at] ^= 1
		return seal.Prefix + base64.RawURLEncoding.EncodeToString(other)
	}
	for _, c := range []struct {
		name, text, associated string
		want                   error
	}{
		{"another tenant", text, "other|subscription|secret", seal.ErrRefused},
		{"another field", text, "tenant|subscription|oauth", seal.ErrRefused},
		{"nothing associated", text, "", seal.ErrRefused},
		{"last byte", changed(len(raw) - 1), where, seal.ErrRefused},
		{"nonce", changed(5), where, seal.ErrRefused},
		{"key id", changed(4), where, seal.ErrNoKey},
		{"version", changed(0), where, seal.ErrForm},
		{"cut off", seal.Prefix + base64.RawURLEncoding.EncodeToString(raw[:20]), where, seal.ErrRefused},
		{"prefix of a key only", seal.Prefix + base64.RawURLEncoding.EncodeToString(raw[:4]), where, seal.ErrForm},
		{"no base64", seal.Prefix + "*", where, seal.ErrForm},
		{"padded base64", text + "=", where, seal.ErrForm},
		{"in clear", "secret-in-clear", where, seal.ErrForm},
		{"empty", "", where, seal.ErrForm},
		{"of another keyset", sealed(t, generated(t), "x"), where, seal.ErrNoKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			plain, err := k.Open(c.text, c.associated)
			require.ErrorIs(t, err, c.want)
			require.Empty(t, plain)
			require.NotContains(t, err.Error(), "secret-in-clear")
		})
	}
}

// Keys are replaced while everything runs: added everywhere, then promoted everywhere, then what the old one sealed is
// sealed again, then it is removed. At every step what any earlier step sealed opens in every keyset that may be running.
func TestReplacingAKey(t *testing.T) {
	first := generated(t)
	old := first.Primary()
	before := sealed(t, first, "before")

	added, err := first.Add()
	require.NoError(t, err)
	require.Equal(t, old, added.Primary(), "the new one does not seal yet")
	require.Len(t, added.Keys(), 2)
	require.Len(t, first.Keys(), 1, "a keyset is immutable")

	promoted, err := added.Promote()
	require.NoError(t, err)
	require.NotEqual(t, old, promoted.Primary())
	after := sealed(t, promoted, "after")
	for _, running := range []*seal.Keyset{added, promoted} {
		for text, want := range map[string]string{before: "before", after: "after"} {
			got, err := running.Open(text, where)
			require.NoError(t, err)
			require.Equal(t, want, got)
		}
	}
	require.False(t, promoted.Current(before), "to be sealed again")
	require.True(t, promoted.Current(after))

	last, err := promoted.Remove(old)
	require.NoError(t, err)
	_, err = last.Open(before, where)
	require.ErrorIs(t, err, seal.ErrNoKey)
	require.Contains(t, err.Error(), fmt.Sprint(old))
	got, err := last.Open(after, where)
	require.NoError(t, err)
	require.Equal(t, "after", got)
}

func TestChangesThatAreRefused(t *testing.T) {
	k := generated(t)
	_, err := k.Promote()
	require.ErrorContains(t, err, "add one first")
	_, err = k.Remove(k.Primary())
	require.ErrorContains(t, err, "promote another first")
	_, err = k.Remove(k.Primary() + 1)
	require.ErrorContains(t, err, "there is none")
	full := k
	for len(full.Keys()) < seal.MaxKeys {
		full, err = full.Add()
		require.NoError(t, err)
	}
	_, err = full.Add()
	require.ErrorContains(t, err, "want at most 100")
}

func TestKeysetAsText(t *testing.T) {
	k, err := generated(t).Add()
	require.NoError(t, err)
	text, err := k.JSON()
	require.NoError(t, err)
	require.NotContains(t, text, "\n", "it may stand in an environment variable")
	again, err := seal.Parse(text)
	require.NoError(t, err)
	require.Equal(t, k.Keys(), again.Keys())
	got, err := again.Open(sealed(t, k, "x"), where)
	require.NoError(t, err)
	require.Equal(t, "x", got)
}

// material returns the base64 of the keys of a keyset.
func material(t testing.TB, k *seal.Keyset) (text string, keys []string) {
	t.Helper()
	text, err := k.JSON()
	require.NoError(t, err)
	var form struct {
		Key []struct{ KeyData struct{ Value string } }
	}
	require.NoError(t, json.Unmarshal([]byte(text), &form))
	for _, key := range form.Key {
		require.NotEmpty(t, key.KeyData.Value)
		keys = append(keys, key.KeyData.Value)
	}
	return text, keys
}

func TestParseRefuses(t *testing.T) {
	text, keys := material(t, generated(t))
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", "postrider keys generate"},
		{"no JSON", keys[0], "postrider keys generate"},
		{"no keys", `{"primaryKeyId":1,"key":[]}`, "postrider keys generate"},
		{"another type", strings.Replace(text, "AesGcmKey", "AesSivKey", 1), "AES256-GCM"},
		{"no prefix", strings.Replace(text, `"TINK"`, `"RAW"`, 1), "prefix TINK"},
		{"disabled", strings.Replace(text, `"ENABLED"`, `"DISABLED"`, 1), "enabled"},
		{"another primary", strings.Replace(text, `"primaryKeyId":`, `"primaryKeyId":1`, 1), ""},
		{"cut key", strings.Replace(text, keys[0], keys[0][:8], 1), "JSON form"},
		{"too long", text + strings.Repeat(" ", 64<<10), "want at most"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := seal.Parse(c.text)
			require.ErrorContains(t, err, c.want)
			require.NotContains(t, err.Error(), keys[0])
		})
	}
}

// However a keyset is written by accident, its keys are not in it.
func TestKeysAreNotShown(t *testing.T) {
	k := generated(t)
	_, keys := material(t, k)
	raw, err := base64.StdEncoding.DecodeString(keys[0])
	require.NoError(t, err)
	var log strings.Builder
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "keyset", k, "in", struct{ K *seal.Keyset }{k})
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "keyset", k, "in", struct{ K *seal.Keyset }{k})
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&log, verb, k)
		fmt.Fprintf(&log, verb, struct{ K *seal.Keyset }{k})
	}
	for _, secret := range []string{keys[0], string(raw), fmt.Sprintf("%x", raw), fmt.Sprintf("%d", raw)} {
		require.NotContains(t, log.String(), secret)
	}
	_, err = json.Marshal(k)
	require.Error(t, err)
}

// Whatever is opened, it is refused with one of the three errors, and nothing panics.
func FuzzOpen(f *testing.F) {
	k := generated(f)
	text, err := k.Seal("plain", where)
	require.NoError(f, err)
	f.Add(text, where)
	f.Add(text[:len(text)-1], where)
	f.Add(seal.Prefix, "")
	f.Add("sealed:AQAAAAA", where)
	f.Add("", "")
	f.Fuzz(func(t *testing.T, in, associated string) {
		plain, err := k.Open(in, associated)
		if err == nil {
			require.Equal(t, where, associated)
			require.Equal(t, "plain", plain)
			return
		}
		require.True(t, errors.Is(err, seal.ErrForm) || errors.Is(err, seal.ErrNoKey) || errors.Is(err, seal.ErrRefused), err)
	})
}
