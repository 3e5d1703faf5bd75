package sign_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/postrider/postrider/pkg/sign"
)

// The public vectors of Standard Webhooks and Svix.
const (
	vectorSecret  = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	vectorPrivate = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg=="
	vectorID      = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	vectorUnix    = 1614265330
	vectorBody    = `{"test": 2432232314}`
	vectorV1      = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
	vectorV1a     = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg=="
)

// verifiers are the official libraries; each checks one secret and reads the header prefix of its own system.
var verifiers = map[string]func(secret string, body []byte, h http.Header) error{
	"standard": func(secret string, body []byte, h http.Header) error {
		wh, err := standardwebhooks.NewWebhook(secret)
		if err != nil {
			return err
		}
		return wh.Verify(body, h)
	},
	"svix": func(secret string, body []byte, h http.Header) error {
		wh, err := svix.NewWebhook(secret)
		if err != nil {
			return err
		}
		return wh.Verify(body, h)
	},
}

func scheme(t *testing.T, name string) sign.Scheme {
	t.Helper()
	s, ok := sign.Lookup(name)
	require.True(t, ok, name)
	return s
}

func signer(t *testing.T, s sign.Scheme, secrets ...string) sign.Signer {
	t.Helper()
	out, err := s.Signer(secrets)
	require.NoError(t, err)
	return out
}

func secret(t *testing.T, s sign.Scheme) string {
	t.Helper()
	out, err := s.NewSecret()
	require.NoError(t, err)
	require.NoError(t, s.ValidateSecret(out))
	return out
}

func header(fields []sign.Header) http.Header {
	h := http.Header{}
	for _, f := range fields {
		h.Add(f.Name, f.Value)
	}
	return h
}

func TestStandardVectors(t *testing.T) {
	for name, tc := range map[string]struct {
		secrets []string
		want    string
	}{
		"hmac":                 {[]string{vectorSecret}, vectorV1},
		"hmac without prefix":  {[]string{strings.TrimPrefix(vectorSecret, "whsec_")}, vectorV1},
		"ed25519":              {[]string{vectorPrivate}, vectorV1a},
		"newest first":         {[]string{vectorPrivate, vectorSecret}, vectorV1a + " " + vectorV1},
		"newest first, turned": {[]string{vectorSecret, vectorPrivate}, vectorV1 + " " + vectorV1a},
	} {
		for _, prefix := range []string{"webhook-", "svix-"} {
			t.Run(name+" "+prefix, func(t *testing.T) {
				s := signer(t, sign.Standard{Prefix: prefix}, tc.secrets...)
				first := sign.Header{Name: "kept", Value: "kept"}
				got := s.Append([]sign.Header{first}, vectorID, time.Unix(vectorUnix, 999), []byte(vectorBody))
				require.Equal(t, []sign.Header{
					first,
					{Name: prefix + "id", Value: vectorID},
					{Name: prefix + "timestamp", Value: "1614265330"},
					{Name: prefix + "signature", Value: tc.want},
				}, got)
			})
		}
	}
}

func TestOfficialVerifiersAccept(t *testing.T) {
	for name, verify := range verifiers {
		t.Run(name, func(t *testing.T) {
			s := scheme(t, name)
			current, previous, stranger := secret(t, s), secret(t, s), secret(t, s)
			rotated := signer(t, s, current, vectorPrivate, previous)
			for _, body := range []string{"", "{}", vectorBody, strings.Repeat("æ\x00", 1<<16)} {
				h := header(rotated.Append(nil, "msg_1", time.Now(), []byte(body)))
				require.NoError(t, verify(current, []byte(body), h), "current key")
				require.NoError(t, verify(previous, []byte(body), h), "key before the rotation")
				require.Error(t, verify(stranger, []byte(body), h), "a key that never signed")
			}
		})
	}
}

func TestTamperingIsNoticed(t *testing.T) {
	for name, verify := range verifiers {
		for field, tamper := range map[string]func(h http.Header, body []byte, prefix string){
			"body":      func(_ http.Header, body []byte, _ string) { body[len(body)-1] ^= 1 },
			"id":        func(h http.Header, _ []byte, p string) { h.Set(p+"id", "msg_2") },
			"timestamp": func(h http.Header, _ []byte, p string) { h.Set(p+"timestamp", time.Now().Add(time.Minute).Format("5")) },
			"signature": func(h http.Header, _ []byte, p string) { h.Set(p+"signature", vectorV1) },
		} {
			t.Run(name+" "+field, func(t *testing.T) {
				s := scheme(t, name)
				key, body := secret(t, s), []byte(vectorBody)
				h := header(signer(t, s, key).Append(nil, "msg_1", time.Now(), body))
				require.NoError(t, verify(key, body, h))
				tamper(h, body, strings.TrimSuffix(s.HeaderNames()[0], "id"))
				require.Error(t, verify(key, body, h))
			})
		}
	}
}

func TestEd25519IsVerifiedByThePublicKey(t *testing.T) {
	public, err := sign.Standard{}.PublicKey(vectorPrivate)
	require.NoError(t, err)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(public, "whpk_"))
	require.NoError(t, err)
	h := header(signer(t, scheme(t, "standard"), vectorPrivate).Append(nil, "msg_1", time.Unix(1, 0), []byte("body")))
	sig, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(h.Get("webhook-signature"), "v1a,"))
	require.NoError(t, err)
	require.True(t, ed25519.Verify(key, []byte("msg_1.1.body"), sig))
	require.False(t, ed25519.Verify(key, []byte("msg_1.1.Body"), sig))

	_, err = sign.Standard{}.PublicKey(vectorSecret)
	require.Error(t, err, "a symmetric secret has no public half")
}

func TestStandardSecrets(t *testing.T) {
	b64 := func(n int) string { return base64.StdEncoding.EncodeToString(make([]byte, n)) }
	mixed := strings.Replace(vectorPrivate, "VKIDij2", "VKIDij3", 1) // a public half of another key
	for in, ok := range map[string]bool{
		vectorSecret: true, vectorPrivate: true,
		b64(24): true, b64(64): true, "whsec_" + b64(32): true,
		"": false, "whsec_": false, b64(23): false, b64(65): false,
		"whsec_not base64!": false, vectorSecret + "=": false, vectorSecret + "\n": false,
		"whsk_" + b64(32): false, mixed: false, "whsk_": false,
	} {
		err := sign.Standard{}.ValidateSecret(in)
		require.Equal(t, ok, err == nil, "%q: %v", in, err)
		if err != nil && len(in) > 8 {
			require.NotContains(t, err.Error(), in[7:], "an error shows a secret")
		}
	}
}

func TestSecretsAreNamedByPlace(t *testing.T) {
	for _, name := range sign.Names() {
		s := scheme(t, name)
		_, err := s.Signer([]string{secret(t, s), "hush-hush"})
		require.ErrorContains(t, err, "secrets[1]")
		require.NotContains(t, err.Error(), "hush")
		_, err = s.Signer(nil)
		require.ErrorContains(t, err, "want 1 to 11")
		_, err = s.Signer(make([]string, sign.MaxSecrets+1))
		require.ErrorContains(t, err, "want 1 to 11")
		one, other := secret(t, s), secret(t, s)
		require.NotEqual(t, one, other)
		for _, own := range s.HeaderNames() {
			require.True(t, sign.HasHeader(s, strings.ToUpper(own)))
		}
		require.False(t, sign.HasHeader(s, "authorization"))
	}
	_, ok := sign.Lookup("none")
	require.False(t, ok)
}

func TestSignersAreConcurrent(t *testing.T) {
	for _, name := range sign.Names() {
		s := scheme(t, name)
		shared := signer(t, s, secret(t, s))
		bodies := []string{"a", strings.Repeat("b", 4096), "", "d"}
		var wg sync.WaitGroup
		for _, body := range bodies {
			want := shared.Append(nil, "id", time.Unix(5, 0), []byte(body))
			wg.Go(func() {
				for range 200 {
					if got := shared.Append(nil, "id", time.Unix(5, 0), []byte(body)); got[len(got)-1] != want[len(want)-1] {
						t.Errorf("%s: concurrent signature differs", name)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func FuzzStandardAgainstOfficial(f *testing.F) {
	f.Add("msg_1", int64(vectorUnix), []byte(vectorBody))
	f.Add("", int64(-1), []byte(nil))
	own, err := sign.Standard{Prefix: "webhook-"}.Signer([]string{vectorSecret})
	require.NoError(f, err)
	official, err := standardwebhooks.NewWebhook(vectorSecret)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, id string, unix int64, body []byte) {
		at := time.Unix(unix, 0)
		want, err := official.Sign(id, at, body)
		require.NoError(t, err)
		got := own.Append(nil, id, at, body)
		require.Equal(t, want, got[2].Value)
	})
}

func BenchmarkAppend(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	for _, name := range sign.Names() {
		b.Run(name, func(b *testing.B) {
			s, _ := sign.Lookup(name)
			key, err := s.NewSecret()
			require.NoError(b, err)
			signer, err := s.Signer([]string{key})
			require.NoError(b, err)
			dst := make([]sign.Header, 0, 4)
			b.ReportAllocs()
			for b.Loop() {
				signer.Append(dst, vectorID, time.Unix(vectorUnix, 0), body)
			}
		})
	}
}
