package sign_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/sign"
)

// No public vector of Dixa's signature exists. This one was computed with OpenSSL:
//
//	printf '%s' "$t.$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:$secret
const (
	dixaSecret = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
	dixaMillis = 1689238949803
	dixaBody   = `{"event_id":"0be2bd61-7e28-4620-87f0-74952725d960","data":{"text":"hællo"}}`
	dixaWant   = "t=1689238949803,v1=f3352b72d591d609c31c5b27f4b3c3706764ab1ba672c5b134f764463209a119"
)

func TestDixaVector(t *testing.T) {
	other := strings.Repeat("ab", 32)
	for name, secrets := range map[string][]string{
		"one":                   {dixaSecret},
		"upper case":            {strings.ToUpper(dixaSecret)},
		"only the newest signs": {dixaSecret, other},
	} {
		t.Run(name, func(t *testing.T) {
			got := signer(t, sign.Dixa{}, secrets...).Append(nil, "ignored", time.UnixMilli(dixaMillis), []byte(dixaBody))
			require.Equal(t, []sign.Header{{Name: "X-DIXA-SIGNATURE", Value: dixaWant}}, got)
		})
	}
	got := signer(t, sign.Dixa{}, other, dixaSecret).Append(nil, "", time.UnixMilli(dixaMillis), []byte(dixaBody))
	require.NotEqual(t, dixaWant, got[0].Value)
}

func TestDixaSecrets(t *testing.T) {
	for in, ok := range map[string]bool{
		dixaSecret: true, strings.ToUpper(dixaSecret): true,
		"": false, dixaSecret[2:]: false, dixaSecret + "00": false, "0x" + dixaSecret[2:]: false,
		strings.Repeat("zz", 32): false, " " + dixaSecret[1:]: false,
	} {
		require.Equal(t, ok, sign.Dixa{}.ValidateSecret(in) == nil, "%q", in)
	}
	made, err := sign.Dixa{}.NewSecret()
	require.NoError(t, err)
	require.Regexp(t, "^[0-9a-f]{64}$", made)
}
