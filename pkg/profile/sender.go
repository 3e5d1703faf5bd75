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

const jsonType = "application/json"

// Sender is a profile made ready for one version of one subscription: secrets decoded, headers checked and expanded.
// Making it costs far more than using it, so keep it as long as the subscription's version. It is safe for concurrent
// use.
type Sender struct {
	envelope envelope.Envelope
	raw      bool // the body is the data alone, and has its content type
	signer   sign.Signer
	static   []sign.Header
}

// Signer returns the signer of sub's secrets.
func (p *Profile) Signer(sub *subscription.Subscription) (sign.Signer, error) {
	return p.scheme.Signer(sub.Secrets)
}

// Sender makes the profile ready for sub. An error (a secret or a header that could not have been written under this
// profile) is what the pipeline records as outcome.ResultRequest. Headers that the profile reserves are left out: they
// were allowed by another profile that the subscription had before.
func (p *Profile) Sender(sub *subscription.Subscription) (*Sender, error) {
	signer, err := p.Signer(sub)
	if err != nil {
		return nil, err
	}
	s := &Sender{envelope: p.envelope, raw: p.Envelope == "raw", signer: signer}
	s.static = append(s.static, sign.Header{Name: "User-Agent", Value: cmp.Or(p.UserAgent, DefaultUserAgent)})
	for _, name := range slices.Sorted(maps.Keys(p.Headers)) {
		value := strings.ReplaceAll(p.Headers[name], subscriptionVar, sub.ID.UUID())
		s.static = append(s.static, sign.Header{Name: name, Value: value})
	}
	for _, name := range slices.Sorted(maps.Keys(sub.Headers)) {
		if p.ReservedHeader(name) {
			continue
		}
		if err := checkField(name, sub.Headers[name]); err != nil {
			return nil, err
		}
		s.static = append(s.static,
			sign.Header{Name: textproto.CanonicalMIMEHeaderKey(name), Value: sub.Headers[name]})
	}
	return s, nil
}

// AppendBody appends the body of d to dst: the same bytes on every try. It fails with [envelope.ErrNotJSON] if the
// envelope cannot hold the data.
func (s *Sender) AppendBody(dst []byte, d *delivery.Delivery, t *subscription.Tenant) ([]byte, error) {
	return s.envelope(dst, d, t)
}

// AppendHeaders appends every header of an attempt of d at the given time to dst: content type, signature, the
// profile's and the subscription's. The body is the one that [Sender.AppendBody] made.
func (s *Sender) AppendHeaders(dst []sign.Header, d *delivery.Delivery, at time.Time, body []byte) []sign.Header {
	dst = append(dst, sign.Header{Name: "Content-Type", Value: s.contentType(d)})
	dst = s.signer.Append(dst, d.Message.Base62(delivery.MessagePrefix), at, body)
	return append(dst, s.static...)
}

// contentType is JSON unless the body is the data alone and the event named another type that can be sent.
func (s *Sender) contentType(d *delivery.Delivery) string {
	if !s.raw || d.ContentType == "" || checkField("content-type", d.ContentType) != nil {
		return jsonType
	}
	return d.ContentType
}
