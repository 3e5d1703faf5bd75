package sign_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/sign"
)

// vectorPublic is the receiver's half of vectorPrivate.
const vectorPublic = "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4="

var vectorTime = time.Unix(1614265330, 0)

func vectorRequest(change ...func(http.Header)) sign.Received {
	h := http.Header{}
	h.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	h.Set("Webhook-Timestamp", "1614265330")
	h.Set("Webhook-Signature", "v1a,AAAA v1,BBBB "+vectorV1+" "+vectorV1a)
	for _, c := range change {
		c(h)
	}
	return sign.Received{Header: h.Get, Body: []byte(vectorBody)}
}

func standardScheme(t *testing.T) sign.Scheme {
	t.Helper()
	s, ok := sign.Lookup("standard")
	require.True(t, ok)
	return s
}

func TestVerifyPublicVectors(t *testing.T) {
	for _, secret := range []string{vectorSecret, strings.TrimPrefix(vectorSecret, "whsec_"), vectorPrivate, vectorPublic} {
		claim, err := sign.Verify(standardScheme(t), []string{secret}, vectorRequest(), vectorTime.Add(4*time.Minute), sign.DefaultTolerance)
		require.NoError(t, err)
		require.Equal(t, "msg_p5jXN8AQM9LWM0D4loKWxJek", claim.ID)
		require.True(t, claim.At.Equal(vectorTime))
	}
}

// Each refusal says what is wrong, and nothing that is secret.
func TestVerifyRefusals(t *testing.T) {
	const other = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	drop := func(name string) func(http.Header) { return func(h http.Header) { h.Del(name) } }
	set := func(name, value string) func(http.Header) { return func(h http.Header) { h.Set(name, value) } }
	body := func(body string) sign.Received {
		r := vectorRequest()
		r.Body = []byte(body)
		return r
	}
	for name, c := range map[string]struct {
		request sign.Received
		secret  string
		at      time.Time
		reason  string
		detail  string
	}{
		"no id":            {vectorRequest(drop("webhook-id")), vectorSecret, vectorTime, sign.RefusedMissing, "header webhook-id is missing"},
		"no header at all": {vectorRequest(drop("webhook-id"), drop("webhook-timestamp"), drop("webhook-signature")), vectorSecret, vectorTime, sign.RefusedMissing, "header webhook-id is missing, header webhook-timestamp is missing, header webhook-signature is missing"},
		"no time":          {vectorRequest(set("webhook-timestamp", "soon")), vectorSecret, vectorTime, sign.RefusedMalformed, "header webhook-timestamp: the time is not a whole number"},
		"no known version": {vectorRequest(set("webhook-signature", "v2,AAAA")), vectorSecret, vectorTime, sign.RefusedMalformed, "no signature of a known version"},
		"another secret":   {vectorRequest(), other, vectorTime, sign.RefusedMismatch, "no signature of the request is of this body under a secret that was given"},
		"another id":       {vectorRequest(set("webhook-id", "msg_1")), vectorSecret, vectorTime, sign.RefusedMismatch, "under a secret that was given"},
		"another time":     {vectorRequest(set("webhook-timestamp", "1614265331")), vectorSecret, vectorTime, sign.RefusedMismatch, "under a secret that was given"},
		"another body":     {body(`{"test": 2432232315}`), vectorSecret, vectorTime, sign.RefusedMismatch, "under a secret that was given"},
		"a line end":       {body(vectorBody + "\n"), vectorSecret, vectorTime, sign.RefusedMismatch, "the line end behind it was not sent"},
		"a mark":           {body("\xef\xbb\xbf" + vectorBody), vectorSecret, vectorTime, sign.RefusedMismatch, "the byte order mark before it was not sent"},
		"too old":          {vectorRequest(), vectorSecret, vectorTime.Add(6 * time.Minute), sign.RefusedTime, "of 2021-02-25T15:02:10Z, which is 6m0s from now: want at most 5m0s"},
		"of the future":    {vectorRequest(), vectorSecret, vectorTime.Add(-time.Hour), sign.RefusedTime, "1h0m0s from now"},
	} {
		_, err := sign.Verify(standardScheme(t), []string{c.secret}, c.request, c.at, sign.DefaultTolerance)
		refusal, ok := errors.AsType[*sign.Refusal](err)
		require.True(t, ok, name)
		require.Equal(t, c.reason, refusal.Reason, name)
		require.Contains(t, refusal.Detail, c.detail, name)
		require.NotContains(t, refusal.Detail, "g0hM9SsE", name)
	}
	_, err := sign.Verify(standardScheme(t), []string{vectorSecret, "short"}, vectorRequest(), vectorTime, 0)
	require.ErrorContains(t, err, `secrets[1]: want "whsec_"`)
	_, err = sign.Verify(standardScheme(t), []string{"whpk_AAAA"}, vectorRequest(), vectorTime, 0)
	require.ErrorContains(t, err, "secrets[0]: want \"whpk_\"")
	_, err = sign.Verify(standardScheme(t), []string{vectorSecret}, vectorRequest(), vectorTime.Add(1000*time.Hour), 0)
	require.NoError(t, err, "no tolerance: the time is not looked at")
}

// What every scheme signs is verified; of what was changed by one bit, nothing is.
func TestVerifyWhatIsSigned(t *testing.T) {
	schemes := map[string]sign.Scheme{}
	for _, name := range sign.Names() {
		schemes[name], _ = sign.Lookup(name)
	}
	for name, template := range map[string]*sign.Template{
		"github":  {Headers: map[string]string{"X-Hub-Signature-256": "sha256=${signature}"}, Signed: "${body}"},
		"shopify": {Headers: map[string]string{"X-Shopify-Hmac-Sha256": "${signature}"}, Signed: "${body}", Encoding: "base64"},
		"stripe": {
			Headers: map[string]string{"Stripe-Signature": "t=${timestamp},${signatures}"}, Signed: "${timestamp}.${body}",
			Each: "v1=${signature}", Separator: ",",
		},
		"slack": {
			Headers: map[string]string{"X-Slack-Signature": "v0=${signature}", "X-Slack-Request-Timestamp": "${timestamp}"},
			Signed:  "v0:${timestamp}:${body}",
		},
		"id in a header of its own": {
			Headers: map[string]string{"X-Id": "${id}", "X-Signature": "${signature}"}, Signed: "${id}:${body}", Hash: "sha512",
		},
	} {
		require.NoError(t, template.Resolve())
		schemes[name] = template
	}
	at := time.UnixMilli(1_750_000_000_123)
	body := []byte(`{"a": 1}`)
	for name, s := range schemes {
		secrets := []string{secret(t, s), secret(t, s)}
		signer, err := s.Signer(secrets)
		require.NoError(t, err)
		h := http.Header{}
		for _, one := range signer.Append(nil, "msg_1", at, body) {
			h.Set(one.Name, one.Value)
		}
		verify := func(secret string, h http.Header, body []byte) error {
			_, err := sign.Verify(s, []string{secret}, sign.Received{Header: h.Get, Body: body}, at, time.Minute)
			return err
		}
		require.NoError(t, verify(secrets[0], h, body), name)
		require.Error(t, verify(secret(t, s), h, body), name)
		for i := range body {
			changed := []byte(string(body))
			changed[i] ^= 1
			require.Error(t, verify(secrets[0], h, changed), "%s, body at %d", name, i)
		}
		require.ErrorContains(t, verify(secrets[0], h, []byte("{\"a\": 1}\n")), "the line end behind it was not sent", name)
		for field, values := range h {
			for i := range values[0] {
				changed := h.Clone()
				raw := []byte(values[0])
				raw[i] ^= 1
				changed.Set(field, string(raw))
				if err := verify(secrets[0], changed, body); err == nil {
					// Signatures that are not the first secret's, and what separates them, are not this receiver's to look at.
					require.Contains(t, []string{"standard", "svix", "stripe"}, name, "%s at %d: %s", field, i, raw)
					require.NotContains(t, strings.ToLower(field), "timestamp")
				}
			}
		}
	}
}

func TestVerifyBearerSecret(t *testing.T) {
	s := &sign.Template{Headers: map[string]string{"Authorization": "Bearer ${secret}"}}
	require.NoError(t, s.Resolve())
	h := http.Header{"Authorization": {"Bearer 0123456789abcdef"}}
	_, err := sign.Verify(s, []string{"0123456789abcdef"}, sign.Received{Header: h.Get}, vectorTime, time.Minute)
	require.NoError(t, err)
	_, err = sign.Verify(s, []string{"0123456789abcdeg"}, sign.Received{Header: h.Get}, vectorTime, time.Minute)
	require.Error(t, err)
	h.Set("Authorization", "Basic 0123456789abcdef")
	_, err = sign.Verify(s, []string{"0123456789abcdef"}, sign.Received{Header: h.Get}, vectorTime, time.Minute)
	require.ErrorContains(t, err, "header Authorization has not the form Bearer ${secret}")
}

// Whatever a stranger sends is refused without a panic.
func FuzzVerify(f *testing.F) {
	f.Add("msg_1", "1614265330", "v1,AAAA", "t=1,v1=00", []byte("{}"))
	f.Add("", "-1", "v1a, v1,", "t=,v1", []byte(nil))
	dixa, _ := sign.Lookup("dixa")
	svix, _ := sign.Lookup("svix")
	stripe := &sign.Template{
		Headers: map[string]string{"Stripe-Signature": "t=${timestamp},${signatures}"}, Signed: "${timestamp}.${body}",
		Each: "v1=${signature}", Separator: ",",
	}
	if err := stripe.Resolve(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, at, signature, whole string, body []byte) {
		get := func(name string) string {
			switch {
			case strings.HasSuffix(name, "-id"):
				return id
			case strings.HasSuffix(name, "-timestamp"):
				return at
			case strings.HasPrefix(name, "svix"):
				return signature
			}
			return whole
		}
		for _, c := range []struct {
			scheme sign.Scheme
			secret string
		}{
			{dixa, strings.Repeat("0a", 32)},
			{svix, vectorSecret},
			{svix, vectorPublic},
			{stripe, "0123456789abcdef"},
		} {
			_, err := sign.Verify(c.scheme, []string{c.secret}, sign.Received{Header: get, Body: body}, vectorTime, 0)
			var refusal *sign.Refusal
			require.ErrorAs(t, err, &refusal)
		}
	})
}
