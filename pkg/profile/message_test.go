package profile_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"

	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/transform"
)

const (
	endpointURL = "https://shop.example.com/hooks?key=1"
	voyadoKey   = "abcdefghijklmnopqrstuvwxyzABCD09"
	jweKey      = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
)

// transformed is a sender of a subscription with a program.
func transformed(t testing.TB, p *profile.Profile, code string, change ...func(*subscription.Subscription)) *profile.Sender {
	t.Helper()
	sub := subscribe(t, p, map[string]string{"X-Own": "own", "X-Key": "k"})
	sub.URL = endpointURL
	if code != "" {
		sub.Transformation = &subscription.Transformation{Code: code, Enabled: true, Variables: map[string]string{"shop": "nord"}}
	}
	for _, c := range change {
		c(sub)
	}
	s, err := p.Sender(sub, now)
	require.NoError(t, err)
	return s
}

// headers are what s sends with a message besides what the profile does.
func headers(t testing.TB, s *profile.Sender, m *profile.Message) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, h := range s.AppendHeaders(nil, m, now, nil) {
		switch h.Name {
		case "Content-Type", "webhook-id", "webhook-timestamp", "webhook-signature", "User-Agent":
			continue
		}
		require.Empty(t, out[h.Name], "%s is there twice", h.Name)
		out[h.Name] = h.Value
	}
	return out
}

func TestMessage(t *testing.T) {
	own := map[string]string{"X-Own": "own", "X-Key": "k"}
	for _, c := range []struct {
		name, code        string
		data, method, url string // of the message, where it is not as without a program
		elsewhere         bool
		headers           map[string]string
	}{
		{name: "no program"},
		{name: "nothing changed", code: `.`, method: "POST"},
		{name: "what a program sees", code: `.payload = .`, method: "POST", data: `{"eventType":"contact.updated","headers":{},"id":"` +
			sent.Message.Base62("msg_") + `","method":"POST","payload":{"x":1},"timestamp":"1970-01-01T00:00:01Z","url":"` + endpointURL + `"}`},
		{name: "payload", code: `{payload: {y: .payload.x, shop: $variables.shop}}`, method: "POST", data: `{"shop":"nord","y":1}`},
		{name: "method", code: `.method = "PUT"`, method: "PUT"},
		{name: "path", code: `.url = "https://SHOP.example.com:443/\(.payload.x)"`, method: "POST", url: "https://SHOP.example.com:443/1"},
		{
			name: "headers", code: `.headers = {"x-own": "other", "X-New": .eventType, Authorization: "Bearer 1"}`, method: "POST",
			headers: map[string]string{"X-Own": "other", "X-New": "contact.updated", "Authorization": "Bearer 1", "X-Key": "k"},
		},
		{
			name: "another host", code: `.url = "https://other.example.com/"`, method: "POST", url: "https://other.example.com/",
			elsewhere: true, headers: map[string]string{},
		},
		{
			name: "another port", code: `.url = "https://shop.example.com:8443/" | .headers["X-Key"] = "program's"`, method: "POST",
			url: "https://shop.example.com:8443/", elsewhere: true, headers: map[string]string{"X-Key": "program's"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := transformed(t, get(t, "standard"), c.code)
			m, err := s.Message(t.Context(), sent)
			require.NoError(t, err)
			if c.data == "" {
				c.data = string(sent.Data)
			}
			if c.url == "" {
				c.url = endpointURL
			}
			if c.headers == nil {
				c.headers = own
			}
			require.Equal(t, c.data, string(m.Delivery.Data))
			require.Equal(t, c.method, m.Method)
			require.Equal(t, c.url, m.URL)
			require.Equal(t, c.elsewhere, m.Elsewhere)
			require.Equal(t, c.headers, headers(t, s, &m))
			require.Equal(t, `{"x":1}`, string(sent.Data), "the delivery itself stays as it is")
		})
	}
}

func TestMessageIsCancelled(t *testing.T) {
	m, err := transformed(t, get(t, "standard"), `if .payload.x == 1 then .cancel = true else . end`).Message(t.Context(), sent)
	require.NoError(t, err)
	require.True(t, m.Cancelled)
}

func TestProgramThatIsOff(t *testing.T) {
	s := transformed(t, get(t, "standard"), "no program", func(s *subscription.Subscription) { s.Transformation.Enabled = false })
	m, err := s.Message(t.Context(), sent)
	require.NoError(t, err)
	require.Same(t, sent, m.Delivery)
}

func TestNoMessage(t *testing.T) {
	authorized := func(s *subscription.Subscription) {
		s.Authorization = &subscription.Authorization{Token: "t"}
	}
	for name, c := range map[string]struct {
		profile, code string
		change        func(*subscription.Subscription)
		kind          transform.Kind
		want          string
	}{
		"fails":            {"standard", `error("no such order")`, nil, transform.KindRuntime, "the program ended with an error: no such order"},
		"framing":          {"standard", `.headers.Host = "a"`, nil, transform.KindOutput, "headers.Host: is not a transformation's to set"},
		"signature":        {"standard", `.headers["webhook-id"] = "a"`, nil, transform.KindOutput, "headers.webhook-id: is not a subscription's to set"},
		"profile's":        {"dixa", `.headers["x-dixa-subscription-id"] = "a"`, nil, transform.KindOutput, "headers.x-dixa-subscription-id: is the profile's"},
		"content type":     {"standard", `.headers["Content-Type"] = "a"`, nil, transform.KindOutput, "headers.Content-Type: is not"},
		"authorized twice": {"standard", `.headers.authorization = "CANARY"`, authorized, transform.KindOutput, "headers.authorization: is the subscription's own"},
		"long name": {
			"dixa", `.headers["webhook-" + ("a" * 80)] = "a"`, nil, transform.KindOutput, "headers.(a name of 88 bytes): is not",
		},
	} {
		t.Run(name, func(t *testing.T) {
			if c.change == nil {
				c.change = func(*subscription.Subscription) {}
			}
			_, err := transformed(t, get(t, c.profile), c.code, c.change).Message(t.Context(), sent)
			var failed *transform.Error
			require.ErrorAs(t, err, &failed)
			require.Equal(t, c.kind, failed.Kind)
			require.ErrorContains(t, err, "transformation: "+c.want)
			require.NotContains(t, err.Error(), "CANARY")
		})
	}
	elsewhere := transformed(t, get(t, "standard"), `{url: "https://other.example.com", headers: {Authorization: "its own"}}`, authorized)
	m, err := elsewhere.Message(t.Context(), sent)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"Authorization": "its own"}, headers(t, elsewhere, &m), "not ours")

	for _, contentType := range []string{"text/plain", "application/jose"} {
		d := *sent
		d.ContentType = contentType
		_, err := transformed(t, get(t, "standard"), ".").Message(t.Context(), &d)
		require.EqualError(t, err, "transformation: payload: the event's data is not JSON")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = transformed(t, get(t, "standard"), "last(range(100000)) as $n | .").Message(ctx, sent)
	require.ErrorIs(t, err, context.Canceled)

	p := get(t, "standard")
	sub := subscribe(t, p, nil)
	sub.Transformation = &subscription.Transformation{Code: ".a |", Enabled: true}
	_, err = p.Sender(sub, now)
	var syntax *transform.SyntaxError
	require.ErrorAs(t, err, &syntax)
	sub.Transformation, sub.Encryption = nil, &subscription.Encryption{Scheme: "jwe", Key: "CANARY"}
	_, err = p.Sender(sub, now)
	require.EqualError(t, err, "key: want 43 characters: 32 bytes in base64url without padding")
}

// A receiver of every profile gets an encrypted text, which is what the program made; the same on every try, but for
// flexEngage's envelope, where the text is the same in another body.
func TestTransformedAndEncrypted(t *testing.T) {
	for name, path := range map[string]string{
		"standard": "data", "dixa": "data", "flexengage": "data", "voyado": "payload", "cloudevents": "data", "svix": "", "cloudevents-binary": "",
	} {
		for scheme, key := range map[string]string{"jwe": jweKey, "voyado": voyadoKey} {
			s := transformed(t, get(t, name), `.payload |= {y: .x}`, func(s *subscription.Subscription) {
				s.Encryption = &subscription.Encryption{Scheme: scheme, Key: key}
			})
			cipher, err := encrypt.New(scheme, key)
			require.NoError(t, err)
			var first string
			for try := range 3 {
				d := *sent
				d.ID, d.Attempts, d.Pass = ident.Derive("delivery"), try, try
				m, err := s.Message(t.Context(), &d)
				require.NoError(t, err)
				at := now.Add(time.Duration(try) * time.Hour)
				body, err := s.AppendBody(nil, &envelope.Input{Delivery: m.Delivery, Tenant: tenant, Attempt: ident.New(), At: at})
				require.NoError(t, err)
				text, kind := string(body), toHTTP(s.AppendHeaders(nil, &m, at, body)).Get("Content-Type")
				if path != "" {
					require.True(t, json.Valid(body), "%s", body)
					text = gjson.GetBytes(body, path).String()
				}
				plain, err := cipher.Decrypt([]byte(text))
				require.NoError(t, err, "%s: %s", name, body)
				require.Equal(t, `{"y":1}`, string(plain))
				known, _ := encrypt.Lookup(scheme)
				require.Equal(t, path == "", kind == known.ContentType(), "%s: %s", name, kind)
				if name == "flexengage" {
					body = []byte(text)
				}
				if try == 0 {
					first = string(body)
				}
				require.Equal(t, first, string(body), name)
			}
		}
	}
}

func TestReceiverVerifiesAndDecrypts(t *testing.T) {
	p := get(t, "standard")
	sub := subscribe(t, p, nil)
	sub.URL, sub.Encryption = endpointURL, &subscription.Encryption{Scheme: "jwe", Key: jweKey}
	fields, body := send(t, p, sub, sent)
	hook, err := standardwebhooks.NewWebhook(sub.Secrets[0])
	require.NoError(t, err)
	require.NoError(t, hook.VerifyIgnoringTimestamp(body, toHTTP(fields)))
	cipher, err := encrypt.New("jwe", jweKey)
	require.NoError(t, err)
	plain, err := cipher.Decrypt([]byte(gjson.GetBytes(body, "data").String()))
	require.NoError(t, err)
	require.Equal(t, `{"x":1}`, string(plain))
}

// What the producer has encrypted goes out as it came, whether or not the subscription has a key of its own.
func TestEncryptedDataPassesThrough(t *testing.T) {
	const text = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.BBBB.CCCC"
	for _, encryption := range []*subscription.Encryption{nil, {Scheme: "voyado", Key: voyadoKey}} {
		s := transformed(t, get(t, "voyado"), "", func(s *subscription.Subscription) { s.Encryption = encryption })
		d := *sent
		d.ContentType, d.Data = "application/jose", []byte(text)
		m, err := s.Message(t.Context(), &d)
		require.NoError(t, err)
		body, err := s.AppendBody(nil, &envelope.Input{Delivery: m.Delivery, Tenant: tenant})
		require.NoError(t, err)
		require.Equal(t, text, gjson.GetBytes(body, "payload").String())
		require.True(t, gjson.GetBytes(body, "isEncrypted").Bool())
	}
}

// A delivery of a subscription with neither costs no more than one did before there was either.
func TestMessagesWithoutProgramCostNothing(t *testing.T) {
	s := transformed(t, get(t, "standard"), "")
	fields, ctx := make([]sign.Header, 0, 20), t.Context()
	// The least of many runs: a pool of signers drops some of them at random under the race detector.
	least := func(f func()) float64 {
		n := testing.AllocsPerRun(1, f)
		for range 100 {
			n = min(n, testing.AllocsPerRun(1, f))
		}
		return n
	}
	before := least(func() {
		fields = s.AppendHeaders(fields[:0], &profile.Message{Delivery: sent}, now, sent.Data)
	})
	with := least(func() {
		m, _ := s.Message(ctx, sent)
		fields = s.AppendHeaders(fields[:0], &m, now, m.Delivery.Data)
	})
	require.Equal(t, before, with) //nolint:testifylint // allocations are counted
}
