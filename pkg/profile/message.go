package profile

import (
	"context"
	"maps"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/postrider/postrider/pkg/delivery"
	"github.com/postrider/postrider/pkg/encrypt"
	"github.com/postrider/postrider/pkg/envelope"
	"github.com/postrider/postrider/pkg/sign"
	"github.com/postrider/postrider/pkg/subscription"
	"github.com/postrider/postrider/pkg/transform"
)

// Message is a delivery as its endpoint is to get it: what the subscription's transformation and encryption made of it.
// It is the same for every try.
type Message struct {
	// Delivery is the one that it was made of, or a copy with other data.
	Delivery *delivery.Delivery
	// Method is empty, which stands for POST, or what the transformation made it.
	Method string
	// URL is the subscription's, or what the transformation made it: whoever connects to it lets its guard look at it first.
	URL string
	// Elsewhere means that URL is of another origin (RFC 6454) than the subscription's. The headers of the subscription, its
	// authorization and its client certificate are meant for that one and are not sent: what a program is to say there, it
	// says itself.
	Elsewhere bool
	// Cancelled means that nothing is to be sent and that the event counts as delivered.
	Cancelled bool
	// headers are the transformation's.
	headers []sign.Header
}

// Maker makes messages, for one version of one subscription. It is safe for concurrent use.
type Maker struct {
	url string
	// program is nil for none.
	program   *transform.Program
	variables map[string]string
	origin    string
	reserved  func(header string) bool
	// authorized says that the subscription has an authorization of its own.
	authorized bool

	cipher      encrypt.Cipher // nil for none
	contentType string         // of what it makes
}

// Maker returns what makes the messages of sub. Errors are those of a program, a [*transform.SyntaxError], and of a key.
func (p *Profile) Maker(sub *subscription.Subscription) (Maker, error) {
	m := Maker{url: sub.URL, reserved: p.ReservedHeader, authorized: sub.Authorization != nil || sub.OAuth != nil}
	if sub.Transforms() {
		var err error
		if m.program, err = transform.Compile(sub.Transformation.Code); err != nil {
			return m, err
		}
		m.variables, m.origin = sub.Transformation.Variables, origin(sub.URL)
	}
	if e := sub.Encryption; e != nil {
		var err error
		if m.cipher, err = encrypt.New(e.Scheme, e.Key); err != nil {
			return m, err
		}
		scheme, _ := encrypt.Lookup(e.Scheme)
		m.contentType = scheme.ContentType()
	}
	return m, nil
}

// origin is the scheme, the host and the port of a URL.
func origin(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return u.Scheme + "://" + strings.ToLower(u.Hostname()) + ":" + port
}

// Message makes the message of a delivery: transformed, then encrypted. Data that came encrypted, see [encrypt.Encrypted], is
// not encrypted again, and cannot be transformed. That there is no message is a [*transform.Error], for which the endpoint is
// not to blame; any other error is that of ctx.
func (m *Maker) Message(ctx context.Context, d *delivery.Delivery) (Message, error) {
	out := Message{Delivery: d, URL: m.url}
	if m.program != nil {
		if err := m.transform(ctx, &out); err != nil || out.Cancelled {
			return out, err
		}
	}
	if m.cipher != nil && !encrypt.Encrypted(out.Delivery.ContentType) {
		sealed := *out.Delivery
		sealed.Data, sealed.ContentType = m.cipher.Append(nil, out.Delivery.Data, d.ID), m.contentType
		out.Delivery = &sealed
	}
	return out, nil
}

// transform runs the program. What it gets to see is the event, and the URL and id that the endpoint does; no headers, since
// some are credentials.
func (m *Maker) transform(ctx context.Context, out *Message) error {
	d := out.Delivery
	if !envelope.IsJSON(d.ContentType) {
		return &transform.Error{Kind: transform.KindInput, Field: "payload", Detail: "the event's data is not JSON"}
	}
	made, err := m.program.Run(ctx, transform.Input{
		URL: m.url, EventType: d.EventType, Payload: d.Data, ID: d.Message.Base62(delivery.MessagePrefix), Timestamp: d.EventTime,
		Variables: m.variables,
	})
	if err != nil {
		return err
	}
	if made.Cancel {
		out.Cancelled = true
		return nil
	}
	changed := *d
	changed.Data = made.Payload
	out.Delivery, out.Method, out.URL = &changed, made.Method, made.URL
	out.Elsewhere = made.URL != m.url && origin(made.URL) != m.origin
	return m.headers(out, made.Headers)
}

// headers adds those that a program made. It may set what a subscription may under the profile, and Authorization only where
// the subscription's own is not sent.
func (m *Maker) headers(out *Message, made map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(made)) {
		if err := subscription.CheckHeader(name, made[name]); err != nil {
			return transform.RefuseHeader(name, err.Error())
		}
		if m.reserved(name) {
			return transform.RefuseHeader(name, "is the profile's, and not a transformation's to set")
		}
		if m.authorized && !out.Elsewhere && strings.EqualFold(name, authorizationHeader) {
			return transform.RefuseHeader(name, "is the subscription's own authorization already")
		}
		out.headers = append(out.headers, sign.Header{Name: textproto.CanonicalMIMEHeaderKey(name), Value: made[name]})
	}
	return nil
}

// own appends the headers of the subscription that m does not replace, and those of m.
func (m *Message) own(dst, own []sign.Header) []sign.Header {
	switch {
	case m.Elsewhere:
	case len(m.headers) == 0:
		return append(dst, own...)
	default:
		for _, h := range own {
			if !slices.ContainsFunc(m.headers, func(other sign.Header) bool { return strings.EqualFold(other.Name, h.Name) }) {
				dst = append(dst, h)
			}
		}
	}
	return append(dst, m.headers...)
}
