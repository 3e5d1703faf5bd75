package profile_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	svix "github.com/svix/svix-webhooks/go"

	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/profile"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

// secretsOf returns n secrets of the profile's scheme.
func secretsOf(t *testing.T, p *profile.Profile, n int) (out []string) {
	t.Helper()
	for range n {
		s, err := p.Scheme().NewSecret()
		require.NoError(t, err)
		out = append(out, s)
	}
	return out
}

// signatures are the entries of the signature header of an attempt at a time.
func signatures(t *testing.T, s *profile.Sender, at time.Time, header string) []string {
	t.Helper()
	body, err := s.AppendBody(nil, &envelope.Input{Delivery: sent, Tenant: tenant})
	require.NoError(t, err)
	return strings.Fields(toHTTP(s.AppendHeaders(nil, &profile.Message{Delivery: sent}, at, body)).Get(header))
}

// alone is the one entry that a secret alone gives.
func alone(t *testing.T, p *profile.Profile, secret string, at time.Time, header string) string {
	t.Helper()
	s, err := p.Sender(&subscription.Subscription{Secrets: []string{secret}}, at)
	require.NoError(t, err)
	require.True(t, s.Until().IsZero())
	require.Len(t, signatures(t, s, at, header), 1)
	return signatures(t, s, at, header)[0]
}

// The signatures are those of the current secret and of every retired one until the instant it expires, newest first.
func TestRetiredSecretsSignUntilTheyExpire(t *testing.T) {
	for name, header := range map[string]string{"standard": "webhook-signature", "svix": "svix-signature"} {
		p := get(t, name)
		secrets := secretsOf(t, p, 3)
		sub := &subscription.Subscription{Secrets: secrets[:1], Retired: []subscription.RetiredSecret{
			{Secret: secrets[1], Expires: now.Add(2 * time.Hour)},
			{Secret: secrets[2], Expires: now.Add(time.Hour)},
		}}
		for _, c := range []struct {
			at    time.Duration
			sign  []string
			until time.Duration // 0 for never
		}{
			{0, secrets, time.Hour},
			{time.Hour - 1, secrets, time.Hour},
			{time.Hour, secrets[:2], 2 * time.Hour},
			{2*time.Hour - 1, secrets[:2], 2 * time.Hour},
			{2 * time.Hour, secrets[:1], 0},
			{240 * time.Hour, secrets[:1], 0},
		} {
			at := now.Add(c.at)
			s, err := p.Sender(sub, at)
			require.NoError(t, err)
			var want []string
			for _, secret := range c.sign {
				want = append(want, alone(t, p, secret, at, header))
			}
			require.Equal(t, want, signatures(t, s, at, header), "%s after %s", name, c.at)
			require.True(t, s.ValidAt(at))
			if c.until == 0 {
				require.True(t, s.Until().IsZero())
				require.True(t, s.ValidAt(at.Add(1000*time.Hour)))
				continue
			}
			require.Equal(t, now.Add(c.until), s.Until())
			require.True(t, s.ValidAt(s.Until().Add(-1)))
			require.False(t, s.ValidAt(s.Until()))
		}
	}
}

// Receivers verify with the secret they have, as long as it signs, and no longer.
func TestReceiversVerifyThroughARotation(t *testing.T) {
	for name, verifier := range map[string]func(secret string) (interface {
		Verify(payload []byte, headers http.Header) error
	}, error){
		"standard": func(secret string) (interface {
			Verify(payload []byte, headers http.Header) error
		}, error,
		) {
			return standardwebhooks.NewWebhook(secret)
		},
		"svix": func(secret string) (interface {
			Verify(payload []byte, headers http.Header) error
		}, error,
		) {
			return svix.NewWebhook(secret)
		},
	} {
		p, at := get(t, name), time.Now() // verifiers refuse old timestamps
		secrets := secretsOf(t, p, 2)
		for _, c := range []struct {
			expires time.Time
			old     bool
		}{{at.Add(time.Minute), true}, {at.Add(-time.Minute), false}} {
			sub := &subscription.Subscription{
				Secrets: secrets[:1], Retired: []subscription.RetiredSecret{{Secret: secrets[1], Expires: c.expires}},
			}
			s, err := p.Sender(sub, at)
			require.NoError(t, err)
			body, err := s.AppendBody(nil, &envelope.Input{Delivery: sent, Tenant: tenant})
			require.NoError(t, err)
			fields := toHTTP(s.AppendHeaders(nil, &profile.Message{Delivery: sent}, at, body))
			for i, secret := range secrets {
				v, err := verifier(secret)
				require.NoError(t, err)
				require.Equal(t, i == 0 || c.old, v.Verify(body, fields) == nil, "%s, secret %d", name, i)
			}
		}
	}
}

// A scheme of one signature signs with the newest; what is expired, there already, or of another scheme signs nothing;
// and the number is bounded.
func TestRetiredSecretsThatDoNotSign(t *testing.T) {
	later := now.Add(time.Hour)
	dixa, standard := get(t, "dixa"), get(t, "standard")
	secrets := secretsOf(t, dixa, 2)
	sub := &subscription.Subscription{Secrets: secrets[:1], Retired: []subscription.RetiredSecret{{Secret: secrets[1], Expires: later}}}
	s, err := dixa.Sender(sub, now)
	require.NoError(t, err)
	require.Equal(t, alone(t, dixa, secrets[0], now, "X-DIXA-SIGNATURE"), signatures(t, s, now, "X-DIXA-SIGNATURE")[0])

	own := secretsOf(t, standard, 1)
	s, err = standard.Sender(&subscription.Subscription{Secrets: own, Retired: []subscription.RetiredSecret{
		{Secret: secrets[1] + "!", Expires: later}, {Secret: own[0], Expires: later}, {Secret: "hush", Expires: later},
	}}, now)
	require.NoError(t, err)
	require.Len(t, signatures(t, s, now, "webhook-signature"), 1)

	many := &subscription.Subscription{Secrets: own}
	for i, secret := range secretsOf(t, standard, 20) {
		many.Retired = append(many.Retired, subscription.RetiredSecret{Secret: secret, Expires: now.Add(time.Duration(i+1) * time.Hour)})
	}
	s, err = standard.Sender(many, now)
	require.NoError(t, err)
	got := signatures(t, s, now, "webhook-signature")
	require.Len(t, got, sign.MaxSecrets)
	require.Equal(t, alone(t, standard, many.Retired[9].Secret, now, "webhook-signature"), got[10], "the newest stay")

	_, err = standard.Sender(&subscription.Subscription{Retired: many.Retired[:0]}, now)
	require.ErrorContains(t, err, "secrets: ")
}

func TestAuthorizationHeader(t *testing.T) {
	basic := &subscription.Authorization{Username: "Aladdin", Password: "open sesame"} // RFC 7617, section 2
	for name, c := range map[string]struct {
		change func(*subscription.Subscription)
		want   []string
	}{
		"none":   {func(*subscription.Subscription) {}, nil},
		"basic":  {func(s *subscription.Subscription) { s.Authorization = basic }, []string{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}},
		"bearer": {func(s *subscription.Subscription) { s.Authorization = &subscription.Authorization{Token: "t0"} }, []string{"Bearer t0"}},
		"header": {func(s *subscription.Subscription) { s.Headers = map[string]string{"authorization": "Token 1"} }, []string{"Token 1"}},
		"both": {func(s *subscription.Subscription) {
			s.Authorization, s.Headers = basic, map[string]string{"authorization": "Token 1"}
		}, []string{"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="}},
		"oauth adds its own per attempt": {func(s *subscription.Subscription) {
			s.Authorization, s.OAuth = basic, &subscription.OAuth{}
			s.Headers = map[string]string{"AUTHORIZATION": "Token 1"}
		}, nil},
	} {
		p := get(t, "standard")
		sub := subscribe(t, p, nil)
		c.change(sub)
		fields, _ := send(t, p, sub, sent)
		require.Equal(t, c.want, toHTTP(fields)["Authorization"], name)
	}
	p := get(t, "standard")
	sub := subscribe(t, p, nil)
	sub.Authorization = &subscription.Authorization{Token: "hush\r\nEvil: 1"}
	_, err := p.Sender(sub, now)
	require.ErrorContains(t, err, "Authorization")
	require.NotContains(t, err.Error(), "hush")

	reserving := *p
	reserving.Reserved = []string{"Authorization"}
	sub.Authorization = basic
	fields, _ := send(t, &reserving, sub, sent)
	require.Empty(t, toHTTP(fields)["Authorization"], "the profile reserves it")
}
