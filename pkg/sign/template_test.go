package sign_test

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postrider/postrider/pkg/sign"
)

func template(t testing.TB, s sign.Template) *sign.Template {
	t.Helper()
	require.NoError(t, s.Resolve())
	return &s
}

func templateHeaders(t testing.TB, s *sign.Template, at time.Time, body string, secrets ...string) map[string]string {
	t.Helper()
	signer, err := s.Signer(secrets)
	require.NoError(t, err)
	got := map[string]string{}
	for _, h := range signer.Append(nil, "msg_1", at, []byte(body)) {
		got[h.Name] = h.Value
	}
	return got
}

// What the systems themselves publish: GitHub's "Validating webhook deliveries" and Slack's "Verifying requests from Slack".
func TestTemplatesGiveThePublishedSignatures(t *testing.T) {
	github := template(t, sign.Template{Headers: map[string]string{"X-Hub-Signature-256": "sha256=${signature}"}, Signed: "${body}"})
	require.Equal(t,
		map[string]string{"X-Hub-Signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"},
		templateHeaders(t, github, time.Now(), "Hello, World!", "It's a Secret to Everybody"))

	slack := template(t, sign.Template{
		Headers: map[string]string{"X-Slack-Signature": "v0=${signature}", "X-Slack-Request-Timestamp": "${timestamp}"},
		Signed:  "v0:${timestamp}:${body}",
	})
	body := "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&" +
		"user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands" +
		"%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c"
	require.Equal(t, map[string]string{
		"X-Slack-Request-Timestamp": "1531420618",
		"X-Slack-Signature":         "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
	}, templateHeaders(t, slack, time.Unix(1531420618, 0), body, "8f742231b10e8888abcd99yyyzzz85a5"))
}

func TestTemplates(t *testing.T) {
	at := time.UnixMilli(1689238949803)
	old, current := strings.Repeat("o", 16), strings.Repeat("n", 32)
	mac := func(key, text string) string {
		h := hmac.New(sha512.New, []byte(key))
		h.Write([]byte(text))
		return base64.StdEncoding.EncodeToString(h.Sum(nil))
	}
	several := template(t, sign.Template{
		Headers: map[string]string{"X-Sig": "t=${timestamp},${signatures};id=${id}", "X-One": "${signature}"}, Each: "v1=${signature}", Separator: ",",
		Signed: "<${timestamp}>${body}</${id}>", Hash: "sha512", Encoding: "base64", Timestamp: "ms",
	})
	text := "<1689238949803>{}</msg_1>"
	require.Equal(t, map[string]string{
		"X-Sig": "t=1689238949803,v1=" + mac(current, text) + ",v1=" + mac(old, text) + ";id=msg_1", "X-One": mac(current, text),
	}, templateHeaders(t, several, at, "{}", current, old))

	one := template(t, sign.Template{Headers: map[string]string{"X-Sig": "${signature}"}, Signed: "${body}", Hash: "sha1", Secret: "hex"})
	h := hmac.New(sha1.New, make([]byte, 16))
	h.Write([]byte("{}"))
	require.Equal(t, map[string]string{"X-Sig": hex.EncodeToString(h.Sum(nil))},
		templateHeaders(t, one, at, "{}", strings.Repeat("0", 32), strings.Repeat("1", 32)), "there is room for the newest alone")

	bearer := template(t, sign.Template{Headers: map[string]string{"Authorization": "Bearer ${secret}"}})
	require.Equal(t, map[string]string{"Authorization": "Bearer " + current}, templateHeaders(t, bearer, at, "{}", current, old))
	require.Equal(t, []string{"Authorization"}, bearer.HeaderNames())

	for _, form := range []string{"", "text", "hex", "base64"} {
		s := template(t, sign.Template{Headers: map[string]string{"X-Sig": "${signature}"}, Signed: "${body}", Secret: form})
		secret, err := s.NewSecret()
		require.NoError(t, err)
		require.NoError(t, s.ValidateSecret(secret))
		again, err := s.NewSecret()
		require.NoError(t, err)
		require.NotEqual(t, secret, again)
		for _, bad := range []string{"", "short", strings.Repeat("x", 600), "with a line end\n and more of it", strings.Repeat("ü", 20)} {
			err := s.ValidateSecret(bad)
			require.ErrorContains(t, err, "want 16 to 256")
			_, err = s.Signer([]string{secret, bad})
			require.ErrorContains(t, err, "secrets[1]: want 16 to 256")
		}
	}
}

// A byte of the body more or less is another signature, and so is another time where it is signed.
func FuzzTemplateMutation(f *testing.F) {
	f.Add([]byte(`{"a":1}`), 0, byte(1))
	f.Add([]byte(""), 3, byte(0))
	s := template(f, sign.Template{Headers: map[string]string{"X": "${signature}"}, Signed: "${timestamp}.${body}"})
	secret := strings.Repeat("s", 32)
	f.Fuzz(func(t *testing.T, body []byte, at int, flip byte) {
		now := time.Unix(1_700_000_000, 0)
		was := templateHeaders(t, s, now, string(body), secret)
		require.Equal(t, was, templateHeaders(t, s, now, string(body), secret))
		require.NotEqual(t, was, templateHeaders(t, s, now.Add(time.Second), string(body), secret))
		require.NotEqual(t, was, templateHeaders(t, s, now, string(body)+" ", secret))
		if len(body) == 0 || flip == 0 {
			return
		}
		changed := append([]byte(nil), body...)
		changed[uint(at)%uint(len(body))] ^= flip
		require.NotEqual(t, was, templateHeaders(t, s, now, string(changed), secret))
	})
}

func TestTemplatesThatDoNotResolve(t *testing.T) {
	header := map[string]string{"X-Sig": "${signature}"}
	for want, s := range map[string]sign.Template{
		`headers: missing`:                        {Signed: "${body}"},
		`signed: want a text with ${body}`:        {Headers: header, Signed: "${timestamp}"},
		`headers: none holds ${signature} or`:     {Headers: map[string]string{"X": "${secret}"}, Signed: "${body}"},
		`headers: none holds ${signature}, ${sig`: {Headers: map[string]string{"X": "${timestamp}"}},
		`headers: X: "${body}" holds an unknown`:  {Headers: map[string]string{"X": "${body}"}, Signed: "${body}"},
		`headers: X: "${id" holds an unknown`:     {Headers: map[string]string{"X": "${id"}, Signed: "${body}"},
		`headers: X: "a\nb": want visible`:        {Headers: map[string]string{"X": "a\nb"}, Signed: "${body}"},
		`signed: "${secret}${body}" holds an`:     {Headers: header, Signed: "${secret}${body}"},
		`each: "${id}" holds an unknown`:          {Headers: header, Signed: "${body}", Each: "${id}"},
		`hash: "md5", want one of [sha1 sha256`:   {Headers: header, Signed: "${body}", Hash: "md5"},
		`encoding: "hexx", want one of [base64`:   {Headers: header, Signed: "${body}", Encoding: "hexx"},
		`secret: "pem", want one of [base64 hex`:  {Headers: header, Signed: "${body}", Secret: "pem"},
		`timestamp: "ns", want one of [ms s]`:     {Headers: header, Signed: "${body}", Timestamp: "ns"},
	} {
		require.ErrorContains(t, s.Resolve(), want)
	}
}
