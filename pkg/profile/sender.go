package profile

import (
	"cmp"
	"maps"
	"net/textproto"
	"slices"
	"strings"
	"time"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
)

// subscriptionVar stands for the subscription's UUID in the values of a profile's headers.
const subscriptionVar = "${subscription_id}"

const authorizationHeader = "Authorization"

// Sender is a profile made ready for one version of one subscription: secrets decoded, headers checked and expanded, the
// transformation compiled. An attempt is made of a [Message], a body and headers, in this order.
// Making it costs far more than using it, so keep it as long as the subscription's version, and not beyond
// [Sender.Until]. It is safe for concurrent use.
type Sender struct {
	envelope *envelope.Envelope
	signer   sign.Signer
	static   []sign.Header // the profile's
	own      []sign.Header // the subscription's
	until    time.Time
	Maker
}

// Sender makes the profile ready for attempts of sub from the given time on. An error (a secret or a header that could
// not have been written under this profile) is what the pipeline records as outcome.ResultRequest, and of a program that does
// not compile, a [*transform.SyntaxError], as outcome.ResultTransformation. Headers that the
// profile reserves are left out: they were allowed by another profile that the subscription had before.
func (p *Profile) Sender(sub *subscription.Subscription, at time.Time) (*Sender, error) {
	secrets, until := p.signing(sub, at)
	signer, err := p.scheme.Signer(secrets)
	if err != nil {
		return nil, err
	}
	s := &Sender{envelope: p.envelope, signer: signer, until: until}
	if s.Maker, err = p.Maker(sub); err != nil {
		return nil, err
	}
	s.static = append(s.static, sign.Header{Name: "User-Agent", Value: cmp.Or(p.UserAgent, DefaultUserAgent)})
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		value := strings.ReplaceAll(p.Headers[name], subscriptionVar, sub.ID.UUID())
		s.static = append(s.static, sign.Header{Name: name, Value: value})
	}
	if s.own, err = p.own(sub); err != nil {
		return nil, err
	}
	return s, nil
}

// signing returns the secrets that sign at the given time, newest first, and when the first of them stops to; the zero
// time for never. Of the retired ones, those of another scheme are left out: the subscription had another profile when
// they were rotated out, and who verifies with them verifies nothing that this profile sends.
func (p *Profile) signing(sub *subscription.Subscription, at time.Time) (secrets []string, until time.Time) {
	if len(sub.Retired) == 0 {
		return sub.Secrets, until
	}
	secrets = slices.Clone(sub.Secrets)
	for _, old := range sub.Retired {
		switch {
		case len(secrets) >= sign.MaxSecrets:
			return secrets, until
		case !at.Before(old.Expires), slices.Contains(secrets, old.Secret), p.scheme.ValidateSecret(old.Secret) != nil:
			continue
		}
		secrets = append(secrets, old.Secret)
		if until.IsZero() || old.Expires.Before(until) {
			until = old.Expires
		}
	}
	return secrets, until
}

// own returns the headers of the subscription, with its authorization.
func (p *Profile) own(sub *subscription.Subscription) ([]sign.Header, error) {
	var out []sign.Header
	authorized := sub.Authorization != nil || sub.OAuth != nil
	for _, name := range slices.Sorted(maps.Keys(sub.Headers)) {
		if p.ReservedHeader(name) || authorized && strings.EqualFold(name, authorizationHeader) {
			continue
		}
		if err := checkField(name, sub.Headers[name]); err != nil {
			return nil, err
		}
		out = append(out, sign.Header{Name: textproto.CanonicalMIMEHeaderKey(name), Value: sub.Headers[name]})
	}
	if sub.Authorization == nil || sub.OAuth != nil || p.ReservedHeader(authorizationHeader) {
		return out, nil
	}
	value := sub.Authorization.Header()
	if err := checkField(authorizationHeader, value); err != nil {
		return nil, err
	}
	return append(out, sign.Header{Name: authorizationHeader, Value: value}), nil
}

// Until returns when s must not be used any more, because a retired secret that it signs with expires; the zero time for
// never.
func (s *Sender) Until() time.Time { return s.until }

// ValidAt reports whether s may be used for an attempt at the given time.
func (s *Sender) ValidAt(at time.Time) bool { return s.until.IsZero() || at.Before(s.until) }

// Envelope returns the form of the bodies.
func (s *Sender) Envelope() *envelope.Envelope { return s.envelope }

// AppendBody appends the body of a try to dst, whose delivery is that of the message. It fails with [envelope.ErrNotJSON] if the
// envelope cannot hold the data.
func (s *Sender) AppendBody(dst []byte, in *envelope.Input) ([]byte, error) {
	return s.envelope.Append(dst, in)
}

// AppendHeaders appends every header of an attempt of m at the given time to dst: content type, the envelope's, signature,
// the profile's, the subscription's and the transformation's. The body is the one that [Sender.AppendBody] made.
func (s *Sender) AppendHeaders(dst []sign.Header, m *Message, at time.Time, body []byte) []sign.Header {
	d := m.Delivery
	dst = slices.Grow(dst, usualHeaders+len(s.static)+len(s.own)+len(m.headers))
	dst = append(dst, sign.Header{Name: "Content-Type", Value: s.contentType(d)})
	for name, value := range s.envelope.Headers(d) {
		dst = append(dst, sign.Header{Name: name, Value: value})
	}
	dst = s.signer.Append(dst, d.Message.Base62(delivery.MessagePrefix), at, body)
	return m.own(append(dst, s.static...), s.own)
}

// usualHeaders is how many headers an attempt has beside the static ones, about: content type, signature, the envelope's.
const usualHeaders = 5

// contentType is that of the envelope, and JSON if that is the event's and cannot be sent.
func (s *Sender) contentType(d *delivery.Delivery) string {
	if t := s.envelope.ContentType(d); checkField("content-type", t) == nil {
		return t
	}
	return "application/json"
}
