package profile_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/ident"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

var (
	now    = time.Unix(1_800_000_000, 0)
	tenant = &subscription.Tenant{UID: "org-1", Name: "Org"}
	sent   = &delivery.Delivery{
		Message: ident.Derive("test"), EventID: "1", EventType: "contact.updated", EventTime: time.Unix(1, 0),
		Data: []byte(`{"x":1}`),
	}
)

func subscribe(t testing.TB, p *profile.Profile, headers map[string]string) *subscription.Subscription {
	t.Helper()
	secret, err := p.Scheme().NewSecret()
	require.NoError(t, err)
	return &subscription.Subscription{ID: ident.Derive("subscription"), Secrets: []string{secret}, Headers: headers}
}

// send renders one attempt.
func send(t *testing.T, p *profile.Profile, sub *subscription.Subscription, d *delivery.Delivery) ([]sign.Header, []byte) {
	t.Helper()
	s, err := p.Sender(sub, now)
	require.NoError(t, err)
	m, err := s.Message(t.Context(), d)
	require.NoError(t, err)
	body, err := s.AppendBody(nil, &envelope.Input{Delivery: m.Delivery, Tenant: tenant})
	require.NoError(t, err)
	return s.AppendHeaders(nil, &m, time.Now(), body), body
}

func names(fields []sign.Header) (out []string) {
	for _, f := range fields {
		out = append(out, f.Name)
	}
	return out
}

func toHTTP(fields []sign.Header) http.Header {
	h := http.Header{}
	for _, f := range fields {
		h.Add(f.Name, f.Value)
	}
	return h
}

// TestReceiversVerify: what a profile sends passes the check that its receivers are told to make.
func TestReceiversVerify(t *testing.T) {
	for name, verify := range map[string]func(secret string, body []byte, h http.Header) error{
		"standard": func(secret string, body []byte, h http.Header) error {
			wh, err := standardwebhooks.NewWebhook(secret)
			require.NoError(t, err)
			return wh.Verify(body, h)
		},
		"svix": func(secret string, body []byte, h http.Header) error {
			wh, err := svix.NewWebhook(secret)
			require.NoError(t, err)
			return wh.Verify(body, h)
		},
		"dixa": verifyDixa, "dixa-classic": verifyDixa,
	} {
		p := get(t, name)
		sub := subscribe(t, p, nil)
		fields, body := send(t, p, sub, sent)
		require.NoError(t, verify(sub.Secrets[0], body, toHTTP(fields)), name)
		body[0] ^= 1
		require.Error(t, verify(sub.Secrets[0], body, toHTTP(fields)), name)
	}
}

// verifyDixa does what the product's documentation tells receivers to do.
func verifyDixa(secret string, body []byte, h http.Header) error {
	stamp, given, ok := strings.Cut(strings.TrimPrefix(h.Get("X-DIXA-SIGNATURE"), "t="), ",v1=")
	key, err := hex.DecodeString(secret)
	if !ok || err != nil {
		return fmt.Errorf("malformed: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s", stamp, body)
	if hex.EncodeToString(mac.Sum(nil)) != given {
		return fmt.Errorf("signature differs")
	}
	return nil
}

func TestHeadersOfAnAttempt(t *testing.T) {
	own := map[string]string{"authorization": "Bearer 1", "x-b": "2"}
	fields, _ := send(t, get(t, "dixa"), subscribe(t, get(t, "dixa"), own), sent)
	require.Equal(t, []string{
		"Content-Type", "X-DIXA-SIGNATURE", "User-Agent", "X-DIXA-SUBSCRIPTION-ID", "Authorization", "X-B",
	}, names(fields))
	h := toHTTP(fields)
	require.Equal(t, "application/json", h.Get("Content-Type"))
	require.Equal(t, "Postrider/1", h.Get("User-Agent"))
	require.Equal(t, ident.Derive("subscription").UUID(), h.Get("X-DIXA-SUBSCRIPTION-ID"))
	require.Equal(t, "Bearer 1", h.Get("Authorization"))

	fields, _ = send(t, get(t, "standard"), subscribe(t, get(t, "standard"), nil), sent)
	require.Equal(t, []string{"Content-Type", "webhook-id", "webhook-timestamp", "webhook-signature", "User-Agent"}, names(fields))
	require.Equal(t, sent.Message.Base62("msg_"), toHTTP(fields).Get("webhook-id"))
}

func TestRawDataKeepsItsType(t *testing.T) {
	for given, want := range map[string]string{
		"": "application/json", "text/xml": "text/xml", "application/x\r\nEvil: 1": "application/json",
	} {
		d := *sent
		d.ContentType = given
		fields, _ := send(t, get(t, "svix"), subscribe(t, get(t, "svix"), nil), &d)
		require.Equal(t, want, toHTTP(fields).Get("Content-Type"), "%q", given)
	}
	d := *sent
	d.ContentType = "text/xml"
	s, err := get(t, "standard").Sender(subscribe(t, get(t, "standard"), nil), now)
	require.NoError(t, err)
	_, err = s.AppendBody(nil, &envelope.Input{Delivery: &d, Tenant: tenant})
	require.ErrorIs(t, err, envelope.ErrNotJSON)
}

var reservedEverywhere = []string{
	"Content-Type", "content-length", "CONTENT-ENCODING", "Host", "Connection", "Keep-Alive", "Transfer-Encoding", "TE",
	"Trailer", "Upgrade", "Proxy-Connection", "Proxy-Authorization", "Expect", "User-Agent", "Idempotency-Key",
	"x-idempotency-key", "HTTP2-Settings",
}

func TestReservedHeaders(t *testing.T) {
	perProfile := map[string][]string{
		"standard": {"webhook-id", "Webhook-Signature", "webhook-anything", "svix-id"},
		"svix":     {"svix-id", "SVIX-SIGNATURE", "webhook-id", "x-svix-y", "x-amz-target", "x-goog-z", "Cache-Control", "age"},
		"dixa":     {"X-DIXA-SIGNATURE", "x-dixa-subscription-id"},
	}
	for name, own := range perProfile {
		p := get(t, name)
		for _, header := range slices.Concat(reservedEverywhere, own) {
			require.True(t, p.ReservedHeader(header), "%s: %s", name, header)
			sub := subscribe(t, p, map[string]string{header: "evil"}) // as if written under another profile
			fields, _ := send(t, p, sub, sent)
			require.NotContains(t, toHTTP(fields)[http.CanonicalHeaderKey(header)], "evil", "%s: %s", name, header)
		}
		for _, free := range []string{"Authorization", "X-Api-Key", "X-Custom", "Cookie", "agenda", "x-dixa"} {
			require.False(t, p.ReservedHeader(free), "%s: %s", name, free)
		}
	}
}

func TestATraceIsReservedWhereTheProfileSendsIt(t *testing.T) {
	p := *get(t, "standard")
	for _, header := range []string{"traceparent", "Tracestate"} {
		require.False(t, p.ReservedHeader(header), header)
		p.TraceContext = true
		require.True(t, p.ReservedHeader(header), header)
		p.TraceContext = false
	}
}

func TestSenderRefusesWhatCannotBeSent(t *testing.T) {
	for _, name := range load(t).Names() {
		p := get(t, name)
		_, err := p.Sender(&subscription.Subscription{}, now)
		require.ErrorContains(t, err, "secrets: ")
		_, err = p.Sender(&subscription.Subscription{Secrets: []string{"hush"}}, now)
		require.ErrorContains(t, err, "secrets[0]: ")
		_, err = p.Sender(subscribe(t, p, map[string]string{"X-A": "hush\n"}), now)
		require.ErrorContains(t, err, "headers: ")
		require.NotContains(t, err.Error(), "hush")
	}
}

// FuzzHeaders: a header that a subscription may have under a profile is sent as it is, and never changes what the profile
// sets.
func FuzzHeaders(f *testing.F) {
	for _, name := range slices.Concat(reservedEverywhere, []string{"Authorization", "X-A\r\nB", "x-dixa-signature"}) {
		f.Add(name, "value")
	}
	p := get(f, "dixa")
	plain := subscribe(f, p, nil)
	plain.URL = "https://example.com/"
	rules := subscription.Rules{ReservedHeader: func(_, name string) bool { return p.ReservedHeader(name) }}
	f.Fuzz(func(t *testing.T, name, value string) {
		with := *plain
		with.Headers = map[string]string{name: value}
		if subscription.ValidateSubscription(&with, nil, rules) != nil {
			return
		}
		fields, _ := send(t, p, &with, sent)
		h := toHTTP(fields)
		require.Len(t, h, 5, "%q", name)
		require.Equal(t, []string{value}, h[http.CanonicalHeaderKey(name)])
	})
}

func BenchmarkSender(b *testing.B) {
	p := get(b, "dixa")
	s, err := p.Sender(subscribe(b, p, map[string]string{"Authorization": "Bearer 1"}), now)
	require.NoError(b, err)
	d := *sent
	d.Data = []byte(`{"x":"` + strings.Repeat("y", 1000) + `"}`)
	var (
		body   []byte
		fields []sign.Header
	)
	b.ReportAllocs()
	for b.Loop() {
		m, _ := s.Message(b.Context(), &d)
		body, _ = s.AppendBody(body[:0], &envelope.Input{Delivery: m.Delivery, Tenant: tenant})
		fields = s.AppendHeaders(fields[:0], &m, time.Unix(1, 0), body)
	}
}
